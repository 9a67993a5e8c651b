"""Sinks behind queues and threads: what is slow or broken concerns nobody else."""

import logging
import threading
from collections.abc import Callable
from typing import cast

import pytest

from streamer.audio import AudioPacket
from streamer.clock import MonotonicClock
from streamer.errors import OutputError
from streamer.frame import Frame
from streamer.live.outputs import Outputs
from streamer.live.record import Record
from streamer.sinks import Composed, Sink

MakeFrame = Callable[..., Frame]
PATIENCE_S = 60.0
CAPACITY = 3


class FakeSink:
    """Keeps the frames' numbers; a hook is called before each is taken."""

    def __init__(self, on_write: Callable[[int], None] = lambda count: None) -> None:
        self.numbers: list[int] = []
        self.closed = 0
        self.on_close: Callable[[], None] = lambda: None
        self._on_write = on_write

    def write(self, composed: Composed) -> None:
        assert not self.closed
        self._on_write(len(self.numbers))
        self.numbers.append(composed.frame.index)

    def write_audio(self, packet: AudioPacket) -> None:
        raise AssertionError("live sources have no sound")

    def close(self) -> None:
        self.closed += 1
        self.on_close()


def fail_at(number: int, error: Exception) -> Callable[[int], None]:
    def check(count: int) -> None:
        if count == number:
            raise error

    return check


class Rig:
    """Outputs with their threads; `errors` holds what a thread raised."""

    def __init__(self, make_frame: MakeFrame, **sinks: FakeSink) -> None:
        self.errors: list[BaseException] = []
        self.record = Record(0, list(sinks))
        self.outputs = Outputs(
            [(name, cast(Sink, sink)) for name, sink in sinks.items()],
            capacity=CAPACITY,
            record=self.record,
            clock=MonotonicClock(),
        )
        self._frame = make_frame()
        self._offered = 0
        self.threads = [
            threading.Thread(target=self._work, args=(output.work,), daemon=True)
            for output in self.outputs.all
        ]

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            self.errors.append(error)

    def start(self) -> None:
        for thread in self.threads:
            thread.start()

    def offer(self, count: int) -> None:
        for _ in range(count):
            frame = Frame(
                self._frame.picture,
                self._offered,
                0,
                self._frame.time_base,
                0,
                0,
                self._frame.color,
            )
            self._offered += 1
            self.outputs.offer(Composed(frame, frame.picture, None, []))

    def join(self) -> None:
        self.outputs.finish()
        for thread in self.threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive(), "hangs"


def test_what_waits_at_the_end_is_written_and_the_sink_closed(make_frame: MakeFrame) -> None:
    sink = FakeSink()
    rig = Rig(make_frame, a=sink)
    rig.offer(CAPACITY)
    rig.start()
    rig.join()

    assert sink.numbers == [0, 1, 2]
    assert sink.closed == 1
    assert rig.outputs.dropped == {"a": 0}
    assert rig.outputs.errors == {}
    assert rig.record.view(1)["histograms"]["sink:a"].count == 3


def test_a_slow_sink_loses_the_oldest_and_holds_up_nobody(make_frame: MakeFrame) -> None:
    taken, gate = threading.Event(), threading.Event()

    def hold(count: int) -> None:
        taken.set()
        assert gate.wait(PATIENCE_S)

    slow, quick = FakeSink(hold), FakeSink()
    rig = Rig(make_frame, slow=slow, quick=quick)
    rig.offer(1)
    rig.start()
    assert taken.wait(PATIENCE_S)
    seen = threading.Event()
    quick._on_write = lambda count: seen.set()
    for _ in range(9):
        seen.clear()
        rig.offer(1)
        assert seen.wait(PATIENCE_S)
    gate.set()
    rig.join()

    assert quick.numbers == list(range(10))
    assert slow.numbers == [0, 7, 8, 9]
    assert rig.outputs.dropped == {"slow": 6, "quick": 0}


def test_a_failed_sink_is_closed_and_the_others_go_on(
    make_frame: MakeFrame, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = FakeSink(fail_at(1, OutputError("disk full"))), FakeSink()
    rig = Rig(make_frame, broken=broken, whole=whole)
    rig.offer(CAPACITY)
    rig.start()
    rig.threads[0].join(PATIENCE_S)
    rig.offer(1)
    rig.join()

    assert broken.numbers == [0]
    assert broken.closed == 1
    assert rig.outputs.errors == {"broken": "disk full"}
    assert len(whole.numbers) + rig.outputs.dropped["whole"] == 4
    assert rig.outputs.dropped["broken"] == 3
    assert rig.errors == []
    assert "broken: disk full" in caplog.text


def test_a_sink_that_cannot_be_finished(make_frame: MakeFrame) -> None:
    sink = FakeSink()

    def fail() -> None:
        raise OutputError("no index")

    sink.on_close = fail
    rig = Rig(make_frame, a=sink)
    rig.start()
    rig.offer(1)
    rig.join()

    assert rig.outputs.errors == {"a": "no index"}
    assert rig.outputs.dropped == {"a": 0}


def test_an_unexpected_error_ends_its_own_output_only(make_frame: MakeFrame) -> None:
    broken, whole = FakeSink(fail_at(0, RuntimeError("a mistake"))), FakeSink()
    rig = Rig(make_frame, broken=broken, whole=whole)
    rig.offer(2)
    rig.start()
    rig.join()

    assert rig.errors == []
    assert rig.outputs.errors == {"broken": "RuntimeError: a mistake"}
    assert broken.closed == 1
    assert rig.outputs.dropped == {"broken": 2, "whole": 0}
    assert whole.numbers == [0, 1]


def test_a_sink_that_never_comes_back_is_given_up(make_frame: MakeFrame) -> None:
    taken, gate = threading.Event(), threading.Event()

    def hang(count: int) -> None:
        taken.set()
        assert gate.wait(PATIENCE_S)

    rig = Rig(make_frame, a=FakeSink(hang))
    rig.start()
    rig.offer(1)
    assert taken.wait(PATIENCE_S)
    rig.offer(2)
    rig.outputs.finish()
    rig.outputs.all[0].give_up("not finished within 10 s")

    assert rig.outputs.errors == {"a": "not finished within 10 s"}
    assert rig.outputs.dropped == {"a": 3}
    gate.set()
    rig.join()


def test_says_once_that_no_output_is_left(
    make_frame: MakeFrame, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    sinks = {name: FakeSink(fail_at(0, OutputError("gone"))) for name in ("a", "b")}
    rig = Rig(make_frame, **sinks)
    rig.outputs.warn_if_none_is_left()
    assert "no output is left" not in caplog.text
    rig.offer(1)
    rig.start()
    rig.join()

    rig.outputs.warn_if_none_is_left()
    rig.outputs.warn_if_none_is_left()

    assert caplog.text.count("no output is left") == 1


def test_two_outputs_of_one_name_are_a_mistake() -> None:
    sink = cast(Sink, FakeSink())

    with pytest.raises(ValueError, match="one name"):
        Outputs(
            [("a", sink), ("a", sink)],
            capacity=1,
            record=Record(0, ["a"]),
            clock=MonotonicClock(),
        )
