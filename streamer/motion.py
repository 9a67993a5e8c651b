"""How the picture moved, and maps that move along with it.

What moved between two pictures is found by dense optical flow (DIS) between small luma images of
them; probability maps and labels then follow that flow. Live mode moves the network's answer, which
is some pictures old when it comes; the stabiliser moves what it remembers.

What other methods and sizes gain and cost: `python -m demos.benchmarks.mask_motion`.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.frame import Labels, Probability, Segmentation, View, Window
from streamer.planes import bit_depth, is_on_gpu, planes

Luma = NDArray[np.uint8]
Flow = NDArray[np.float32]

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
#: Mean difference of luma code values around a place from which on something was hidden there.
_MOST_APART = 20


def small_luma(picture: av.VideoFrame, view: View) -> Luma:
    """The view's luma as a small image (h, w) of about `AREA_PX`, 8-bit code values.

    Only the Y plane is read. The picture has to be of a `DRAWABLE` format, or on the GPU.
    """
    height = max(_LEAST_PX, round((AREA_PX * view.height / view.width) ** 0.5))
    width = max(_LEAST_PX, round(AREA_PX / height))
    step = max(1, view.height // (_ROWS * height))
    if is_on_gpu(picture):
        from streamer.gpu.luma import small_luma_on_gpu

        return small_luma_on_gpu(picture, view, (width, height), step)
    luma = planes(picture)[0].pixels[..., 0]
    rows = luma[view.y + step // 2 : view.y + view.height : step]
    part = rows[:, view.x : view.x + view.width]
    small = cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.convertScaleAbs(small, alpha=2.0 ** (8 - bit_depth(picture))), np.uint8)


@dataclass(frozen=True, slots=True)
class Motion:
    """How things moved from one picture to another.

    Attributes:
        flow: (h, w, 2), for each px of the second small image how far to the right and down it was
            in the first, in px of it; None if nothing moved.
        known: (h, w), 255 where the second picture shows tissue that is in the first as well.
    """

    flow: Flow | None
    known: Luma

    @property
    def reach(self) -> float:
        """The longest way that anything moved, across or down, as a share of the view's side."""
        if self.flow is None:
            return 0.0
        height, width = self.known.shape
        # One way after the other: over both at once, NumPy takes twenty times as long.
        across, down = (np.abs(self.flow[..., way]).max() for way in (0, 1))
        return float(max(across / width, down / height))


def find_motion(then: Luma, now: Luma, *, in_a_row: bool = False) -> Motion | None:
    """Find what moved between two pictures.

    If the flow does not explain the new picture better than no motion at all, nothing moved.

    Args:
        then, now: `small_luma` of the two pictures, of one and the same view.
        in_a_row: of two such pictures, only what looks the same in both is taken for known.

    Returns:
        None if the second picture shows another scene.
    """
    flow = find_flow(then, now)
    places = np.asarray(cv2.add(flow, _grid(*now.shape)), np.float32)
    moved = _follow(then, places, cv2.BORDER_REPLICATE)
    lit_then, lit_now = _lit(then), _lit(now)
    known = np.asarray(cv2.min(_follow(lit_then, places, cv2.BORDER_CONSTANT), lit_now), np.uint8)
    known = np.asarray(cv2.compare(known, 255, cv2.CMP_EQ), np.uint8)  # type: ignore[call-overload]
    if cv2.countNonZero(known) < _LEAST_KNOWN * max(map(cv2.countNonZero, (lit_then, lit_now))):
        return None
    fits = _likeness(now, moved, known)
    if fits < SAME_SCENE:
        return None
    still = fits <= _likeness(now, then, known)
    if in_a_row:
        known = np.asarray(cv2.min(known, _alike(now, then if still else moved)), np.uint8)
    if still:
        return Motion(None, known)
    tissue = (now > _BLACK).view(np.uint8)
    return Motion(np.asarray(cv2.copyTo(flow, tissue), np.float32), known)


def move(segmentation: Segmentation, then: Luma, now: Luma) -> Segmentation | None:
    """Move a mask from one picture to another, usually later one of the same source.

    The black around the endoscope's picture stays as it is. What comes into view from behind it has
    no evidence and is no polyp, as in the black; what comes in over the edge of the view itself is
    taken to be like the edge, so that a mask that touches it goes on doing so.

    Only what is at or above the threshold is moved, with some px around it.

    Args:
        segmentation: what was found in the first picture; not written to.
        then, now: see `find_motion`.

    Returns:
        What holds for the second picture; None if it shows another scene.
    """
    motion = find_motion(then, now)
    if motion is None:
        return None
    if motion.flow is None:
        return segmentation
    probability, tracks = segmentation.probability, segmentation.tracks
    # The boundary runs between a pixel that is inside and its neighbour.
    margin_px = math.ceil(motion.reach * max(probability.shape)) + 2
    window = _with_margin(segmentation.extent, margin_px, probability.shape)
    left, top, width, height = window
    part = np.s_[top : top + height, left : left + width]
    places = find_places(motion.flow, probability.shape, window)
    moved = probability.copy()
    moved[part] = warp(probability, places)
    if tracks is not None:
        labels = tracks.labels.copy()
        labels[part] = warp_labels(tracks.labels, places)
        tracks = replace(tracks, labels=labels)
    return replace(segmentation, probability=moved, tracks=tracks)


def extent(where: NDArray[np.bool_], margin_px: int = 0) -> Window:
    """The window around all that is True, and a margin, within the map.

    It is one px large if nothing is, so that all steps have something to look at.
    """
    x, y, width, height = cv2.boundingRect(where.view(np.uint8))
    return _with_margin((x, y, width, height), margin_px, where.shape)


def _with_margin(window: Window, margin_px: int, shape: tuple[int, ...]) -> Window:
    x, y, width, height = window
    if width == 0:
        return 0, 0, 1, 1
    left, top = max(0, x - margin_px), max(0, y - margin_px)
    right = min(shape[1], x + width + margin_px)
    bottom = min(shape[0], y + height + margin_px)
    return left, top, right - left, bottom - top


def find_flow(then: Luma, now: Luma) -> Flow:
    """For each px of `now`, (h, w, 2), how far to the right and down it was in `then`, in px."""
    finder = cv2.DISOpticalFlow_create(  # type: ignore[attr-defined]
        cv2.DISOpticalFlow_PRESET_ULTRAFAST
    )
    # Half the size is looked at last: at full size it would be four times the work, to be nearer
    # by a tenth to a fifth of a px of the network's map.
    finder.setFinestScale(1)
    finder.setPatchStride(4)
    return np.asarray(finder.calc(now, then, None), np.float32)


def find_places(flow: Flow, shape: tuple[int, ...], window: Window | None = None) -> Flow:
    """Where each px of a map was: (height, width, 2) of x and y in the map.

    Args:
        flow: of a small image that covers the same view.
        shape: (height, width) of the map.
        window: (x, y, width, height), the part of the map that is wanted; None: all of it.
    """
    height, width = shape
    rows, columns = flow.shape[:2]
    left, top, across, down = window or (0, 0, width, height)
    part = np.s_[top : top + down, left : left + across]
    # By NumPy, the two channels would take five times as long.
    ways = cv2.multiply(  # type: ignore[call-overload]
        flow, (width / columns, height / rows, 0, 0)
    )
    large = cv2.resize(ways, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large[part] + _grid(height, width)[part], np.float32)


def warp(values: Probability, places: Flow) -> Probability:
    """A map (h, w) after the motion; see `find_places`."""
    # OpenCV's stub does not know that one map can hold both coordinates.
    warped = cv2.remap(  # type: ignore[call-overload]
        values, places, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.float32)


def warp_labels(labels: Labels, places: Flow) -> Labels:
    """Labels after the motion; none is mixed with another."""
    warped = cv2.remap(  # type: ignore[call-overload]
        labels, places, None, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(warped, np.uint8)


def _lit(luma: Luma) -> Luma:
    """255 where tissue is seen, 0 in the black around it and on its rim."""
    seen = cv2.threshold(luma, _BLACK, 255, cv2.THRESH_BINARY)[1]
    return np.asarray(cv2.erode(seen, np.ones((3, 3), np.uint8)), np.uint8)


def _follow(values: Luma, places: Flow, border: int) -> Luma:
    """Values of the earlier picture where each px of the later one was in it."""
    moved = cv2.remap(  # type: ignore[call-overload]
        values, places, None, cv2.INTER_LINEAR, borderMode=border
    )
    return np.asarray(moved, np.uint8)


def _alike(a: Luma, b: Luma) -> Luma:
    """255 where two pictures look the same but for noise and fine detail: nothing was hidden."""
    apart = np.asarray(cv2.blur(cv2.absdiff(a, b), (5, 5)))
    return (apart <= _MOST_APART).view(np.uint8) * np.uint8(255)


def _likeness(a: Luma, b: Luma, where: Luma) -> float:
    """1 for the same picture but for brightness and noise, about 0 for two that share nothing.

    The correlation of the two, with noise taken off: flat pictures are alike.

    Args:
        where: what to look at: not 0.
    """
    apart, own, other = (
        float(cv2.meanStdDev(values, mask=where)[1][0, 0]) ** 2
        for values in (cv2.subtract(a, b, dtype=cv2.CV_16S), a, b)
    )
    return 1 - apart / (own + other + 2 * _NOISE**2)


@lru_cache(maxsize=8)
def _grid(height: int, width: int) -> Flow:
    """x and y of every pixel, (height, width, 2)."""
    rows, columns = np.indices((height, width), np.float32)
    return np.stack((columns, rows), axis=2)
