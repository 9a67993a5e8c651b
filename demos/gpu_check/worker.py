"""One network in every variant: `python -m demos.gpu_check.worker MODEL BATCHES REPEATS`.

It waits for its turn three times: with all at hand, before it measures what needs no compilation;
before it compiles, as all workers do at once; and before it measures what was compiled. TensorRT's
engines come last, since they may crash.
"""

import gc
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Any, Protocol, TypeVar

import torch

from demos.gpu_check.frames import sample_frames
from demos.gpu_check.handing import Take, hand_over
from demos.gpu_check.measuring import LEAST_FOR_P99, agreement, answers, latency
from demos.gpu_check.variants import COMPILED, ENGINES, PLAIN, REFERENCE, Network, network_of, ready
from pranet.model import CONFIGS
from streamer.errors import first_line

#: Frames that are compared.
FRAMES = 16
#: Several workers compile at once; each would take all cores.
THREADS = 4

P = TypeVar("P")
Measure = Callable[[], dict[str, Any]]


class Bench(Protocol[P]):
    """Where one network is prepared and measured."""

    def prepare(self, name: str) -> P:
        """A variant, compiled if it is of that kind."""

    def measure(self, name: str, prepared: P) -> Iterator[tuple[str, Measure]]:
        """What measures it, by batch size (``x1``, …)."""


def run(bench: Bench[P], take: Take, wait_for_turn: Callable[[], object]) -> None:
    """All variants in their order. One that fails is noted, and costs no other."""
    wait_for_turn()
    for name in PLAIN:
        _measure(bench, name, _prepared(bench, name, take), take)
    wait_for_turn()
    compiled = {name: _prepared(bench, name, take) for name in COMPILED}
    wait_for_turn()
    while compiled:
        name = next(iter(compiled))
        # Taken out, so that its memory is free for the next one.
        _measure(bench, name, compiled.pop(name), take)
    for name in ENGINES:
        _measure(bench, name, _prepared(bench, name, take), take)


def _prepared(bench: Bench[P], name: str, take: Take) -> P | None:
    try:
        return bench.prepare(name)
    except Exception as error:  # of whatever kind: it is a finding
        take(["x1", name], {"missing": first_line(error)[:300]})
        return None


def _measure(bench: Bench[P], name: str, prepared: P | None, take: Take) -> None:
    if prepared is None:
        return
    for batch, measure in bench.measure(name, prepared):
        try:
            found = measure()
        except Exception as error:  # likewise
            found = {"missing": first_line(error)[:300]}
        take([batch, name], found)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A network on the GPU.

    Attributes:
        before_bytes: of the GPU's memory that were taken before it was there.
        seconds: that it took to prepare.
    """

    network: Network
    before_bytes: int
    seconds: float


class CudaBench:
    """See `Bench`.

    Args:
        repeats: timed runs of each variant, for one picture at a time.
    """

    def __init__(self, model: str, batches: list[int], repeats: int) -> None:
        torch.set_num_threads(THREADS)
        self._model, self._batches, self._repeats = model, batches, repeats
        self._frames = sample_frames(CONFIGS[model], max(FRAMES, *batches)).cuda()
        self._reference: Any = None

    def prepare(self, name: str) -> Prepared:
        """See `Bench.prepare`."""
        # What earlier variants held is not to be counted, nor freed half-way.
        gc.collect()
        before_bytes = torch.cuda.memory_allocated()
        start_s = monotonic()
        network = network_of(name, self._model)
        if name in COMPILED:
            # At the first run. What the compiler tries takes memory, which is not the network's.
            ready(name, network, self._frames[:1].clone())
        return Prepared(network, before_bytes, monotonic() - start_s)

    def measure(self, name: str, prepared: Prepared) -> Iterator[tuple[str, Measure]]:
        """See `Bench.measure`; what is compiled or an engine is for one picture at a time."""
        for batch in self._batches if name in PLAIN else [1]:
            yield f"x{batch}", partial(self._measure, name, prepared, batch)

    def _measure(self, name: str, prepared: Prepared, batch: int) -> dict[str, Any]:
        gc.collect()
        torch.cuda.reset_peak_memory_stats()
        run, given, answer = ready(name, prepared.network, self._frames[:batch].clone())
        found: dict[str, Any] = {"prepared_s": round(prepared.seconds, 1)}
        found |= latency(run, self._repeats if batch == 1 else min(self._repeats, LEAST_FOR_P99))
        taken_bytes = torch.cuda.max_memory_allocated() - prepared.before_bytes
        found["peak_mib"] = round(taken_bytes / 2**20)
        if batch > 1:
            return found
        found["digest"], maps = answers(run, given, answer, self._frames)
        if name == REFERENCE:
            self._reference = maps
        elif self._reference is not None:
            found |= agreement(maps, self._reference)
        return found


def _wait_for_turn() -> None:
    hand_over([], None)
    if not sys.stdin.readline():
        # Whoever asked is gone.
        sys.exit()


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[2].split(",")]
    try:
        run(CudaBench(sys.argv[1], sizes, int(sys.argv[3])), hand_over, _wait_for_turn)
    except Exception as error:
        hand_over(["failed"], first_line(error)[:300])
