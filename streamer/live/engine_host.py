"""The AI loop: loads an engine, gives it the newest picture, replaces it when it fails or hangs.

Each engine lives in a thread of its own, from loading to closing; nobody else touches it. One that
hangs is left to its thread, which cannot be ended, and the next one gets a new thread. What a
left engine still answers does not count. See `engine_watch.MAX_LEFT` for how many there may be.
"""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any

import numpy as np

from streamer.clock import Clock
from streamer.cores import give_way
from streamer.engine.base import EngineInfo, Reader, Segmenter
from streamer.errors import EngineError
from streamer.frame import Probability, View
from streamer.live.cadence import Cadence
from streamer.live.compositor import Mask, Seen
from streamer.live.engine_watch import EngineWatch, Phase, Verdict
from streamer.live.newest import NewestQueue
from streamer.live.record import Record
from streamer.live.supervisor import Supervisor
from streamer.temporal import Stabiliser

logger = logging.getLogger(__name__)

#: Starts a thread of that name, whose unexpected error ends the run.
Spawn = Callable[[str, Callable[[], None]], threading.Thread]


@dataclass(frozen=True, slots=True)
class _Offered:
    """A picture that waits for the network, and since when."""

    seen: Seen
    at_ns: int


class EngineHost:
    """Serves three threads: the raw loop offers pictures, the engine's own thread takes them, and
    the caller of `run` has it `check` on the engine.

    Args:
        load: makes an engine; it may take its time and may fail.
        stabiliser: begins anew where a new engine, a new session or another view does.
    """

    def __init__(
        self,
        load: Callable[[], Segmenter],
        watch: EngineWatch,
        *,
        stabiliser: Stabiliser,
        record: Record,
        supervisor: Supervisor,
        clock: Clock,
        spawn: Spawn,
    ) -> None:
        #: The newest mask, of whatever age.
        self.newest: Mask | None = None
        #: What the newest engine is.
        self.info: EngineInfo | None = None
        #: Times that a failed or hung engine was replaced.
        self.restarts = 0
        self._load = load
        self._watch = watch
        self._stabiliser = stabiliser
        self._record = record
        self._supervisor = supervisor
        self._clock = clock
        self._spawn = spawn
        # Guards the watch; facts are reported under it too, so that they arrive in order.
        self._lock = threading.Lock()
        self._waiting: NewestQueue[_Offered] = NewestQueue(1)
        self._cadence = Cadence()
        # By generation; those of engines that were given up while they hung.
        self._threads: dict[int, threading.Thread] = {}
        self._hung: set[int] = set()
        self._stopped = False

    def offer(self, seen: Seen) -> None:
        """Offer a picture; never waits for the network."""
        with self._lock:
            if self._watch.phase not in (Phase.READY, Phase.BUSY):
                self._record.ai_drop("warming" if self.info is None else "restarting")
                return
            offered = _Offered(seen, self._clock.now_ns())
            self._cadence.came(seen.taken_ns)
            lost = self._waiting.put(offered)
        if lost is not None:
            self._record.ai_drop("stopped" if lost is offered else "newer")

    def check(self) -> None:
        """Load an engine, or give up the one that hangs, if it is time to; to be called often."""
        self._threads = {
            generation: thread for generation, thread in self._threads.items() if thread.is_alive()
        }
        left = len(self._threads)
        with self._lock:
            now_ns = self._clock.now_ns()
            verdict = self._watch.check(now_ns, left)
            generation, limit = self._watch.generation, self._watch.limit
            if verdict is Verdict.LOAD:
                generation = self._watch.load(now_ns)
            elif verdict is Verdict.GIVE_UP:
                self._hung.add(generation)
                self._set_failed(generation, limit)
            elif verdict is Verdict.BLOCKED:
                reason = f"{left} hang; the next one is loaded when one of them is back"
                self._supervisor.engine_failed(now_ns, reason)
        # Not under the lock, which the raw loop takes too: threads start and logs are written as
        # slowly as they like.
        if verdict is Verdict.LOAD:
            work = partial(self._work, generation)
            self._threads[generation] = self._spawn(f"live-engine-{generation}", work)
        elif verdict is Verdict.GIVE_UP:
            logger.warning("engine: %s", limit)

    def stop(self, within_s: float, answer_within_s: float) -> None:
        """End the engine's thread; one that does not come back is left.

        Args:
            within_s: how long to wait for it.
            answer_within_s: the same while it works on a picture.
        """
        with self._lock:
            self._stopped = True
            self._record.ai_drop("stopped", len(self._waiting.abort()))
            busy = self._watch.phase is Phase.BUSY
        deadline_s = monotonic() + (min(within_s, answer_within_s) if busy else within_s)
        for generation, thread in self._threads.items():
            if generation not in self._hung:
                thread.join(max(0.0, deadline_s - monotonic()))
        with self._lock:
            busy = self._watch.phase is Phase.BUSY
            if self._watch.failed(self._watch.generation, self._clock.now_ns()):
                self._record.ai_drop("stopped", int(busy))
        left = sum(thread.is_alive() for thread in self._threads.values())
        if left:
            logger.warning("engine: %d left that did not come to their end", left)

    def _work(self, generation: int) -> None:
        """The life of one engine."""
        # Its own threads are as nice as the one that loads it.
        give_way()
        segmenter: Segmenter | None = None
        try:
            try:
                segmenter = self._load()
                _warm_up(segmenter)
            except Exception as error:
                self._fail(generation, error)
                return
            if self._set_ready(generation, segmenter.info):
                self._serve(generation, segmenter)
        finally:
            if segmenter is not None:
                _close(segmenter)

    def _set_ready(self, generation: int, info: EngineInfo) -> bool:
        with self._lock:
            now_ns = self._clock.now_ns()
            if self._stopped or not self._watch.ready(generation, now_ns):
                return False
            self.info = info
            self.restarts += generation > 1
            self._supervisor.engine_ready(now_ns)
            return True

    def _serve(self, generation: int, segmenter: Segmenter) -> None:
        """Take the newest picture again and again, as long as the engine is in favour."""
        reader = segmenter.reader()
        before: Seen | None = None
        for offered in self._waiting:
            seen = offered.seen
            with self._lock:
                begun_ns = self._clock.now_ns()
                if not self._cadence.is_worth_taking(
                    begun_ns - offered.at_ns, offered.at_ns - seen.taken_ns
                ):
                    self._record.ai_drop("newer")
                    continue
                if not self._watch.busy(generation, begun_ns):
                    self._record.ai_drop("stopped")
                    return
            try:
                image = self._read(seen, reader)
                ready_ns = self._clock.now_ns()
                pending = segmenter.submit(image)
                if before is not None and not before.is_of_scene(seen):
                    before = None
                known = None if before is None else before.luma
                motion = self._stabiliser.find_motion_ahead(known, seen.luma)
                probability = _checked(pending.result())
            except Exception as error:
                self._fail(generation, error)
                return
            with self._lock:
                now_ns = self._clock.now_ns()
                if not self._watch.answered(generation, now_ns):
                    return
            # From here on this is the engine in favour, so that nobody else is at the stabiliser.
            if before is None:
                self._stabiliser.judge_by(segmenter.info.calibration)
                self._stabiliser.reset(seen.view)
            steady = self._stabiliser.steady(probability, seen.luma, seen.frame.time_s, motion)
            before = seen
            self.newest = Mask(self._record.mask_made(), steady, seen)
            self._record.add("ai_wait", begun_ns - seen.taken_ns)
            self._record.add("convert", ready_ns - begun_ns)
            self._record.add("segment", now_ns - ready_ns)
            steadied_ns = self._clock.now_ns()
            self._record.add("steady", steadied_ns - now_ns)
            with self._lock:
                self._cadence.answered(steadied_ns - begun_ns)

    def _read(self, seen: Seen, reader: Reader) -> Any:
        picture = seen.frame.picture
        whole = seen.view == View(0, 0, picture.width, picture.height)
        return reader.read(picture, seen.frame.color, None if whole else seen.view)

    def _fail(self, generation: int, error: Exception) -> None:
        reason = str(error) or type(error).__name__
        with self._lock:
            counted = self._set_failed(generation, reason)
        if counted:
            logger.warning("engine: %s", reason)

    def _set_failed(self, generation: int, reason: str) -> bool:
        """An engine is out of favour; the lock is held.

        Returns:
            Whether it still was in it.
        """
        now_ns = self._clock.now_ns()
        busy = self._watch.phase is Phase.BUSY
        if not self._watch.failed(generation, now_ns):
            return False
        self._record.ai_drop("failed", int(busy))
        self._record.ai_drop("restarting", len(self._waiting.clear()))
        self._supervisor.engine_failed(now_ns, reason)
        return True


def _warm_up(segmenter: Segmenter) -> None:
    """The first answer takes longer than all others: it is not to hold up a picture."""
    size_px = segmenter.info.input_size
    _checked(segmenter.submit(np.zeros((size_px, size_px, 3), np.uint8)).result())


def _checked(probability: Probability) -> Probability:
    """The network's answer, if it is one.

    Raises:
        EngineError: it is no map of probabilities. A broken engine's numbers would otherwise pass
            for a picture without a polyp.
    """
    if probability.ndim != 2 or not probability.size:
        raise EngineError(f"the answer is no map of probabilities but {probability.shape}")
    # Not true of what is not a number.
    if not (probability.min() >= 0 and probability.max() <= 1):
        raise EngineError("the answer is no map of probabilities between 0 and 1")
    return probability


def _close(segmenter: Segmenter) -> None:
    try:
        segmenter.close()
    except Exception as error:
        # It may have failed before; the picture goes on either way.
        logger.warning("engine: cannot be closed (%s)", error)
