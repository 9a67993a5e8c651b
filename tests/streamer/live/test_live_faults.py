"""Everything at once in a live run, by seed."""

import itertools
import threading
from collections.abc import Callable
from random import Random

import av
import pytest
from live_rig import (
    PATIENCE_S,
    WAITED_FOR_BY_NOBODY,
    Engine,
    FakeSink,
    MakePicture,
    MakeRig,
    Step,
    assert_conserved,
    cannot_load,
    hang_at,
    until,
)

from streamer.errors import EngineError, OutputError, SourceEndedError, SourceLostError
from streamer.live.state import TRANSITIONS
from streamer.overlay import Style


class TestFaults:
    """Everything at once, by seed: whatever happens, each picture is shown once or counted."""

    @pytest.fixture
    def pictures(self, make_picture: MakePicture) -> list[av.VideoFrame]:
        scenes = [make_picture(seed=seed) for seed in range(6)]
        return [*scenes, make_picture(codes=(16, 128, 128)), make_picture(codes=(41, 240, 110))]

    def random_engine(self, random: Random, gate: threading.Event) -> Callable[[], Engine]:
        at = random.randrange(-1, 6)

        def break_down(number: int) -> None:
            if number == at:
                raise random.choice([EngineError("it broke"), RuntimeError("bad"), MemoryError()])

        def load_slowly() -> Engine:
            assert gate.wait(PATIENCE_S)
            return Engine()

        return random.choice(
            [
                *(Engine, Engine, cannot_load, load_slowly, hang_at(at, gate)),
                *(lambda: Engine(on_submit=break_down), lambda: Engine(on_result=break_down)),
            ]
        )

    def random_sink(self, random: Random, gate: threading.Event) -> FakeSink:
        at = random.randrange(20)

        def disk_full(count: int) -> None:
            if count == at:
                raise OutputError("disk full")

        def hang(count: int) -> None:
            if count == at:
                assert gate.wait(PATIENCE_S)

        return FakeSink(random.choice([lambda count: None, disk_full, hang]))

    def random_step(self, random: Random, pictures: list[av.VideoFrame]) -> Step:
        if random.random() < 0.06:
            return Step(SourceLostError("unplugged"))
        after_ms = random.choice([1, 20, 40, 40, 40, 100, 400, 700, 1500])
        if random.random() < 0.7:
            return Step(random.choice(pictures[:6]), after_ms)
        # The same one for a while, and the flat ones.
        return Step(random.choice([pictures[0], *pictures[6:]]), after_ms)

    @pytest.mark.parametrize("seed", range(200))
    def test_a_random_schedule(
        self, make_rig: MakeRig, pictures: list[av.VideoFrame], seed: int
    ) -> None:
        random = Random(seed)
        gate = threading.Event()
        ending = random.choice(["source", "stop", "frames", "time"])

        def reopen(attempt: int) -> None:
            if random.random() < 0.4:
                raise SourceLostError("still gone")

        rig = make_rig(
            [self.random_engine(random, gate) for _ in range(random.randrange(1, 5))],
            sinks={name: self.random_sink(random, gate) for name in ("a", "b")[: seed % 3]},
            reopen=reopen,
            style=Style(badge=seed % 2 == 0),
            sink_queue=random.randrange(1, 9),
            close_timeout_s=PATIENCE_S,
            engine_start_timeout_s=3.0,
            max_frames=random.randrange(1, 30) if ending == "frames" else None,
            duration_s=random.uniform(0.1, 8) if ending == "time" else None,
            seed=seed,
        ).start()
        for _ in range(random.randrange(5, 50)):
            rig.steps.put(self.random_step(random, pictures))
            if random.random() < 0.5:
                until(lambda: rig.steps.empty() or rig.sources[-1].closed > 0)
            if random.random() < 0.05:
                gate.set()
        if ending == "stop":
            rig.pipeline.stop()
        else:
            rig.send(SourceEndedError("over"))
        gate.set()
        snapshot = rig.join()

        assert_conserved(snapshot)
        # The run waits neither for an engine that hangs nor for an opening under way.
        assert [
            name for name in rig.left_threads() if not name.startswith(WAITED_FOR_BY_NOBODY)
        ] == []
        until(lambda: not rig.left_threads())
        states = [change.state for change in snapshot.changes]
        assert all(new in TRANSITIONS[old] for old, new in itertools.pairwise(states))
        for name, sink in rig.sinks.items():
            assert sink.closed == 1
            assert len(sink.frames) + snapshot.sink_dropped[name] == snapshot.frames_out
            times = [composed.frame.captured_ns for composed in sink.frames]
            assert times == sorted(times)
            for composed in sink.frames:
                assert (composed.mask_age_ms is None) == (composed.segmentation is None)
                assert composed.mask_age_ms is None or 0 <= composed.mask_age_ms <= 120
        assert all(engine.closed == 1 for engine in rig.engines)
        assert all(len(engine.threads) == 1 for engine in rig.engines)
        assert all(source.closed for source in rig.sources)
