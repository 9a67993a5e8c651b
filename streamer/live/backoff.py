"""How long to wait before something that failed is tried again."""

from random import Random

#: Share by which each wait is made longer or shorter, so that many that failed at once do not all
#: come back at once.
JITTER = 0.1


class Backoff:
    """Waits that double from one to the next.

    Args:
        first_s: the first wait.
        longest_s: no wait is longer, but for the jitter.
        seed: of the jitter.
    """

    def __init__(self, first_s: float, longest_s: float, seed: int = 0) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._random = Random(seed)
        self._next_s = first_s

    def next_ns(self) -> int:
        """The next wait in ns."""
        wait_s = self._next_s
        self._next_s = min(2 * wait_s, self._longest_s)
        return round(wait_s * self._random.uniform(1 - JITTER, 1 + JITTER) * 1e9)

    def reset(self) -> None:
        """It works again: begin anew with the first wait."""
        self._next_s = self._first_s
