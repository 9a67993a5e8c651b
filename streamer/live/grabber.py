"""Reads a live source and opens it again when it is lost."""

import threading
from dataclasses import dataclass

from streamer.clock import Clock
from streamer.errors import SourceEndedError, SourceError
from streamer.frame import Frame
from streamer.live.backoff import Backoff
from streamer.live.newest import NewestQueue
from streamer.live.record import Record
from streamer.live.supervisor import Supervisor
from streamer.sources.base import LiveSource, OpenLive


@dataclass(frozen=True, slots=True)
class Grabbed:
    """A picture, and how often the source had been lost before it."""

    frame: Frame
    session: int


class Grabber:
    """A thread runs `work`; `stop` may be called from another.

    Args:
        source: already open.
        open_source: opens it again.
        queue: takes the pictures.
        backoff: time from one opening to the next, from the second on.
    """

    def __init__(
        self,
        source: LiveSource,
        open_source: OpenLive,
        queue: NewestQueue[Grabbed],
        *,
        record: Record,
        supervisor: Supervisor,
        clock: Clock,
        backoff: Backoff,
    ) -> None:
        #: Times that the source came back.
        self.reconnects = 0
        #: Why there is no more to come, if the source itself has ended.
        self.ended: str | None = None
        self._source = source
        self._info = source.info
        self._open_source = open_source
        self._queue = queue
        self._record = record
        self._supervisor = supervisor
        self._clock = clock
        self._backoff = backoff
        self._lock = threading.Lock()
        self._closing = threading.Lock()
        self._stopping = threading.Event()
        #: Set when an opening has come to something, and when there is no need to wait for it.
        self._woken = threading.Event()
        self._session = 0
        # Of the sources that were lost.
        self._damaged = 0
        self._converted = 0
        self._missed = 0

    @property
    def damaged(self) -> int:
        """See `Source`; over all openings."""
        with self._lock:
            return self._damaged + self._source.damaged

    @property
    def converted(self) -> int:
        """See `Source`; over all openings."""
        with self._lock:
            return self._converted + self._source.converted

    @property
    def missed(self) -> int:
        """See `LiveSource`; over all openings."""
        with self._lock:
            return self._missed + self._source.missed

    def stop(self) -> None:
        """Let `work` come to its end, also while it waits; takes as long as the source to close."""
        self._stopping.set()
        self._woken.set()
        self._close()

    def work(self) -> None:
        """Put the source's pictures into the queue until the source ends or `stop` is called."""
        try:
            self._read()
        except SourceEndedError as error:
            self.ended = str(error) or "the source has ended"
        finally:
            # First of all: closing a device that does not answer may take for ever.
            self._queue.finish()
            self._close()

    def _close(self) -> None:
        # One at a time; a source need not expect more than that.
        with self._closing:
            self._source.close()

    def _read(self) -> None:
        fresh = False
        while not self._stopping.is_set():
            try:
                frame = self._source.read()
            except SourceEndedError:
                if self._stopping.is_set():
                    return
                raise
            except SourceError as error:
                if self._stopping.is_set() or not self._reopen(error):
                    return
                fresh = True
                continue
            if self._stopping.is_set():
                return
            if fresh:
                fresh = False
                self.reconnects += 1
                self._backoff.reset()
            self._put(frame)

    def _put(self, frame: Frame) -> None:
        self._record.read()
        self._record.add("decode", frame.decoded_ns - frame.captured_ns)
        grabbed = Grabbed(frame, self._session)
        lost = self._queue.put(grabbed)
        if lost is not None:
            self._record.drop("stopped" if lost is grabbed else "late")

    def _reopen(self, error: SourceError) -> bool:
        """Try to open the source until it is there.

        Returns:
            Whether it is; False if the run ends.

        Raises:
            SourceEndedError: it will not come back.
        """
        self._supervisor.lost(self._clock.now_ns(), str(error))
        self._close()
        self._session += 1
        begun_ns = self._clock.now_ns()
        while True:
            # From one try's beginning to the next one's: whoever waited for an answer has waited.
            due_ns = begun_ns + self._backoff.next_ns()
            if self._clock.wait_until(due_ns, self._stopping):
                return False
            begun_ns = self._clock.now_ns()
            try:
                source = self._open()
            except SourceEndedError:
                raise
            except SourceError as still:
                self._supervisor.lost(self._clock.now_ns(), str(still))
                continue
            if source is None:
                return False
            self._take(source)
            self._supervisor.opened(self._clock.now_ns())
            return True

    def _open(self) -> LiveSource | None:
        """Open the source, in a thread of its own: nothing wakes one that waits for an answer.

        Returns:
            The source, or None if the run ends: nobody waits for it then.
        """
        outcome: list[LiveSource | BaseException] = []

        def work() -> None:
            try:
                opened: LiveSource | BaseException = self._open_source(self._info)
            except BaseException as error:
                opened = error
            with self._closing:
                outcome.append(opened)
                if self._stopping.is_set() and not isinstance(opened, BaseException):
                    opened.close()
            self._woken.set()

        self._woken.clear()
        try:
            threading.Thread(target=work, name="live-open", daemon=True).start()
        except RuntimeError:
            # The machine has no thread left for it.
            work()
        if not self._stopping.is_set():
            self._woken.wait()
        with self._closing:
            opened = outcome[0] if outcome else None
            if isinstance(opened, BaseException):
                raise opened
            if self._stopping.is_set() and opened is not None:
                opened.close()
                return None
            return opened

    def _take(self, source: LiveSource) -> None:
        with self._lock:
            self._damaged += self._source.damaged
            self._converted += self._source.converted
            self._missed += self._source.missed
            self._source = source
        if self._stopping.is_set():
            # It may have been opened too late for `stop` to close it.
            self._close()
