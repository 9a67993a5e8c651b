"""The network alone, on every backend that this machine has."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from time import monotonic_ns
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from demos.bench.cost import Cost
from demos.bench.report import Grid, Measured
from demos.bench.statistics import Distribution, Figure, delay_figures, higher, lower, ratios
from demos.benchmarks.live_runs import Span
from pranet.errors import PranetError
from streamer.engine import Backend, Pending, Precision, Segmenter, load_segmenter
from streamer.errors import StreamError
from streamer.latency import Histogram

#: Frames through each engine before anything counts.
WARM_UP_FRAMES = 20
#: What the others are held against, where it is there: plain PyTorch.
REFERENCE = "eager fp32"

_Image = NDArray[np.uint8]


@dataclass
class Candidate:
    """One backend at one precision.

    Attributes:
        single: with one frame at a time: the shortest delay.
        many: with as many at once as is the default: most frames per second.
        delays, costs: of each repeat so far.
    """

    single: Segmenter
    many: Segmenter
    delays: list[Span] = field(default_factory=list)
    costs: list[Cost] = field(default_factory=list)

    def turn(self, images: Sequence[_Image]) -> None:
        """Measure it once more."""
        self.delays.append(one_by_one(self.single, images))
        self.costs.append(side_by_side(self.many, images))

    def figures(self, frames: int) -> dict[str, Figure]:
        """What came of all turns."""
        return {
            **delay_figures(self.delays),
            "fps": higher(self.rates(frames)),
            "CPU ms": lower([cost.cpu_ms(frames) for cost in self.costs]),
        }

    def rates(self, frames: int) -> list[float]:
        """Frames per second of each turn."""
        return [1e3 / cost.wall_ms(frames) for cost in self.costs]


def one_by_one(segmenter: Segmenter, images: Sequence[_Image]) -> Span:
    """How long each image takes when the next one waits for it."""
    histogram = Histogram()
    for image in images:
        start_ns = monotonic_ns()
        segmenter.submit(image).result()
        histogram.add_ns(monotonic_ns() - start_ns)
    return Span(None, histogram)


def side_by_side(segmenter: Segmenter, images: Sequence[_Image]) -> Cost:
    """What all images cost when as many are under way as the engine has streams."""
    cost = Cost()
    streams = segmenter.info.streams
    with cost.add():
        under_way: list[Pending] = []
        for image in images:
            if len(under_way) == streams:
                under_way.pop(0).result()
            under_way.append(segmenter.submit(image))
        for pending in under_way:
            pending.result()
    return cost


def candidates(
    model: str,
    backend: Backend,
    precision: Precision,
    tell: Callable[[str], None],
) -> Iterator[tuple[str, Candidate]]:
    """Everything that can be loaded here, by name; what cannot is told with the reason.

    Args:
        backend, precision: ``auto`` takes each one.
    """
    for kind in _each(Backend, backend):
        for exactness in _each(Precision, precision):
            try:
                many = load_segmenter(model, backend=kind, precision=exactness)
            except PranetError as error:
                tell(f"left out: {kind} {exactness} ({error})")
                continue
            single = many
            if many.info.streams > 1:
                single = load_segmenter(model, backend=kind, precision=exactness, streams=1)
            yield f"{many.info.backend} {many.info.precision}", Candidate(single, many)


def _each(choices: Any, chosen: str) -> list[Any]:
    return [one for one in get_args(choices) if one != "auto" and chosen in ("auto", one)]


def measure(
    model: str,
    *,
    backend: Backend,
    precision: Precision,
    frames: int,
    repeats: int,
    tell: Callable[[str], None],
) -> Measured:
    """All candidates in turns, on the same images.

    Raises:
        StreamError: there is no candidate.
    """
    with ExitStack() as stack:
        found: dict[str, Candidate] = {}
        for name, candidate in candidates(model, backend, precision, tell):
            stack.enter_context(closing(candidate.single))
            stack.enter_context(closing(candidate.many))
            found[name] = candidate
        if not found:
            raise StreamError("no engine can be loaded here")
        side_px = next(iter(found.values())).many.info.input_size
        images = _images(side_px, max(frames, WARM_UP_FRAMES))
        for candidate in found.values():
            one_by_one(candidate.single, images[:WARM_UP_FRAMES])
            side_by_side(candidate.many, images[:WARM_UP_FRAMES])
        for _ in range(repeats):
            for candidate in found.values():
                candidate.turn(images[:frames])
    rows = {name: candidate.figures(frames) for name, candidate in found.items()}
    if REFERENCE in found:
        plain = found[REFERENCE].rates(frames)
        for name, candidate in found.items():
            rows[name][f"fps / {REFERENCE}"] = higher(ratios(candidate.rates(frames), plain))
    return Measured(
        [Grid("network alone", rows)],
        {name: Distribution.of(candidate.delays) for name, candidate in found.items()},
        {
            "streams": {name: candidate.many.info.streams for name, candidate in found.items()},
            "threads": {name: candidate.many.info.threads for name, candidate in found.items()},
        },
    )


def _images(side_px: int, count: int) -> list[_Image]:
    """RGB noise (side_px, side_px, 3): what is in an image does not change what it costs."""
    rng = np.random.default_rng(0)
    few = [rng.integers(0, 256, (side_px, side_px, 3), dtype=np.uint8) for _ in range(8)]
    return [few[place % len(few)] for place in range(count)]
