"""The whole pipeline on a GPU: from memory at full speed, and live at 60 pictures a second."""

from collections.abc import Iterator
from fractions import Fraction
from time import monotonic_ns
from typing import Any

import av
import numpy as np

from demos.bench.live import run_live
from demos.gpu_check.frames import SAMPLE
from streamer.audio import AudioPacket
from streamer.engine.base import Segmenter
from streamer.frame import Frame
from streamer.pipeline import Pipeline
from streamer.planes import planes
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
            picture = _copy(self._pictures[order[index % len(order)]])
            now_ns = monotonic_ns()
            yield Frame(picture, index, index, 1 / RATE, now_ns, now_ns, self._color)

    def close(self) -> None:
        """Nothing to release."""


def _copy(picture: av.VideoFrame) -> av.VideoFrame:
    """One of its own, as a decoder would hand over, to be drawn upon."""
    made = av.VideoFrame(picture.width, picture.height, picture.format.name)
    for target, plane in zip(planes(made), planes(picture), strict=True):
        np.copyto(target.pixels, plane.pixels)
    return made


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


def check_pipeline(segmenter: Segmenter, frames: int) -> dict[str, Any]:
    """Frames per second from memory, with and without steadying, and the time of each stage."""
    found: dict[str, Any] = {}
    # The drawing kernel is compiled at the first polyp ever.
    Pipeline(MemorySource(KEPT), segmenter, [CountingSink()]).run()
    for preset in ("off", "balanced"):
        sink = CountingSink()
        pipeline = Pipeline(MemorySource(frames), segmenter, [sink], temporal=PRESETS[preset])
        result = pipeline.run()
        assert result.frames_with_objects, "nothing was found in pictures full of polyps"
        found[f"from memory, temporal {preset}"] = {
            "fps": round(result.rate, 1),
            "frames": sink.frames,
            "cpu_cores": round(result.cpu_s / result.wall_s, 2),
            "latency_ms": result.latency_ms,
        }
    return found


def check_video_engines(segmenter: Segmenter) -> dict[str, Any]:
    """The sample decoded by NVDEC, drawn upon on the GPU and brought back once."""
    source = open_source(str(SAMPLE), decode="gpu")
    sink = KeepingSink()
    try:
        result = Pipeline(source, segmenter, [sink], temporal=PRESETS["balanced"]).run()
    finally:
        source.close()
    by_cpu = open_source(str(SAMPLE))
    kept = KeepingSink()
    try:
        Pipeline(by_cpu, segmenter, [kept], temporal=PRESETS["balanced"]).run()
    finally:
        by_cpu.close()
    apart = np.abs(sink.kept.astype(int) - kept.kept.astype(int))
    return {
        "decoder": source.info.decoder,
        "fps": round(result.rate, 1),
        "frames": result.frames_out,
        "latency_ms": result.latency_ms,
        # Of the last picture's luma, drawn on by the GPU and by the CPU.
        "samples_that_differ_by_more_than_2": int((apart > 2).sum()),
        "dice_of_masks": round(_dice(sink.masks, kept.masks), 5),
    }


def _dice(mine: list[Any], theirs: list[Any]) -> float:
    both = sum(int((a & b).sum()) for a, b in zip(mine, theirs, strict=True))
    return 2 * both / max(1, sum(int(one.sum()) for one in [*mine, *theirs]))


class KeepingSink:
    """Keeps the masks of all pictures, and the luma of the last one."""

    def __init__(self) -> None:
        self.masks: list[Any] = []
        self.kept: Any = None

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        seen = composed.segmentation
        if seen is not None:
            self.masks.append(seen.probability >= seen.threshold)
        self.kept = planes(composed.picture)[0].pixels[..., 0].copy()

    def write_audio(self, packet: AudioPacket) -> None:
        """See `Sink.write_audio`."""

    def close(self) -> None:
        """See `Sink.close`."""


def check_live(segmenter: Segmenter, seconds: float) -> dict[str, Any]:
    """Both delays at 1080p and 60 pictures a second."""
    name = f"synthetic:size={WIDTH_PX}x{HEIGHT_PX}:rate=60"
    run = run_live(name, lambda: segmenter, PRESETS["balanced"], seconds=seconds)
    return {
        "pictures_per_s": round(run.pictures, 2),
        "masks_per_s": round(run.masks, 2),
        "missed_per_s": round(run.missed, 2),
        "cpu_cores": round(run.cores, 2),
        "video_delay_ms": run.video.summary(),
        "annotation_delay_ms": run.annotation.summary(),
    }
