"""What the user is told on the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from streamer.live.snapshot import LiveSnapshot
from streamer.run_result import RunResult
from streamer.sources import SourceInfo

PLAIN_PROGRESS_INTERVAL_S = 5.0

Progressing = TypeVar("Progressing")

# Names of files are printed as they are: no markup, no emoji codes.
console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

#: For what was asked for, such as lists: it can be piped into another program.
answers = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)


@contextmanager
def progress(info: SourceInfo) -> Iterator[Callable[[RunResult], None]]:
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
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=info.frames, rate=0.0)
        yield lambda result: bar.update(task, completed=result.frames_out, rate=result.rate)


def _plain_progress(info: SourceInfo) -> Callable[[RunResult], None]:
    def tell(result: RunResult) -> None:
        line = f"{result.frames_out} frames"
        if info.frames:
            left_s = max(0, info.frames - result.frames_out) / result.rate
            line += f" of {info.frames}, {left_s:.0f} s left"
        console.print(f"{line}, {result.rate:.1f} fps")

    return _every_few_seconds(tell)


def _every_few_seconds(tell: Callable[[Progressing], None]) -> Callable[[Progressing], None]:
    next_s = monotonic() + PLAIN_PROGRESS_INTERVAL_S

    def advance(now: Progressing) -> None:
        nonlocal next_s
        if monotonic() >= next_s:
            next_s = monotonic() + PLAIN_PROGRESS_INTERVAL_S
            tell(now)

    return advance


def describe(info: SourceInfo) -> None:
    """Say what comes in, and that each frame of it goes out."""
    _describe_source(info)
    console.print("mode    file: every frame in is a frame out, nothing is dropped")


def describe_live(info: SourceInfo, max_mask_age_ms: float) -> None:
    """Say what comes in, and how it is treated."""
    _describe_source(info)
    console.print(
        "mode    live: the picture never waits for the network; "
        f"a mask is drawn for {max_mask_age_ms:g} ms at most"
    )


def _describe_source(info: SourceInfo) -> None:
    console.print(
        f"source  {info.name}: {info.width}x{info.height}, {float(info.rate):.2f} fps, "
        f"{info.pixel_format}, {info.color}, decoded by {info.decoder}"
    )


@contextmanager
def live_progress() -> Iterator[Callable[[LiveSnapshot], None]]:
    """A line that is kept up to date on a terminal, one every few seconds elsewhere."""
    if not console.is_terminal:
        yield _every_few_seconds(lambda snapshot: console.print(_live_line(snapshot)))
        return
    with console.status("") as status:
        yield lambda snapshot: status.update(_live_line(snapshot))


def _live_line(snapshot: LiveSnapshot) -> str:
    line = f"{snapshot.state}  {snapshot.frames_out} frames, {snapshot.rate:.1f} fps"
    for stage, name in (("video_delay", "video delay"), ("annotation_delay", "annotation delay")):
        histogram = snapshot.histograms.get(stage)
        if histogram is not None and histogram.count:
            line += f", {name} {histogram.percentile_ms(50):.1f} ms"
    return line


def summarise_live(snapshot: LiveSnapshot, outputs: dict[str, Path]) -> None:
    """Say what came of a live run."""
    changes = snapshot.changes
    line = f"{changes[-1].reason}: {snapshot.frames_out} frames in {snapshot.wall_s:.1f} s"
    console.print(
        f"{line}, polyp seen in {snapshot.frames_with_objects}, "
        f"{_count(snapshot.detections, 'detection')}"
    )
    for stage, name in (("video_delay", "video delay"), ("annotation_delay", "annotation delay")):
        histogram = snapshot.histograms.get(stage)
        if histogram is not None and histogram.count:
            figures = histogram.summary()
            told = ", ".join(f"{key} {value:.1f}" for key, value in figures.items())
            console.print(f"{name:17} {told} ms")
    for name, counts in (
        ("never read", {"missed": snapshot.missed} if snapshot.missed else {}),
        ("not shown", snapshot.dropped),
        ("shown unanalysed", snapshot.ai_dropped),
        ("lost by outputs", {name: lost for name, lost in snapshot.sink_dropped.items() if lost}),
    ):
        if counts:
            told = ", ".join(f"{cause} {count}" for cause, count in counts.items())
            console.print(f"{name:17} {told}")
    if snapshot.reconnects or snapshot.engine_restarts:
        console.print(
            f"{'came back':17} source {snapshot.reconnects} times, "
            f"engine {snapshot.engine_restarts} times"
        )
    for name, reason in snapshot.sink_errors.items():
        console.print(f"{name:17} failed: {reason}")
    for name, path in outputs.items():
        console.print(f"{name:17} {path}")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def summarise(result: RunResult, info: SourceInfo, outputs: dict[str, Path]) -> None:
    """Say what came of a run."""
    ended = "done:"
    if result.interrupted:
        ended = "stopped by the user after"
    elif result.error is not None:
        ended = "failed after"
    line = f"{ended} {result.frames_out} frames in {result.wall_s:.1f} s, {result.rate:.1f} fps"
    if "total" in result.latency_ms:
        line += f", polyp seen in {result.frames_with_objects}"
        line += f", {_count(result.detections, 'detection')}"
    console.print(line)
    for count, meaning in (
        (result.damaged, "damaged frames or packets in the source"),
        (result.converted, f"frames converted to {info.width}x{info.height} {info.pixel_format}"),
        (result.frames_out_of_view, "frames look unlike endoscopy: out of view"),
    ):
        if count:
            console.print(f"note    {count} {meaning}")
    for name, path in outputs.items():
        console.print(f"{name:7} {path}")
