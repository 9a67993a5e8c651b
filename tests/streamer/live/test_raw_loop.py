"""In which order, and until when, a picture is worked on; the rest is tested with the pipeline."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np
import pytest

from streamer.clock import Clock, MonotonicClock
from streamer.frame import Frame, Segmentation, View
from streamer.live.compositor import Mask, Seen
from streamer.live.grabber import Grabbed
from streamer.live.newest import NewestQueue
from streamer.live.raw_loop import RawLoop
from streamer.live.record import Record
from streamer.live.signal import Look
from streamer.live.state import State
from streamer.live.supervisor import Limits, Supervisor
from streamer.sinks.base import Composed

MakeFrame = Callable[..., Frame]
SoftDisc = Callable[..., Segmentation]

MS = 10**6
MAX_AGE_MS = 120


class SetClock(MonotonicClock):
    """A clock that is set."""

    def __init__(self) -> None:
        self.ns = 10**12

    def now_ns(self) -> int:
        return self.ns


@dataclass
class Others:
    """What the raw loop works with, in one: notes what it is asked for."""

    flat: bool = False
    newest: Mask | None = None
    clock: Clock = field(default_factory=MonotonicClock)
    drawing_ms: float = 0.0
    asked: list[str] = field(default_factory=list)
    drawn: list[bool] = field(default_factory=list)
    info = None

    def look(self, frame: Frame, session: int, now_ns: int) -> Seen:
        self.asked.append("look")
        view, luma = View(0, 0, 64, 48), np.zeros((4, 4), np.uint8)
        return Seen(frame, session, view, luma, Look(self.flat, False), now_ns)

    def fit(self, mask: Mask | None, seen: Seen) -> Segmentation | None:
        self.asked.append("fit")
        return mask.segmentation if mask is not None else None

    def is_in_time(self, mask: Mask, handed_on_ns: int) -> bool:
        return handed_on_ns - mask.captured_ns <= MAX_AGE_MS * MS

    def draw(
        self,
        seen: Seen,
        mask: Mask | None,
        fitted: Segmentation | None,
        state: State,
        label: str,
        calibration: None,
    ) -> Composed:
        self.asked.append("draw")
        self.drawn.append(fitted is not None)
        if fitted is not None and isinstance(self.clock, SetClock):
            self.clock.ns += round(self.drawing_ms * MS)
        return Composed(seen.frame, seen.frame.picture, fitted, [], str(state), None)

    def look_closer(self, seen: Seen) -> None:
        self.asked.append("look closer")

    def offer(self, what: Composed | Seen) -> None:
        self.asked.append("show" if isinstance(what, Composed) else "segment")


def make_loop(others: Others, looks: Others, record: Record, clock: Clock) -> RawLoop:
    return RawLoop(
        NewestQueue[Grabbed](1),
        *(cast(Any, others) for _ in ("compositor", "engine", "outputs")),
        record=record,
        supervisor=Supervisor(clock.now_ns(), Limits(1, 1, 1)),
        clock=clock,
        view_look=cast(Any, looks),
        max_frames=None,
    )


@pytest.mark.parametrize("flat", [False, True])
def test_the_network_has_a_picture_before_it_is_drawn(make_frame: MakeFrame, flat: bool) -> None:
    clock = MonotonicClock()
    others, looks = Others(flat), Others()
    record = Record(clock.now_ns(), [])
    raw = make_loop(others, looks, record, clock)
    assert raw.handle(Grabbed(make_frame(), 0)) == 1

    asked = ["look"] if flat else ["look", "segment"]
    assert others.asked == [*asked, "fit", "draw", "show", "look closer"]
    assert looks.asked == ([] if flat else ["segment"])
    assert record.view(clock.now_ns())["ai_dropped"] == ({"flat": 1} if flat else {})


def test_no_mask_is_drawn_that_would_be_handed_on_too_late(
    make_frame: MakeFrame, soft_disc: SoftDisc
) -> None:
    """By how long the drawings before it took."""
    clock, looks = SetClock(), Others()
    frame = replace(make_frame(), captured_ns=clock.ns)
    seen = Others().look(frame, 0, clock.ns)
    others = Others(newest=Mask(0, soft_disc(64), seen), clock=clock)
    record = Record(clock.now_ns(), [])
    raw = make_loop(others, looks, record, clock)

    def show(age_ms: float, drawing_ms: float) -> bool:
        captured_ns = clock.ns
        others.newest = Mask(len(others.drawn), soft_disc(64), seen)
        clock.ns = frame.captured_ns + round(age_ms * MS)
        others.drawing_ms = drawing_ms
        raw.handle(Grabbed(replace(frame, captured_ns=captured_ns, decoded_ns=captured_ns), 0))
        return others.drawn[-1]

    assert all(show(100, drawing_ms=15) for _ in range(2))
    assert not show(106, drawing_ms=15)
    assert not show(121, drawing_ms=0)
    # A single hiccup does not count.
    assert all(show(10, drawing_ms=1) for _ in range(30))
    assert show(20, drawing_ms=90)
    assert show(118, drawing_ms=1)
    # After a while in which all was slow, it is tried again.
    assert all(show(10, drawing_ms=100) for _ in range(30))
    tries = [show(60, drawing_ms=1) for _ in range(40)]
    assert not tries[0]
    assert tries[-20:] == [True] * 20
    assert record.view(clock.now_ns())["histograms"]["annotation_delay"].max_ms <= MAX_AGE_MS
