"""What can be seen of a live run from outside while it goes on."""

from dataclasses import dataclass, field

from streamer.frame import View
from streamer.latency import Histogram
from streamer.live.state import State, StateChange
from streamer.view_watch import ViewChange


@dataclass(frozen=True)
class LiveSnapshot:
    """One look at a live run.

    Attributes:
        state: the state now.
        changes: the states it went through, in order; of very many, the first and the newest.
        change_count: how many there were.
        frames_in: pictures read from the source.
        frames_out: pictures composited and handed on.
        dropped: pictures that were read but not handed on, by cause; in = out + these.
        ai_dropped: pictures of which no mask came to be shown, by cause: a `newer` one was there,
            `warming` or `restarting` engine, `flat` picture, `failed` engine, mask `unshown` since
            it came too late, run `stopped`. They were shown all the same: out = masks_shown +
            these.
        masks_shown: masks that were shown at least once.
        sink_dropped: output → pictures that it was too slow for, or that came after it failed.
        sink_errors: output → what ended it.
        damaged, converted: see `Source`.
        missed: pictures that the source left out before they were read, since nobody came for them
            in time; they are not in `frames_in`.
        frames_with_objects: pictures on which something was outlined that is confirmed.
        frames_out_of_view: pictures that look unlike those of the training.
        detections: events that began; none where masks are not steadied.
        reconnects: times that a lost source came back.
        engine_restarts: times that a failed or hung engine was replaced.
        rate: pictures handed on per second, over the last seconds.
        mask_age_ms: age of the newest mask, or None.
        histograms: stage → durations. `video_delay` runs from captured to handed to the sinks,
            `annotation_delay` from the capture of the frame that a mask belongs to until its
            first showing, `mask_age` over all pictures with a mask.
        wall_s, cpu_s: since the start.
        view: the part of the picture that is analysed; None before the source is open.
        view_changes: how that has changed, in order; of very many, the newest.
        view_change_count: how often it has.
        reason: why it is in this state, as far as is known by now.
        per_minute: one entry for each minute, the last one of a run being shorter: `until_s` since
            the start, `frames` handed on, medians `video_delay_ms` and `annotation_delay_ms` where
            there were any, `rss_mib` at its end.
    """

    state: State
    changes: list[StateChange]
    change_count: int = 1
    frames_in: int = 0
    frames_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    ai_dropped: dict[str, int] = field(default_factory=dict)
    sink_dropped: dict[str, int] = field(default_factory=dict)
    sink_errors: dict[str, str] = field(default_factory=dict)
    damaged: int = 0
    converted: int = 0
    missed: int = 0
    masks_shown: int = 0
    frames_with_objects: int = 0
    frames_out_of_view: int = 0
    detections: int = 0
    reconnects: int = 0
    engine_restarts: int = 0
    rate: float = 0.0
    mask_age_ms: float | None = None
    histograms: dict[str, Histogram] = field(default_factory=dict)
    view: View | None = None
    view_changes: tuple[ViewChange, ...] = ()
    view_change_count: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    reason: str = ""
    per_minute: list[dict[str, float]] = field(default_factory=list)
