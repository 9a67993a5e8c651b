"""The source of a live run is lost, comes back, and ends."""

import threading

import pytest
from live_rig import (
    PATIENCE_S,
    Luma,
    MakeRig,
    SourceClock,
    assert_conserved,
    cannot_load,
    fail,
    until,
)

from streamer.errors import SourceEndedError, SourceLostError
from streamer.frame import Segmentation
from streamer.live.pipeline import RAW_QUEUE
from streamer.live.state import State


class TestTheSource:
    def test_is_opened_again_after_longer_and_longer_waits(self, make_rig: MakeRig) -> None:
        def not_yet(attempt: int) -> None:
            if attempt < 7:
                raise SourceLostError(f"still gone ({attempt})")

        rig = make_rig(reopen=not_yet).start()
        rig.until_ready()
        rig.show(4, masks=True)
        rig.send(SourceLostError("unplugged"), after_ms=1)
        # The one with the old masks: they are not drawn on what comes from another opening.
        rig.show(1)
        assert rig.last.segmentation is None
        rig.show(4, masks=True)
        rig.send(SourceLostError("unplugged again"))
        rig.show()
        snapshot = rig.end()

        assert isinstance(rig.clock, SourceClock)
        waits = [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]
        # It had come back with a picture, so the waits begin anew.
        assert rig.clock.waits == pytest.approx([*waits, 0.25], rel=0.1)
        assert snapshot.reconnects == 2
        assert [change.state for change in snapshot.changes] == [
            *(State.WARMING, State.RUNNING, State.RECONNECTING, State.DEGRADED, State.RUNNING),
            *(State.RECONNECTING, State.DEGRADED, State.STOPPED),
        ]
        assert snapshot.changes[2].reason == "source: unplugged"
        assert rig.likes == [None, *[rig.sources[0].info] * 9]
        assert all(source.closed for source in rig.sources)
        assert (snapshot.damaged, snapshot.converted, snapshot.missed) == (3, 6, 15)
        assert_conserved(snapshot)

    def test_that_comes_back_without_a_picture_is_waited_for_longer(
        self, make_rig: MakeRig
    ) -> None:
        rig = make_rig().start()
        rig.show()
        for _ in range(4):
            rig.send(SourceLostError("flaky"))
        rig.show()
        snapshot = rig.end()

        assert isinstance(rig.clock, SourceClock)
        assert rig.clock.waits == pytest.approx([0.25, 0.5, 1.0, 2.0], rel=0.1)
        assert snapshot.reconnects == 1

    def test_that_does_not_come_back(self, make_rig: MakeRig) -> None:
        rig = make_rig(reopen=lambda attempt: fail(SourceEndedError("gone for good"))(0)).start()
        rig.show(2)
        rig.send(SourceLostError("unplugged"))
        snapshot = rig.join()

        assert snapshot.changes[-1].reason == "gone for good"
        assert_conserved(snapshot)

    def test_that_ends_has_all_its_pictures_shown(self, make_rig: MakeRig) -> None:
        rig = make_rig([cannot_load])
        for _ in range(RAW_QUEUE):
            rig.send()
        rig.send(SourceEndedError("the file is over"))
        snapshot = rig.start().join()

        assert snapshot.frames_out == RAW_QUEUE
        assert snapshot.changes[-1].reason == "the file is over"

    def test_that_is_too_fast_loses_the_oldest_and_counts_them(self, make_rig: MakeRig) -> None:
        entered, gate = threading.Event(), threading.Event()

        def hold(segmentation: Segmentation, then: Luma, now: Luma) -> Segmentation | None:
            entered.set()
            assert gate.wait(PATIENCE_S)
            return segmentation

        rig = make_rig(move=hold).start()
        rig.until_ready()
        rig.show(1, masks=True)
        for _ in range(8):
            rig.send(after_ms=1)
        assert entered.wait(PATIENCE_S)
        until(lambda: rig.now.frames_in == 9)
        gate.set()
        snapshot = rig.end()

        numbers = [composed.frame.index for composed in rig.sinks["window"].frames]
        assert numbers[0] == 0
        assert numbers[-RAW_QUEUE:] == [7, 8]
        assert snapshot.dropped == {"late": 9 - snapshot.frames_out}
        assert_conserved(snapshot)

    def test_silent_is_no_signal_and_the_run_goes_on(self, make_rig: MakeRig) -> None:
        rig = make_rig().start()
        rig.show(3)
        assert isinstance(rig.clock, SourceClock)
        rig.clock.advance(600)
        until(lambda: rig.now.state is State.NO_SIGNAL)
        rig.show()

        assert rig.now.state is State.DEGRADED
        rig.end()
