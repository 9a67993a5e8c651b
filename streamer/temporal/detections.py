"""Detection events: from when to when an object that counts was shown, and how it looked.

They are made of what was shown, so that file mode, live mode, the demo and the scoring of sequences
tell the same. The literature on computer-aided detection counts such events, not frames.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from streamer.objects import DetectedObject

#: An object that comes back within this time goes on with its event: masks that are too old to be
#: drawn leave such gaps in live mode.
GAP_S = 0.5


@dataclass(frozen=True, slots=True)
class Detection:
    """One event.

    Attributes:
        id: of the object; an object that was out of sight for longer begins another event.
        start_s: media time of the first frame on which it counted.
        end_s: of the last one; None while it goes on.
        duration_s: between the two, so far.
        peak_probability: the highest mean probability of a frame.
        peak_s: media time of that frame.
        mean_area_px: mean over its frames, px of the picture.
        frames: on which it was shown.
        peak_confidence: the highest confidence, see `DetectedObject`; that of the same frame.
    """

    id: int
    start_s: float
    end_s: float | None
    duration_s: float
    peak_probability: float
    peak_s: float
    mean_area_px: float
    frames: int
    peak_confidence: float | None = None

    @property
    def peak_certainty(self) -> float:
        """What to tell a person, as `DetectedObject.certainty`."""
        return self.peak_probability if self.peak_confidence is None else self.peak_confidence


@dataclass
class _Open:
    id: int
    start_s: float
    last_s: float
    peak: DetectedObject
    peak_s: float
    area_px: int = 0
    frames: int = 0

    def detection(self, *, over: bool) -> Detection:
        return Detection(
            self.id,
            self.start_s,
            self.last_s if over else None,
            self.last_s - self.start_s,
            self.peak.mean_probability,
            self.peak_s,
            self.area_px / self.frames,
            self.frames,
            self.peak.confidence,
        )


class DetectionLog:
    """Makes events of the frames of one run, in their order."""

    def __init__(self) -> None:
        self._open: dict[int, _Open] = {}

    def add(self, time_s: float, objects: Iterable[DetectedObject]) -> list[Detection]:
        """Take in a frame.

        Args:
            time_s: its media time. Where that jumps back, all that was open is over.
            objects: what was shown on it; those that are tentative or have no id do not count.

        Returns:
            The events that ended, then those that began.
        """
        ended = [
            each.detection(over=True)
            for each in self._open.values()
            if not 0 <= time_s - each.last_s <= GAP_S
        ]
        for event in ended:
            del self._open[event.id]
        begun = []
        for each in objects:
            if each.id is None or not each.confirmed:
                continue
            known = self._open.get(each.id)
            if known is None:
                known = _Open(each.id, time_s, time_s, each, time_s)
                self._open[each.id] = known
                begun.append(known)
            known.last_s = time_s
            known.area_px += each.area_px
            known.frames += 1
            if each.mean_probability > known.peak.mean_probability:
                known.peak, known.peak_s = each, time_s
        return ended + [each.detection(over=False) for each in begun]

    def finish(self) -> list[Detection]:
        """The run is over: the events that were still open."""
        ended = [each.detection(over=True) for each in self._open.values()]
        self._open.clear()
        return ended
