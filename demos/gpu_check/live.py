"""Live at 1080p and 60 pictures a second: a first start ever, and both delays after it.

The process is a fresh one, and Triton's cache is empty (see `__main__`): what is compiled after the
engine was loaded holds up its answers, and one that holds them up for too long is given up.
"""

from collections.abc import Callable
from functools import partial
from time import monotonic
from typing import Any

from demos.bench.live import run_live
from demos.benchmarks.live_runs import LookingSink
from demos.gpu_check.part import Steps
from demos.gpu_check.shipped import load_shipped
from streamer.engine.base import Segmenter
from streamer.live.pipeline import LivePipeline
from streamer.live.snapshot import LiveSnapshot
from streamer.sinks.base import Composed
from streamer.sources import open_live
from streamer.temporal import PRESETS
from streamer.view import DEFAULT

#: Its field of view is round and does not fill the picture: it is found by looking, after seconds.
SOURCE = "synthetic:size=1920x1080:rate=60"
#: How long the cold start goes on after the first mask: the view is found by then.
GOES_ON_S = 10.0
#: How long the delays are measured, and what that takes beside.
MEASURED_S, AROUND_S = 10.0, 13.0

Load = Callable[[], Segmenter]


def live_steps(until_s: float) -> Steps:
    """The cold start, then the delays, with the engine that is left."""
    loaded: list[Segmenter] = []

    def load() -> Segmenter:
        loaded.append(load_shipped())
        return Kept(loaded[-1])

    patience_s = until_s - monotonic() - MEASURED_S - AROUND_S
    yield (
        "cold start (fresh process, empty Triton cache, default view)",
        partial(check_cold_start, load, patience_s=patience_s),
    )
    yield "live, 60 fps", lambda: check_live(lambda: Kept(loaded[-1] if loaded else load()))


class Kept:
    """An engine that stays as it is when a run is over, for the next one."""

    def __init__(self, segmenter: Segmenter) -> None:
        self.info = segmenter.info
        self.reader, self.submit = segmenter.reader, segmenter.submit

    def close(self) -> None:
        """See `Segmenter.close`."""


class FirstMask(LookingSink):
    """Notes when the first mask is shown.

    Attributes:
        at_s: when, by the clock; None before.
        objects: pictures on which something was outlined.
    """

    def __init__(self, clock_s: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self.at_s: float | None = None
        self.objects = 0
        self._clock_s = clock_s

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        super().write(composed)
        self.objects += bool(composed.objects)
        if self.at_s is None and composed.segmentation is not None:
            self.at_s = self._clock_s()


def is_over(now_s: float, first_mask_s: float | None, end_s: float) -> bool:
    """Whether the cold start has been seen.

    Args:
        first_mask_s: when the first mask was shown; None if none was.
        end_s: when it is to end in any case.
    """
    return now_s >= end_s or (first_mask_s is not None and now_s - first_mask_s >= GOES_ON_S)


def check_cold_start(load: Load, *, patience_s: float, source: str = SOURCE) -> dict[str, Any]:
    """Start live mode with the default view; what it went through until the view was found."""
    loaded_s: list[float] = []

    def timed() -> Segmenter:
        segmenter = load()
        loaded_s.append(monotonic())
        return segmenter

    sink = FirstMask()
    pipeline = LivePipeline(
        open_live(source), timed, [("look", sink)], view=DEFAULT, temporal=PRESETS["balanced"]
    )
    begun_s = monotonic()

    def watch(_: LiveSnapshot) -> None:
        if is_over(monotonic(), sink.at_s, begun_s + patience_s):
            pipeline.stop()

    snapshot = pipeline.run(watch)
    return summarise(snapshot, begun_s, loaded_s, sink.at_s) | {"outlined": sink.objects}


def summarise(
    snapshot: LiveSnapshot, begun_s: float, loaded_s: list[float], first_mask_s: float | None
) -> dict[str, Any]:
    """A cold start in figures; times in s since it began, all by the monotonic clock."""
    return {
        "holds": first_mask_s is not None and snapshot.engine_restarts == 0 and len(loaded_s) == 1,
        "engines_loaded_at_s": [round(at_s - begun_s, 1) for at_s in loaded_s],
        "first_mask_at_s": None if first_mask_s is None else round(first_mask_s - begun_s, 1),
        "engine_restarts": snapshot.engine_restarts,
        "states": [
            f"{change.at_ns / 1e9 - begun_s:.1f} s {change.state}: {change.reason}"
            for change in snapshot.changes
        ],
        "views": [
            f"{change.view.x},{change.view.y},{change.view.width},{change.view.height}: "
            f"{change.reason}"
            for change in snapshot.view_changes
        ],
        "masks_shown": snapshot.masks_shown,
        "ai_dropped": snapshot.ai_dropped,
    }


def check_live(load: Load, seconds: float = MEASURED_S, source: str = SOURCE) -> dict[str, Any]:
    """Both delays, of the whole picture."""
    run = run_live(source, load, PRESETS["balanced"], seconds=seconds)
    return {
        "pictures_per_s": round(run.pictures, 2),
        "masks_per_s": round(run.masks, 2),
        "missed_per_s": round(run.missed, 2),
        "cpu_cores": round(run.cores, 2),
        "video_delay_ms": run.video.summary(),
        "annotation_delay_ms": run.annotation.summary(),
    }
