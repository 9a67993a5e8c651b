"""One picture of a live run and the newest mask: whether it fits, and how it is drawn."""

from collections.abc import Callable
from dataclasses import dataclass

import av

from streamer.confidence import Calibration
from streamer.familiar import OUT_OF_VIEW, FamiliarWatch
from streamer.frame import Frame, Segmentation, View
from streamer.live.signal import Look, Luma, SignalWatch, sample_luma
from streamer.live.state import State
from streamer.objects import find_objects
from streamer.overlay import Overlay
from streamer.planes import copy_picture
from streamer.sinks.base import Composed

#: A picture's view as a small luma image.
SmallLuma = Callable[[av.VideoFrame, View], Luma]
#: A mask moved from the picture with the first luma image to that with the second; None where the
#: two do not show the same scene.
Move = Callable[[Segmentation, Luma, Luma], Segmentation | None]


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that was looked at.

    Attributes:
        frame: as the source gave it; nobody draws on its picture.
        session: number of times that the source had been lost before.
        view: the part of it that is analysed.
        luma: small image of the view, to move masks by.
        look: what it looks like.
        taken_ns: when it was taken up.
        out_of_view: see `Composed`.
    """

    frame: Frame
    session: int
    view: View
    luma: Luma
    look: Look
    taken_ns: int
    out_of_view: bool = False

    def is_of_scene(self, other: "Seen") -> bool:
        """Whether the other one is of the same session and view: one can be moved to the other."""
        return self.session == other.session and self.view == other.view


@dataclass(frozen=True, slots=True)
class Mask:
    """What the network saw, and in which picture.

    Attributes:
        number: masks before this one in the run.
        segmentation: what it saw.
        seen: the picture.
    """

    number: int
    segmentation: Segmentation
    seen: Seen

    @property
    def captured_ns(self) -> int:
        """When the source handed over its picture."""
        return self.seen.frame.captured_ns


class Compositor:
    """Puts masks on pictures. One thread owns it, but for `view`.

    Args:
        view: the analysed part of the picture, whole chroma samples.
        max_age_ns: no mask is put on a picture that was captured, or would be handed on, so much
            later than its own was captured.
        always_copy: never hand on the source's picture itself as the one to show. Sinks in several
            threads each set fields of the picture that they encode.
    """

    def __init__(
        self,
        overlay: Overlay,
        *,
        view: View,
        max_age_ns: int,
        small_luma: SmallLuma,
        move: Move,
        badge: bool,
        always_copy: bool,
    ) -> None:
        self._overlay = overlay
        #: The part of the pictures to come that is analysed; another thread may set another one.
        self.view = view
        self._max_age_ns = max_age_ns
        self._small_luma = small_luma
        self._move = move
        self._badge = badge
        self._always_copy = always_copy
        self._signal = SignalWatch()
        self._familiar = FamiliarWatch()

    def look(self, frame: Frame, session: int, now_ns: int) -> Seen:
        """Look at the next picture."""
        look = self._signal.look(sample_luma(frame.picture))
        view = self.view
        luma = self._small_luma(frame.picture, view)
        return Seen(frame, session, view, luma, look, now_ns, self._familiar.out_of_view)

    def look_closer(self, seen: Seen) -> None:
        """Look whether the pictures are familiar, for those to come; none has to wait for it."""
        self._familiar.look(seen.frame, seen.view, seen.luma)

    def fit(self, mask: Mask | None, seen: Seen) -> Segmentation | None:
        """The mask as it holds for a picture; None where it is too old or of another scene.

        One of another part of the picture is drawn no more: there is nothing to move it by.
        """
        if mask is None or seen.look.flat or not mask.seen.is_of_scene(seen):
            return None
        captured_ns = seen.frame.captured_ns
        if captured_ns < mask.captured_ns or not self.is_in_time(mask, captured_ns):
            return None
        if not _shows_something(mask.segmentation):
            return mask.segmentation
        return self._move(mask.segmentation, mask.seen.luma, seen.luma)

    def is_in_time(self, mask: Mask, time_ns: int) -> bool:
        """Whether a mask may be shown on a picture that is captured, or handed on, at a time."""
        return time_ns - mask.captured_ns <= self._max_age_ns

    def draw(
        self,
        seen: Seen,
        mask: Mask | None,
        fitted: Segmentation | None,
        state: State,
        label: str,
        calibration: Calibration | None = None,
    ) -> Composed:
        """The finished picture; the source's own stays as it is.

        Args:
            mask, fitted: what was given to `fit` and what came of it.
            label: what the badge says beside RUNNING.
            calibration: of the network that made the mask.
        """
        frame = seen.frame
        marked = fitted is not None and _shows_something(fitted)
        picture = frame.picture
        whole = seen.view == View(0, 0, picture.width, picture.height)
        view = None if whole else seen.view
        drawn = marked or self._badge or view is not None
        if drawn or self._always_copy:
            picture = copy_picture(picture)
        if drawn:
            status = f"{state} | {label}" if state is State.RUNNING else str(state)
            status += f" | {OUT_OF_VIEW}" if seen.out_of_view else ""
            picture = self._overlay.draw(picture, fitted, status, view=view)
        age_ms = None
        if mask is not None and fitted is not None:
            age_ms = (frame.captured_ns - mask.captured_ns) / 1e6
        objects = find_objects(fitted, calibration) if fitted is not None and marked else []
        return Composed(frame, picture, fitted, objects, str(state), age_ms, view, seen.out_of_view)


def _shows_something(segmentation: Segmentation) -> bool:
    return segmentation.extent[2] > 0
