"""The same while other processes want the cores: what gives way, and how far."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

from demos.bench.clip import Size, prepared
from demos.bench.file import FileRun, run_file
from demos.bench.live import (
    LiveRun,
    LoadEngine,
    clip_frames,
    delays_of,
    rate_figures,
    run_live,
)
from demos.bench.report import Axis, Grid, Measured
from demos.bench.statistics import higher
from demos.virtual_screen import bound_process
from streamer.engine import Segmenter
from streamer.temporal import Temporal

_SPIN = [sys.executable, "-c", "while True: pass"]


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """So many processes that would each fill a core, for as long as the body runs."""
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(bound_process(_SPIN))
        yield


def measure(
    clip: str,
    load_live: LoadEngine,
    load_file: Callable[[], Segmenter],
    temporal: Temporal,
    *,
    size: Size | None,
    rate: int,
    busy: Sequence[int],
    seconds: float,
    frames: int,
    repeats: int,
) -> Measured:
    """Live mode, then file mode, with each number of busy processes in turns.

    Args:
        load_live, load_file: the network for one frame at a time, and for many.
        busy: numbers of processes, rising.
    """
    live: dict[str, list[LiveRun]] = {f"{count} busy": [] for count in busy}
    file: dict[str, list[FileRun]] = {name: [] for name in live}
    segmenter = load_file()
    try:
        with prepared(clip, frames=clip_frames(rate, seconds), size=size, rate=rate) as paced:
            for _ in range(repeats):
                for count, name in zip(busy, live, strict=True):
                    with busy_processes(count):
                        live[name].append(run_live(paced, load_live, temporal, seconds=seconds))
                        file[name].append(run_file(paced, segmenter, temporal, frames=frames))
    finally:
        segmenter.close()
    delays, distributions = delays_of(live)
    rates = {
        name: rate_figures(runs)
        | {"file mode fps": higher([1e3 / run.cost.wall_ms(frames) for run in file[name]])}
        for name, runs in live.items()
    }
    axis = Axis("busy processes", tuple(map(float, busy)))
    return Measured([delays, Grid("under load", rates, plot="curves", axis=axis)], distributions)
