"""Which part of the picture is analysed, found by looking and looked at again every few seconds.

It begins with the whole picture. Once two stretches of pictures in a row agree on a field of view
that is sure, the box around it is analysed. From then on a stretch is looked at every few seconds;
the part changes only when two in a row agree on another one. Where none can be made out (a dark
scene, a menu, a still picture) the last one stays, unless what lies beside it begins to move: then
it is the whole picture again, so that nothing is hidden from the network.
"""

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass
from time import monotonic

import av

from streamer.field_of_view import FieldOfView
from streamer.frame import Frame, View
from streamer.planes import whole_samples
from streamer.view import LEAST_SIDE
from streamer.view_finder import Stretch

logger = logging.getLogger(__name__)

#: Pictures are looked at so far apart, in stretches of this length, with so much between two of
#: them where nothing is new.
STEP_S, STRETCH_S, PAUSE_S = 0.1, 2.0, 3.0
#: How much of a file is looked at before its first frame is analysed, at most.
AHEAD_S = 10.0
MIN_PICTURES = 8
#: Times are binary fractions: 41 tenths less 21 are not quite 2.
_ABOUT = 1 - 1e-6
#: What is found in so many stretches in a row is believed.
_IN_A_ROW = 2
#: An edge that moved outwards by no more than the first, as a share of the picture's side, or by so
#: few px, or inwards by no more than the second, has not moved. What is not seen counts for more.
_OUTWARDS, _INWARDS, _LEAST_PX = 0.005, 0.015, 3
#: Changes that are kept.
MOST_CHANGES = 1000


@dataclass(frozen=True, slots=True)
class ViewChange:
    """Another part of the picture is analysed.

    Attributes:
        time_s: of the first picture of which that is so, in the source's time.
        view: the part.
        reason: why, in words for the user.
    """

    time_s: float
    view: View
    reason: str


class ViewWatch:
    """Watches the pictures of one source. One thread owns it; `view` may be read by all.

    Args:
        width, height: px of the pictures.
        view: what to begin with; None takes the whole picture.
    """

    def __init__(self, width: int, height: int, view: View | None = None) -> None:
        self._whole = View(0, 0, width, height)
        #: The part to analyse, in whole chroma samples.
        self.view = view or self._whole
        #: The newest changes, in order, and how many there were.
        self.changes: tuple[ViewChange, ...] = ()
        self.count = 0
        #: Whether what is analysed has been found, be it the whole picture.
        self.is_sure = False
        self._begin()
        self._next_s = 0.0

    def _begin(self) -> None:
        """Look afresh: what was seen before does not count."""
        self._stretch = Stretch()
        self._start_s = self._last_s = float("-inf")
        self._candidate: FieldOfView | None = None
        self._beyond = 0

    def forget(self) -> None:
        """The source was lost and is back; the part stays until another one is sure."""
        self._begin()
        self._next_s = float("-inf")

    def wants(self, time_s: float) -> bool:
        """Whether a picture of that time is to be looked at; costs nothing."""
        if time_s < self._last_s:
            # The source begins again.
            self.forget()
        return time_s >= self._next_s and time_s - self._last_s >= STEP_S * _ABOUT

    def look(self, picture: av.VideoFrame, time_s: float) -> ViewChange | None:
        """Look at a picture, if it is to be looked at.

        Args:
            picture: in a `DRAWABLE` format, or on the GPU.
            time_s: its time.

        Returns:
            The change, if another part is to be analysed from this picture on.
        """
        if not self.wants(time_s):
            return None
        if self._stretch.count == 0:
            self._start_s = time_s
        self._last_s = time_s
        self._stretch.add(picture)
        if time_s - self._start_s < STRETCH_S * _ABOUT or self._stretch.count < MIN_PICTURES:
            return None
        done, self._stretch = self._stretch, Stretch()
        found = done.view()
        if found is None:
            return self._miss(done, time_s)
        self._beyond = 0
        before, self._candidate = self._candidate, found
        if before is None or not found.agrees_with(before):
            return None
        self._candidate = joined = found.joined_with(before)
        self.is_sure = True
        view = self._part(joined, picture)
        if self._is_near(view):
            self._next_s = time_s + PAUSE_S
            return None
        return self._change(view, time_s, f"found: {joined.kind}")

    def _miss(self, stretch: Stretch, time_s: float) -> ViewChange | None:
        self._candidate = None
        self._beyond = self._beyond + 1 if stretch.is_lively_beyond(self.view) else 0
        if self.view == self._whole or self._beyond < _IN_A_ROW:
            return None
        self.is_sure = False
        return self._change(self._whole, time_s, "lost: the margin moves")

    def _part(self, field: FieldOfView, picture: av.VideoFrame) -> View:
        view = self._whole if field.fills_picture else whole_samples(field.box, picture)
        return view if min(view.width, view.height) >= LEAST_SIDE else self._whole

    def _is_near(self, view: View) -> bool:
        """Whether a part is the present one but for what was dark."""
        now, whole = self.view, self._whole
        return all(
            -_INWARDS * side <= grown <= max(_LEAST_PX, _OUTWARDS * side)
            for grown, side in (
                (now.x - view.x, whole.width),
                (view.x + view.width - now.x - now.width, whole.width),
                (now.y - view.y, whole.height),
                (view.y + view.height - now.y - now.height, whole.height),
            )
        )

    def _change(self, view: View, time_s: float, reason: str) -> ViewChange:
        self.view = view
        self.count += 1
        change = ViewChange(time_s, view, reason)
        # Made anew: others may be reading it.
        self.changes = (*self.changes[1 - MOST_CHANGES :], change)
        logger.info(
            "view: %d,%d,%d,%d is analysed (%s)", view.x, view.y, view.width, view.height, reason
        )
        return change


def look_ahead(
    items: Iterable[object], width: int, height: int, *, within_s: float = math.inf
) -> ViewWatch:
    """A watch that begins with the view that the first seconds of a file show.

    Args:
        items: of a source that nobody else reads; read until the view is sure, or `AHEAD_S`.
        width, height: px of its pictures.
        within_s: for no longer than this, where somebody waits. What is found then depends on how
            fast the machine is.
    """
    watch = ViewWatch(width, height)
    first_s: float | None = None
    end_s = monotonic() + within_s
    for item in items:
        if not isinstance(item, Frame):
            continue
        first_s = item.time_s if first_s is None else first_s
        watch.look(item.picture, item.time_s)
        if watch.is_sure or item.time_s - first_s > AHEAD_S or monotonic() > end_s:
            break
    return ViewWatch(width, height, watch.view)
