"""Live mode as a whole, with a source, engines and sinks that the test holds in its hands.

Time is the source's: it moves when a picture is read, and when the grabber waits to open a lost
source again. Threads are waited for by events and by what a snapshot says.
"""

import itertools
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Union, cast

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.audio import AudioPacket
from streamer.clock import Clock, MonotonicClock
from streamer.confidence import Calibration, Scaling
from streamer.engine import EngineInfo, Segmenter
from streamer.errors import EngineError, OutputError, SourceEndedError, SourceLostError, StreamError
from streamer.field_of_view import FieldOfView
from streamer.frame import Frame, Segmentation, View
from streamer.live.engine_watch import MAX_LEFT, Phase
from streamer.live.pipeline import RAW_QUEUE, SWITCH_S, LivePipeline
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import TRANSITIONS, State
from streamer.overlay import Style
from streamer.rgb import RgbReader, SquareReader
from streamer.sinks import Composed
from streamer.sources import SourceInfo
from streamer.sources.base import LiveSource
from streamer.temporal import PRESETS, Temporal

#: Far more than any step takes; only a deadlock meets it.
PATIENCE_S = 60.0
MS = 10**6
FRAME_MS = 40
SIZE = (64, 48)
INPUT_SIZE_PX = 32
START_NS = 10**12
#: Threads that may be left when a run is over: nobody waits for what does not answer.
WAITED_FOR_BY_NOBODY = ("live-engine", "live-open")

Image = NDArray[np.uint8]
Probability = NDArray[np.float32]
MakeInfo = Callable[..., SourceInfo]
MakePicture = Callable[..., av.VideoFrame]
ReadPlanes = Callable[[av.VideoFrame], list[NDArray[np.int64]]]
Luma = NDArray[np.uint8]


class SourceClock:
    """Time that the source moves on; the grabber's own waits pass at once."""

    def __init__(self) -> None:
        self._now_ns = START_NS
        #: Waits of the grabber in s.
        self.waits: list[float] = []

    def now_ns(self) -> int:
        return self._now_ns

    def advance(self, ms: float) -> None:
        self._now_ns += round(ms * MS)

    def wait_until(self, due_ns: int, cancelled: threading.Event) -> bool:
        if threading.current_thread().name == "live-grab":
            self.waits.append((due_ns - self._now_ns) / 1e9)
            self._now_ns = max(self._now_ns, due_ns)
            return cancelled.is_set()
        return cancelled.wait(0.001)


@dataclass(frozen=True)
class Step:
    """What the source does next: a picture or an error, so long after the last one."""

    what: av.VideoFrame | Exception
    after_ms: float = FRAME_MS


#: What is to come; a source puts itself there to wake its own reader.
Steps = queue.Queue[Union[Step, "ScriptedSource"]]


class ScriptedSource:
    """Does what the test puts into `steps`."""

    def __init__(self, info: SourceInfo, steps: "Steps", clock: Clock) -> None:
        self.info = info
        self.damaged = 1
        self.converted = 2
        self.missed = 5
        self.closed = 0
        self._steps = steps
        self._clock = clock
        self._index = 0

    def read(self) -> Frame:
        while True:
            step = self if self.closed else self._steps.get(timeout=PATIENCE_S)
            if step is self:
                raise SourceLostError("closed")
            if isinstance(step, Step):
                break
        if isinstance(self._clock, SourceClock):
            self._clock.advance(step.after_ms)
        if isinstance(step.what, Exception):
            raise step.what
        now_ns = self._clock.now_ns()
        self._index += 1
        return Frame(
            step.what,
            self._index - 1,
            (now_ns - START_NS) // MS,
            self.info.time_base,
            now_ns,
            now_ns,
            self.info.color,
        )

    def close(self) -> None:
        self.closed += 1
        self._steps.put(self)


class Engine:
    """Its probability is high everywhere; hooks hold up or break an answer. -1 is the warm-up."""

    def __init__(
        self,
        on_submit: Callable[[int], None] = lambda number: None,
        on_result: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.info = EngineInfo(
            "fake", "0" * 64, "fake", "fp32", "cpu", INPUT_SIZE_PX, streams=1, threads=1
        )
        self.images: list[Image] = []
        self.threads: set[str] = set()
        self.closed = 0
        self.given: list[Probability] = []
        self._on_submit = on_submit
        self._on_result = on_result

    def reader(self) -> SquareReader:
        """See `Segmenter.reader`."""
        return SquareReader(self.info.input_size)

    def submit(self, image: Image) -> "Engine":
        self.threads.add(threading.current_thread().name)
        self.images.append(image)
        self._on_submit(len(self.images) - 2)
        return self

    def result(self) -> Probability:
        self.threads.add(threading.current_thread().name)
        number = len(self.images) - 2
        self._on_result(number)
        probability = np.full((INPUT_SIZE_PX, INPUT_SIZE_PX), 0.2, np.float32)
        probability[8:24, 8:24] = 0.9
        self.given.append(probability)
        return probability

    def close(self) -> None:
        self.threads.add(threading.current_thread().name)
        self.closed += 1


class FakeSink:
    """Keeps what it gets; a hook is called with the number of pictures so far."""

    def __init__(self, on_write: Callable[[int], None] = lambda count: None) -> None:
        self.frames: list[Composed] = []
        self.closed = 0
        self._on_write = on_write

    def write(self, composed: Composed) -> None:
        self._on_write(len(self.frames))
        self.frames.append(composed)

    def write_audio(self, packet: AudioPacket) -> None:
        raise AssertionError("live sources have no sound")

    def close(self) -> None:
        self.closed += 1


def no_motion(segmentation: Segmentation, then: Luma, now: Luma) -> Segmentation | None:
    return segmentation


def until(condition: Callable[[], bool]) -> None:
    """Wait for other threads to bring something about."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline_s, "it never happens"
        time.sleep(0.001)


def fail(error: Exception) -> Callable[[int], None]:
    def raise_it(number: int) -> None:
        raise error

    return raise_it


class Rig:
    """A pipeline that runs in a thread of its own, and all that it is made of.

    engines: what loading gives, one after the other; the last one again and again.
    reopen: called before the source is opened again, with the number of the attempt.
    """

    def __init__(
        self,
        info: SourceInfo,
        make_picture: MakePicture,
        engines: Sequence[Callable[[], Engine]] = (Engine,),
        *,
        sinks: dict[str, FakeSink] | None = None,
        reopen: Callable[[int], None] = lambda attempt: None,
        clock: Clock | None = None,
        progress: Callable[[LiveSnapshot], None] | None = None,
        **options: Any,
    ) -> None:
        self.clock = clock or SourceClock()
        self.steps: Steps = queue.Queue()
        self.sinks = {"window": FakeSink()} if sinks is None else sinks
        self.sources: list[ScriptedSource] = []
        self.likes: list[SourceInfo | None] = []
        self.engines: list[Engine] = []
        self.error: BaseException | None = None
        self.result: LiveSnapshot | None = None
        self._info = info
        self._make_picture = make_picture
        self._scripts = list(engines)
        self._reopen = reopen
        self._progress = progress
        self._shown = 0
        self._before = set(threading.enumerate())
        options = {"style": Style(badge=False), "temporal": PRESETS["off"]} | options
        self.pipeline = LivePipeline(
            self._open,
            self._load,
            cast(Any, [*self.sinks.items()]),
            clock=self.clock,
            small_luma=lambda picture, view: np.zeros((4, 4), np.uint8),
            move=options.pop("move", no_motion),
            **options,
        )
        self.thread = threading.Thread(target=self._run, name="test-run", daemon=True)

    def _open(self, like: SourceInfo | None) -> LiveSource:
        self.likes.append(like)
        if like is not None:
            self._reopen(len(self.likes) - 2)
        self.sources.append(ScriptedSource(self._info, self.steps, self.clock))
        return self.sources[-1]

    def _load(self) -> Segmenter:
        script = self._scripts.pop(0) if len(self._scripts) > 1 else self._scripts[0]
        engine = script()
        self.engines.append(engine)
        engine.threads.add(threading.current_thread().name)
        return engine

    def _run(self) -> None:
        try:
            self.result = self.pipeline.run(self._progress)
        except BaseException as error:
            self.error = error

    def start(self) -> "Rig":
        self.thread.start()
        return self

    @property
    def now(self) -> LiveSnapshot:
        return self.pipeline.snapshot()

    @property
    def states(self) -> list[State]:
        return [change.state for change in self.now.changes]

    def send(
        self, what: av.VideoFrame | Exception | None = None, after_ms: float = FRAME_MS
    ) -> None:
        """Have the source give a picture (of noise if none is named) or an error."""
        if what is None:
            what = self._make_picture(seed=1000 + self._shown)
        self._shown += isinstance(what, av.VideoFrame)
        self.steps.put(Step(what, after_ms))

    def show(
        self,
        count: int = 1,
        *,
        what: av.VideoFrame | None = None,
        after_ms: float = FRAME_MS,
        masks: bool = False,
    ) -> None:
        """Send pictures, each when the last one has been handed on.

        masks: and when the network has answered to it.
        """
        for _ in range(count):
            self.send(what, after_ms)
            until(lambda: self.now.frames_out >= self._shown or not self.thread.is_alive())
            if masks:
                until(lambda: self.now.mask_age_ms == 0)

    def until_ready(self) -> None:
        """Wait for an engine that takes pictures."""
        until(lambda: self.engine_phase in (Phase.READY, Phase.BUSY))

    @property
    def engine_phase(self) -> Phase:
        run = self.pipeline._run
        return Phase.DOWN if run is None else run.engine._watch.phase

    @property
    def last(self) -> Composed:
        """What the window shows of the picture that was shown last."""
        frames = self.sinks["window"].frames
        until(lambda: len(frames) == self._shown)
        return frames[-1]

    def show_until(self, condition: Callable[[], bool], after_ms: float = FRAME_MS) -> None:
        """Show pictures, for time to go by, until other threads have brought something about."""
        deadline_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < deadline_s, "it never happens"
            self.show(after_ms=after_ms)

    def join(self) -> LiveSnapshot:
        """Wait for the end of the run; its last snapshot."""
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive(), "the run does not end"
        if self.error is not None:
            raise self.error
        assert self.result is not None
        return self.result

    def end(self) -> LiveSnapshot:
        self.send(SourceEndedError("over"))
        return self.join()

    def left_threads(self) -> list[str]:
        return [thread.name for thread in threading.enumerate() if thread not in self._before]


MakeRig = Callable[..., Rig]


@pytest.fixture
def make_rig(make_info: MakeInfo, make_picture: MakePicture) -> Iterator[MakeRig]:
    """Makes pipelines; at the end none of their threads may be left."""
    rigs: list[Rig] = []

    def make(*args: Any, **options: Any) -> Rig:
        info = make_info(width=SIZE[0], height=SIZE[1], live=True)
        rigs.append(Rig(info, make_picture, *args, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.pipeline.stop()
        for source in rig.sources:
            source.close()
        if rig.thread.ident is not None:
            rig.thread.join(PATIENCE_S)
        until(lambda rig=rig: not rig.left_threads())


def assert_conserved(snapshot: LiveSnapshot) -> None:
    assert snapshot.state is State.STOPPED
    assert snapshot.frames_in == snapshot.frames_out + sum(snapshot.dropped.values())
    assert snapshot.frames_out == snapshot.masks_shown + sum(snapshot.ai_dropped.values())


def hang_at(number: int, gate: threading.Event) -> Callable[[], Engine]:
    """An engine that does not come back from its answer of that number before the gate opens."""

    def wait(count: int) -> None:
        if count == number:
            assert gate.wait(PATIENCE_S)

    return lambda: Engine(on_result=wait)


def cannot_load() -> Engine:
    raise EngineError("no such engine here")


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


class TestEngines:
    """One thread owns a segmenter, and one that was given up no longer counts."""

    def test_each_is_touched_by_one_thread_and_closed(self, make_rig: MakeRig) -> None:
        def fail_at_5(number: int) -> None:
            if number == 5:
                raise EngineError("it broke")

        rig = make_rig([lambda: Engine(on_result=fail_at_5), Engine]).start()
        rig.until_ready()
        rig.show(5, masks=True)
        rig.show()
        until(lambda: rig.engine_phase is Phase.DOWN)
        rig.show(30)
        rig.until_ready()
        rig.show(5, masks=True)
        snapshot = rig.end()

        names = [{"live-engine-1"}, {"live-engine-2"}]
        assert [engine.threads for engine in rig.engines] == names
        assert [engine.closed for engine in rig.engines] == [1, 1]
        assert snapshot.engine_restarts == 1
        assert snapshot.ai_dropped["failed"] == 1
        assert [change.state for change in snapshot.changes] == [
            *(State.WARMING, State.RUNNING, State.DEGRADED, State.RUNNING, State.STOPPED)
        ]
        assert snapshot.changes[2].reason == "engine: it broke"

    @pytest.mark.parametrize(
        "answer",
        [
            np.full((INPUT_SIZE_PX, INPUT_SIZE_PX), np.nan, np.float32),
            np.full((INPUT_SIZE_PX, INPUT_SIZE_PX), 7.5, np.float32),
            np.full((INPUT_SIZE_PX, INPUT_SIZE_PX), -1, np.float32),
            np.zeros((INPUT_SIZE_PX, INPUT_SIZE_PX, 1), np.float32),
            np.zeros((0, 0), np.float32),
        ],
    )
    @pytest.mark.parametrize("number", [-1, 3])
    def test_an_answer_that_is_no_map_of_probabilities_is_a_failure(
        self, make_rig: MakeRig, answer: Probability, number: int
    ) -> None:
        """Not a picture without a polyp, and nothing that the picture stops for."""

        class BrokenEngine(Engine):
            def result(self) -> Probability:
                sound = super().result()
                return answer if len(self.images) - 2 == number else sound

        rig = make_rig([BrokenEngine, Engine]).start()
        rig.show_until(lambda: "no map of probabilities" in rig.now.reason)
        assert rig.now.state is State.DEGRADED
        rig.show_until(lambda: len(rig.engines) == 2)
        rig.until_ready()
        rig.show(5, masks=True)
        assert rig.now.state is State.RUNNING
        snapshot = rig.end()

        assert snapshot.engine_restarts == 1
        assert all(
            composed.segmentation is None or composed.segmentation.probability is not answer
            for composed in rig.sinks["window"].frames
        )
        assert_conserved(snapshot)

    def test_a_late_answer_of_one_that_was_given_up_is_never_shown(self, make_rig: MakeRig) -> None:
        gate = threading.Event()
        rig = make_rig([hang_at(0, gate), Engine]).start()
        rig.until_ready()
        rig.show(30)
        until(lambda: rig.engine_phase is Phase.DOWN)
        gate.set()
        until(lambda: rig.engines[0].closed == 1)
        rig.show(20)
        rig.until_ready()
        rig.show(5, masks=True)
        snapshot = rig.end()

        assert_conserved(snapshot)
        hung, sound = rig.engines
        assert len(hung.given) == 2
        shown = [
            frame.segmentation.probability
            for frame in rig.sinks["window"].frames
            if frame.segmentation is not None
        ]
        assert shown
        assert all(any(mask is own for own in sound.given) for mask in shown)

    def test_the_first_answer_comes_before_the_first_picture(self, make_rig: MakeRig) -> None:
        rig = make_rig().start()
        rig.until_ready()

        assert len(rig.engines[0].given) == 1
        assert rig.engines[0].images[0].shape == (INPUT_SIZE_PX, INPUT_SIZE_PX, 3)
        rig.end()

    def test_the_newest_picture_wins_and_the_others_are_counted(
        self, make_rig: MakeRig, make_picture: MakePicture
    ) -> None:
        gate = threading.Event()
        rig = make_rig([hang_at(0, gate)]).start()
        rig.until_ready()
        rig.show()
        until(lambda: rig.engine_phase is Phase.BUSY)
        until(lambda: len(rig.engines[0].images) == 2)
        rig.show(4, after_ms=20)
        gate.set()
        until(lambda: len(rig.engines[0].given) == 3)
        rig.show(1, after_ms=20, masks=True)
        snapshot = rig.end()

        assert snapshot.ai_dropped["newer"] == 3
        frames = rig.sinks["window"].frames
        images = rig.engines[0].images
        # Warm-up, the first picture, the newest one of those that came meanwhile, the last one.
        assert len(images) == 4
        for image, number in zip(images[1:], (0, 4, 5), strict=True):
            frame = frames[number].frame
            expected = RgbReader().read(frame.picture, frame.color, INPUT_SIZE_PX, INPUT_SIZE_PX)
            assert np.array_equal(image, expected)
        assert_conserved(snapshot)

    def test_only_the_view_is_analysed(self, make_rig: MakeRig) -> None:
        rig = make_rig(view=View(9, 5, 31, 30)).start()
        rig.until_ready()
        rig.show(3, masks=True)
        rig.end()

        last = rig.last
        assert last.segmentation is not None
        # Odd edges move outwards where chroma samples span two px.
        assert last.segmentation.view == View(8, 4, 32, 31)

    def test_the_view_is_found_while_the_picture_passes(
        self, make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        corners = np.array([(8, 4), (40, 4), (40, 36), (8, 36)]) - 0.5
        found = FieldOfView(corners, *SIZE)
        monkeypatch.setattr("streamer.view_finder.Stretch.view", lambda stretch: found)
        rig = make_rig(view="auto").start()
        rig.until_ready()
        assert rig.now.view == View(0, 0, *SIZE)
        part = View(8, 4, 32, 32)
        rig.show_until(lambda: rig.now.view == part, after_ms=100)
        rig.show(3, masks=True)
        snapshot = rig.end()

        assert rig.last.view == part
        assert rig.last.segmentation is not None
        assert rig.last.segmentation.view == part
        assert (snapshot.view, snapshot.view_change_count) == (part, 1)
        assert [change.view for change in snapshot.view_changes] == [part]
        assert_conserved(snapshot)

    def test_confidence_is_by_the_engines_calibration(self, make_rig: MakeRig) -> None:
        calibration = Calibration(Scaling(0.2), Scaling(2.0, -3.0))

        def load() -> Engine:
            engine = Engine()
            engine.info = replace(engine.info, calibration=calibration)
            return engine

        rig = make_rig([load]).start()
        rig.until_ready()
        rig.show(3, masks=True)
        rig.end()

        (found,) = rig.last.objects
        assert found.confidence == pytest.approx(calibration.object(0.9), abs=1e-3)

    def test_flat_pictures_are_not_fed_to_the_network(
        self, make_rig: MakeRig, make_picture: MakePicture
    ) -> None:
        rig = make_rig().start()
        rig.until_ready()
        rig.show(4, masks=True)
        count = len(rig.engines[0].images)
        rig.show(30, what=make_picture(codes=(16, 128, 128)))
        assert rig.now.state is State.NO_SIGNAL
        assert len(rig.engines[0].images) == count
        assert rig.last.state == "NO_SIGNAL"
        assert all(frame.segmentation is None for frame in rig.sinks["window"].frames[-30:])
        rig.show(5, masks=True)
        assert rig.now.state is State.RUNNING
        snapshot = rig.end()

        assert snapshot.ai_dropped["flat"] == 30
        assert_conserved(snapshot)

    def test_a_frozen_picture_is_said_to_be_one(
        self, make_rig: MakeRig, make_picture: MakePicture
    ) -> None:
        rig = make_rig().start()
        rig.until_ready()
        rig.show(4, masks=True)
        rig.show(30, what=make_picture(seed=5), masks=True)

        assert rig.now.state is State.FROZEN
        last = rig.last
        assert (last.state, last.mask_age_ms) == ("FROZEN", FRAME_MS)
        rig.show(1, masks=True)
        assert rig.now.state is State.RUNNING
        rig.end()


class TestMasks:
    @pytest.mark.parametrize("seed", range(25))
    def test_none_older_than_the_limit_is_ever_drawn(self, make_rig: MakeRig, seed: int) -> None:
        """Random pace, random time of each answer; whose mask it is is told by its picture."""
        rng = np.random.default_rng(seed)
        turn = threading.Semaphore(0)

        def wait(number: int) -> None:
            if number >= 0:
                assert turn.acquire(timeout=PATIENCE_S)

        rig = make_rig([lambda: Engine(on_result=wait)], engine_timeout_s=1e6).start()
        rig.until_ready()
        for _ in range(40):
            rig.show(1, after_ms=float(rng.choice([5, 20, 40, 60, 119, 120, 121, 200])))
            if rng.random() < 0.5 and rig.engine_phase is Phase.BUSY:
                before = rig.now.mask_age_ms
                turn.release()
                until(lambda before=before: rig.now.mask_age_ms != before)
        for _ in range(100):
            turn.release()
        snapshot = rig.end()

        assert_conserved(snapshot)
        frames = rig.sinks["window"].frames
        engine = rig.engines[0]
        captured_ns = {}
        for composed in frames:
            frame = composed.frame
            image = RgbReader().read(frame.picture, frame.color, INPUT_SIZE_PX, INPUT_SIZE_PX)
            captured_ns[image.tobytes()] = frame.captured_ns
        ages = []
        for composed in frames:
            if composed.segmentation is None:
                assert composed.mask_age_ms is None
                assert composed.objects == []
                continue
            mask = composed.segmentation.probability
            image = next(
                image
                for image, own in zip(engine.images, engine.given, strict=False)
                if own is mask
            )
            age_ms = (composed.frame.captured_ns - captured_ns[image.tobytes()]) / 1e6
            assert composed.mask_age_ms == age_ms
            ages.append(age_ms)
        assert all(0 <= age_ms <= 120 for age_ms in ages)
        assert snapshot.histograms["mask_age"].count == len(ages)

    def test_delays(self, make_rig: MakeRig) -> None:
        rig = make_rig().start()
        rig.until_ready()
        rig.show(10, masks=True)
        snapshot = rig.end()

        # Each picture's mask is first shown on the next picture.
        annotation = snapshot.histograms["annotation_delay"]
        assert (annotation.count, annotation.max_ms) == (9, FRAME_MS)
        assert snapshot.masks_shown == 9
        assert snapshot.ai_dropped == {"unshown": 1}
        assert snapshot.frames_with_objects == 9
        assert snapshot.histograms["convert"].count == snapshot.histograms["segment"].count == 10
        assert snapshot.per_minute[-1]["frames"] == 10

    def test_a_scene_cut_leaves_the_picture_without_a_mask(self, make_rig: MakeRig) -> None:
        rig = make_rig(move=lambda segmentation, then, now: None).start()
        rig.until_ready()
        rig.show(10, masks=True)
        assert rig.now.state is State.DEGRADED
        rig.end()

        assert all(frame.segmentation is None for frame in rig.sinks["window"].frames)

    def test_pixels_outside_the_markers_are_the_sources(
        self, make_rig: MakeRig, read_planes: ReadPlanes, make_picture: MakePicture
    ) -> None:
        rig = make_rig().start()
        rig.until_ready()
        rig.show(4, masks=True)
        rig.end()

        rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
        # The square of the fake network is 32 px wide and 24 px high.
        inside = (abs(columns - 31.5) < 11) & (abs(rows - 23.5) < 7)
        outside = (abs(columns - 31.5) > 21) | (abs(rows - 23.5) > 17)
        for number, composed in enumerate(rig.sinks["window"].frames):
            pristine = read_planes(make_picture(seed=1000 + number))
            assert all(map(np.array_equal, pristine, read_planes(composed.frame.picture)))
            changed = (pristine[0] != read_planes(composed.picture)[0])[..., 0]
            assert changed.any() == (number > 0)
            assert not changed[inside | outside].any()


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


class TestSteadyMasks:
    """Masks are steadied in the order of the pictures that the network saw."""

    STEADY = Temporal(confirm_ms=2 * FRAME_MS, window_ms=10 * FRAME_MS, hold_ms=5 * FRAME_MS)

    def test_what_lasts_is_confirmed_and_counted_once(self, make_rig: MakeRig) -> None:
        rig = make_rig(temporal=self.STEADY).start()
        rig.until_ready()
        rig.show(5, masks=True)
        rig.show(1)
        rig.end()
        objects = [composed.objects for composed in rig.sinks["window"].frames if composed.objects]

        # A picture shows the mask of one before it.
        assert [each[0].confirmed for each in objects] == [False, False, True, True, True]
        assert {each[0].id for each in objects} == {1}
        assert rig.now.detections == 1
        assert rig.now.frames_with_objects == 3
        assert rig.now.histograms["steady"].count >= 5

    def test_begins_anew_when_the_source_comes_back(self, make_rig: MakeRig) -> None:
        rig = make_rig(temporal=self.STEADY).start()
        rig.until_ready()
        rig.show(4, masks=True)
        rig.send(SourceLostError("unplugged"))
        rig.show(2, masks=True)
        rig.show(1)
        last = rig.last.objects
        rig.end()

        assert [(each.id, each.confirmed) for each in last] == [(2, False)]


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
