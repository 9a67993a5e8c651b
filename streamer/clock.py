"""Time as the live side sees it; tests put their own clock in its place."""

import threading
from time import monotonic_ns
from typing import Protocol


class Clock(Protocol):
    """A monotonic clock that can be waited on."""

    def now_ns(self) -> int:
        """The time now."""

    def wait_until(self, due_ns: int, cancelled: threading.Event) -> bool:
        """Wait until a time, or until cancelled.

        Returns:
            Whether it was cancelled.
        """


class MonotonicClock:
    """The machine's own."""

    def now_ns(self) -> int:
        """See `Clock.now_ns`."""
        return monotonic_ns()

    def wait_until(self, due_ns: int, cancelled: threading.Event) -> bool:
        """See `Clock.wait_until`."""
        return cancelled.wait(max(0, due_ns - monotonic_ns()) / 1e9)
