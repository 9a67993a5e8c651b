"""Looking for the field of view beside the passing picture."""

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import cast

import av
import numpy as np
import pytest

from streamer.frame import Frame, View
from streamer.live.compositor import Compositor, Seen
from streamer.live.signal import Look
from streamer.live.view_look import ViewLook
from streamer.view_watch import ViewChange, ViewWatch

MakeFrame = Callable[..., Frame]
WHOLE, PART = View(0, 0, 64, 48), View(8, 4, 32, 30)
MS = 1_000_000


class Watch(ViewWatch):
    """Notes what it is shown; finds a part, or breaks, in a picture of its own choice."""

    def __init__(self, *, part_at: int = -1, broken_at: int = -1) -> None:
        super().__init__(64, 48)
        self.shown: list[float] = []
        self.forgotten = 0
        self._part_at, self._broken_at = part_at, broken_at

    def forget(self) -> None:
        self.forgotten += 1

    def look(self, picture: av.VideoFrame, time_s: float) -> ViewChange | None:
        self.shown.append(time_s)
        if len(self.shown) == self._broken_at:
            raise RuntimeError("out of order")
        if len(self.shown) == self._part_at:
            return self._change(PART, time_s, "found: rectangle")
        return None


class Place:
    """Stands for the compositor."""

    view = WHOLE


def seen_at(frame: Frame, captured_ms: float, session: int = 0) -> Seen:
    frame = replace(frame, captured_ns=round(captured_ms * MS))
    return Seen(frame, session, WHOLE, np.zeros((4, 4), np.uint8), Look(False, False), 0)


def test_what_is_found_is_analysed_from_the_next_picture_on(make_frame: MakeFrame) -> None:
    place = Place()
    look = ViewLook(Watch(part_at=2), cast(Compositor, place))
    look.look(seen_at(make_frame(), 0))
    assert place.view == WHOLE
    look.look(seen_at(make_frame(), 100))

    assert place.view == PART


def test_after_a_lost_source_it_begins_anew(make_frame: MakeFrame) -> None:
    watch = Watch()
    look = ViewLook(watch, cast(Compositor, Place()))
    for number, session in enumerate((0, 0, 1, 1, 2)):
        look.look(seen_at(make_frame(), 100 * number, session))

    assert watch.forgotten == 2
    assert watch.shown == pytest.approx([0, 0.1, 0.2, 0.3, 0.4])


def test_ten_pictures_a_second_are_taken_and_the_newest_only(make_frame: MakeFrame) -> None:
    watch = Watch()
    look = ViewLook(watch, cast(Compositor, Place()))
    for number in range(60):
        look.offer(seen_at(make_frame(), 1000 * number / 60))
    look.finish()
    look.work()

    assert len(watch.shown) == 1
    assert watch.shown[0] == pytest.approx(0.9, abs=0.02)


def test_what_breaks_in_it_does_not_end_the_run(
    make_frame: MakeFrame, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place()
    look = ViewLook(Watch(broken_at=1), cast(Compositor, place))
    look.offer(seen_at(make_frame(), 0))
    with caplog.at_level(logging.WARNING):
        look.work()
    look.offer(seen_at(make_frame(), 500))

    assert place.view == WHOLE
    assert [line.getMessage() for line in caplog.records] == [
        "view: it is looked for no more (out of order)"
    ]
