"""How steady masks are over time, beside how steady the truth is.

Masks are (n, h, w) of the consecutive frames of one clip. Distances are in px of the masks and the
limits below are meant for masks of 352x352. Masks that never show anything are perfectly steady
(arXiv 2110.08893), so none of these figures says anything without the overlap beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from pranet.metrics.overlap import dice_at

Mask = NDArray[np.bool_]
#: (n, h, w)
Masks = NDArray[np.bool_]
#: (h', w', 2), of a picture of any size that covers the same view: for each px, how far to the
#: right and down in px of it what is shown there was in the frame before.
Flow = NDArray[np.float32]
Values = NDArray[np.float64]

#: IoU from which on a mask is that of the polyp, for its lag.
MATCHED_IOU = 0.5
#: IoU from which on the truth shows the same polyp as in the frame before, and no new one.
SAME_POLYP_IOU = 0.3
#: Slower than this, in px per frame, the direction of the motion is not known well enough.
LEAST_SPEED_PX = 0.5
#: A polyp as near as this to what is not seen may be cut off there.
RIM_PX = 2


def marked(masks: Masks) -> NDArray[np.bool_]:
    """In which frames there is anything in the mask, (n,)."""
    return np.asarray(masks.any(axis=(1, 2)))


def overlaps(predicted: Masks, inside: Masks) -> tuple[Values, Values]:
    """Dice and IoU of each frame, 0…1: two arrays (n,); 1 where both masks are empty."""
    dice = np.array(
        [
            dice_at(found.astype(np.float32), truth.view(np.uint8))
            for found, truth in zip(predicted, inside, strict=True)
        ]
    )
    return dice, dice / (2 - dice)


def consistency(masks: Masks, flows: Sequence[Flow | None]) -> Values:
    """Temporal consistency (TC): IoU of each mask with the one before, moved along the flow.

    As in Varghese 2021 (CVPRW) and arXiv 2202.12427, for one class. What comes into the picture
    over its edge has no past and is not compared.

    Args:
        flows: of the n − 1 steps; None where the second frame shows another scene.

    Returns:
        (n − 1,), 0…1; NaN where it is not defined: both masks are empty, or another scene.
    """
    found = np.full(len(flows), np.nan)
    for index, (then, now, flow) in enumerate(zip(masks[:-1], masks[1:], flows, strict=True)):
        if flow is not None and (then.any() or now.any()):
            found[index] = _moved_iou(then, now, flow)
    return found


def _moved_iou(then: Mask, now: Mask, flow: Flow) -> float:
    height, width = now.shape
    rows, columns = flow.shape[:2]
    right, down = cv2.split(cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR))
    x = right * np.float32(width / columns) + np.arange(width, dtype=np.float32)
    y = down * np.float32(height / rows) + np.arange(height, dtype=np.float32)[:, None]
    plane = then.view(np.uint8) * np.uint8(255)
    # Outside of the picture both are 0.
    moved = np.asarray(cv2.remap(plane, x, y, cv2.INTER_LINEAR)) > 127
    known = np.asarray(cv2.remap(np.ones_like(plane), x, y, cv2.INTER_NEAREST)) > 0
    moved &= known
    union = np.count_nonzero(moved | (now & known))
    return np.count_nonzero(moved & now) / union if union else float("nan")


def label_changes(masks: Masks) -> Values:
    """Share of the picture's pixels that change from one frame to the next: (n − 1,), 0…1."""
    return np.asarray((masks[1:] != masks[:-1]).mean(axis=(1, 2)), np.float64)


def flicker(predicted: Masks, inside: Masks) -> Values:
    """Excess flicker of each step: `label_changes` beyond those of the truth, (n − 1,), 0…1."""
    return np.asarray(np.maximum(label_changes(predicted) - label_changes(inside), 0))


def toggles(masks: Masks) -> int:
    """How often something comes to be marked where nothing was, or the other way."""
    shown = marked(masks)
    return int(np.count_nonzero(shown[1:] != shown[:-1]))


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a mask was behind the polyp in one frame.

    Attributes:
        speed_px: of the polyp, per frame.
        lag_px: of the mask's centroid behind the polyp's, along its way; negative: ahead.
    """

    speed_px: float
    lag_px: float


def lags(predicted: Masks, inside: Masks, iou: Values, seen: Mask) -> list[Lag]:
    """The lag in every frame in which it can be told.

    That is where the polyp is the one of the frame before (IoU of the two true masks at least
    `SAME_POLYP_IOU`), is wholly in sight in both, moves by at least `LEAST_SPEED_PX` between
    them, and the mask matches it (IoU at least `MATCHED_IOU`).

    Args:
        iou: of each frame, see `overlaps`.
        seen: (h, w), where the picture shows anything; beside it all is black.
    """
    whole = _in_sight(inside, seen)
    _, same = overlaps(inside[1:], inside[:-1])
    usable = whole[1:] & whole[:-1] & (same >= SAME_POLYP_IOU) & (iou[1:] >= MATCHED_IOU)
    found = []
    for index in np.flatnonzero(usable) + 1:
        centre = _centroid(inside[index])
        step = centre - _centroid(inside[index - 1])
        speed_px = float(np.hypot(*step))
        if speed_px >= LEAST_SPEED_PX:
            behind = centre - _centroid(predicted[index])
            found.append(Lag(speed_px, float(behind @ step) / speed_px))
    return found


def _in_sight(inside: Masks, seen: Mask) -> NDArray[np.bool_]:
    """In which frames there is a polyp, and no part of it at the edge of what is seen."""
    side = 2 * RIM_PX + 1
    clear = cv2.erode(
        seen.astype(np.uint8),
        np.ones((side, side), np.uint8),
        borderType=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    return marked(inside) & ~marked(inside & (np.asarray(clear) == 0))


def _centroid(mask: Mask) -> Values:
    """x and y in px of a mask that is not empty."""
    moments = cv2.moments(mask.view(np.uint8), binaryImage=True)
    return np.array((moments["m10"], moments["m01"])) / moments["m00"]
