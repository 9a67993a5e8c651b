"""Where orders are taken: one is worked on, a few wait, and everyone is told their place."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from enum import StrEnum
from multiprocessing.connection import Connection
from time import monotonic
from typing import Protocol

from demos.app.worker import Cancel, Failed, Finished, Order, Ready
from pranet.errors import PranetError

logger = logging.getLogger(__name__)

#: Seconds that a cancelled order has until its process is ended.
CANCEL_S = 10.0
_POLL_S = 0.2
_BROKE_DOWN = (
    "The work on it broke down: the file is damaged in a way that cannot be read. "
    "Nothing of it was kept."
)


class BusyError(PranetError):
    """No more orders are taken at the moment."""


class State(StrEnum):
    """What an order can be in."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


_OVER = frozenset({State.DONE, State.FAILED, State.CANCELLED})


class Process(Protocol):
    """What carries out orders, see `Worker`."""

    connection: Connection

    def close(self) -> None:
        """End it, whatever it is doing."""


class Ticket:
    """One order on its way; all may be read from any thread.

    Attributes:
        order: what is to be done.
        state: see `State`.
        outcome: what came of it, when it is done.
        reason: why it failed, in words for the visitor.
    """

    def __init__(self, order: Order, take_news: Callable[[object], None]) -> None:
        self.order = order
        self.state = State.WAITING
        self.outcome: object = None
        self.reason = ""
        self.take_news = take_news
        self.cancelled = threading.Event()
        self._over = threading.Event()

    @property
    def is_over(self) -> bool:
        """Whether nothing more will come."""
        return self._over.is_set()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it is over; returns whether it is."""
        return self._over.wait(timeout_s)

    def finish(self, state: State, *, outcome: object = None, reason: str = "") -> None:
        """For the desk: it is over."""
        self.outcome, self.reason = outcome, reason
        self.state = state
        self._over.set()


class Desk:
    """Takes orders from any thread and has one process carry them out, first come, first served.

    A process that dies fails the order at hand, and the next one gets a new process.

    Args:
        start: starts a process; also called again after one died.
        max_waiting: orders that may wait.
        max_work_s: a process that has not finished an order by then is ended.
    """

    def __init__(
        self, start: Callable[[], Process], *, max_waiting: int, max_work_s: float
    ) -> None:
        self._start = start
        self._max_waiting = max_waiting
        self._max_work_s = max_work_s
        self._changed = threading.Condition()
        self._waiting: deque[Ticket] = deque()
        self._current: Ticket | None = None
        self._closing = False
        self._process: Process | None = None
        self._thread = threading.Thread(target=self._work, name="desk", daemon=True)
        self._thread.start()

    def submit(self, order: Order, take_news: Callable[[object], None]) -> Ticket:
        """Take an order.

        Args:
            take_news: called by the desk's thread with what the order tells.

        Raises:
            BusyError: too many wait already.
        """
        ticket = Ticket(order, take_news)
        with self._changed:
            if len(self._waiting) >= self._max_waiting:
                raise BusyError(
                    f"{len(self._waiting)} others are waiting already. Try again in a minute."
                )
            self._waiting.append(ticket)
            self._changed.notify_all()
        return ticket

    def place(self, ticket: Ticket) -> int:
        """How many are before a ticket that waits; 0 if it is next or at work."""
        with self._changed:
            if ticket not in self._waiting:
                return 0
            return self._waiting.index(ticket) + (self._current is not None)

    def cancel(self, ticket: Ticket) -> None:
        """An order is no longer wanted; it ends soon, and at once if it is still waiting."""
        ticket.cancelled.set()
        with self._changed:
            if ticket in self._waiting:
                self._waiting.remove(ticket)
                ticket.finish(State.CANCELLED)

    def close(self) -> None:
        """Give up all orders and end the process; may be called twice."""
        with self._changed:
            self._closing = True
            for ticket in self._waiting:
                ticket.finish(State.CANCELLED)
            self._waiting.clear()
            if self._current is not None:
                self._current.cancelled.set()
            self._changed.notify_all()
        self._thread.join()

    def _work(self) -> None:
        try:
            # Before the first order, so that the first visitor need not wait for it.
            with suppress(EOFError, OSError):
                self._process_ready()
            while (ticket := self._next()) is not None:
                self._serve(ticket)
                with self._changed:
                    self._current = None
        finally:
            self._drop_process()

    def _next(self) -> Ticket | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            if self._closing:
                return None
            self._current = self._waiting.popleft()
            self._current.state = State.RUNNING
            return self._current

    def _serve(self, ticket: Ticket) -> None:
        try:
            process = self._process_ready()
            process.connection.send(ticket.order)
            end = self._listen(process.connection, ticket)
        except (EOFError, OSError):
            logger.error("a worker broke down")
            self._drop_process()
            ticket.finish(State.FAILED, reason=_BROKE_DOWN)
            return
        if isinstance(end, Finished):
            ticket.finish(State.DONE, outcome=end.outcome)
        elif isinstance(end, Failed):
            ticket.finish(State.FAILED, reason=end.reason)
        else:
            self._drop_process()
            late = State.CANCELLED if ticket.cancelled.is_set() else State.FAILED
            ticket.finish(late, reason="It took too long and was ended.")

    def _listen(self, connection: Connection, ticket: Ticket) -> Finished | Failed | None:
        """Hand on the news until the end; None if the process does not come to one."""
        deadline_s = monotonic() + self._max_work_s
        told = False
        while monotonic() < deadline_s:
            if ticket.cancelled.is_set() and not told:
                told = True
                deadline_s = min(deadline_s, monotonic() + CANCEL_S)
                connection.send(Cancel())
            if self._closing:
                return None
            if connection.poll(_POLL_S):
                message = connection.recv()
                if isinstance(message, Finished | Failed):
                    return message
                ticket.take_news(message)
        return None

    def _process_ready(self) -> Process:
        """The process, after it said that it is ready.

        Raises:
            EOFError, OSError: it died.
        """
        # Between two orders it has nothing to say; then it has died.
        if self._process is not None and self._process.connection.poll():
            self._drop_process()
        if self._process is None:
            self._process = self._start()
            while not self._process.connection.poll(_POLL_S):
                if self._closing:
                    raise EOFError
            if not isinstance(self._process.connection.recv(), Ready):
                raise EOFError
        return self._process

    def _drop_process(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None
