"""What the user is told on the terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from streamer.pipeline import RunResult
from streamer.sources import SourceInfo

PLAIN_PROGRESS_INTERVAL_S = 5.0

# Names of files are printed as they are: no markup, no emoji codes.
console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)


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


def describe(info: SourceInfo) -> None:
    """Say what comes in, and what will be done with it."""
    console.print(
        f"source  {info.name}: {info.width}x{info.height}, {float(info.rate):.2f} fps, "
        f"{info.pixel_format}, {info.color}"
    )
    console.print("mode    file: every frame in is a frame out, nothing is dropped")


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
    console.print(line)
    for count, meaning in (
        (result.damaged, "damaged frames or packets in the source"),
        (result.converted, f"frames converted to {info.width}x{info.height} {info.pixel_format}"),
    ):
        if count:
            console.print(f"note    {count} {meaning}")
    for name, path in outputs.items():
        console.print(f"{name:7} {path}")
