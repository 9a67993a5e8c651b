"""Losses for binary and multi-class segmentation, after PraNet and PraNet-V2."""

from dataclasses import dataclass

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from pranet.ranges import Range

#: Weight of the background maps' loss in the published training.
BACKGROUND_WEIGHT = 0.8

#: Keeps the Dice of a class finite that is neither in the truth nor in the answer.
DICE_SMOOTHING = 1e-5


@dataclass(frozen=True)
class GeneralWeights:
    """Weights of the general loss; the defaults are those of the published multi-class training.

    Attributes:
        w_dice, w_ce: of Dice and of cross-entropy, on the foreground maps.
        w_bce: of binary cross-entropy, on the background maps.

    Raises:
        DataError: a weight is no number from 0 to 1000.
    """

    w_dice: float = 0.7
    w_ce: float = 0.5
    w_bce: float = 0.3

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            Range(0, 1000).check(name, value)


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
    # = binary_cross_entropy_with_logits, whose log-sigmoid is slow on a CPU.
    bce = F.softplus(logits) - logits * target
    return ((weight * bce).sum(dim=(2, 3)) / weight.sum(dim=(2, 3))).mean()


def deep_supervision_loss(
    stages: dict[str, Tensor],
    final: tuple[str, ...],
    mask: Tensor,
    weight: Tensor,
    background_weight: float = BACKGROUND_WEIGHT,
) -> Tensor:
    """Structure loss on every foreground map and on their sum, BCE on every background map.

    Args:
        stages: what `PraNetV2.stages` or `PraNetV1.stages` returns.
        final: names of the maps whose sum are the final logits (`ModelConfig.final`).
        mask, weight: (B, 1, H, W).
        background_weight: of the background maps; 0 leaves them without supervision.
    """
    foreground, background = _foreground(stages, final), _background(stages)
    loss = torch.stack([structure_loss(maps, mask, weight) for maps in foreground]).sum()
    for maps in background:
        loss = loss + background_weight * weighted_bce(maps, 1 - mask, weight)
    return loss


def general_loss(
    stages: dict[str, Tensor],
    final: tuple[str, ...],
    labels: Tensor,
    weights: GeneralWeights = GeneralWeights(),
) -> Tensor:
    """Dice plus cross-entropy on every foreground map and on their sum, BCE on the background.

    ``w_dice · Dice + w_ce · CE + w_bce · BCE``, the loss of PraNet-V2 for several classes (Hu et
    al. 2026). Class c's background map learns where class c is not: 1 − one-hot.

    Args:
        stages: what `stages` of a network returns, logits (B, C, H, W), C at least 2; class 0 is
            everything else.
        final: names of the maps whose sum are the final logits (`ModelConfig.final`).
        labels: (B, H, W) int64, 0…C−1.
    """
    foreground, background = _foreground(stages, final), _background(stages)
    one_hot = F.one_hot(labels, foreground[0].shape[1]).permute(0, 3, 1, 2).float()
    loss = torch.zeros((), device=labels.device)
    for maps in foreground:
        loss = loss + weights.w_dice * soft_dice_loss(maps, one_hot)
        loss = loss + weights.w_ce * F.cross_entropy(maps, labels)
    for maps in background:
        loss = loss + weights.w_bce * F.binary_cross_entropy_with_logits(maps, 1 - one_hot)
    return loss


def soft_dice_loss(logits: Tensor, one_hot: Tensor) -> Tensor:
    """1 − Dice of the softmax, squared in the denominator, over the batch; mean over classes.

    Args:
        logits, one_hot: (B, C, H, W).
    """
    probability = logits.softmax(dim=1)
    hit = (probability * one_hot).sum(dim=(0, 2, 3))
    total = (probability.square() + one_hot).sum(dim=(0, 2, 3))
    return (1 - (2 * hit + DICE_SMOOTHING) / (total + DICE_SMOOTHING)).mean()


def _foreground(stages: dict[str, Tensor], final: tuple[str, ...]) -> list[Tensor]:
    """Every foreground map and, where several make the final logits, their sum."""
    named = {
        name.removesuffix("_fg"): maps for name, maps in stages.items() if not name.endswith("_bg")
    }
    summed = [torch.stack([named[name] for name in final]).sum(dim=0)] if len(final) > 1 else []
    return [*named.values(), *summed]


def _background(stages: dict[str, Tensor]) -> list[Tensor]:
    return [maps for name, maps in stages.items() if name.endswith("_bg")]
