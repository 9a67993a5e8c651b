"""All networks, each in a process of its own (`worker`): they prepare at once, and measure in turn.

What needs no compilation is measured first, so that it is there whatever becomes of the rest.
"""

from collections.abc import Callable, Mapping
from time import monotonic

from demos.gpu_check.handing import Take
from demos.gpu_check.process import EXIT_S, Child, how_it_ended

#: So much of the time is kept for measuring what was compiled.
MEASURING_S = 20.0
#: What a worker that answers no more is said to have been at.
PREPARING, MEASURING, COMPILING = (
    "not prepared in time",
    "not measured in time",
    "not compiled in time",
)


def measure_networks(
    workers: Mapping[str, Child],
    take: Take,
    *,
    patience_s: float,
    until_s: float,
    clock_s: Callable[[], float] = monotonic,
) -> None:
    """Let all networks be measured.

    Args:
        workers: by the name of the network.
        take: gets what they find, and how one failed.
        patience_s: for the compilation of all of them.
        until_s: when all is to be done, by the clock.
    """
    rounds = _Rounds(workers, take, clock_s)
    try:
        # Half of what is left, so that one that hangs does not cost the others all of it.
        rounds.wait_for_all(clock_s() + (until_s - clock_s()) / 2, PREPARING)
        rounds.each_in_turn(until_s, MEASURING, share=0.5)
        rounds.all_at_once(min(until_s - MEASURING_S, clock_s() + patience_s), COMPILING)
        rounds.each_in_turn(until_s, MEASURING)
    finally:
        for worker in workers.values():
            worker.end()


class _Rounds:
    """The workers that are still in it, and the rounds that they go through."""

    def __init__(
        self, workers: Mapping[str, Child], take: Take, clock_s: Callable[[], float]
    ) -> None:
        self._workers = dict(workers)
        self._take = take
        self._clock_s = clock_s

    def all_at_once(self, until_s: float, late: str) -> None:
        """Tell all to go on, and wait for them."""
        for worker in self._workers.values():
            worker.tell("go")
        self.wait_for_all(until_s, late)

    def each_in_turn(self, until_s: float, late: str, share: float = 1.0) -> None:
        """One after the other: each has the GPU for itself, and that share of the time left."""
        for name, worker in list(self._workers.items()):
            worker.tell("go")
            now_s = self._clock_s()
            self._wait_for(name, worker, now_s + share * (until_s - now_s), late)

    def wait_for_all(self, until_s: float, late: str) -> None:
        """Until each waits for a line, has ended, or is late."""
        for name, worker in list(self._workers.items()):
            self._wait_for(name, worker, until_s, late)

    def _wait_for(self, name: str, worker: Child, until_s: float, late: str) -> None:
        try:
            while message := worker.next(until_s - self._clock_s()):
                path, found = message
                if not path:
                    return
                self._take([name, *path], found)
        except TimeoutError:
            failed: str | None = late
        else:
            failed = how_it_ended(worker.end(EXIT_S))
        worker.end()
        del self._workers[name]
        if failed is not None:
            self._take([name, "failed"], failed)
