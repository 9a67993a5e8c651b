"""What was found over time: one sample per frame, and the detection events."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from streamer.audio import AudioPacket
from streamer.sinks.base import Composed
from streamer.temporal import Detection, DetectionLog


@dataclass(frozen=True, slots=True)
class Sample:
    """One frame of the plot.

    Attributes:
        time_s: media time.
        area: of all polyps together, as a share of the picture, 0…1.
        confidence: highest of a polyp, see `DetectedObject.certainty`; 0 where there is none.
    """

    time_s: float
    area: float
    confidence: float


@dataclass(frozen=True)
class News:
    """What came since the last look.

    Attributes:
        samples: one for each frame.
        detections: those that began or ended.
    """

    samples: tuple[Sample, ...] = ()
    detections: tuple[Detection, ...] = ()


class TimelineSink:
    """Takes samples and events of the frames that come by; for the thread of the run."""

    def __init__(self) -> None:
        self._log = DetectionLog()
        self._samples: list[Sample] = []
        self._detections: list[Detection] = []

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        picture, time_s = composed.picture, composed.frame.time_s
        shown = [each for each in composed.objects if each.confirmed]
        area_px = sum(each.area_px for each in shown)
        confidence = max((each.certainty for each in shown), default=0.0)
        self._samples.append(Sample(time_s, area_px / (picture.width * picture.height), confidence))
        self._detections += self._log.add(time_s, composed.objects)

    def take(self) -> News:
        """What came since the last call."""
        news = News(tuple(self._samples), tuple(self._detections))
        self._samples.clear()
        self._detections.clear()
        return news

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """See `Sink.close`: events that are still open end."""
        self._detections += self._log.finish()


@dataclass
class Timeline:
    """All news of one video, put together.

    Attributes:
        length_s: how long the video will be, as far as is known.
        samples: in order of time.
    """

    length_s: float = 0.0
    samples: list[Sample] = field(default_factory=list)
    _detections: dict[tuple[int, float], Detection] = field(default_factory=dict)

    def add(self, news: News) -> None:
        """Take in what came."""
        self.samples += news.samples
        for each in news.detections:
            self._detections[each.id, each.start_s] = each
        if self.samples:
            self.length_s = max(self.length_s, self.samples[-1].time_s)

    def copy(self) -> "Timeline":
        """The same as it is now, while this one goes on growing."""
        return Timeline(self.length_s, self.samples.copy(), self._detections.copy())

    @property
    def detections(self) -> list[Detection]:
        """By the time that they began."""
        return sorted(self._detections.values(), key=lambda each: (each.start_s, each.id))


def thin(samples: Sequence[Sample], most: int) -> list[Sample]:
    """At most so many samples; each stands for a stretch of equal length, with its highest values.

    Short peaks stay visible so.
    """
    if len(samples) <= most:
        return list(samples)
    edges = [round(place * len(samples) / most) for place in range(most + 1)]
    return [_highest(samples[start:end]) for start, end in pairwise(edges)]


def _highest(samples: Iterable[Sample]) -> Sample:
    stretch = list(samples)
    return Sample(
        stretch[0].time_s,
        max(each.area for each in stretch),
        max(each.confidence for each in stretch),
    )
