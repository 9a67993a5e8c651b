"""Blanks everything outside the endoscope's field of view: names and dates are burnt in there.

The view is learnt from the pictures themselves, see `view_finder`.

Until the view is known the whole picture is blank, so nothing is passed on unseen; times and counts
of pictures stay as they are. What cannot be recognised: text inside the view, bright panels that
touch it, and a view that changes later on. So look at what was recorded before it is given away.
"""

import logging
import threading
from collections import deque
from dataclasses import replace

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.audio import AudioPacket
from streamer.color import ColorDescription, rgb_to_yuv
from streamer.field_of_view import FieldOfView
from streamer.frame import Frame
from streamer.overlay import Overlay
from streamer.planes import bit_depth, blank_like, planes
from streamer.sinks.base import Composed, Sink
from streamer.view_finder import FINE_PX, Stretch

logger = logging.getLogger(__name__)

#: Pictures are looked at in stretches of this length, at most so often in each.
STRETCH_NS = 1_000_000_000
STEP_NS = 50_000_000
MIN_PICTURES = 5
#: After so many without a result it is said that the picture stays blank.
_PATIENCE = 10
#: Finished pictures that are kept for other sinks that will ask for the same.
_KEPT = 4


class Redactor:
    """Learns the field of view and blanks what is outside, for any number of sinks.

    It begins with a blank picture. The view is taken as known when two stretches of pictures agree
    on it, and then stays. If it seems to fill the picture, nothing is blanked, but it goes on
    looking: what comes first may have been a menu or a test picture.

    Args:
        badge: draws the status badge and the corner markers again, which lie in the margin. The
            badge that is there lets through what is below it. None leaves them out.
    """

    def __init__(self, badge: Overlay | None = None) -> None:
        #: The view, as soon as it is known.
        self.view: FieldOfView | None = None
        self._badge = badge
        self._lock = threading.Lock()
        self._stretch = Stretch()
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
        self._stretch, self._candidate = Stretch(), found
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
            box = view.box
            logger.info(
                "field of view: %dx%d px at %d,%d, the rest is blank",
                *(box.width, box.height, box.x, box.y),
            )

    def _redacted(self, composed: Composed) -> Composed:
        if self.view is not None and self.view.fills_picture:
            return composed
        frame = composed.frame
        raw = picture = self._blanked(frame.picture, frame.color)
        if composed.picture is not frame.picture or self._badge is not None:
            picture = self._blanked(composed.picture, frame.color)
        if self._badge is not None:
            picture = self._badge.draw(picture, None, composed.state, view=composed.view)
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
    outside = np.ones(shape, bool)
    if view is not None:
        # The rim may be off by as much as it was looked for in a smaller picture.
        size = 2 * max(1, picture.width // FINE_PX) + 1
        outside = cv2.erode(view.mask(), np.ones((size, size), np.uint8)) == 0
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
