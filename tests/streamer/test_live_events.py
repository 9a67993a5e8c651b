"""Events of live mode: wall time, mask age and the states of a run, beside what file mode says."""

import json
import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest

from streamer.errors import OutputError
from streamer.frame import Frame, Segmentation
from streamer.live.state import State, StateChange
from streamer.objects import DetectedObject, find_objects
from streamer.sinks import Composed, EventSink, WallTime

SECOND_NS = 1_000_000_000
#: 2026-01-31 14:25:30.250 UTC, when the monotonic clock says 1000 s.
START = datetime(2026, 1, 31, 14, 25, 30, 250_000, UTC)
WALL = WallTime(int(START.timestamp() * 1000) * 1_000_000, 1000 * SECOND_NS)


@pytest.fixture
def compose(
    make_frame: Callable[..., Frame], soft_disc: Callable[..., Segmentation]
) -> Callable[..., Composed]:
    """A frame that was captured so many seconds after the start."""

    def make(index: int, state: str = "RUNNING", age_ms: float | None = 40.0) -> Composed:
        frame = replace(make_frame(index), captured_ns=WALL.start_monotonic_ns + index * SECOND_NS)
        segmentation = soft_disc(32)
        return Composed(
            frame, frame.picture, segmentation, find_objects(segmentation), state, age_ms
        )

    return make


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def wall_of(line: dict[str, Any]) -> datetime:
    found = datetime.fromisoformat(line["wall_time"])
    assert found.utcoffset() is not None
    return found


class TestWallTime:
    def test_follows_the_monotonic_clock(self) -> None:
        for seconds in (-5, 0, 1, 86_400, 10_000_000):
            found = WALL.at(WALL.start_monotonic_ns + seconds * SECOND_NS)

            assert abs(found - START - timedelta(seconds=seconds)) < timedelta(milliseconds=1)

    def test_text_has_the_zone_and_milliseconds(self) -> None:
        text = WALL.iso(WALL.start_monotonic_ns)

        assert datetime.fromisoformat(text) == START
        assert text.split("T")[1][8:12] == ".250"
        assert text[-6] in "+-"

    def test_now_is_now(self) -> None:
        before = datetime.now(UTC)
        found = WallTime.now().at(monotonic_ns())

        assert abs(found - before) < timedelta(seconds=60)


class TestFrames:
    def test_say_more_than_in_file_mode(
        self, tmp_path: Path, compose: Callable[..., Composed]
    ) -> None:
        plain, live = tmp_path / "plain.jsonl", tmp_path / "live.jsonl"
        frames = [compose(0), compose(1, "DEGRADED", None), compose(2, "RUNNING", 33.33333333)]
        for path, wall in ((plain, None), (live, WALL)):
            sink = EventSink(path, wall=wall)
            for composed in frames:
                sink.write(composed)
            sink.close()
        told = [line for line in lines(live) if line["type"] == "frame"]

        assert all(line["type"] == "frame" for line in lines(plain))
        for line, same in zip(told, lines(plain), strict=True):
            assert line.items() >= same.items() or line["objects"] == same["objects"]
            assert line.keys() - same.keys() == {"wall_time", "state", "mask_age_ms"}
        assert [line["state"] for line in told] == ["RUNNING", "DEGRADED", "RUNNING"]
        assert [line["mask_age_ms"] for line in told] == [40.0, None, 33.333]
        assert [wall_of(line) - START for line in told] == [timedelta(seconds=n) for n in range(3)]

    def test_tell_the_states_where_nobody_else_does(
        self, tmp_path: Path, compose: Callable[..., Composed]
    ) -> None:
        path = tmp_path / "events.jsonl"
        sink = EventSink(path, wall=WALL)
        for index, state in enumerate(("WARMING", "WARMING", "RUNNING", "RUNNING", "FROZEN")):
            sink.write(compose(index, state))
        sink.close()

        assert [(line["type"], line["state"]) for line in lines(path)] == [
            *(("state", "WARMING"), ("frame", "WARMING"), ("frame", "WARMING")),
            *(("state", "RUNNING"), ("frame", "RUNNING"), ("frame", "RUNNING")),
            *(("state", "FROZEN"), ("frame", "FROZEN")),
        ]
        changes = [line for line in lines(path) if line["type"] == "state"]
        assert [line.get("previous") for line in changes] == [None, "WARMING", "RUNNING"]
        assert [wall_of(line) - START for line in changes] == [
            timedelta(seconds=n) for n in (0, 2, 4)
        ]


class TestDetections:
    def test_have_the_wall_time_of_their_first_and_last_frame(
        self, tmp_path: Path, compose: Callable[..., Composed]
    ) -> None:
        path = tmp_path / "events.jsonl"
        sink = EventSink(path, wall=WALL)
        found = DetectedObject((0, 0, 4, 4), 16, 0.8, 1, 40.0)
        for index in range(4):
            # A picture each second: longer than what an event bridges.
            composed = compose(index)
            frame = replace(composed.frame, pts=index, time_base=Fraction(1))
            sink.write(replace(composed, frame=frame, objects=[found] if index == 1 else []))
        sink.close()
        events = [line for line in lines(path) if line["type"] == "detection"]

        assert [event["phase"] for event in events] == ["start", "end"]
        assert [wall_of(event) - START for event in events] == [timedelta(seconds=1)] * 2


class TestStates:
    def change(self, state: State, seconds: float, reason: str = "") -> StateChange:
        return StateChange(state, WALL.start_monotonic_ns + round(seconds * SECOND_NS), reason)

    def test_are_on_record_at_once_with_their_reason(
        self, tmp_path: Path, compose: Callable[..., Composed]
    ) -> None:
        path = tmp_path / "events.jsonl"
        sink = EventSink(path, wall=WALL)
        sink.write_state(self.change(State.WARMING, 0, "started"))
        sink.write_state(self.change(State.RECONNECTING, 1.5, "source: unplugged"))

        assert lines(path) == [
            {
                "type": "state",
                "wall_time": WALL.iso(WALL.start_monotonic_ns),
                "state": "WARMING",
                "reason": "started",
            },
            {
                "type": "state",
                "wall_time": WALL.iso(WALL.start_monotonic_ns + 1_500_000_000),
                "state": "RECONNECTING",
                "previous": "WARMING",
                "reason": "source: unplugged",
            },
        ]
        sink.close()

    def test_frames_that_come_late_do_not_tell_them_again(
        self, tmp_path: Path, compose: Callable[..., Composed]
    ) -> None:
        path = tmp_path / "events.jsonl"
        sink = EventSink(path, wall=WALL)
        sink.write_state(self.change(State.RUNNING, 0))
        sink.write_state(self.change(State.DEGRADED, 2))
        for index in range(3):
            sink.write(compose(index, "RUNNING"))
        sink.close()

        assert [line["state"] for line in lines(path) if line["type"] == "state"] == [
            "RUNNING",
            "DEGRADED",
        ]

    def test_the_last_one_comes_after_the_end(
        self, tmp_path: Path, compose: Callable[..., Composed]
    ) -> None:
        path = tmp_path / "events.jsonl"
        sink = EventSink(path, wall=WALL)
        sink.write(compose(0))
        sink.close()
        sink.write_state(self.change(State.STOPPED, 9, "10 s are over"))

        assert [line["type"] for line in lines(path)] == ["state", "frame", "state"]
        assert lines(path)[-1]["reason"] == "10 s are over"
        with pytest.raises(OutputError):
            sink.write(compose(1))

    def test_mean_nothing_to_file_mode(self, tmp_path: Path) -> None:
        path = tmp_path / "events.jsonl"
        sink = EventSink(path)
        sink.write_state(self.change(State.RUNNING, 0))
        sink.close()

        assert path.read_text() == ""

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
    def test_that_cannot_be_written_do_not_end_the_run(
        self, caplog: pytest.LogCaptureFixture, compose: Callable[..., Composed]
    ) -> None:
        sink = EventSink("/dev/full", wall=WALL)
        with caplog.at_level(logging.ERROR):
            sink.write_state(self.change(State.RUNNING, 0))

        assert "no space left" in caplog.text
        with pytest.raises(OutputError, match="no space left"):
            sink.write(compose(0))

    def test_from_another_thread_do_not_break_lines(
        self, tmp_path: Path, compose: Callable[..., Composed]
    ) -> None:
        path = tmp_path / "events.jsonl"
        sink = EventSink(path, wall=WALL)
        frames = [compose(index) for index in range(8)]

        def tell() -> None:
            for number in range(300):
                sink.write_state(self.change(State.RUNNING, number, "x" * 200))

        threads = [threading.Thread(target=tell) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(40):
            for composed in frames:
                sink.write(composed)
        for thread in threads:
            thread.join(60)
        sink.close()
        kinds = [line["type"] for line in lines(path)]

        assert kinds.count("frame") == 320
        assert kinds.count("state") in (600, 601)
