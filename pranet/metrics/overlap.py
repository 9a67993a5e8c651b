"""Dice and IoU over all thresholds, as the published tables take them, and at one."""

import numpy as np
from numpy.typing import NDArray

Probability = NDArray[np.float32]
Mask = NDArray[np.uint8]

THRESHOLDS = 256


def overlap_curves(
    probability: Probability, mask: Mask
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dice and IoU at the thresholds 255/255, 254/255, …, 0, as the published evaluation takes.

    Args:
        probability: (H, W), 0…1.
        mask: (H, W), zero is background.

    Returns:
        Two curves of `THRESHOLDS` values, 0…1. An empty answer to an empty mask scores 1.
    """
    level = np.floor(probability * 255).astype(np.uint8)
    inside = mask > 0
    # Level histograms, summed from the top: pixels at or above each threshold in one pass.
    predicted = np.bincount(level.ravel(), minlength=THRESHOLDS)[::-1].cumsum()
    hit = np.bincount(level[inside], minlength=THRESHOLDS)[::-1].cumsum()
    total = predicted + inside.sum()
    both_empty = total == 0
    dice = np.where(both_empty, 1.0, 2 * hit / np.maximum(total, 1))
    iou = np.where(both_empty, 1.0, hit / np.maximum(total - hit, 1))
    return dice, iou


def dice_at(probability: Probability, mask: Mask, threshold: float = 0.5) -> float:
    """Dice of the mask that one threshold gives, 0…1; 1 where both are empty."""
    predicted, inside = probability >= threshold, mask > 0
    total = int(predicted.sum()) + int(inside.sum())
    return 1.0 if total == 0 else 2 * int((predicted & inside).sum()) / total
