"""`pranet-bench`: what the engine costs, measured against its own bare stages in one run.

Method: the engine is compiled and warmed up first; then the bare stages and file mode take
turns on the same frames, `--repeats` times. CPU time is that of the whole process, all threads.
"""

import gc
import re
import signal
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from pathlib import Path
from time import monotonic, process_time
from typing import Annotated, Any

import av
import cv2
import psutil
import typer
from rich.console import Console
from rich.table import Table

from pranet.checkpoint import DEFAULT_MODEL
from pranet.errors import PranetError
from streamer import report as reports
from streamer.color import RgbReader
from streamer.engine import Backend, Precision, Segmenter, load_segmenter
from streamer.engine.base import EngineInfo
from streamer.errors import StreamError
from streamer.frame import Frame, Probability, Segmentation, View
from streamer.objects import find_objects
from streamer.overlay import Overlay, Style
from streamer.pipeline import Pipeline
from streamer.sinks import Composed, VideoSink
from streamer.sinks.container import ContainerWriter
from streamer.sources import Item, Source, open_source

console = Console(soft_wrap=True)

STAGES = ("decode", "convert", "infer", "draw", "encode")

#: Frames that the bare stages hold at once; pictures of the whole clip would not fit in memory.
CHUNK_FRAMES = 32


@dataclass
class Cost:
    """Time spent, in seconds."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    @contextmanager
    def add(self) -> Iterator[None]:
        """Add what the body takes."""
        wall_s, cpu_s = monotonic(), process_time()
        yield
        self.wall_s += monotonic() - wall_s
        self.cpu_s += process_time() - cpu_s

    def per_frame_ms(self, frames: int) -> dict[str, float]:
        """Both as ms per frame."""
        return {"wall": 1e3 * self.wall_s / frames, "cpu": 1e3 * self.cpu_s / frames}


@dataclass
class Limited:
    """A source cut to a number of frames, going round again where it is too short for them.

    Audio is left out. Times go on over the seam, so that sinks see one long clip.
    """

    name: str
    frames: int
    damaged: int = 0
    converted: int = 0
    _open: Source = field(init=False)

    def __post_init__(self) -> None:
        self._open = open_source(self.name)
        self.info = replace(self._open.info, frames=self.frames, audio=None)

    def __iter__(self) -> Iterator[Item]:
        return islice(self._endless(), self.frames)

    def _endless(self) -> Iterator[Frame]:
        step = max(1, round(1 / (self.info.rate * self.info.time_base)))
        index, offset = 0, 0
        while True:
            last_pts = 0
            for item in self._open:
                if isinstance(item, Frame):
                    last_pts = item.pts + offset
                    yield replace(item, index=index, pts=last_pts)
                    index += 1
            self.damaged += self._open.damaged
            self._open.close()
            self._open = open_source(self.name)
            offset = last_pts + step

    def close(self) -> None:
        """Release the file."""
        self._open.close()


def bare_stages(source: Limited, segmenter: Segmenter, output: Path) -> dict[str, Cost]:
    """Run the stages one after the other, chunk by chunk, and time each of them."""
    costs = {stage: Cost() for stage in STAGES}
    info = source.info
    view = View(0, 0, info.width, info.height)
    overlay = Overlay(Style(), info.color)
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
        with costs["draw"].add():
            composed = []
            for frame, probability in zip(frames, maps, strict=True):
                segmentation = Segmentation(probability, view, 0.5)
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
    output: Path,
    on_frame: Callable[[int], None] = lambda frames: None,
) -> Cost:
    """Run the whole pipeline on the same frames."""
    cost = Cost()
    with cost.add():
        pipeline = Pipeline(source, segmenter, [VideoSink(output, source.info)])
        pipeline.run(lambda result: on_frame(result.frames_out))
    return cost


def resized_clip(name: str, width: int, height: int, output: Path, *, frames: int) -> None:
    """Write a clip anew at another size, for measuring how cost grows with it."""
    source = Limited(name, frames)
    info = source.info
    writer = ContainerWriter(
        output,
        codec="libx264",
        options={"preset": "fast", "crf": "20"},
        width=width,
        height=height,
        pixel_format=info.pixel_format,
        rate=info.rate,
        time_base=info.time_base,
    )
    for frame in source:
        if isinstance(frame, Frame):
            picture = frame.picture.reformat(width, height, interpolation="BICUBIC")
            picture.pts, picture.time_base = frame.pts, frame.time_base
            picture.pict_type = av.video.frame.PictureType.NONE
            writer.encode(picture)
    writer.close()
    source.close()


def compare(clip: str, segmenter: Segmenter, frames: int, repeats: int) -> dict[str, Any]:
    """Bare stages and file mode in turns; medians, with the spread over the repeats."""
    stages: list[dict[str, dict[str, float]]] = []
    totals: list[dict[str, float]] = []
    with tempfile.TemporaryDirectory() as folder:
        output = Path(folder) / "overlay.mp4"
        _on(clip, min(frames, 2 * CHUNK_FRAMES), file_mode, segmenter, output)
        for _ in range(repeats):
            costs = _on(clip, frames, bare_stages, segmenter, output)
            total = _on(clip, frames, file_mode, segmenter, output)
            stages.append({name: cost.per_frame_ms(frames) for name, cost in costs.items()})
            totals.append(total.per_frame_ms(frames))
    bare_cpu = [sum(one[name]["cpu"] for name in STAGES) for one in stages]
    return {
        "stages_ms": {
            name: {kind: _spread([one[name][kind] for one in stages]) for kind in ("cpu", "wall")}
            for name in STAGES
        },
        "bare_cpu_ms": _spread(bare_cpu),
        "file_mode_cpu_ms": _spread([one["cpu"] for one in totals]),
        "file_mode_fps": _spread([1e3 / one["wall"] for one in totals]),
        "cpu_ratio": _spread(
            [one["cpu"] / bare for one, bare in zip(totals, bare_cpu, strict=True)]
        ),
    }


def _on(clip: str, frames: int, work: Callable[..., Any], *arguments: object) -> Any:
    source = Limited(clip, frames)
    # Buffers of the run before are given back now and not in the middle of this one.
    gc.collect()
    try:
        return work(source, *arguments)
    finally:
        source.close()


def memory(clip: str, segmenter: Segmenter, frames: int) -> dict[str, float]:
    """Resident memory in MB at ten points of one long run."""
    process = psutil.Process()
    marks = {max(1, frames * tenth // 10) for tenth in range(1, 11)}
    resident: dict[str, float] = {}

    def note(done: int) -> None:
        if done in marks:
            resident[str(done)] = round(process.memory_info().rss / 1e6, 1)

    with tempfile.TemporaryDirectory() as folder:
        _on(clip, frames, file_mode, segmenter, Path(folder) / "overlay.mp4", note)
    return resident


def _spread(values: list[float]) -> dict[str, float]:
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
    }


def bench(
    file: Annotated[Path | None, typer.Option(help="Clip to run file mode on.")] = None,
    glass: Annotated[
        bool, typer.Option(help="From screen to screen through live mode; needs Xvfb.")
    ] = False,
    seconds: Annotated[float, typer.Option(help="Of each part of --glass.", min=1)] = 20,
    size: Annotated[
        str | None, typer.Option(help="Bring the clip to this size first.", metavar="WIDTHxHEIGHT")
    ] = None,
    frames: Annotated[int, typer.Option(help="Frames of each run.", min=32)] = 300,
    repeats: Annotated[int, typer.Option(help="Runs of each kind, in turns.", min=1)] = 5,
    soak: Annotated[
        int, typer.Option(help="Also run this many frames in one go and watch memory.", min=0)
    ] = 0,
    model: Annotated[str, typer.Option(help="Bundled checkpoint or a path.")] = DEFAULT_MODEL,
    backend: Annotated[Backend, typer.Option(help="Engine.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Of the engine.")] = "auto",
    report: Annotated[Path | None, typer.Option(help="Write all figures as JSON.")] = None,
) -> None:
    """Measure file mode against the sum of its bare stages, or live mode from glass to glass."""
    if glass:
        _bench_glass(seconds, repeats, model, backend, precision, report)
        return
    if file is None:
        raise StreamError("name a clip with --file, or --glass")
    segmenter = load_segmenter(model, backend=backend, precision=precision)
    with tempfile.TemporaryDirectory() as folder:
        clip = str(file)
        if size is not None:
            width, height = _parse_size(size)
            clip = str(Path(folder) / "clip.mp4")
            resized_clip(str(file), width, height, Path(clip), frames=frames)
        info = Limited(clip, 1).info
        engine = segmenter.info
        console.print(f"clip    {file} at {info.width}x{info.height}, {frames} frames a run")
        console.print(f"engine  {engine}, {engine.streams} streams, {engine.threads} threads")
        console.print(f"machine {engine.device}, {psutil.cpu_count()} cores; {repeats} repeats")
        results: dict[str, Any] = {"file": compare(clip, segmenter, frames, repeats)}
        console.print(_table(results["file"]))
        if soak:
            results["resident_mb"] = memory(clip, segmenter, soak)
            console.print("resident memory in MB after frames:", results["resident_mb"])
    if report is not None:
        content = results | {
            "clip": {"name": file.name, "width": info.width, "height": info.height},
            "frames": frames,
            "repeats": repeats,
            "engine": asdict(engine),
            "cores": psutil.cpu_count(),
            "versions": reports.versions(),
        }
        reports.write(report, content)


def _bench_glass(
    seconds: float,
    rounds: int,
    model: str,
    backend: Backend,
    precision: Precision,
    report: Path | None,
) -> None:
    from demos.glass import HEIGHT_PX, RATE, WIDTH_PX, measure

    engines: list[EngineInfo] = []

    def load() -> Segmenter:
        segmenter = load_segmenter(model, backend=backend, precision=precision, streams=1)
        engines.append(segmenter.info)
        return segmenter

    console.print(f"glass   {WIDTH_PX}x{HEIGHT_PX}, {RATE} pictures a second, {rounds} rounds")
    with _ending_on_sigterm():
        results = measure(load, seconds=seconds, rounds=rounds, tell=console.print)
    table = Table("ms from glass to glass", "p50", "p95", "p99", "max", "read")
    for name in ("floor", "pipeline"):
        figures = results[name]
        delays = (f"{figures[key]:.1f}" for key in ("p50", "p95", "p99", "max"))
        table.add_row(name, *delays, str(figures["read"]))
    console.print(table)
    by_round = results["added_by_round_ms"]
    console.print(
        f"the pipeline adds {results['added_p50_ms']:.1f} ms (median; by round "
        f"{min(by_round):.1f} to {max(by_round):.1f})"
    )
    if report is not None:
        content = {
            "command": f"pranet-bench --glass --repeats {rounds} --seconds {seconds:g}",
            "glass": results,
            "picture": {"width": WIDTH_PX, "height": HEIGHT_PX, "rate": RATE},
            "seconds": seconds,
            "rounds": rounds,
            "engine": asdict(engines[-1]),
            "cores": psutil.cpu_count(),
            "versions": reports.versions(),
        }
        reports.write(report, content)


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that all that was started is ended."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or not all(16 <= int(side) <= 8192 for side in match.groups()):
        raise StreamError(f"--size {text}: WIDTHxHEIGHT in px is needed, e.g. 1920x1080")
    return int(match[1]), int(match[2])


def _table(result: dict[str, Any]) -> Table:
    table = Table("ms a frame", "CPU median", "CPU min to max", "wall median")
    rows = [(name, result["stages_ms"][name]["cpu"]) for name in STAGES]
    for name, cpu in rows:
        wall = result["stages_ms"][name]["wall"]["median"]
        table.add_row(name, *_cells(cpu), f"{wall:.2f}")
    table.add_section()
    table.add_row("sum of bare stages", *_cells(result["bare_cpu_ms"]))
    fps = result["file_mode_fps"]
    table.add_row("file mode", *_cells(result["file_mode_cpu_ms"]), f"{1e3 / fps['median']:.2f}")
    table.add_row("file mode / bare", *_cells(result["cpu_ratio"]))
    table.add_row("frames per second", *_cells(fps))
    return table


def _cells(spread: dict[str, float]) -> tuple[str, str]:
    return f"{spread['median']:.2f}", f"{spread['min']:.2f} to {spread['max']:.2f}"


def main() -> None:
    """Entry point of the console script."""
    # The stages run side by side already; threads inside OpenCV would only fight them.
    cv2.setNumThreads(1)
    try:
        typer.run(bench)
    except PranetError as error:
        console.print(f"pranet-bench: {error}", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        console.print("pranet-bench: stopped")
        sys.exit(130)


if __name__ == "__main__":
    main()
