"""How far a drawn boundary lies from the true one, in pixels of the ground truth."""

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

#: Distance within which a boundary pixel counts as right.
TOLERANCE_PX = 2.0


def boundary_distances(
    predicted: Mask, inside: Mask
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Distance in px of each boundary pixel of one mask to the nearest one of the other.

    A boundary pixel belongs to the mask and has one of its four neighbours outside; beyond the
    picture counts as outside.

    Args:
        predicted, inside: (H, W), neither of them empty.

    Returns:
        From the predicted boundary to the true one, and the other way.
    """
    drawn, true = _boundary(predicted), _boundary(inside)
    return _distance_to(true)[drawn], _distance_to(drawn)[true]


def hd95(predicted: Mask, inside: Mask) -> float:
    """95th percentile of the distances between two boundaries, both ways together, in px.

    As MedPy defines it: boundaries of 4-neighbourhoods, the distances of both ways in one pool.

    Returns:
        NaN where both masks are empty. Where one of them is, the diagonal of the picture: a miss
        must not vanish from the mean.
    """
    if not predicted.any() and not inside.any():
        return float("nan")
    if not predicted.any() or not inside.any():
        return float(np.hypot(*inside.shape))
    return float(np.percentile(np.concatenate(boundary_distances(predicted, inside)), 95))


def boundary_f(predicted: Mask, inside: Mask, tolerance_px: float = TOLERANCE_PX) -> float:
    """F-score of boundary pixels that have one of the other boundary within the tolerance, 0…1.

    1 where both masks are empty, 0 where one of them is.
    """
    if not predicted.any() or not inside.any():
        return float(predicted.any() == inside.any())
    to_true, to_drawn = boundary_distances(predicted, inside)
    precision = float((to_true <= tolerance_px).mean())
    recall = float((to_drawn <= tolerance_px).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _boundary(mask: Mask) -> Mask:
    plane = mask.astype(np.uint8)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    core = cv2.erode(plane, cross, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(plane > np.asarray(core), np.bool_)


def _distance_to(boundary: Mask) -> NDArray[np.float32]:
    plane = (~boundary).astype(np.uint8)
    return np.asarray(cv2.distanceTransform(plane, cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)
