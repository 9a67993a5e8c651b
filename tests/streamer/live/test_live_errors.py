"""Errors in a live run that nobody thought of, and looking at it from anywhere."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from live_rig import (
    PATIENCE_S,
    FakeSink,
    MakeRig,
    fail,
)

from streamer.errors import OutputError, SourceEndedError, SourceLostError, StreamError
from streamer.frame import View
from streamer.live.pipeline import RAW_QUEUE
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State
from streamer.sources import SourceInfo


class TestUnexpectedErrors:
    """A mistake anywhere but in a sink ends the run with it, after the sinks were closed."""

    class OopsError(Exception):
        pass

    @pytest.mark.parametrize("where", ["source", "mover", "progress", "change"])
    def test_ends_the_run(self, make_rig: MakeRig, where: str) -> None:
        def oops(*_: object) -> Any:
            raise self.OopsError("a mistake")

        options: dict[str, Any] = {
            "source": {},
            "mover": {"move": oops},
            "progress": {"progress": oops},
            "change": {"on_change": oops},
        }[where]
        rig = make_rig(**options).start()
        if where == "source":
            rig.show(2)
            rig.send(self.OopsError("a mistake"))
        elif where == "mover":
            rig.until_ready()
            rig.show(1, masks=True)
            rig.send()
        with pytest.raises(self.OopsError, match="a mistake"):
            rig.join()

        snapshot = rig.now
        assert snapshot.state is State.STOPPED
        assert snapshot.changes[-1].reason == "failed: a mistake"
        assert snapshot.frames_in == snapshot.frames_out + sum(snapshot.dropped.values())
        assert all(sink.closed == 1 for sink in rig.sinks.values())
        assert rig.sources[0].closed
        assert rig.left_threads() == []

    @pytest.mark.parametrize("way", ["stop", "end"])
    def test_a_source_that_cannot_be_closed(self, make_rig: MakeRig, way: str) -> None:
        rig = make_rig().start()
        rig.show(2)
        close = rig.sources[0].close

        def oops() -> None:
            close()
            raise self.OopsError("a mistake")

        rig.sources[0].close = oops  # type: ignore[method-assign]
        if way == "stop":
            rig.pipeline.stop()
        else:
            rig.send(SourceEndedError("over"))
        with pytest.raises(self.OopsError, match="a mistake"):
            rig.join()
        rig.sources[0].close = close  # type: ignore[method-assign]

        assert rig.now.state is State.STOPPED
        assert len(rig.sinks["window"].frames) == 2
        assert rig.sinks["window"].closed == 1
        assert rig.left_threads() == []

    def test_a_thread_that_cannot_be_started(
        self, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        rig = make_rig(sinks={"a": FakeSink(), "b": FakeSink()})
        start = rig.pipeline._spawn

        def refuse(name: str, work: Callable[[], None]) -> threading.Thread:
            if name == "live-sink-b":
                raise RuntimeError("can't start new thread")
            return start(name, work)

        monkeypatch.setattr(rig.pipeline, "_spawn", refuse)
        rig.start()
        with pytest.raises(RuntimeError, match="can't start"):
            rig.join()

        assert [sink.closed for sink in rig.sinks.values()] == [1, 1]
        assert rig.sources[0].closed
        assert rig.left_threads() == []

    def test_an_interruption_comes_through_after_the_sinks_were_closed(
        self, make_rig: MakeRig
    ) -> None:
        enough = threading.Event()

        def interrupt(snapshot: LiveSnapshot) -> None:
            if enough.is_set():
                raise KeyboardInterrupt

        rig = make_rig(progress=interrupt).start()
        rig.show(2)
        enough.set()
        rig.send(after_ms=1000)
        with pytest.raises(KeyboardInterrupt):
            rig.join()

        assert rig.now.changes[-1].reason == "stopped by the user"
        assert len(rig.sinks["window"].frames) == rig.now.frames_out >= 2
        assert rig.sinks["window"].closed == 1
        assert rig.left_threads() == []

    def test_a_source_that_cannot_be_opened(self, make_rig: MakeRig) -> None:
        rig = make_rig()
        rig.pipeline._open_source = lambda like: fail(SourceLostError("no such device"))(0)
        rig.start()
        with pytest.raises(SourceLostError, match="no such device"):
            rig.join()

        assert rig.sinks["window"].closed == 1
        assert rig.now.state is State.WARMING

    def test_sinks_that_cannot_be_made(self, make_rig: MakeRig) -> None:
        made = []

        def make(info: SourceInfo) -> Any:
            made.append(info)
            raise OutputError("no such folder")

        rig = make_rig()
        rig.pipeline._sinks = make
        rig.start()
        with pytest.raises(OutputError, match="no such folder"):
            rig.join()

        assert made == [rig.sources[0].info]
        assert rig.sources[0].closed

    def test_sinks_are_made_once_the_source_is_known(self, make_rig: MakeRig) -> None:
        rig = make_rig()
        rig.pipeline._sinks = lambda info: cast(Any, [*rig.sinks.items()])
        rig.start()
        rig.show(3)
        rig.end()

        assert len(rig.sinks["window"].frames) == 3

    @pytest.mark.parametrize("view", [View(0, 0, 65, 48), View(-2, 0, 20, 20), View(0, 0, 0, 9)])
    def test_a_view_outside_the_picture(self, make_rig: MakeRig, view: View) -> None:
        rig = make_rig(view=view).start()
        with pytest.raises(StreamError, match="does not lie inside"):
            rig.join()

        assert rig.sources[0].closed


def test_snapshots_can_be_taken_at_any_time_from_anywhere(make_rig: MakeRig) -> None:
    rig = make_rig()
    assert rig.now.state is State.WARMING
    over = threading.Event()
    wrong: list[str] = []
    taken = 0

    def look() -> None:
        nonlocal taken
        while not over.is_set():
            snapshot = rig.now
            taken += 1
            waiting = snapshot.frames_in - snapshot.frames_out - sum(snapshot.dropped.values())
            if not 0 <= waiting <= RAW_QUEUE + 2:
                wrong.append(f"{waiting} pictures unaccounted for")

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    rig.start()
    rig.show(40)
    snapshot = rig.end()
    over.set()
    thread.join(PATIENCE_S)

    assert wrong == []
    assert taken > 0
    assert replace(rig.now, histograms={}) == replace(snapshot, histograms={})
