"""Whatever the network does, the picture passes."""

import os
import sys
import threading
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from live_rig import (
    PATIENCE_S,
    Engine,
    MakePicture,
    MakeRig,
    ReadPlanes,
    assert_conserved,
    cannot_load,
    fail,
    hang_at,
    until,
)

from streamer.errors import EngineError
from streamer.live.engine_watch import MAX_LEFT
from streamer.live.pipeline import SWITCH_S
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State


class TestThePicturePasses:
    """Whatever the network does, every picture is handed on as it comes."""

    COUNT = 60

    @pytest.fixture
    def gate(self) -> Iterator[threading.Event]:
        gate = threading.Event()
        yield gate
        gate.set()

    @pytest.fixture(
        params=[
            "works",
            "loads for ever",
            "cannot load",
            "hangs at once",
            "hangs",
            "does not take the picture",
            "fails",
            "fails at the start",
        ]
    )
    def engine(self, request: pytest.FixtureRequest, gate: threading.Event) -> Callable[[], Engine]:
        def load_for_ever() -> Engine:
            assert gate.wait(PATIENCE_S)
            return Engine()

        def fail_later(number: int) -> None:
            if number >= 0:
                raise EngineError("it broke")

        engines: dict[str, Callable[[], Engine]] = {
            "works": Engine,
            "loads for ever": load_for_ever,
            "cannot load": cannot_load,
            "hangs at once": hang_at(-1, gate),
            "hangs": hang_at(0, gate),
            "does not take the picture": lambda: Engine(on_submit=fail_later),
            "fails": lambda: Engine(on_result=fail_later),
            "fails at the start": lambda: Engine(on_submit=fail(RuntimeError("broken"))),
        }
        return engines[request.param]

    def test_whatever_the_network_does(
        self,
        make_rig: MakeRig,
        engine: Callable[[], Engine],
        gate: threading.Event,
        read_planes: ReadPlanes,
        make_picture: MakePicture,
    ) -> None:
        rig = make_rig([engine], close_timeout_s=0.5, engine_start_timeout_s=2.0).start()
        rig.show(self.COUNT)
        gate.set()
        snapshot = rig.end()

        assert_conserved(snapshot)
        assert (snapshot.frames_in, snapshot.frames_out) == (self.COUNT, self.COUNT)
        assert snapshot.dropped == {}
        frames = rig.sinks["window"].frames
        assert [composed.frame.index for composed in frames] == list(range(self.COUNT))
        for number, composed in enumerate(frames):
            pristine = read_planes(make_picture(seed=1000 + number))
            assert all(map(np.array_equal, pristine, read_planes(composed.frame.picture)))
        assert snapshot.histograms["video_delay"].count == self.COUNT
        assert snapshot.histograms["video_delay"].max_ms == 0

    def test_the_state_says_what_is_wrong(self, make_rig: MakeRig, gate: threading.Event) -> None:
        hanging = threading.Event()

        def wait(number: int) -> None:
            if hanging.is_set():
                assert gate.wait(PATIENCE_S)

        rig = make_rig([cannot_load, lambda: Engine(on_result=wait), Engine]).start()
        rig.show()
        until(lambda: rig.now.reason == "engine: no such engine here")
        assert rig.now.state is State.DEGRADED

        rig.show(16)
        rig.until_ready()
        rig.show(5, masks=True)
        assert rig.now.state is State.RUNNING
        hanging.set()
        rig.show(30)
        until(lambda: "no answer within 1 s" in rig.now.reason)
        assert rig.now.state is State.DEGRADED
        assert rig.last.state == "DEGRADED"
        assert rig.last.segmentation is None

        rig.show(60)
        until(lambda: len(rig.engines) == 2)
        rig.until_ready()
        rig.show(5, masks=True)
        assert rig.now.state is State.RUNNING
        gate.set()
        assert_conserved(rig.end())
        assert rig.now.engine_restarts == 2

    @pytest.mark.parametrize("fails", [False, True])
    def test_threads_take_turns_quickly_as_long_as_it_runs(
        self, make_rig: MakeRig, fails: bool
    ) -> None:
        before_s = sys.getswitchinterval()
        seen_s: list[float] = []

        def look(snapshot: LiveSnapshot) -> None:
            seen_s.append(sys.getswitchinterval())
            if fails:
                raise KeyboardInterrupt

        rig = make_rig(progress=look).start()
        until(lambda: bool(seen_s))
        if fails:
            with pytest.raises(KeyboardInterrupt):
                rig.join()
        else:
            rig.end()

        assert seen_s[0] == pytest.approx(SWITCH_S)
        assert sys.getswitchinterval() == before_s

    @pytest.mark.skipif(sys.platform != "linux", reason="threads are nice on Linux only")
    def test_the_engine_gives_way_to_all_else(self, make_rig: MakeRig) -> None:
        def niceness() -> int:
            return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

        of_engine: list[int] = []

        def load() -> Engine:
            of_engine.append(niceness())
            return Engine()

        rig = make_rig([load]).start()
        rig.until_ready()
        rig.end()
        assert of_engine[0] > niceness()

    def test_while_it_is_warming(self, make_rig: MakeRig, gate: threading.Event) -> None:
        def load_slowly() -> Engine:
            assert gate.wait(PATIENCE_S)
            return Engine()

        rig = make_rig([load_slowly]).start()
        rig.show(20)
        assert rig.states == [State.WARMING]
        gate.set()
        rig.until_ready()
        rig.show(5, masks=True)

        assert rig.states == [State.WARMING, State.RUNNING]
        snapshot = rig.end()
        assert snapshot.ai_dropped["warming"] >= 20
        assert snapshot.engine_restarts == 0

    def test_no_more_engines_than_so_many_are_left_hanging(
        self, make_rig: MakeRig, gate: threading.Event
    ) -> None:
        rig = make_rig([hang_at(0, gate)]).start()
        rig.show_until(lambda: "3 hang" in rig.now.reason, after_ms=100)
        assert len(rig.engines) == MAX_LEFT
        assert sum(name.startswith("live-engine") for name in rig.left_threads()) == MAX_LEFT
        rig.show(100, after_ms=400)
        assert len(rig.engines) == MAX_LEFT

        gate.set()
        rig.show_until(lambda: len(rig.engines) > MAX_LEFT, after_ms=100)
        until(lambda: sum(engine.closed for engine in rig.engines) == MAX_LEFT)
        assert_conserved(rig.end())
