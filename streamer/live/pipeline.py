"""Live mode: the picture passes at once, the network follows as fast as it can.

    grabber ──2──▶ raw loop ──8──▶ each sink's own thread
                    │    ▲
              newest▼    │newest mask
                    AI thread

Every arrow is a queue that drops its oldest picture, and counts it, where the next stage is too
slow; nobody waits for the one behind. The caller's thread keeps watch: over the engine, the state
and the end of the run.
"""

import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from time import monotonic

from streamer import motion
from streamer.clock import Clock, MonotonicClock
from streamer.engine.base import Segmenter
from streamer.errors import OutputError
from streamer.frame import View
from streamer.live.backoff import Backoff
from streamer.live.compositor import Compositor, Move, SmallLuma
from streamer.live.engine_host import EngineHost
from streamer.live.engine_watch import EngineWatch
from streamer.live.grabber import Grabbed, Grabber
from streamer.live.newest import NewestQueue
from streamer.live.outputs import Outputs
from streamer.live.parts import Parts
from streamer.live.raw_loop import RawLoop
from streamer.live.record import Record
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import StateChange
from streamer.live.supervisor import Limits, Supervisor
from streamer.live.view_look import ViewLook
from streamer.overlay import Overlay, Style
from streamer.sinks.base import Sink
from streamer.sources.base import LiveSource, OpenLive, SourceInfo
from streamer.temporal import DEFAULT_PRESET, PRESETS, Stabiliser, Temporal
from streamer.view import Asked, find_view
from streamer.view_watch import ViewWatch

logger = logging.getLogger(__name__)

NamedSinks = Sequence[tuple[str, Sink]]

BY_USER = "stopped by the user"
#: Pictures between the grabber and the raw loop: one is worked on while the next one comes.
RAW_QUEUE = 2
TICK_NS = 50_000_000
#: How long a thread may keep Python to itself while another one wants it. A picture gets hold of it
#: some ten times; with the 5 ms that Python allows by itself, one busy thread would cost each of
#: them tens of ms.
SWITCH_S = 0.001
PROGRESS_NS = 500_000_000
#: First wait before a lost source is opened again.
FIRST_RETRY_S = 0.25
#: First and longest wait before a failed engine is loaded again.
ENGINE_BACKOFF_S = (0.5, 30.0)


class LivePipeline:
    """Runs one live source with one network into any number of sinks.

    Args:
        open_source: called by `run` itself at first, by a thread of the pipeline's own after the
            source was lost.
        load_engine: called by a thread of the pipeline's own, which also owns what it makes; again
            after an engine failed. The picture passes meanwhile.
        sinks: names and sinks, or what makes them once the source is known. Each is written to and
            closed by a thread of its own.
        style: how markers look.
        threshold: probability from which on a pixel counts as polyp, 0…1.
        view: the part of the picture to analyse, in px; ``auto`` finds the field of view by looking
            and takes all of it until then; None takes all of it. Odd edges move outwards where
            chroma samples span two px.
        temporal: how masks are steadied.
        max_mask_age_ms: no mask is drawn on a picture that was captured, or is handed on, so much
            later than its own was captured.
        engine_timeout_s: an engine that has not answered by then is given up.
        engine_start_timeout_s: the same while it is loaded and answers for the first time.
        longest_retry_s: longest wait before a lost source is opened again, but for its jitter.
        frozen_after_s: the same picture for so long is FROZEN; the default leaves time to say so
            within 1 s.
        no_signal_after_s: no picture, or one of one tone, for so long is NO_SIGNAL.
        duration_s: ends the run after so long.
        max_frames: ends the run when so many pictures were handed to the sinks.
        sink_queue: pictures that wait for a slow sink before the oldest are dropped.
        close_timeout_s: what has not come to its end so long after the run's is left.
        on_change: called by `run`'s thread with each new state, and each new reason of a state.
        small_luma, move: see `compositor`.
        clock: the one that the source's times are from.
        seed: of the jitter of waits.
    """

    def __init__(
        self,
        open_source: OpenLive,
        load_engine: Callable[[], Segmenter],
        sinks: NamedSinks | Callable[[SourceInfo], NamedSinks],
        *,
        style: Style | None = None,
        threshold: float = 0.5,
        view: Asked | None = None,
        temporal: Temporal = PRESETS[DEFAULT_PRESET],
        max_mask_age_ms: float = 120.0,
        engine_timeout_s: float = 1.0,
        engine_start_timeout_s: float = 300.0,
        longest_retry_s: float = 5.0,
        frozen_after_s: float = 0.8,
        no_signal_after_s: float = 0.5,
        duration_s: float | None = None,
        max_frames: int | None = None,
        sink_queue: int = 8,
        close_timeout_s: float = 10.0,
        on_change: Callable[[StateChange], None] | None = None,
        small_luma: SmallLuma = motion.small_luma,
        move: Move = motion.move,
        clock: Clock | None = None,
        seed: int = 0,
    ) -> None:
        self._small_luma, self._move = small_luma, move
        self._open_source = open_source
        self._load_engine = load_engine
        self._sinks = sinks
        self._style = style or Style()
        self._threshold = threshold
        self._view = view
        self._temporal = temporal
        self._max_age_ns = round(max_mask_age_ms * 1e6)
        self._longest_retry_s = longest_retry_s
        self._engine_timeout_s = engine_timeout_s
        self._engine_start_timeout_s = engine_start_timeout_s
        self._duration_ns = None if duration_s is None else round(duration_s * 1e9)
        self._max_frames = max_frames
        self._sink_queue = sink_queue
        self._close_timeout_s = close_timeout_s
        self._on_change = on_change
        self._clock = clock or MonotonicClock()
        self._seed = seed
        limits = Limits(
            late_ns=2 * self._max_age_ns,
            frozen_ns=round(frozen_after_s * 1e9),
            no_signal_ns=round(no_signal_after_s * 1e9),
        )
        self._supervisor = Supervisor(self._clock.now_ns(), limits)
        self._queue: NewestQueue[Grabbed] = NewestQueue(RAW_QUEUE)
        self._stopping = False
        self._over = threading.Event()
        self._failure: BaseException | None = None
        self._run: Parts | None = None

    def run(self, progress: Callable[[LiveSnapshot], None] | None = None) -> LiveSnapshot:
        """Run until the source ends, a limit is reached or `stop` is called.

        Args:
            progress: called about twice a second.

        Returns:
            The last snapshot; `snapshot` gives it also after an error.

        Raises:
            SourceError: the source cannot be opened at first. Later on it is opened again.
            OutputError: a sink cannot be made. One that fails later is left out.
            StreamError: the view does not lie inside the picture.
            KeyboardInterrupt: as it came, after the sinks were closed; `stop` ends a run quietly.
            Exception: something unexpected ended the run; the sinks were closed.
        """
        run = self._run = self._prepare()
        reason = BY_USER
        with _switching_fast():
            try:
                run.start(self._spawn, self._over)
                reason = self._watch(run, progress)
            except Exception as error:
                self._crashed(error)
            finally:
                self._shut_down(run, reason)
        if self._failure is not None:
            raise self._failure
        return self.snapshot()

    def stop(self) -> None:
        """End the run within a tick and the time that the sinks need; for signal handlers."""
        # Only this: a lock that the handler's own thread holds would never become free.
        self._stopping = True

    def snapshot(self) -> LiveSnapshot:
        """How things stand; may be called from any thread, before and after the run too."""
        supervisor, run = self._supervisor, self._run
        counts = {} if run is None else run.counts(self._clock.now_ns())
        return LiveSnapshot(
            supervisor.state,
            supervisor.changes,
            change_count=supervisor.change_count,
            reason=supervisor.reason,
            **counts,
        )

    def _watch(self, run: Parts, progress: Callable[[LiveSnapshot], None] | None) -> str:
        """Keep watch until the run is to end; the reason is returned."""
        start_ns = progress_ns = run.start_ns
        while not self._over.is_set():
            now_ns = self._clock.now_ns()
            if self._stopping:
                return BY_USER
            if self._duration_ns is not None and now_ns - start_ns >= self._duration_ns:
                return f"{self._duration_ns / 1e9:g} s are over"
            run.engine.check()
            run.outputs.warn_if_none_is_left()
            run.record.tick(now_ns)
            self._supervisor.tick(now_ns)
            self._tell()
            if progress is not None and now_ns >= progress_ns:
                progress_ns = now_ns + PROGRESS_NS
                progress(self.snapshot())
            self._clock.wait_until(now_ns + TICK_NS, self._over)
        if run.raw.full:
            return f"{self._max_frames} pictures were handed on"
        return run.grabber.ended or "the source has ended"

    def _tell(self) -> None:
        for change in self._supervisor.take_news():
            if self._on_change is not None:
                self._on_change(change)

    def _shut_down(self, run: Parts, reason: str) -> None:
        deadline_s = monotonic() + self._close_timeout_s

        def left_s() -> float:
            return max(0.0, deadline_s - monotonic())

        try:
            # In a thread of its own: a device that does not answer must not hold up the sinks.
            run.threads.append(self._spawn("live-close", run.grabber.stop))
        except RuntimeError:
            # The machine has no thread left for it.
            run.grabber.stop()
        cause = "stopped" if self._failure is None else "failed"
        run.record.drop(cause, len(self._queue.abort()))
        if run.view_look is not None:
            run.view_look.finish()
        for thread in run.threads:
            thread.join(left_s())
            if thread.is_alive():
                logger.warning("%s is left: it does not come to its end", thread.name)
            # The raw loop comes first: from its end on the sinks finish while others are awaited.
            run.outputs.finish()
        run.engine.stop(left_s(), self._engine_timeout_s)
        for output, thread in zip(run.outputs.all, run.sink_threads, strict=False):
            thread.join(left_s())
            if thread.is_alive():
                output.give_up(f"not finished within {self._close_timeout_s:g} s")
        for output in run.outputs.all[len(run.sink_threads) :]:
            # The machine had no thread left for it.
            output.close()
        now_ns = self._clock.now_ns()
        run.record.end(now_ns)
        if self._failure is not None:
            reason = f"failed: {self._failure}"
        self._supervisor.stop(now_ns, reason)
        try:
            self._tell()
        except Exception as error:
            self._crashed(error)

    def _spawn(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Start a thread whose unexpected error ends the run."""

        def guarded() -> None:
            try:
                work()
            except BaseException as error:
                self._crashed(error)

        # One that hangs in native code must not keep the process from ending.
        thread = threading.Thread(target=guarded, name=name, daemon=True)
        thread.start()
        return thread

    def _crashed(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._over.set()

    def _prepare(self) -> Parts:
        """Open the source and make the sinks; what fails here leaves nothing open."""
        sinks = None if callable(self._sinks) else self._sinks
        source: LiveSource | None = None
        try:
            source = self._open_source(None)
            asked = self._view if isinstance(self._view, View) else None
            view = find_view(asked, source.info)
            if sinks is None:
                assert callable(self._sinks)
                sinks = self._sinks(source.info)
            return self._build(source, view, sinks)
        except BaseException:
            for _, sink in sinks or ():
                with suppress(OutputError):
                    sink.close()
            if source is not None:
                source.close()
            raise

    def _build(self, source: LiveSource, view: View, sinks: NamedSinks) -> Parts:
        clock, supervisor = self._clock, self._supervisor
        now_ns = clock.now_ns()
        record = Record(now_ns, [name for name, _ in sinks])
        supervisor.opened(now_ns)
        grabber = Grabber(
            source,
            self._open_source,
            self._queue,
            record=record,
            supervisor=supervisor,
            clock=clock,
            backoff=Backoff(FIRST_RETRY_S, self._longest_retry_s, self._seed),
        )
        outputs = Outputs(sinks, capacity=self._sink_queue, record=record, clock=clock)
        watch = EngineWatch(
            now_ns,
            load_ns=round(self._engine_start_timeout_s * 1e9),
            answer_ns=round(self._engine_timeout_s * 1e9),
            backoff=Backoff(*ENGINE_BACKOFF_S, self._seed),
        )
        engine = EngineHost(
            self._load_engine,
            watch,
            stabiliser=Stabiliser(self._temporal, view, self._threshold),
            record=record,
            supervisor=supervisor,
            clock=clock,
            spawn=self._spawn,
        )
        compositor = Compositor(
            Overlay(self._style, source.info.color),
            view=view,
            max_age_ns=self._max_age_ns,
            small_luma=self._small_luma,
            move=self._move,
            badge=self._style.badge,
            always_copy=len(sinks) > 1,
        )
        look = None
        if self._view == "auto":
            look = ViewLook(ViewWatch(source.info.width, source.info.height), compositor)
        raw = RawLoop(
            self._queue,
            compositor,
            engine,
            outputs,
            record=record,
            supervisor=supervisor,
            clock=clock,
            view_look=look,
            max_frames=self._max_frames,
        )
        return Parts(now_ns, grabber, raw, engine, outputs, record, look)


@contextmanager
def _switching_fast() -> Iterator[None]:
    """Have the threads of this process take turns quickly."""
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(min(before_s, SWITCH_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)
