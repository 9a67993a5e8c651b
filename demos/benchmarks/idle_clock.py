"""A clock for machines that are busy with something else."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass, field

#: How long nothing may run for the process to count as idle, in s.
_IDLE_S = 0.0005


@dataclass(eq=False)
class _Waiter:
    due_ns: int
    cancelled: threading.Event
    turn: threading.Event = field(default_factory=threading.Event)


class IdleClock:
    """Stands still as long as any thread of the process works, then leaps to what is due next.

    So all work takes no time, and a machine that gives the process little of its own does not make
    it late. Only what waits on this clock may make the process wait for time to pass. Runs inside
    its context. Linux only: it reads from `/proc` which threads have run.
    """

    def __init__(self) -> None:
        self._now_ns = time.monotonic_ns()
        self._lock = threading.Lock()
        self._waiting: list[_Waiter] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._drive, name="idle-clock", daemon=True)

    def now_ns(self) -> int:
        """See `Clock.now_ns`."""
        return self._now_ns

    def wait_until(self, due_ns: int, cancelled: threading.Event) -> bool:
        """See `Clock.wait_until`."""
        waiter = _Waiter(due_ns, cancelled)
        with self._lock:
            if cancelled.is_set() or due_ns <= self._now_ns:
                return cancelled.is_set()
            self._waiting.append(waiter)
        waiter.turn.wait()
        return cancelled.is_set()

    def __enter__(self) -> IdleClock:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _drive(self) -> None:
        while not self._over.is_set():
            before = _threads()
            time.sleep(_IDLE_S)
            if before is not None and before == _threads():
                self._leap()

    def _leap(self) -> None:
        with self._lock:
            chosen = [waiter for waiter in self._waiting if waiter.cancelled.is_set()]
            if self._waiting and not chosen:
                self._now_ns = min(waiter.due_ns for waiter in self._waiting)
                chosen = [waiter for waiter in self._waiting if waiter.due_ns <= self._now_ns]
            self._waiting = [waiter for waiter in self._waiting if waiter not in chosen]
        for waiter in chosen:
            waiter.turn.set()


def _threads() -> dict[str, bytes] | None:
    """Of all other threads how often they went to sleep; None if any of them is awake.

    One that waits for the interpreter's lock sleeps too, but it gets the lock while this one
    sleeps, so that the two answers before and after differ.
    """
    own = str(threading.get_native_id())
    found: dict[str, bytes] = {}
    for number in os.listdir("/proc/self/task"):
        if number == own:
            continue
        try:
            with open(f"/proc/self/task/{number}/status", "rb", buffering=0) as file:
                status = file.read()
        except OSError:
            return None  # it has just ended
        if b"\nState:\tS" not in status:
            return None
        found[number] = status[status.index(b"\nvoluntary_ctxt") :]
    return found
