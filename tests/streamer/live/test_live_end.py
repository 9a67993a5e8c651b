"""How a live run ends, and that nothing is left behind."""

import threading

import pytest
from live_rig import (
    PATIENCE_S,
    Engine,
    MakePicture,
    MakeRig,
    assert_conserved,
    cannot_load,
    hang_at,
    until,
)

from streamer.clock import MonotonicClock
from streamer.errors import SourceEndedError, SourceLostError
from streamer.live.engine_watch import Phase
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State


class TestTheEnd:
    def test_after_so_many_pictures(self, make_rig: MakeRig) -> None:
        rig = make_rig(max_frames=10).start()
        rig.show(9)
        for _ in range(5):
            rig.send()
        snapshot = rig.join()

        assert snapshot.frames_out == len(rig.sinks["window"].frames) == 10
        assert snapshot.changes[-1].reason == "10 pictures were handed on"
        assert_conserved(snapshot)

    def test_after_so_long(self, make_rig: MakeRig) -> None:
        rig = make_rig(duration_s=1.0).start()
        rig.show(24)
        assert rig.thread.is_alive()
        rig.send()
        snapshot = rig.join()

        assert snapshot.changes[-1].reason == "1 s are over"
        assert snapshot.wall_s == 1.0
        assert_conserved(snapshot)

    @pytest.mark.parametrize(
        "situation",
        [
            *("before it starts", "loading", "running", "hanging", "failed"),
            *("no signal", "frozen", "reconnecting", "opening"),
        ],
    )
    def test_stop_ends_it_from_any_state(
        self, make_rig: MakeRig, make_picture: MakePicture, situation: str
    ) -> None:
        gate, opening = threading.Event(), threading.Event()

        def load_for_ever() -> Engine:
            assert gate.wait(PATIENCE_S)
            return Engine()

        def reopen(attempt: int) -> None:
            opening.set()
            if situation == "opening":
                assert gate.wait(PATIENCE_S)
            else:
                raise SourceLostError("still gone")

        engines = {"loading": load_for_ever, "hanging": hang_at(0, gate), "failed": cannot_load}
        # The machine's own clock: a wait before opening must be broken off.
        rig = make_rig(
            [engines.get(situation, Engine)],
            reopen=reopen,
            clock=MonotonicClock(),
            close_timeout_s=1.0,
            frozen_after_s=0.01,
            no_signal_after_s=0.01 if situation == "no signal" else 1e6,
        )
        expected = {
            "running": State.RUNNING,
            "failed": State.DEGRADED,
            "no signal": State.NO_SIGNAL,
            "frozen": State.FROZEN,
            "reconnecting": State.RECONNECTING,
        }
        if situation == "before it starts":
            rig.pipeline.stop()
            rig.start()
        else:
            rig.start()
            if situation not in ("loading", "failed"):
                rig.until_ready()
            rig.show()
        if situation == "running":
            rig.show(10, masks=False)
            until(lambda: rig.now.mask_age_ms is not None)
        elif situation == "hanging":
            until(lambda: rig.engine_phase is Phase.BUSY)
        elif situation == "frozen":
            until(lambda: bool(rig.show(what=make_picture(seed=3))) or State.FROZEN in rig.states)
        elif situation in ("reconnecting", "opening"):
            rig.send(SourceLostError("unplugged"))
            assert opening.wait(PATIENCE_S)
        if situation in expected and situation != "running":
            until(lambda: rig.now.state is expected[situation])
        rig.pipeline.stop()
        snapshot = rig.join()

        assert snapshot.changes[-1].reason == "stopped by the user"
        assert rig.sinks["window"].closed == 1
        assert rig.sources[0].closed
        assert_conserved(snapshot)
        left = rig.left_threads()
        if situation in ("loading", "hanging"):
            assert [name for name in left if not name.startswith("live-engine")] == []
        elif situation in ("opening", "reconnecting"):
            assert [name for name in left if name != "live-open"] == []
        else:
            assert left == []
        gate.set()
        until(lambda: not rig.left_threads())
        if situation == "opening":
            # What was opened too late is closed again.
            assert all(source.closed for source in rig.sources)

    @pytest.mark.parametrize("way", ["stop", "end"])
    def test_a_source_whose_closing_hangs_does_not_hold_it_up(
        self, make_rig: MakeRig, caplog: pytest.LogCaptureFixture, way: str
    ) -> None:
        gate = threading.Event()
        rig = make_rig(close_timeout_s=0.2).start()
        rig.show(2)
        close = rig.sources[0].close

        def hang() -> None:
            close()
            assert gate.wait(PATIENCE_S)

        rig.sources[0].close = hang  # type: ignore[method-assign]
        if way == "stop":
            rig.pipeline.stop()
        else:
            rig.send(SourceEndedError("over"))
        rig.thread.join(PATIENCE_S / 2)
        ended = not rig.thread.is_alive()
        gate.set()

        assert ended
        assert "is left: it does not come to its end" in caplog.text
        snapshot = rig.join()
        assert snapshot.frames_out == len(rig.sinks["window"].frames) == 2
        assert rig.sinks["window"].closed == 1
        assert_conserved(snapshot)

    def test_tells_of_each_state_and_reason(self, make_rig: MakeRig) -> None:
        told: list[tuple[State, str]] = []
        rig = make_rig(
            [cannot_load], on_change=lambda change: told.append((change.state, change.reason))
        ).start()
        rig.show()
        until(lambda: rig.now.state is State.DEGRADED)
        rig.end()

        assert told == [
            (State.WARMING, "started"),
            *([(State.WARMING, "engine: loading")] if len(told) == 4 else []),
            (State.DEGRADED, "engine: no such engine here"),
            (State.STOPPED, "over"),
        ]

    def test_progress_is_told_as_time_goes_by(self, make_rig: MakeRig) -> None:
        told: list[LiveSnapshot] = []
        rig = make_rig(progress=told.append).start()
        for _ in range(5):
            count = len(told)
            rig.show(13)
            until(lambda count=count: len(told) > count)
        rig.end()

        counts = [snapshot.frames_out for snapshot in told]
        assert counts == sorted(counts)
        assert len(told) <= 8
