"""Sinks behind queues and threads of their own, so that none holds up the picture or another."""

import logging
from collections.abc import Sequence

from streamer.clock import Clock
from streamer.errors import OutputError
from streamer.live.newest import NewestQueue
from streamer.live.record import Record
from streamer.sinks.base import Composed, Sink

logger = logging.getLogger(__name__)


class Output:
    """One sink. Its thread runs `work`, and nobody else touches the sink.

    Args:
        capacity: pictures that wait for a slow sink before the oldest are dropped.
    """

    def __init__(
        self, name: str, sink: Sink, *, capacity: int, record: Record, clock: Clock
    ) -> None:
        self.name = name
        #: What ended it.
        self.error: str | None = None
        self._sink = sink
        self._queue: NewestQueue[Composed] = NewestQueue(capacity)
        self._record = record
        self._clock = clock
        # Each is written by one thread: the one that offers, and the sink's own.
        self._dropped = 0
        self._lost = 0
        self._writing = False

    @property
    def dropped(self) -> int:
        """Pictures that did not get through: it was too slow for them, or had failed."""
        return self._dropped + self._lost

    def offer(self, composed: Composed) -> None:
        """Hand it a picture; never waits."""
        if self._queue.put(composed) is not None:
            self._dropped += 1

    def finish(self) -> None:
        """No more pictures will come; what waits is still written."""
        self._queue.finish()

    def give_up(self, reason: str) -> None:
        """It does not come to its end; what it still holds is lost."""
        self._fail(reason)
        self._dropped += len(self._queue.abort()) + self._writing

    def work(self) -> None:
        """Write what comes, then close the sink.

        Its failure, also one that nobody thought of, ends neither the run nor the others.
        """
        try:
            for composed in self._queue:
                self._writing = True
                try:
                    self._sink.write(composed)
                except Exception:
                    self._lost += 1 + len(self._queue.abort())
                    raise
                finally:
                    self._writing = False
                waited_ns = self._clock.now_ns() - composed.frame.captured_ns
                self._record.add(f"sink:{self.name}", waited_ns)
        except Exception as error:
            self._fail(_reason(error))
        finally:
            self.close()

    def close(self) -> None:
        """Close the sink; for its own thread, or where it has none."""
        try:
            self._sink.close()
        except Exception as error:
            self._fail(_reason(error))

    def _fail(self, reason: str) -> None:
        if self.error is None:
            self.error = reason
            logger.error("output %s: %s", self.name, reason)


def _reason(error: Exception) -> str:
    """What to say of an error; where it came from goes to the log if that is detailed enough."""
    if isinstance(error, OutputError):
        return str(error)
    logger.debug("an unexpected error", exc_info=error)
    return f"{type(error).__name__}: {error}"


class Outputs:
    """All outputs of a run.

    Raises:
        ValueError: two have one name.
    """

    def __init__(
        self, sinks: Sequence[tuple[str, Sink]], *, capacity: int, record: Record, clock: Clock
    ) -> None:
        if len({name for name, _ in sinks}) < len(sinks):
            raise ValueError("two outputs have one name")
        self.all = [
            Output(name, sink, capacity=capacity, record=record, clock=clock)
            for name, sink in sinks
        ]
        self._warned = False

    def offer(self, composed: Composed) -> None:
        """Hand a picture to every output; never waits."""
        for output in self.all:
            output.offer(composed)

    def finish(self) -> None:
        """No more pictures will come; may be called twice."""
        for output in self.all:
            output.finish()

    @property
    def dropped(self) -> dict[str, int]:
        """Output → pictures that did not get through, also where there are none."""
        return {output.name: output.dropped for output in self.all}

    @property
    def errors(self) -> dict[str, str]:
        """Output → what ended it."""
        return {output.name: output.error for output in self.all if output.error is not None}

    def warn_if_none_is_left(self) -> None:
        """Say it once when all outputs have failed: the run goes on for nobody."""
        if self.all and not self._warned and all(output.error for output in self.all):
            self._warned = True
            logger.error("no output is left: every one of them has failed")
