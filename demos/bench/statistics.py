"""What repeated measurements tell: a median, and an interval that order statistics give.

A quantity is measured once in each repeat; a percentile is that of the durations of one repeat.
Frames of one run are not independent of each other, repeats nearly are: so the spread over the
repeats is what counts. The interval runs from the k-th smallest to the k-th largest repeat, as
narrow as `CONFIDENCE` allows. It holds the true median with a probability that depends on nothing
but the number of repeats (David and Nagaraja, Order Statistics, 2003, section 7.1): for five
repeats it is the whole range, and 94 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median
from typing import Any, Literal, NamedTuple

from demos.benchmarks.live_runs import Span

#: Least probability with which an interval holds the true median, where there are enough repeats.
CONFIDENCE = 0.9
#: The repeats that it takes to reach it.
LEAST_REPEATS = 5
PERCENTS = (50, 95, 99)
_CURVE_PERCENTS = (*map(float, range(1, 100)), 99.5, 99.9, 100.0)

Better = Literal["lower", "higher"]


class Interval(NamedTuple):
    """Where the true median lies.

    Attributes:
        low, high: both ends.
        coverage: probability that they hold it, 0…1; 0 for a single repeat.
    """

    low: float
    high: float
    coverage: float


def median_interval(values: Sequence[float]) -> Interval:
    """The narrowest pair of order statistics that holds the median with `CONFIDENCE`.

    With fewer repeats than that takes, the whole range and what it is worth.
    """
    ordered = sorted(values)
    inwards = 0
    while _coverage(len(ordered), inwards + 1) >= CONFIDENCE:
        inwards += 1
    return Interval(ordered[inwards], ordered[-1 - inwards], _coverage(len(ordered), inwards))


def _coverage(count: int, inwards: int) -> float:
    """Probability that the median lies between two repeats, each so many from its end."""
    beyond = sum(comb(count, few) for few in range(inwards + 1)) / 2.0**count
    return 1 - 2 * beyond


@dataclass(frozen=True)
class Figure:
    """One quantity.

    Attributes:
        values: one of each repeat, in the unit that the column is named with.
        better: which way is an improvement.
    """

    values: tuple[float, ...]
    better: Better = "lower"

    @property
    def median(self) -> float:
        """Of the repeats."""
        return median(self.values)

    @property
    def interval(self) -> Interval:
        """See `median_interval`."""
        return median_interval(self.values)

    def to_json(self) -> dict[str, Any]:
        """All of it, with what follows from it, as plain types."""
        low, high, coverage = self.interval
        return {
            "median": _short(self.median),
            "low": _short(low),
            "high": _short(high),
            "coverage": round(coverage, 4),
            "better": self.better,
            "repeats": [_short(value) for value in self.values],
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Figure":
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: it is not of that form.
        """
        values = tuple(float(value) for value in stored["repeats"])
        if not values or stored["better"] not in ("lower", "higher"):
            raise ValueError("no repeats, or no direction")
        return cls(values, stored["better"])


def higher(values: Sequence[float]) -> Figure:
    """A figure of which more is better."""
    return Figure(tuple(values), "higher")


def lower(values: Sequence[float]) -> Figure:
    """A figure of which less is better."""
    return Figure(tuple(values), "lower")


def ratios(values: Sequence[float], to: Sequence[float]) -> tuple[float, ...]:
    """Repeat by repeat, so that what disturbs both of one repeat cancels out."""
    return tuple(one / other for one, other in zip(values, to, strict=True))


def delay_figures(repeats: Sequence[Span]) -> dict[str, Figure]:
    """p50, p95, p99 and max in ms of the durations of each repeat; none if one has no durations."""
    if not all(span.count for span in repeats):
        return {}
    columns = {f"p{percent} ms": percent for percent in PERCENTS} | {"max ms": 100}
    return {
        name: lower([span.percentile_ms(percent) for span in repeats])
        for name, percent in columns.items()
    }


@dataclass(frozen=True)
class Distribution:
    """Durations of all repeats together, for plots.

    Attributes:
        count: how many.
        curve: (percent, ms) of the cumulative distribution, rising.
    """

    count: int
    curve: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, repeats: Sequence[Span]) -> "Distribution":
        """What spans tell together."""
        together = sum(repeats, Span())
        curve = tuple((p, _short(together.percentile_ms(p))) for p in _CURVE_PERCENTS)
        return cls(together.count, curve)

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        return {"count": self.count, "cumulative_percent_ms": [list(point) for point in self.curve]}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Distribution":
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: it is not of that form.
        """
        curve = tuple((float(p), float(ms)) for p, ms in stored["cumulative_percent_ms"])
        return cls(int(stored["count"]), curve)


def _short(value: float) -> float:
    """Six digits: more than any of this is exact to."""
    return float(f"{value:.6g}")
