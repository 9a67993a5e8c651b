"""The whole pipeline on a GPU at full speed, with pictures from memory."""

from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from time import monotonic_ns
from typing import Any

from demos.gpu_check.frames import SAMPLE
from demos.gpu_check.part import Steps
from demos.gpu_check.shipped import load_shipped
from streamer.audio import AudioPacket
from streamer.engine.base import Segmenter
from streamer.frame import Frame
from streamer.pipeline import Pipeline
from streamer.planes import copy_picture
from streamer.sinks.base import Composed
from streamer.sources import open_source
from streamer.sources.base import Item, SourceInfo
from streamer.temporal import PRESETS

WIDTH_PX, HEIGHT_PX = 1920, 1080
RATE = Fraction(60)
#: Pictures that are kept in memory; more are these again.
KEPT = 60


class MemorySource:
    """Pictures of the sample at 1080p, decoded before anything is timed."""

    damaged = converted = 0

    def __init__(self, frames: int) -> None:
        self._frames = frames
        source = open_source(str(SAMPLE))
        pictures = (item.picture for item in source if isinstance(item, Frame))
        self._pictures = [
            picture.reformat(WIDTH_PX, HEIGHT_PX, interpolation="BICUBIC")
            for picture, _ in zip(pictures, range(KEPT), strict=False)
        ]
        self._color = source.info.color
        source.close()
        self.info = SourceInfo(
            "memory", WIDTH_PX, HEIGHT_PX, self._pictures[0].format.name, RATE, 1 / RATE,
            self._color, frames, None,
        )  # fmt: skip

    def __iter__(self) -> Iterator[Item]:
        # There and back again, so that no picture follows one of another scene.
        order = [*range(KEPT), *reversed(range(KEPT))]
        for index in range(self._frames):
            # One of its own, as a decoder would hand over, to be drawn upon.
            picture = copy_picture(self._pictures[order[index % len(order)]])
            now_ns = monotonic_ns()
            yield Frame(picture, index, index, 1 / RATE, now_ns, now_ns, self._color)

    def close(self) -> None:
        """Nothing to release."""


class CountingSink:
    """Takes pictures and lets them go."""

    def __init__(self) -> None:
        self.frames = 0

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        self.frames += 1

    def write_audio(self, packet: AudioPacket) -> None:
        """See `Sink.write_audio`."""

    def close(self) -> None:
        """See `Sink.close`."""


def pipeline_steps(frames: int) -> Steps:
    """Frames per second from memory, with and without steadying, and the time of each stage."""
    segmenter = load_shipped()
    # The drawing kernel is compiled at the first polyp ever.
    Pipeline(MemorySource(KEPT), segmenter, [CountingSink()]).run()
    for preset in ("off", "balanced"):
        yield f"from memory, temporal {preset}", partial(check_pipeline, segmenter, frames, preset)


def check_pipeline(segmenter: Segmenter, frames: int, preset: str) -> dict[str, Any]:
    """One run of so many pictures."""
    sink = CountingSink()
    pipeline = Pipeline(MemorySource(frames), segmenter, [sink], temporal=PRESETS[preset])
    result = pipeline.run()
    assert result.frames_with_objects, "nothing was found in pictures full of polyps"
    return {
        "fps": round(result.rate, 1),
        "frames": sink.frames,
        "cpu_cores": round(result.cpu_s / result.wall_s, 2),
        "latency_ms": result.latency_ms,
    }
