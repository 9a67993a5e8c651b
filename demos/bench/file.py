"""File mode against the sum of its bare stages, on the same frames, in turns."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic_ns

import psutil

from demos.bench.clip import Limited, limited
from demos.bench.cost import Cost
from demos.bench.report import Grid, Measured
from demos.bench.statistics import Distribution, delay_figures, higher, lower, ratios
from demos.benchmarks.live_runs import Span
from streamer.audio import AudioPacket
from streamer.engine import Segmenter
from streamer.frame import Frame, Probability, View
from streamer.latency import Histogram
from streamer.motion import small_luma
from streamer.objects import find_objects
from streamer.overlay import Overlay, Style
from streamer.pipeline import Pipeline
from streamer.rgb import RgbReader
from streamer.sinks import Composed, Sink, VideoSink
from streamer.temporal import Stabiliser, Temporal

STAGES = ("decode", "convert", "infer", "steady", "draw", "encode")

#: Frames that the bare stages hold at once; pictures of the whole clip would not fit in memory.
CHUNK_FRAMES = 32

_Costs = dict[str, Cost]


@dataclass(frozen=True)
class FileRun:
    """What a run of file mode took.

    Attributes:
        cost: in all.
        delays: of each frame, from decoded to encoded.
    """

    cost: Cost
    delays: Span


class _Delays:
    """A sink that stands last and notes how long each frame was under way."""

    def __init__(self) -> None:
        self.histogram = Histogram()

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        self.histogram.add_ns(monotonic_ns() - composed.frame.decoded_ns)

    def write_audio(self, packet: AudioPacket) -> None:
        """See `Sink.write_audio`."""

    def close(self) -> None:
        """See `Sink.close`."""


def bare_stages(
    source: Limited, segmenter: Segmenter, temporal: Temporal, output: Path
) -> dict[str, Cost]:
    """Run the stages one after the other, chunk by chunk, and time each of them."""
    costs = {stage: Cost() for stage in STAGES}
    info = source.info
    view = View(0, 0, info.width, info.height)
    overlay = Overlay(Style(), info.color)
    stabiliser = Stabiliser(temporal, view)
    stabiliser.judge_by(segmenter.info.calibration)
    reader = RgbReader()
    size_px = segmenter.info.input_size
    with costs["encode"].add():
        sink = VideoSink(output, info)
    items = iter(source)
    while True:
        with costs["decode"].add():
            frames = [item for item in islice(items, CHUNK_FRAMES) if isinstance(item, Frame)]
        if not frames:
            break
        with costs["convert"].add():
            images = [reader.read(f.picture, f.color, size_px, size_px) for f in frames]
        with costs["infer"].add():
            maps: list[Probability] = []
            streams = segmenter.info.streams
            for start in range(0, len(images), streams):
                pending = [segmenter.submit(image) for image in images[start : start + streams]]
                maps += [one.result() for one in pending]
        with costs["steady"].add():
            steady = [
                stabiliser.steady(probability, small_luma(frame.picture, view), frame.time_s)
                for frame, probability in zip(frames, maps, strict=True)
            ]
        with costs["draw"].add():
            composed = []
            for frame, segmentation in zip(frames, steady, strict=True):
                objects = find_objects(segmentation)
                picture = overlay.draw(frame.picture, segmentation, "RUNNING")
                composed.append(Composed(frame, picture, segmentation, objects))
        with costs["encode"].add():
            for one in composed:
                sink.write(one)
    with costs["encode"].add():
        sink.close()
    return costs


def file_mode(
    source: Limited,
    segmenter: Segmenter,
    temporal: Temporal,
    output: Path,
    on_frame: Callable[[int], None] = lambda frames: None,
) -> FileRun:
    """Run the whole pipeline on the same frames."""
    cost, delays = Cost(), _Delays()
    with cost.add():
        sinks: list[Sink] = [VideoSink(output, source.info), delays]
        pipeline = Pipeline(source, segmenter, sinks, temporal=temporal)
        pipeline.run(lambda result: on_frame(result.frames_out))
    return FileRun(cost, Span(None, delays.histogram))


def run_both(
    clip: str, segmenter: Segmenter, temporal: Temporal, *, frames: int
) -> tuple[_Costs, FileRun]:
    """The bare stages, then file mode."""
    with TemporaryDirectory(prefix="pranet-bench-") as folder:
        output = Path(folder) / "overlay.mp4"
        with limited(clip, frames) as source:
            costs = bare_stages(source, segmenter, temporal, output)
        with limited(clip, frames) as source:
            return costs, file_mode(source, segmenter, temporal, output)


def run_file(clip: str, segmenter: Segmenter, temporal: Temporal, *, frames: int) -> FileRun:
    """File mode alone."""
    with (
        TemporaryDirectory(prefix="pranet-bench-") as folder,
        limited(clip, frames) as source,
    ):
        return file_mode(source, segmenter, temporal, Path(folder) / "overlay.mp4")


def measure(
    clip: str, segmenter: Segmenter, temporal: Temporal, *, frames: int, repeats: int
) -> Measured:
    """Bare stages and file mode in turns, after a warm-up that does not count."""
    run_file(clip, segmenter, temporal, frames=min(frames, 2 * CHUNK_FRAMES))
    turns = [run_both(clip, segmenter, temporal, frames=frames) for _ in range(repeats)]
    stages = {
        stage: {
            "CPU ms": lower([costs[stage].cpu_ms(frames) for costs, _ in turns]),
            "wall ms": lower([costs[stage].wall_ms(frames) for costs, _ in turns]),
        }
        for stage in STAGES
    }
    bare = [sum(cost.cpu_ms(frames) for cost in costs.values()) for costs, _ in turns]
    whole = [run.cost.cpu_ms(frames) for _, run in turns]
    delays = [run.delays for _, run in turns]
    return Measured(
        [
            Grid("bare stages, a frame", stages, plot="stages"),
            Grid(
                "file mode",
                {
                    "file mode": {
                        "fps": higher([1e3 / run.cost.wall_ms(frames) for _, run in turns]),
                        "CPU ms": lower(whole),
                        "bare CPU ms": lower(bare),
                        "CPU / bare": lower(ratios(whole, bare)),
                    }
                },
            ),
            Grid("delay of a frame", {"decoded to written": delay_figures(delays)}),
        ],
        {"file mode, decoded to written": Distribution.of(delays)},
    )


def memory(clip: str, segmenter: Segmenter, temporal: Temporal, *, frames: int) -> dict[str, float]:
    """Resident memory in MB at ten points of one long run."""
    process = psutil.Process()
    marks = {max(1, frames * tenth // 10) for tenth in range(1, 11)}
    resident: dict[str, float] = {}

    def note(done: int) -> None:
        if done in marks:
            resident[str(done)] = round(process.memory_info().rss / 1e6, 1)

    with (
        TemporaryDirectory(prefix="pranet-bench-") as folder,
        limited(clip, frames) as source,
    ):
        file_mode(source, segmenter, temporal, Path(folder) / "overlay.mp4", note)
    return resident
