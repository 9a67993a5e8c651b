"""Time spent on something: on the clock, and by the processor."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import monotonic, process_time


@dataclass
class Cost:
    """Time spent, in seconds; CPU time is that of the whole process, all threads."""

    wall_s: float = 0.0
    cpu_s: float = 0.0

    @contextmanager
    def add(self) -> Iterator[None]:
        """Add what the body takes."""
        wall_s, cpu_s = monotonic(), process_time()
        yield
        self.wall_s += monotonic() - wall_s
        self.cpu_s += process_time() - cpu_s

    def wall_ms(self, frames: int) -> float:
        """Of each of so many frames."""
        return 1e3 * self.wall_s / frames

    def cpu_ms(self, frames: int) -> float:
        """Of each of so many frames."""
        return 1e3 * self.cpu_s / frames
