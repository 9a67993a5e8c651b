"""From screen to screen: the delays of `demos.glass` as a report."""

from collections.abc import Callable

from demos import glass
from demos.bench.report import Grid, Measured
from demos.bench.statistics import Distribution, delay_figures, lower
from demos.benchmarks.live_runs import Span
from streamer.engine import Segmenter


def measure(
    load: Callable[[], Segmenter], *, seconds: float, repeats: int, tell: Callable[[str], None]
) -> Measured:
    """The way with and without the pipeline in turns.

    Raises:
        StreamError: see `demos.glass.measure`.
    """
    rounds = glass.measure(load, seconds=seconds, rounds=repeats, tell=tell)
    delays = {name: [Span(None, one) for one in found] for name, found in rounds.items()}
    added = [
        with_it.percentile_ms(50) - without.percentile_ms(50)
        for with_it, without in zip(delays["pipeline"], delays["floor"], strict=True)
    ]
    return Measured(
        [
            Grid("glass to glass", {name: delay_figures(found) for name, found in delays.items()}),
            Grid("what the pipeline adds", {"pipeline − floor": {"p50 ms": lower(added)}}),
        ],
        {name: Distribution.of(found) for name, found in delays.items()},
        {"picture": {"width": glass.WIDTH_PX, "height": glass.HEIGHT_PX, "rate": glass.RATE}},
    )
