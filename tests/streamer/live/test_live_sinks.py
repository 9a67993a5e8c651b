"""Outputs of a live run: none holds up the picture or another."""

import threading

import pytest
from live_rig import (
    PATIENCE_S,
    FakeSink,
    MakeRig,
    cannot_load,
    fail,
    until,
)

from streamer.errors import OutputError


class TestSinks:
    def test_a_failing_one_is_left_out_and_the_others_go_on(self, make_rig: MakeRig) -> None:
        def disk_full(count: int) -> None:
            if count == 3:
                raise OutputError("disk full")

        sinks = {"video": FakeSink(disk_full), "window": FakeSink()}
        rig = make_rig(sinks=sinks).start()
        rig.show(20)
        snapshot = rig.end()

        assert snapshot.sink_errors == {"video": "disk full"}
        assert snapshot.sink_dropped == {"video": 17, "window": 0}
        assert len(sinks["window"].frames) == snapshot.frames_out == 20
        assert [sink.closed for sink in sinks.values()] == [1, 1]

    def test_a_run_without_sinks_that_work_goes_on_and_says_so(
        self, make_rig: MakeRig, caplog: pytest.LogCaptureFixture
    ) -> None:
        rig = make_rig(sinks={"video": FakeSink(fail(OutputError("disk full")))}).start()
        rig.show(10)
        until(lambda: "no output is left" in caplog.text)
        snapshot = rig.end()

        assert snapshot.frames_out == 10
        assert set(snapshot.sink_errors) == set(snapshot.sink_dropped) == {"video"}

    def test_a_slow_one_holds_up_nobody(self, make_rig: MakeRig) -> None:
        gate = threading.Event()

        def wait(count: int) -> None:
            assert gate.wait(PATIENCE_S)

        sinks = {"video": FakeSink(wait), "window": FakeSink()}
        rig = make_rig(sinks=sinks, sink_queue=8).start()
        rig.show(1)
        rig.show(29)
        until(lambda: len(sinks["window"].frames) == 30)
        gate.set()
        snapshot = rig.end()

        assert snapshot.frames_out == 30
        assert snapshot.sink_dropped["window"] == 0
        assert len(sinks["video"].frames) + snapshot.sink_dropped["video"] == 30
        assert 8 <= len(sinks["video"].frames) <= 9
        numbers = [composed.frame.index for composed in sinks["video"].frames]
        assert numbers == sorted(numbers)
        assert numbers[-8:] == list(range(22, 30))

    def test_one_that_hangs_does_not_hold_up_the_end(self, make_rig: MakeRig) -> None:
        gate = threading.Event()

        def wait(count: int) -> None:
            assert gate.wait(PATIENCE_S)

        sinks = {"video": FakeSink(wait), "window": FakeSink()}
        rig = make_rig(sinks=sinks, close_timeout_s=0.2).start()
        rig.show(5)
        snapshot = rig.end()
        gate.set()

        assert snapshot.sink_errors == {"video": "not finished within 0.2 s"}
        assert snapshot.sink_dropped == {"video": 5, "window": 0}
        assert sinks["window"].closed == 1

    def test_with_two_of_them_no_picture_is_shared(self, make_rig: MakeRig) -> None:
        rig = make_rig([cannot_load], sinks={"video": FakeSink(), "raw": FakeSink()}).start()
        rig.show(3)
        rig.end()

        frames = rig.sinks["video"].frames
        assert len(frames) == 3
        assert all(composed.picture is not composed.frame.picture for composed in frames)

    def test_without_any(self, make_rig: MakeRig) -> None:
        rig = make_rig(sinks={}).start()
        rig.show(5)

        assert rig.end().frames_out == 5
