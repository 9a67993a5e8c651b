"""Moves a mask along with the picture.

The network's answer is some pictures old when it comes. What moved meanwhile is found by dense
optical flow (DIS) between small luma images of the picture that the mask belongs to and of the
picture that is shown now; the probability map then follows that flow.

What other methods and sizes gain and cost: `python -m demos.benchmarks.mask_motion`.
"""

from dataclasses import replace
from functools import lru_cache

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.frame import Segmentation, View
from streamer.planes import bit_depth, planes

Luma = NDArray[np.uint8]

#: Size of the small image: that of 160x90, in whatever shape the view has, so that the cost is the
#: same for all.
AREA_PX = 160 * 90
#: Least width and height of the small image; the search for flow needs so many.
_LEAST_PX = 16
#: Rows of the picture that are averaged for one row of the small image, at least; the others are
#: not read.
_ROWS = 4

#: Luma code values up to this one are the black around the endoscope's picture (black itself is 0
#: or 16, by range). It does not move with the tissue.
_BLACK = 24

#: Likeness (see `_likeness`) of two pictures below which they are taken for different scenes.
SAME_SCENE = 0.75
#: Deviation of luma code values that noise may have: two pictures that differ by no more are alike.
_NOISE = 4.0
#: Share of the tissue in view that has to be in view in both pictures.
_LEAST_KNOWN = 0.5


def small_luma(picture: av.VideoFrame, view: View) -> Luma:
    """The view's luma as a small image (h, w) of about `AREA_PX`, 8-bit code values.

    Only the Y plane is read. The picture has to be of a `DRAWABLE` format.
    """
    luma = planes(picture)[0].pixels[..., 0]
    height = max(_LEAST_PX, round((AREA_PX * view.height / view.width) ** 0.5))
    width = max(_LEAST_PX, round(AREA_PX / height))
    step = max(1, view.height // (_ROWS * height))
    rows = luma[view.y + step // 2 : view.y + view.height : step]
    part = rows[:, view.x : view.x + view.width]
    small = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.convertScaleAbs(small, alpha=2.0 ** (8 - bit_depth(picture))), np.uint8)


def move(segmentation: Segmentation, then: Luma, now: Luma) -> Segmentation | None:
    """Move a mask from one picture to another, usually later one of the same source.

    The black around the endoscope's picture stays as it is. What comes into view from behind it has
    no evidence and is no polyp, as in the black; what comes in over the edge of the view itself is
    taken to be like the edge, so that a mask that touches it goes on doing so.

    If the flow does not explain the new picture better than no motion at all, nothing is moved.

    Args:
        segmentation: what the network saw in the first picture; not written to.
        then, now: `small_luma` of the two pictures, of one and the same view.

    Returns:
        What holds for the second picture; None if it shows another scene.
    """
    flow = _find_flow(then, now)
    moved = _follow(then, flow, cv2.BORDER_REPLICATE)
    lit_then, lit_now = _lit(then), _lit(now)
    known = np.asarray(cv2.min(_follow(lit_then, flow, cv2.BORDER_CONSTANT), lit_now) == 255)
    if np.count_nonzero(known) < _LEAST_KNOWN * max(map(np.count_nonzero, (lit_then, lit_now))):
        return None
    fits = _likeness(now, moved, known)
    if fits < SAME_SCENE:
        return None
    if fits <= _likeness(now, then, known):
        return segmentation
    flow[now <= _BLACK] = 0
    return replace(segmentation, probability=_warp(segmentation.probability, flow))


def _lit(luma: Luma) -> Luma:
    """255 where tissue is seen, 0 in the black around it and on its rim."""
    seen = cv2.threshold(luma, _BLACK, 255, cv2.THRESH_BINARY)[1]
    return np.asarray(cv2.erode(seen, np.ones((3, 3), np.uint8)), np.uint8)


def _find_flow(then: Luma, now: Luma) -> NDArray[np.float32]:
    """For each px of `now`, (h, w, 2), how far to the right and down it was in `then`, in px."""
    finder = cv2.DISOpticalFlow_create(  # type: ignore[attr-defined]
        cv2.DISOpticalFlow_PRESET_ULTRAFAST
    )
    finder.setFinestScale(0)
    finder.setPatchStride(5)
    return np.asarray(finder.calc(now, then, None), np.float32)


def _follow(values: Luma, flow: NDArray[np.float32], border: int) -> Luma:
    """Values of the earlier picture where the flow says that they are now."""
    x, y = _places(*values.shape)
    moved = cv2.remap(
        values, x + flow[..., 0], y + flow[..., 1], cv2.INTER_LINEAR, borderMode=border
    )
    return np.asarray(moved, np.uint8)


def _likeness(a: Luma, b: Luma, where: NDArray[np.bool_]) -> float:
    """1 for the same picture but for brightness and noise, about 0 for two that share nothing.

    The correlation of the two, with noise taken off: flat pictures are alike.
    """
    apart, own, other = (
        float(cv2.meanStdDev(values, mask=where.view(np.uint8))[1][0, 0]) ** 2
        for values in (cv2.subtract(a, b, dtype=cv2.CV_16S), a, b)
    )
    return 1 - apart / (own + other + 2 * _NOISE**2)


def _warp(probability: NDArray[np.float32], flow: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map after the flow of a small image that covers the same view."""
    height, width = probability.shape
    rows, columns = flow.shape[:2]
    large = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
    x, y = _places(height, width)
    warped = cv2.remap(
        probability,
        x + large[..., 0] * np.float32(width / columns),
        y + large[..., 1] * np.float32(height / rows),
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(warped, np.float32)


@lru_cache(maxsize=8)
def _places(height: int, width: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """x (1, width) and y (height, 1) of every pixel."""
    x = np.arange(width, dtype=np.float32)[None]
    y = np.arange(height, dtype=np.float32)[:, None]
    return x, y
