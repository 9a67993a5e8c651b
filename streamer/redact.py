"""Blanks everything outside the endoscope's field of view: names and dates are burnt in there.

The view is learnt from the pictures themselves. Endoscopy processors put it on a dark ground, as an
octagon, a circle or a rectangle, and write beside it. Of all that is bright at some time in a
stretch of pictures, the largest connected part is the view, without what is thin, and grown to a
convex shape. Text and logos are other, smaller parts; menus and test pictures do not move.

Until the view is known the whole picture is blank, so nothing is passed on unseen; times and counts
of pictures stay as they are. What cannot be recognised: text inside the view, bright panels that
touch it, and a view that changes later on. So look at what was recorded before it is given away.
"""

import logging
import threading
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.audio import AudioPacket
from streamer.color import ColorDescription, rgb_to_yuv
from streamer.frame import Frame, Mask
from streamer.overlay import Overlay
from streamer.planes import bit_depth, blank_like, planes
from streamer.sinks.base import Composed, Sink

logger = logging.getLogger(__name__)

#: Pictures are looked at in stretches of this length, at most so often in each.
STRETCH_NS = 1_000_000_000
STEP_NS = 50_000_000
MIN_PICTURES = 5
#: After so many without a result it is said that the picture stays blank.
_PATIENCE = 10
#: Two stretches in a row must agree so well (intersection over union).
AGREEMENT = 0.9
#: The picture is made so wide to find the view in it.
_WIDTH_PX = 960
#: The ground may be as bright as this (of 255), and the view is brighter by the second.
_MAX_GROUND, _CONTRAST = 64, 16
#: As shares of the height: lines and letters are thinner, and the view is not.
_THIN, _THICK = 0.02, 0.04
#: The view has at least this share of the picture, and of its own convex hull, and so much of it
#: is bright at some time.
_MIN_AREA, _MIN_SOLIDITY, _MIN_BRIGHT = 0.1, 0.9, 0.7
#: At least this share of the view changes within a stretch, by so much (of 255).
_MIN_LIVELY, _CHANGE = 0.05, 12
#: The view fills the picture when less than this share is outside.
_NO_MARGIN = 0.005
#: Finished pictures that are kept for other sinks that will ask for the same.
_KEPT = 4


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """Where the picture shows what the endoscope sees.

    Attributes:
        outline: (n, 2) px of the picture, x and y; convex; a pixel's centre has whole coordinates.
        width, height: px of the picture.
    """

    outline: NDArray[np.float64]
    width: int
    height: int

    def mask(self) -> Mask:
        """(height, width), 255 inside, 0 outside."""
        mask = np.zeros((self.height, self.width), np.uint8)
        cv2.fillConvexPoly(mask, np.rint(self.outline * 16).astype(np.int32), 255, shift=4)
        return mask

    @cached_property
    def fills_picture(self) -> bool:
        """Whether there is no margin to speak of."""
        return float(np.mean(self.mask() == 0)) < _NO_MARGIN

    def agrees_with(self, other: "FieldOfView") -> bool:
        """Whether both are the same but for what was dark."""
        mine, others = self.mask() > 0, other.mask() > 0
        return float((mine & others).sum()) >= AGREEMENT * float((mine | others).sum())

    def joined_with(self, other: "FieldOfView") -> "FieldOfView":
        """The smallest convex view that holds both."""
        points = np.concatenate([self.outline, other.outline]).astype(np.float32)
        hull = cv2.convexHull(points)[:, 0].astype(np.float64)
        return FieldOfView(hull, self.width, self.height)


def find_field_of_view(pictures: Iterable[av.VideoFrame]) -> FieldOfView | None:
    """The field of view in pictures of one source, or None where none can be made out.

    Args:
        pictures: a second or more of them, all of one size, in a `DRAWABLE` format.
    """
    stretch = _Stretch()
    for picture in pictures:
        stretch.add(picture)
    return stretch.view()


class _Stretch:
    """How bright and how dark each place has been in some pictures."""

    def __init__(self) -> None:
        self.count = 0
        self._size = (0, 0)
        self._brightest: NDArray[np.uint8] | None = None
        self._darkest: NDArray[np.uint8] | None = None

    def add(self, picture: av.VideoFrame) -> None:
        self.count += 1
        self._size = (picture.width, picture.height)
        samples = planes(picture)[0].pixels[..., 0] >> (bit_depth(picture) - 8)
        luma = np.asarray(samples, np.uint8)
        scale = min(1.0, _WIDTH_PX / picture.width)
        if scale < 1:
            size = (round(picture.width * scale), round(picture.height * scale))
            luma = np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)
        if self._brightest is None or self._darkest is None:
            self._brightest, self._darkest = luma, luma.copy()
        else:
            np.maximum(self._brightest, luma, out=self._brightest)
            np.minimum(self._darkest, luma, out=self._darkest)

    def view(self) -> FieldOfView | None:
        """The field of view, if there is one."""
        if self._brightest is None or self._darkest is None:
            return None
        height, width = self._brightest.shape
        bright = (self._brightest > _ground(self._brightest) + _CONTRAST).astype(np.uint8)
        # Lines go first: a thin frame around everything must not be filled.
        bright = _opened(bright, _THIN)
        contours, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        solid = np.zeros_like(bright)
        cv2.drawContours(solid, contours, -1, 1, cv2.FILLED)
        # Then letters that touch the view, and its outermost pixels, which may be half theirs.
        solid = np.asarray(cv2.erode(_opened(solid, _THICK), np.ones((3, 3), np.uint8)), np.uint8)
        contours, _ = cv2.findContours(solid, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        if not contours:
            return None
        largest = max(contours, key=cv2.contourArea)
        hull = cv2.convexHull(largest)
        area = cv2.contourArea(hull)
        if area < _MIN_AREA * width * height or cv2.contourArea(largest) < _MIN_SOLIDITY * area:
            return None
        inside = cv2.fillConvexPoly(np.zeros_like(bright), hull, 1) > 0
        if np.mean(bright[inside]) < _MIN_BRIGHT:
            return None
        if np.mean((self._brightest - self._darkest)[inside] >= _CHANGE) < _MIN_LIVELY:
            return None
        # From the centres of its outermost pixels to their corners, then to the picture.
        corners = hull + np.array([(-1, -1), (-1, 1), (1, -1), (1, 1)]) / 2
        around = cv2.convexHull(corners.reshape(-1, 2).astype(np.float32))[:, 0]
        scale = np.array(self._size) / (width, height)
        return FieldOfView((around + 0.5) * scale - 0.5, *self._size)


def _ground(luma: NDArray[np.uint8]) -> int:
    """How bright the ground is that the view stands on, from the darkest corner."""
    rows, columns = max(1, luma.shape[0] // 20), max(1, luma.shape[1] // 20)
    down, across = (slice(rows), slice(-rows, None)), (slice(columns), slice(-columns, None))
    return min(_MAX_GROUND, *(int(np.median(luma[y, x])) for y in down for x in across))


def _opened(bright: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """What is left when everything thinner than a share of the height is taken away."""
    size = max(3, round(bright.shape[0] * share)) | 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size))
    # Beyond the picture it is as at its edge, so that a view which is cut off there stays so.
    framed = cv2.copyMakeBorder(bright, size, size, size, size, cv2.BORDER_REPLICATE)
    opened = cv2.morphologyEx(framed, cv2.MORPH_OPEN, kernel)
    return np.ascontiguousarray(opened[size:-size, size:-size], np.uint8)


class Redactor:
    """Learns the field of view and blanks what is outside, for any number of sinks.

    It begins with a blank picture. The view is taken as known when two stretches of pictures agree
    on it, and then stays. If it seems to fill the picture, nothing is blanked, but it goes on
    looking: what comes first may have been a menu or a test picture.

    Args:
        badge: draws the status badge again, which lies in the margin. The one that is there lets
            through what is below it. None leaves it out.
    """

    def __init__(self, badge: Overlay | None = None) -> None:
        #: The view, as soon as it is known.
        self.view: FieldOfView | None = None
        self._badge = badge
        self._lock = threading.Lock()
        self._stretch = _Stretch()
        self._start_ns = self._last_ns = -STEP_NS
        self._stretches = 0
        self._candidate: FieldOfView | None = None
        self._margins: list[NDArray[np.bool_]] = []
        self._done: deque[tuple[Composed, Composed]] = deque(maxlen=_KEPT)

    def redact(self, composed: Composed) -> Composed:
        """A finished frame with copies of its pictures that are blank outside the view.

        May be called from several threads; sinks that ask for the same frame get the same copies.
        """
        with self._lock:
            for done, redacted in self._done:
                if done is composed:
                    return redacted
            if self.view is None or self.view.fills_picture:
                self._learn(composed.frame)
            redacted = self._redacted(composed)
            self._done.append((composed, redacted))
            return redacted

    def _learn(self, frame: Frame) -> None:
        # Sinks that are behind ask for older frames.
        if frame.captured_ns - self._last_ns < STEP_NS:
            return
        self._last_ns = frame.captured_ns
        if self._stretch.count == 0:
            self._start_ns = self._last_ns
        self._stretch.add(frame.picture)
        if self._last_ns - self._start_ns < STRETCH_NS or self._stretch.count < MIN_PICTURES:
            return
        found, before = self._stretch.view(), self._candidate
        self._stretch, self._candidate = _Stretch(), found
        self._stretches += 1
        if found is not None and before is not None and found.agrees_with(before):
            self._settle(found.joined_with(before))
        elif self.view is None and self._stretches == _PATIENCE:
            logger.warning("field of view: not found yet, the whole picture stays blank")

    def _settle(self, view: FieldOfView) -> None:
        if view.fills_picture and self.view is not None:
            return
        self.view = view
        self._margins = []
        if view.fills_picture:
            logger.warning("field of view: it seems to fill the picture, so nothing is blanked")
        else:
            x, y, width, height = cv2.boundingRect(view.mask())
            logger.info("field of view: %dx%d px at %d,%d, the rest is blank", width, height, x, y)

    def _redacted(self, composed: Composed) -> Composed:
        if self.view is not None and self.view.fills_picture:
            return composed
        frame = composed.frame
        raw = picture = self._blanked(frame.picture, frame.color)
        if composed.picture is not frame.picture or self._badge is not None:
            picture = self._blanked(composed.picture, frame.color)
        if self._badge is not None:
            picture = self._badge.draw(picture, None, composed.state)
        return replace(composed, frame=replace(frame, picture=raw), picture=picture)

    def _blanked(self, picture: av.VideoFrame, color: ColorDescription) -> av.VideoFrame:
        """A copy, black outside the view; samples that lie partly outside are blank too."""
        black = rgb_to_yuv((0, 0, 0), color, bit_depth(picture))
        blank = blank_like(picture, picture.width, picture.height)
        if not self._margins:
            self._margins = _margins(self.view, picture)
        for plane, target, margin in zip(
            planes(picture), planes(blank), self._margins, strict=True
        ):
            code = np.array([black[part] for part in plane.components], target.pixels.dtype)
            np.copyto(target.pixels, plane.pixels)
            np.copyto(target.pixels, code, where=margin)
        return blank


def _margins(view: FieldOfView | None, picture: av.VideoFrame) -> list[NDArray[np.bool_]]:
    """For each plane, (h, w, 1), which samples cover a pixel outside the view."""
    shape = (picture.height, picture.width)
    outside = np.ones(shape, bool) if view is None else view.mask() == 0
    found = []
    for plane in planes(picture):
        (across, down), (rows, columns) = plane.step, plane.pixels.shape[:2]
        spare = ((0, rows * down - shape[0]), (0, columns * across - shape[1]))
        cells = np.pad(outside, spare, mode="edge").reshape(rows, down, columns, across)
        found.append(np.asarray(cells.any(axis=(1, 3)), bool)[..., None])
    return found


class RedactingSink:
    """Hands frames on to a sink with everything outside the field of view blanked.

    Args:
        sink: what records, previews or keeps the pictures; it never gets the ones that came.
        redactor: one for all sinks of a run.
    """

    def __init__(self, sink: Sink, redactor: Redactor) -> None:
        self._sink = sink
        self._redactor = redactor

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        self._sink.write(self._redactor.redact(composed))

    def write_audio(self, packet: AudioPacket) -> None:
        """See `Sink.write_audio`."""
        self._sink.write_audio(packet)

    def close(self) -> None:
        """See `Sink.close`."""
        self._sink.close()
