"""In which order a picture is worked on; what comes of it is tested with the whole pipeline."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
import pytest

from streamer.clock import MonotonicClock
from streamer.frame import Frame, View
from streamer.live.compositor import Seen
from streamer.live.grabber import Grabbed
from streamer.live.newest import NewestQueue
from streamer.live.raw_loop import RawLoop
from streamer.live.record import Record
from streamer.live.signal import Look
from streamer.live.state import State
from streamer.live.supervisor import Limits, Supervisor
from streamer.sinks.base import Composed

MakeFrame = Callable[..., Frame]


@dataclass
class Others:
    """What the raw loop works with, in one: notes what it is asked for."""

    flat: bool = False
    asked: list[str] = field(default_factory=list)
    newest = None
    info = None

    def look(self, frame: Frame, session: int, now_ns: int) -> Seen:
        self.asked.append("look")
        view, luma = View(0, 0, 64, 48), np.zeros((4, 4), np.uint8)
        return Seen(frame, session, view, luma, Look(self.flat, False), now_ns)

    def fit(self, mask: None, seen: Seen) -> None:
        self.asked.append("fit")

    def draw(
        self, seen: Seen, mask: None, fitted: None, state: State, label: str, calibration: None
    ) -> Composed:
        self.asked.append("draw")
        return Composed(seen.frame, seen.frame.picture, None, [], str(state), None)

    def offer(self, what: Composed | Seen) -> None:
        self.asked.append("show" if isinstance(what, Composed) else "segment")


@pytest.mark.parametrize("flat", [False, True])
def test_the_network_has_a_picture_before_it_is_drawn(make_frame: MakeFrame, flat: bool) -> None:
    clock = MonotonicClock()
    others, looks = Others(flat), Others()
    record = Record(clock.now_ns(), [])
    raw = RawLoop(
        NewestQueue[Grabbed](1),
        *(cast(Any, others) for _ in ("compositor", "engine", "outputs")),
        record=record,
        supervisor=Supervisor(clock.now_ns(), Limits(1, 1, 1)),
        clock=clock,
        view_look=cast(Any, looks),
        max_frames=None,
    )
    assert raw.handle(Grabbed(make_frame(), 0)) == 1

    asked = ["look"] if flat else ["look", "segment"]
    assert others.asked == [*asked, "fit", "draw", "show"]
    assert looks.asked == ([] if flat else ["segment"])
    assert record.view(clock.now_ns())["ai_dropped"] == ({"flat": 1} if flat else {})
