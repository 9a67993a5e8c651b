"""Losses for binary polyp segmentation, after PraNet and PraNet-V2."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

BACKGROUND_WEIGHT = 0.8


def boundary_weight(mask: NDArray[np.float32], window_px: int = 31) -> NDArray[np.float32]:
    """Per-pixel weight of the structure loss: 1 far from the boundary, up to 6 upon it.

    ``1 + 5 · |mean over window(mask) − mask|`` with zeros beyond the border (PraNet, MICCAI 2020).
    It depends on the mask alone, so it is computed once per image by the data loader and not
    once per supervised map in the training step.

    Args:
        mask: (H, W), 0…1.
        window_px: side of the averaging window.
    """
    local_mean = cv2.blur(mask, (window_px, window_px), borderType=cv2.BORDER_CONSTANT)
    return np.asarray(1 + 5 * np.abs(local_mean - mask), dtype=np.float32)


def structure_loss(logits: Tensor, mask: Tensor, weight: Tensor) -> Tensor:
    """Weighted BCE plus weighted IoU loss, the mean over the batch.

    Args:
        logits, mask, weight: (B, C, H, W); mask 0…1, weight from `boundary_weight`.
    """
    bce = weighted_bce(logits, mask, weight)
    probability = torch.sigmoid(logits)
    intersection = (probability * mask * weight).sum(dim=(2, 3))
    union = ((probability + mask) * weight).sum(dim=(2, 3))
    # +1 keeps an image without any polyp finite and rewards an empty answer to it.
    iou = 1 - (intersection + 1) / (union - intersection + 1)
    return bce + iou.mean()


def weighted_bce(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Weighted binary cross-entropy, normalised by the weights of each image."""
    bce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    return ((weight * bce).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))).mean()


def deep_supervision_loss(
    stages: dict[str, Tensor], final: tuple[str, ...], mask: Tensor, weight: Tensor
) -> Tensor:
    """Structure loss on every foreground map and on their sum, BCE on every background map.

    Args:
        stages: what `PraNetV2.stages` or `PraNetV1.stages` returns.
        final: names of the maps whose sum are the final logits (`ModelConfig.final`).
        mask, weight: (B, 1, H, W).
    """
    foreground = {
        name.removesuffix("_fg"): maps for name, maps in stages.items() if not name.endswith("_bg")
    }
    background = [maps for name, maps in stages.items() if name.endswith("_bg")]
    loss = torch.stack([structure_loss(maps, mask, weight) for maps in foreground.values()]).sum()
    if len(final) > 1:
        summed = torch.stack([foreground[name] for name in final]).sum(dim=0)
        loss = loss + structure_loss(summed, mask, weight)
    for maps in background:
        loss = loss + BACKGROUND_WEIGHT * weighted_bce(maps, 1 - mask, weight)
    return loss
