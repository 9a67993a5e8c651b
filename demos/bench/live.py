"""Live mode at a steady pace: how long picture and masks are under way, and what gets lost."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from demos.bench.clip import Size, prepared
from demos.bench.report import Grid, Measured
from demos.bench.statistics import Distribution, Figure, delay_figures, higher, lower
from demos.benchmarks.live_runs import LookingSink, Span
from streamer.engine import Segmenter
from streamer.errors import StreamError
from streamer.live.pipeline import LivePipeline
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State
from streamer.sources import open_live
from streamer.temporal import Temporal

#: What passes between the first picture with a network and the first one that counts.
WARM_UP_S = 3.0
#: For loading the network, and for looking only twice a second.
SPARE_S = 10.0
#: No network is loaded by then: something hangs.
PATIENCE_S = 120.0

LoadEngine = Callable[[], Segmenter]


@dataclass(frozen=True)
class LiveRun:
    """What the counted part of one live run showed.

    Attributes:
        video, annotation: the two delays, see `LiveSnapshot`.
        pictures, masks: shown per second; masks each for the first time.
        missed: pictures per second that were not shown.
        cores: CPU seconds per second.
    """

    video: Span
    annotation: Span
    pictures: float
    masks: float
    missed: float
    cores: float


class Window:
    """Ends a live run when its counted part is over; called about twice a second.

    Args:
        seconds: length of the counted part.
        stop: called at its end.
        clock_s: told in seconds.
    """

    def __init__(
        self,
        seconds: float,
        stop: Callable[[], None],
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.before: LiveSnapshot | None = None
        self.after: LiveSnapshot | None = None
        self._seconds = seconds
        self._stop = stop
        self._clock_s = clock_s
        self._ready_s: float | None = None
        self._begun_s = clock_s()

    def see(self, snapshot: LiveSnapshot) -> None:
        """Take in how things stand."""
        now_s = self._clock_s()
        if self._ready_s is None:
            if snapshot.state is not State.WARMING:
                self._ready_s = now_s
            elif now_s - self._begun_s > PATIENCE_S:
                self._stop()
        elif self.before is None:
            if now_s - self._ready_s >= WARM_UP_S:
                self.before, self._begun_s = snapshot, now_s
        elif now_s - self._begun_s >= self._seconds:
            self.after = snapshot
            self._stop()

    def result(self) -> LiveRun:
        """What the counted part showed.

        Raises:
            StreamError: it did not come to its end.
        """
        if self.before is None or self.after is None:
            raise StreamError("the live run ended before it was measured")
        before, after = self.before, self.after
        length_s = after.wall_s - before.wall_s
        lost = [sum(one.dropped.values()) + one.missed for one in (before, after)]

        def span(stage: str) -> Span:
            return Span(before.histograms[stage], after.histograms[stage])

        return LiveRun(
            span("video_delay"),
            span("annotation_delay"),
            pictures=(after.frames_out - before.frames_out) / length_s,
            masks=(after.masks_shown - before.masks_shown) / length_s,
            missed=(lost[1] - lost[0]) / length_s,
            cores=(after.cpu_s - before.cpu_s) / length_s,
        )


def run_live(clip: str, load: LoadEngine, temporal: Temporal, *, seconds: float) -> LiveRun:
    """One live run of a clip that is played again and again, looked at and not encoded.

    Raises:
        StreamError: the clip or the network cannot be used.
    """
    looking = [("look", LookingSink())]
    pipeline = LivePipeline(open_live(clip, loop=True), load, looking, temporal=temporal)
    window = Window(seconds, pipeline.stop)
    pipeline.run(window.see)
    return window.result()


def delays_of(runs: dict[str, list[LiveRun]]) -> tuple[Grid, dict[str, Distribution]]:
    """Table and distributions of both delays of each kind of run; empty where no mask came."""
    spans = {
        f"{name}, {what} delay": [getattr(run, what) for run in each]
        for name, each in runs.items()
        for what in ("video", "annotation")
    }
    rows = {name: delay_figures(each) for name, each in spans.items()}
    return Grid("delays", rows), {name: Distribution.of(spans[name]) for name in rows if rows[name]}


def rate_figures(runs: Sequence[LiveRun]) -> dict[str, Figure]:
    """Columns of what was shown, and of what it took."""
    return {
        "pictures a second": higher([run.pictures for run in runs]),
        "masks a second": higher([run.masks for run in runs]),
        "missed a second": lower([run.missed for run in runs]),
        "CPU cores": lower([run.cores for run in runs]),
    }


def measure(
    clip: str,
    load: LoadEngine,
    temporal: Temporal,
    *,
    size: Size | None,
    rates: Sequence[int],
    seconds: float,
    repeats: int,
) -> Measured:
    """The clip at each rate in turns."""
    with ExitStack() as stack:
        clips = {
            f"{rate} fps": stack.enter_context(
                prepared(clip, frames=clip_frames(rate, seconds), size=size, rate=rate)
            )
            for rate in rates
        }
        runs: dict[str, list[LiveRun]] = {name: [] for name in clips}
        for _ in range(repeats):
            for name, paced in clips.items():
                runs[name].append(run_live(paced, load, temporal, seconds=seconds))
    delays, distributions = delays_of(runs)
    rates_shown = {name: rate_figures(each) for name, each in runs.items()}
    return Measured([delays, Grid("pictures and masks", rates_shown)], distributions)


def clip_frames(rate: int, seconds: float) -> int:
    """So many that a run does not come to the clip's end, where it is opened again."""
    return rate * math.ceil(WARM_UP_S + seconds + SPARE_S)
