"""Live runs count from when the network is there until their length is over."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from demos.bench import live
from demos.bench.live import LiveRun, Window, delays_of, run_live
from demos.benchmarks.live_runs import Span
from streamer.errors import StreamError
from streamer.latency import Histogram
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State
from streamer.temporal import PRESETS


class Director:
    """Shows a window one snapshot after the other, at times of its own."""

    def __init__(self, seconds: float) -> None:
        self.now_s = 0.0
        self.stopped = 0
        self.window = Window(seconds, self._stop, lambda: self.now_s)
        self.delays = Histogram()

    def _stop(self) -> None:
        self.stopped += 1

    def show(self, at_s: float, state: State = State.RUNNING, **counts: Any) -> None:
        self.now_s = at_s
        histogram = Histogram()
        for _ in range(self.delays.count):
            histogram.add_ns(10_000_000)
        histograms = {"video_delay": histogram, "annotation_delay": histogram}
        counts = {"wall_s": at_s, "cpu_s": 2 * at_s} | counts
        self.window.see(LiveSnapshot(state, [], histograms=histograms, **counts))


def test_only_what_comes_after_the_warm_up_counts() -> None:
    director = Director(seconds=10)

    director.show(0, State.WARMING)
    director.show(5)
    director.show(6, frames_out=30)
    director.delays.add_ns(1)
    director.show(5 + live.WARM_UP_S, frames_out=100, masks_shown=50, missed=1)
    director.delays.add_ns(1)
    director.delays.add_ns(1)
    director.show(10)
    assert director.stopped == 0
    director.show(
        15 + live.WARM_UP_S, frames_out=400, masks_shown=250, missed=2, dropped={"late": 4}
    )

    run = director.window.result()
    assert director.stopped == 1
    assert (run.pictures, run.masks, run.missed, run.cores) == (30, 20, 0.5, 2)
    assert run.video.count == 2


def test_a_network_that_does_not_come_ends_the_run() -> None:
    director = Director(seconds=10)

    director.show(1, State.WARMING)
    assert director.stopped == 0
    director.show(live.PATIENCE_S + 1, State.WARMING)

    assert director.stopped == 1
    with pytest.raises(StreamError, match="ended before it was measured"):
        director.window.result()


def test_rows_of_masks_that_never_came_are_empty(
    span: Callable[[Iterable[float]], Span],
) -> None:
    run = LiveRun(span([5.0]), span([]), pictures=30, masks=0, missed=0, cores=1)

    grid, distributions = delays_of({"30 fps": [run, run]})

    assert list(grid.rows["30 fps, video delay"]) == ["p50 ms", "p95 ms", "p99 ms", "max ms"]
    assert grid.rows["30 fps, annotation delay"] == {}
    assert list(distributions) == ["30 fps, video delay"]


def test_a_clip_is_longer_than_the_run() -> None:
    assert live.clip_frames(60, 20.5) >= 60 * (live.WARM_UP_S + 20.5)


def test_a_run_from_a_clip(clip: Path, segmenter: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "WARM_UP_S", 0.0)

    run = run_live(str(clip), lambda: segmenter, PRESETS["off"], seconds=0.1)

    assert run.video.count > 0
    assert run.pictures > 0
    assert run.cores > 0
