"""Scores of a segmentation into several classes."""

import numpy as np
from numpy.typing import NDArray

from pranet.metrics.boundary import hd95


def class_scores(logits: NDArray[np.float32], labels: NDArray[np.uint8]) -> dict[str, float]:
    """Dice, IoU (0…1) and HD95 (px) of one image, for every class and as means over classes.

    Args:
        logits: (C, H, W); the greatest one decides. Class 0 is everything else.
        labels: (H, W), 0…C−1.

    Returns:
        ``Dice/1``, ``IoU/1``, ``HD95/1``, … for the classes 1…C−1, NaN for one that neither the
        answer nor the truth holds; and ``mDice``, ``mIoU``, ``HD95``, the means over the others
        (Dice and IoU are 1 if there are none).
    """
    decided = logits.argmax(axis=0)
    scores: dict[str, float] = {}
    for index in range(1, len(logits)):
        predicted, inside = decided == index, labels == index
        hit, total = int((predicted & inside).sum()), int(predicted.sum()) + int(inside.sum())
        scores[f"Dice/{index}"] = 2 * hit / total if total else float("nan")
        scores[f"IoU/{index}"] = hit / (total - hit) if total else float("nan")
        scores[f"HD95/{index}"] = hd95(predicted, inside)
    return {
        "mDice": _mean(scores, "Dice/", none=1.0),
        "mIoU": _mean(scores, "IoU/", none=1.0),
        "HD95": _mean(scores, "HD95/", none=float("nan")),
    } | scores


def _mean(scores: dict[str, float], prefix: str, *, none: float) -> float:
    values = [value for name, value in scores.items() if name.startswith(prefix)]
    present = [value for value in values if not np.isnan(value)]
    return float(np.mean(present)) if present else none
