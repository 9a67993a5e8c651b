"""Finds the endoscope's field of view in some seconds of moving pictures.

Endoscopy processors put the view on dark ground, and write beside it. Of all that is bright at some
time in a stretch of pictures, the largest connected part is the view, without what is thin, and
grown to a convex shape; that is done on a small image, once for all that is bright and once without
what stands still, as letters do that touch the view. Then the rim is looked for in a finer image,
along many rays across it: where the brightness falls to half of what it is inside. The hull with
the surer rim is right. Text and logos are other, smaller parts; menus and test pictures do not
move; a second picture beside the view is smaller.

A view that is not sure is none: its rim must be sharp and known nearly all around, and the ground
about it dark. Who analyses, records or shows less than the whole picture must not do so by chance.
"""

from collections.abc import Iterable, Sequence

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.field_of_view import FieldOfView, Points, evenly_spaced, whole_picture
from streamer.frame import View
from streamer.planes import bit_depth, on_host, planes

Luma = NDArray[np.uint8]

#: Rims are looked for in an image at least so wide, and what is bright in one at most so wide.
FINE_PX, _COARSE_PX = 960, 240
#: The ground may be as bright as this (of 255), and the view is brighter by the second.
_MAX_GROUND, _CONTRAST = 64, 10
#: As shares of the height: lines and letters are thinner, and the view is not.
_THIN, _THICK = 0.02, 0.04
#: The view has at least this share of the picture, and of its own convex hull, and so much of it
#: is bright at some time.
_MIN_AREA, _MIN_SOLIDITY, _MIN_BRIGHT = 0.1, 0.9, 0.7
#: At least this share of the view changes within a stretch, by so much (of 255).
_MIN_LIVELY, _CHANGE = 0.05, 12
#: At most this share of the margin is as bright as the view (letters, logos, a second picture), and
#: of the rest of it this share changes like the view.
_MAX_WRITTEN, _MAX_STIRRED = 0.5, 0.2
#: Rays across the rim, how far they reach to either side (px of the coarse image), and the length
#: of their steps (px of the fine one).
_RAYS, _REACH, _STEP = 240, 3.0, 0.5
#: A rim is sharp where the brightness has fallen by most of the way, and had not before, so far (px
#: of the fine image) from the middle of the fall; as shares of the picture's width for small ones.
_SHARP_PX, _SHARP = 3.0, 0.008
#: What is left of the brightness inside, so far before and behind the middle of its fall.
_HIGH, _LOW = 0.65, 0.3
#: Shares of the rays that find a sharp rim, and the longest stretch of them that may not.
_MIN_SHARP, _MAX_GAP = 0.6, 0.2
#: What stands still is left out where that makes so much larger a share of the rim sharp.
_BETTER = 0.03


def find_field_of_view(pictures: Iterable[av.VideoFrame]) -> FieldOfView | None:
    """The field of view in pictures of one source, or None where none is sure.

    Args:
        pictures: a second or more of them, all of one size, in a `DRAWABLE` format.
    """
    stretch = Stretch()
    for picture in pictures:
        stretch.add(picture)
    return stretch.view()


class Stretch:
    """How bright and how dark each place has been in some pictures."""

    def __init__(self) -> None:
        #: Pictures so far.
        self.count = 0
        self._size = (0, 0)
        nothing: Luma = np.zeros((0, 0), np.uint8)
        self._before = nothing, nothing
        self._fine = self._brightest = self._darkest = nothing
        self._steps = (1, 1)

    def add(self, picture: av.VideoFrame) -> None:
        """Take in one more picture, of a `DRAWABLE` format and of the size of the others."""
        picture = on_host(picture)
        samples = planes(picture)[0].pixels[..., 0]
        step = max(1, min(picture.width // FINE_PX, picture.height))
        fine = _reduced(samples, step)
        if bit_depth(picture) > 8:
            fine = np.asarray(cv2.convertScaleAbs(fine, alpha=2.0 ** (8 - bit_depth(picture))))
        further = min(-(-fine.shape[1] // _COARSE_PX), *fine.shape)
        # Averages: noise must not pass for brightness, nor for change.
        coarse = _reduced(fine, further)
        if self.count == 0:
            self._size, self._steps = (picture.width, picture.height), (step, further)
            self._before = np.zeros_like(fine), np.zeros_like(coarse)
            self._fine, self._brightest = np.zeros_like(fine), np.zeros_like(coarse)
            self._darkest = coarse.copy()
        # In two pictures in a row: a flash or a damaged block is not the view.
        fine_before, coarse_before = self._before
        np.maximum(self._fine, np.minimum(fine, fine_before), out=self._fine)
        np.maximum(self._brightest, np.minimum(coarse, coarse_before), out=self._brightest)
        np.minimum(self._darkest, coarse, out=self._darkest)
        self._before = fine, coarse
        self.count += 1

    def view(self) -> FieldOfView | None:
        """The field of view, if one is sure."""
        if self.count < 2:
            return None
        bright = self._bright()
        lively = self._lively()
        step, further = self._steps
        best: Points | None = None
        most = 0.0
        for part in (bright, bright & lively):
            hull = _hull(part, bright, lively)
            if hull is None:
                continue
            outline, known = _rim((hull + 0.5) * further - 0.5, self._fine, _REACH * further)
            if outline is not None and known > most + _BETTER:
                best, most = outline, known
        if best is None:
            return None
        edge = np.array(self._size) - 0.5
        view = FieldOfView(np.clip((best + 0.5) * step - 0.5, -0.5, edge), *self._size)
        # Its corners are those of the picture, which no ray hits.
        return whole_picture(*self._size) if view.fills_picture else view

    def _bright(self) -> NDArray[np.bool_]:
        """Where the coarse image is brighter than the ground, all of each px: letters are not."""
        further = self._steps[1]
        height, width = self._brightest.shape
        block = np.ones((further, further), np.uint8)
        eroded = cv2.erode(self._fine, block, anchor=(0, 0))
        least = np.asarray(eroded[::further, ::further][:height, :width], np.uint8)
        return np.asarray(least > _ground(least) + _CONTRAST)

    def _lively(self) -> NDArray[np.bool_]:
        """Where the coarse image has changed."""
        return np.asarray(cv2.subtract(self._brightest, self._darkest) >= _CHANGE)

    def is_lively_beyond(self, view: View) -> bool:
        """Whether much of what lies outside a part of the picture moves."""
        scale = self._steps[0] * self._steps[1]
        outside = np.ones(self._brightest.shape, bool)
        top, left = view.y // scale, view.x // scale
        bottom, right = -(-(view.y + view.height) // scale), -(-(view.x + view.width) // scale)
        outside[max(0, top - 1) : bottom + 1, max(0, left - 1) : right + 1] = False
        lively = self._lively()
        return bool(outside.any() and np.mean(lively[outside]) > _MAX_WRITTEN / 2)


def _hull(
    part: NDArray[np.bool_], bright: NDArray[np.bool_], lively: NDArray[np.bool_]
) -> Points | None:
    """About where the view is, in px of the coarse image: the largest lively, convex part.

    Args:
        part: what may belong to it.
        bright, lively: what is brighter than the ground, and what changes.
    """
    # Lines go first: a thin frame around everything must not be filled.
    contours = _contours(_opened(part.astype(np.uint8), _THIN))
    solid = np.zeros(part.shape, np.uint8)
    cv2.drawContours(solid, contours, -1, 1, cv2.FILLED)
    # Then letters that touch the view.
    contours = _contours(_opened(solid, _THICK))
    if not contours:
        return None
    largest = max(contours, key=cv2.contourArea)
    hull = cv2.convexHull(largest)
    area = cv2.contourArea(hull)
    if area < _MIN_AREA * part.size or cv2.contourArea(largest) < _MIN_SOLIDITY * area:
        return None
    inside = cv2.fillConvexPoly(np.zeros_like(solid), hull, 1)
    within = inside > 0
    if np.mean(bright[within]) < _MIN_BRIGHT or np.mean(lively[within]) < _MIN_LIVELY:
        return None
    outside = cv2.dilate(inside, np.ones((5, 5), np.uint8)) == 0
    if outside.any():
        written = bright[outside]
        if np.mean(written) > _MAX_WRITTEN or np.mean(lively[outside & ~bright]) > _MAX_STIRRED:
            return None
    # From the centres of its outermost pixels to their corners.
    corners = hull + np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)]) / 2
    around = cv2.convexHull(corners.reshape(-1, 2).astype(np.float32))
    return np.asarray(around[:, 0], np.float64)


def _contours(inside: Luma) -> Sequence[NDArray[np.int32]]:
    contours, _ = cv2.findContours(inside, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return [np.asarray(contour, np.int32) for contour in contours]


def _reduced(luma: NDArray[np.uint8] | NDArray[np.uint16], step: int) -> NDArray[np.uint8]:
    """Means of squares of so many px; what is left over at the right and at the bottom is not."""
    height, width = (side // step for side in luma.shape)
    part = luma[: height * step, : width * step]
    return np.asarray(cv2.resize(part, (width, height), interpolation=cv2.INTER_AREA))


def _ground(luma: NDArray[np.uint8]) -> int:
    """How bright the ground is that the view stands on, from the darkest corner."""
    rows, columns = max(1, luma.shape[0] // 20), max(1, luma.shape[1] // 20)
    down, across = (slice(rows), slice(-rows, None)), (slice(columns), slice(-columns, None))
    return min(_MAX_GROUND, *(int(np.median(luma[y, x])) for y in down for x in across))


def _opened(bright: Luma, share: float) -> Luma:
    """What is left when everything thinner than a share of the height is taken away."""
    size = max(3, round(bright.shape[0] * share)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    # Beyond the picture it is as at its edge, so that a view which is cut off there stays so.
    framed = cv2.copyMakeBorder(bright, size, size, size, size, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(framed, cv2.MORPH_OPEN, kernel)
    return np.ascontiguousarray(opened[size:-size, size:-size], np.uint8)


def _rim(hull: Points, luma: Luma, reach_px: float) -> tuple[Points | None, float]:
    """The rim near a convex line, to parts of a px; None where too little of it is sharp.

    With it comes the share of rays that found it.

    Args:
        hull: (n, 2) px of `luma`.
        luma: the brightest that each place has been.
        reach_px: how far off it may be.
    """
    points = evenly_spaced(hull, _RAYS)
    outwards = _outwards(points)
    offsets = np.arange(-reach_px, reach_px + _STEP, _STEP)
    share, lit = _across(luma, points[:, None] + offsets[:, None] * outwards[:, None])
    fall, found = _first_fall(share, offsets >= -reach_px / 2)
    found &= lit & _is_sharp(share, fall, max(_SHARP_PX, _SHARP * luma.shape[1]))
    away = offsets[0] + fall * _STEP
    found &= ~_sticks_out(away, found, reach_px / 3)
    known = float(np.mean(found))
    # Where the picture ends something always falls: that says nothing of a margin.
    end = np.array(luma.shape[::-1]) - 1
    beside = np.minimum(points, end - points).min(axis=1) > reach_px / 3
    if beside.any() and np.mean(found[beside]) < _MIN_SHARP:
        return None, known
    if known < _MIN_SHARP or _longest_gap(found) > _MAX_GAP * _RAYS:
        return None, known
    rim = points[found] + away[found, None] * outwards[found]
    return np.asarray(cv2.convexHull(rim.astype(np.float32))[:, 0], np.float64), known


def _outwards(points: Points) -> Points:
    """Unit vectors at right angles to a closed convex line, from the inside to the outside."""
    along = np.roll(points, -2, axis=0) - np.roll(points, 2, axis=0)
    across = np.stack([along[:, 1], -along[:, 0]], axis=1)
    across /= np.hypot(*across.T)[:, None] + 1e-9
    # Either way round that the line may run.
    runs = np.mean((across * (points - points.mean(axis=0))).sum(axis=1))
    return np.asarray(across if runs > 0 else -across, np.float64)


def _across(luma: Luma, places: Points) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """How bright it is along rays, as a share from the ground (0) to the light inside (1).

    Args:
        places: (rays, steps, 2) px, from the inside to the outside.

    Returns:
        (rays, steps), and which rays are bright enough inside.
    """
    ground = _ground(luma)
    x, y = (places[..., axis].astype(np.float32) for axis in (0, 1))
    # Beyond the picture there is ground, so that a view which is cut off there ends at its edge.
    seen = cv2.remap(
        luma.astype(np.float32),
        x,
        y,
        cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=ground,
    )
    # Against noise; neighbours are on the same side of the rim.
    seen = cv2.blur(seen, (3, 3))
    contrast = np.median(seen[:, : seen.shape[1] // 3], axis=1) - ground
    share = (seen - ground) / np.maximum(contrast, 1)[:, None]
    return np.asarray(share, np.float32), np.asarray(contrast >= _CONTRAST)


def _is_sharp(share: NDArray[np.float32], fall: Points, within_px: float) -> NDArray[np.bool_]:
    """Whether most of each ray's fall happens within so many px of its middle."""
    rays, middle = np.arange(len(share)), np.floor(fall).astype(int)
    steps = round(within_px / _STEP)
    before = share[rays, np.maximum(middle - steps, 0)]
    after = share[rays, np.minimum(middle + steps, share.shape[1] - 1)]
    return np.asarray((before > _HIGH) & (after < _LOW))


def _first_fall(
    share: NDArray[np.float32], searched: NDArray[np.bool_]
) -> tuple[Points, NDArray[np.bool_]]:
    """Where on each ray the brightness first falls below half and stays there for a px.

    Args:
        share: (rays, steps) of the brightness inside.
        searched: (steps,).

    Returns:
        Steps from the ray's beginning, with fractions, and whether there is such a place.
    """
    dark = share < 0.5
    falls = np.zeros_like(dark)
    falls[:, 1:-2] = ~dark[:, :-3] & dark[:, 1:-2] & dark[:, 2:-1] & dark[:, 3:]
    falls &= searched
    at = falls.argmax(axis=1)
    rays = np.arange(len(share))
    found = falls[rays, at]
    at = np.maximum(at, 1)
    high, low = share[rays, at - 1], share[rays, at]
    part = (high - 0.5) / np.maximum(high - low, 1e-6)
    return at - 1 + np.clip(part, 0, 1).astype(np.float64), found


def _sticks_out(away: Points, found: NDArray[np.bool_], most_px: float) -> NDArray[np.bool_]:
    """Which places of the rim lie further out than those around them: letters that touch it."""
    rays, reach = np.arange(len(away)), len(away) // 8
    around = (rays + np.arange(-reach, reach + 1)[:, None]) % len(away)
    middle = np.median(np.where(found, away, 0)[around], axis=0)
    return np.asarray(found & (away > middle + most_px))


def _longest_gap(found: NDArray[np.bool_]) -> int:
    """The longest run of False, around the end."""
    if not found.any():
        return len(found)
    gaps = np.diff(np.flatnonzero(np.concatenate([found, found])))
    return int(gaps.max()) - 1
