"""A live pipeline with a source, engines and sinks that the test holds in its hands.

Time is the source's: it moves when a picture is read, and when the grabber waits to open a lost
source again. Threads are waited for by events and by what a snapshot says.
"""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Union, cast

import av
import numpy as np
from numpy.typing import NDArray

from streamer.audio import AudioPacket
from streamer.clock import Clock
from streamer.engine import EngineInfo, Segmenter
from streamer.errors import EngineError, SourceEndedError, SourceLostError
from streamer.frame import Frame, Segmentation
from streamer.live.engine_watch import Phase
from streamer.live.pipeline import LivePipeline
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State
from streamer.overlay import Style
from streamer.rgb import SquareReader
from streamer.sinks import Composed
from streamer.sources import SourceInfo
from streamer.sources.base import LiveSource
from streamer.temporal import PRESETS

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
