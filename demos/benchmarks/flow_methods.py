"""Ways to find out how a picture moved, tried against each other by `mask_motion.py`."""

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Flow = NDArray[np.float32]
Method = tuple[str, str]
#: Two small images, then and now → for each px of now, how far off in px it was then.
FindFlow = Callable[[Gray, Gray], Flow]


def dis(preset: int, finest: int | None = None, stride: int | None = None) -> FindFlow:
    """Dense inverse search with one of OpenCV's presets and what is changed of it."""
    finder = cv2.DISOpticalFlow_create(preset)  # type: ignore[attr-defined]
    if finest is not None:
        finder.setFinestScale(finest)
    if stride is not None:
        finder.setPatchStride(stride)

    def find(then: Gray, now: Gray) -> Flow:
        return np.asarray(finder.calc(now, then, None), np.float32)

    return find


def shift(then: Gray, now: Gray) -> Flow:
    """One translation, by phase correlation."""
    height, width = now.shape
    window = cv2.createHanningWindow((width, height), cv2.CV_32F)
    (x, y), _ = cv2.phaseCorrelate(now.astype(np.float32), then.astype(np.float32), window)
    return np.broadcast_to(np.array((x, y), np.float32), (height, width, 2))


def affine_points(then: Gray, now: Gray) -> Flow:
    """One affine motion, from corners followed by Lucas and Kanade's method."""
    lit = cv2.erode(np.asarray(now > 24, np.uint8), np.ones((5, 5), np.uint8))
    corners = cv2.goodFeaturesToTrack(now, 80, 0.01, 4, mask=lit, blockSize=3)
    if corners is None or len(corners) < 6:
        return np.zeros((*now.shape, 2), np.float32)
    there, found, _ = cv2.calcOpticalFlowPyrLK(  # type: ignore[call-overload]
        now, then, corners, None, winSize=(11, 11), maxLevel=2
    )
    kept = found.ravel() > 0
    matrix, _ = cv2.estimateAffine2D(
        corners[kept], there[kept], method=cv2.RANSAC, ransacReprojThreshold=1.0, maxIters=200
    )
    return _affine_flow(matrix, now.shape)


def affine_ecc(then: Gray, now: Gray) -> Flow:
    """One affine motion, by maximising the correlation of the two pictures."""
    start = np.eye(2, 3, dtype=np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT + cv2.TERM_CRITERIA_EPS, 20, 1e-3)
    try:
        _, found = cv2.findTransformECC(now, then, start, cv2.MOTION_AFFINE, criteria)
    except cv2.error:
        # It has lost its way.
        return np.zeros((*now.shape, 2), np.float32)
    return _affine_flow(np.asarray(found, np.float32), now.shape)


def _affine_flow(matrix: NDArray[np.floating] | None, shape: tuple[int, ...]) -> Flow:
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    if matrix is None:
        return np.zeros((*x.shape, 2), np.float32)
    here = np.stack([x, y, np.ones_like(x)], axis=-1)
    return np.asarray(here @ matrix.T.astype(np.float32) - here[..., :2], np.float32)


ULTRAFAST, FAST, MEDIUM = 0, 1, 2  # OpenCV's presets of DIS
#: Name and 16:9 size of the same area → how it finds the flow.
METHODS: dict[Method, FindFlow] = {
    ("translation, phase correlation", "160x90"): shift,
    ("affine, corners followed (LK)", "160x90"): affine_points,
    ("affine, ECC", "96x54"): affine_ecc,
    ("DIS ultrafast", "160x90"): dis(ULTRAFAST),
    ("DIS ultrafast", "240x135"): dis(ULTRAFAST),
    ("DIS fast", "160x90"): dis(FAST),
    ("DIS fast", "240x135"): dis(FAST),
    ("DIS medium", "160x90"): dis(MEDIUM),
    ("DIS ultrafast, finest scale 1, stride 3", "160x90"): dis(ULTRAFAST, 1, 3),
    ("DIS ultrafast, finest scale 1, stride 4", "160x90"): dis(ULTRAFAST, 1, 4),
    ("DIS ultrafast, finest scale 1, stride 5", "160x90"): dis(ULTRAFAST, 1, 5),
    ("DIS ultrafast, finest scale 0, stride 4", "112x63"): dis(ULTRAFAST, 0, 4),
    ("DIS ultrafast, finest scale 0, stride 4", "160x90"): dis(ULTRAFAST, 0, 4),
    ("DIS ultrafast, finest scale 0, stride 5", "160x90"): dis(ULTRAFAST, 0, 5),
    ("DIS ultrafast, finest scale 0, stride 6", "160x90"): dis(ULTRAFAST, 0, 6),
}
