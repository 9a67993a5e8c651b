"""`pranet-stream`: a video in, polyp boundaries out."""

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from types import FrameType
from typing import Annotated, Any, Literal

import cv2
import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from pranet.checkpoint import DEFAULT_MODEL
from pranet.errors import PranetError
from streamer import report as reports
from streamer.engine import Backend, Precision, Segmenter, load_segmenter
from streamer.errors import OutputError, StreamError
from streamer.frame import View
from streamer.overlay import Style, parse_color
from streamer.pipeline import Pipeline, RunResult
from streamer.sinks import EventSink, Sink, VideoSink, open_mask_sink
from streamer.sinks.base import file_identity
from streamer.sources import Source, SourceInfo, open_source

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130
PLAIN_PROGRESS_INTERVAL_S = 5.0

# Names of files are printed as they are: no markup, no emoji codes.
console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

Matrix = Literal["auto", "bt601", "bt709", "bt2020"]
Range = Literal["auto", "limited", "full"]

Preset = Literal[
    "ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow"
]

_IN, _OUT, _NET, _LOOK = "Input", "Output", "Network", "Overlay"


def stream(
    source: Annotated[str, typer.Option(help="Video file.", rich_help_panel=_IN)],
    color_matrix: Annotated[
        Matrix, typer.Option(help="YUV matrix; auto: as tagged, else by size.", rich_help_panel=_IN)
    ] = "auto",
    color_range: Annotated[
        Range, typer.Option(help="YUV range; auto: as tagged, else limited.", rich_help_panel=_IN)
    ] = "auto",
    view: Annotated[
        str | None,
        typer.Option(
            help="Part of the picture to analyse, in px.",
            metavar="X,Y,WIDTH,HEIGHT",
            rich_help_panel=_IN,
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="Overlay video: .mp4 or .mkv.", rich_help_panel=_OUT)
    ] = None,
    masks: Annotated[
        Path | None,
        typer.Option(help="Masks: .mkv (lossless) or a folder of PNG.", rich_help_panel=_OUT),
    ] = None,
    events: Annotated[
        Path | None, typer.Option(help="Findings per frame, JSON lines.", rich_help_panel=_OUT)
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Frame counts, speed, latency, versions: JSON.", rich_help_panel=_OUT),
    ] = None,
    encoder_preset: Annotated[
        Preset, typer.Option(help="x264 preset of the overlay video.", rich_help_panel=_OUT)
    ] = "ultrafast",
    quality: Annotated[
        int,
        typer.Option(help="x264 CRF; 0 is lossless.", min=0, max=51, rich_help_panel=_OUT),
    ] = 20,
    model: Annotated[
        str, typer.Option(help="Bundled checkpoint or a path.", rich_help_panel=_NET)
    ] = DEFAULT_MODEL,
    backend: Annotated[Backend, typer.Option(help="Engine.", rich_help_panel=_NET)] = "auto",
    precision: Annotated[
        Precision,
        typer.Option(help="auto: bf16 where the CPU has it, else f32.", rich_help_panel=_NET),
    ] = "auto",
    threshold: Annotated[
        float,
        typer.Option(
            help="Probability from which on a pixel is polyp.",
            min=0.01,
            max=0.99,
            rich_help_panel=_NET,
        ),
    ] = 0.5,
    streams: Annotated[
        int,
        typer.Option(help="Frames worked on at once; 0: by cores.", min=0, rich_help_panel=_NET),
    ] = 0,
    threads: Annotated[
        int, typer.Option(help="CPU threads of the engine; 0: all.", min=0, rich_help_panel=_NET)
    ] = 0,
    line_color: Annotated[
        str, typer.Option(help="Name or #rrggbb.", rich_help_panel=_LOOK)
    ] = "green",
    line_width: Annotated[
        int, typer.Option(help="In px; 0: by picture height.", min=0, max=99, rich_help_panel=_LOOK)
    ] = 0,
    fill: Annotated[
        float, typer.Option(help="Opacity of the fill.", min=0, max=1, rich_help_panel=_LOOK)
    ] = 0.0,
    badge: Annotated[
        bool, typer.Option(help="Status badge in the corner.", rich_help_panel=_LOOK)
    ] = True,
) -> None:
    """Find polyps in a colonoscopy video and draw their boundaries on the picture.

    Research use only: this is not a medical device.
    """
    outputs = {
        name: path
        for name, path in (
            ("output", output),
            ("masks", masks),
            ("events", events),
            ("report", report),
        )
        if path is not None
    }
    with _ending_on_signals():
        _check_outputs(source, model, outputs)
        full_range = {"auto": None, "limited": False, "full": True}[color_range]
        style = Style(parse_color(line_color), line_width, fill, badge)
        opened = open_source(source, color_matrix=color_matrix, full_range=full_range)
        sinks: list[Sink] = []
        try:
            part = _parse_view(view, opened.info) if view else None
            _describe(opened.info)
            segmenter = load_segmenter(
                model, backend=backend, precision=precision, streams=streams, threads=threads
            )
            if output:
                sinks.append(VideoSink(output, opened.info, preset=encoder_preset, quality=quality))
            if masks:
                sinks.append(open_mask_sink(masks, opened.info))
            if events:
                sinks.append(EventSink(events))
            if report:
                # A report that cannot be written must be known now, not after the work.
                reports.write(report, {})
            pipeline = Pipeline(
                opened, segmenter, sinks, style=style, threshold=threshold, view=part
            )
            result = _run(pipeline, opened, segmenter, outputs)
        finally:
            for sink in sinks:
                sink.close()
            opened.close()
    if result.interrupted:
        raise SystemExit(EXIT_INTERRUPTED)


def _run(
    pipeline: Pipeline, source: Source, segmenter: Segmenter, outputs: dict[str, Path]
) -> RunResult:
    """Run, and write the report and the summary also of a run that failed half-way."""
    console.print(f"engine  {segmenter.info}, {segmenter.info.streams} frames at once")
    try:
        with _progress(source.info) as advance, _stopping_on_signals(pipeline):
            pipeline.run(advance)
    finally:
        result = pipeline.result
        _summarise(result, source.info, outputs)
        segmenter.close()
        if "report" in outputs:
            paths = {name: str(path) for name, path in outputs.items()}
            content = reports.build(source.info, segmenter.info, result, paths)
            try:
                reports.write(outputs["report"], content)
            except OutputError:
                # What ended the run matters more than that it cannot be put on record.
                if result.error is None:
                    raise
    return result


@contextmanager
def _progress(info: SourceInfo) -> Iterator[Callable[[RunResult], None]]:
    """A bar on a terminal, a line every few seconds elsewhere."""
    if not console.is_terminal:
        yield _plain_progress(info)
        return
    columns = (
        TextColumn("{task.completed:.0f} frames"),
        BarColumn(),
        TextColumn("{task.fields[rate]:.1f} fps"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=info.frames, rate=0.0)
        yield lambda result: progress.update(task, completed=result.frames_out, rate=result.rate)


def _plain_progress(info: SourceInfo) -> Callable[[RunResult], None]:
    next_s = monotonic() + PLAIN_PROGRESS_INTERVAL_S

    def advance(result: RunResult) -> None:
        nonlocal next_s
        if monotonic() < next_s:
            return
        next_s = monotonic() + PLAIN_PROGRESS_INTERVAL_S
        line = f"{result.frames_out} frames"
        if info.frames:
            left_s = max(0, info.frames - result.frames_out) / result.rate
            line += f" of {info.frames}, {left_s:.0f} s left"
        console.print(f"{line}, {result.rate:.1f} fps")

    return advance


def _describe(info: SourceInfo) -> None:
    console.print(
        f"source  {info.name}: {info.width}x{info.height}, {float(info.rate):.2f} fps, "
        f"{info.pixel_format}, {info.color}"
    )
    console.print("mode    file: every frame in is a frame out, nothing is dropped")


def _summarise(result: RunResult, info: SourceInfo, outputs: dict[str, Path]) -> None:
    ended = "done:"
    if result.interrupted:
        ended = "stopped by the user after"
    elif result.error is not None:
        ended = "failed after"
    line = f"{ended} {result.frames_out} frames in {result.wall_s:.1f} s, {result.rate:.1f} fps"
    if "total" in result.latency_ms:
        line += f", polyp seen in {result.frames_with_objects}"
    console.print(line)
    for count, meaning in (
        (result.damaged, "damaged frames or packets in the source"),
        (result.converted, f"frames converted to {info.width}x{info.height} {info.pixel_format}"),
    ):
        if count:
            console.print(f"note    {count} {meaning}")
    for name, path in outputs.items():
        console.print(f"{name:7} {path}")


def _check_outputs(source: str, model: str, outputs: dict[str, Path]) -> None:
    if not outputs:
        raise OutputError("nothing to write; name --output, --masks, --events or --report")
    taken = {
        file_identity(Path(os.path.expanduser(source))): "the source",
        file_identity(Path(os.path.expanduser(model))): "the checkpoint",
    }
    for name, path in outputs.items():
        other = taken.setdefault(file_identity(path), f"--{name}")
        if other != f"--{name}":
            raise OutputError(f"--{name} {path} is also {other}; choose another file")


def _parse_view(text: str, info: SourceInfo) -> View:
    try:
        view = View(*(int(part) for part in text.split(",")))
    except (TypeError, ValueError):
        raise StreamError(
            f"--view {text}: four whole numbers X,Y,WIDTH,HEIGHT are needed"
        ) from None
    inside = view.x >= 0 and view.y >= 0 and view.width >= 16 and view.height >= 16
    if not inside or view.x + view.width > info.width or view.y + view.height > info.height:
        raise StreamError(
            f"--view {text}: does not lie inside the picture of {info.width}x{info.height} px, "
            "or is smaller than 16 px"
        )
    return view


@contextmanager
def _handling_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `handler` on Ctrl-C and on SIGTERM."""
    before: dict[int, Any] = {
        number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """End with a word and the right exit code where nothing is under way yet."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        with _handling_signals(interrupt):
            yield
    except KeyboardInterrupt:
        console.print("pranet-stream: stopped")
        raise SystemExit(EXIT_INTERRUPTED) from None


@contextmanager
def _stopping_on_signals(pipeline: Pipeline) -> Iterator[None]:
    """Let a signal end the run between two frames; a second one does not wait for that."""
    asked = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        pipeline.stop()

    with _handling_signals(stop):
        yield


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
app.command()(stream)


def main() -> None:
    """Entry point of the console script."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_time=False, show_path=False)],
    )
    # The stages run side by side already; threads inside OpenCV would only fight them.
    cv2.setNumThreads(1)
    try:
        app()
    except PranetError as error:
        console.print(f"pranet-stream: {error}")
        sys.exit(EXIT_BAD_INPUT)


if __name__ == "__main__":
    main()
