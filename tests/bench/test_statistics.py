"""Medians, their intervals, percentiles and curves, held against answers that are known."""

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from demos.bench.statistics import (
    CONFIDENCE,
    LEAST_REPEATS,
    Distribution,
    Figure,
    delay_figures,
    higher,
    lower,
    median_interval,
    ratios,
)
from demos.benchmarks.live_runs import Span

ONE_PERCENT = 0.01


MakeSpan = Callable[[Iterable[float]], Span]


@pytest.mark.parametrize(
    ("count", "inwards", "coverage"),
    [(1, 0, 0.0), (2, 0, 0.5), (5, 0, 0.9375), (8, 1, 0.9297), (10, 1, 0.9785), (20, 5, 0.9586)],
)
def test_intervals_are_those_of_the_tables(count: int, inwards: int, coverage: float) -> None:
    values = [float(value) for value in reversed(range(count))]

    low, high, holds = median_interval(values)

    assert (low, high) == (inwards, count - 1 - inwards)
    assert holds == pytest.approx(coverage, abs=5e-5)


def test_five_repeats_are_what_it_takes() -> None:
    enough = median_interval([0.0] * LEAST_REPEATS)
    too_few = median_interval([0.0] * (LEAST_REPEATS - 1))

    assert too_few.coverage < CONFIDENCE <= enough.coverage


@pytest.mark.parametrize("count", [5, 12])
def test_the_interval_holds_the_true_median_as_often_as_it_says(count: int) -> None:
    rng = np.random.default_rng(2)
    drawn = rng.exponential(size=(4000, count))

    intervals = [median_interval(values.tolist()) for values in drawn]

    holds = np.mean([one.low <= np.log(2) <= one.high for one in intervals])
    assert holds == pytest.approx(intervals[0].coverage, abs=0.02)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40))
def test_the_median_lies_within_its_interval(values: list[float]) -> None:
    figure = lower(values)

    assert min(values) <= figure.interval.low <= figure.median
    assert figure.median <= figure.interval.high <= max(values)


def test_a_figure_comes_back_from_json() -> None:
    figure = higher([3.0, 1.0, 2.0])

    stored = figure.to_json()

    assert (stored["median"], stored["low"], stored["high"]) == (2.0, 1.0, 3.0)
    assert Figure.from_json(stored) == figure


@pytest.mark.parametrize("repeats", [[], ["much"], None])
def test_what_is_no_figure_is_refused(repeats: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        Figure.from_json({"repeats": repeats, "better": "lower"})


def test_ratios_are_those_of_one_turn() -> None:
    assert ratios([10.0, 40.0], to=[5.0, 10.0]) == (2.0, 4.0)


def test_delays_are_percentiles_of_each_repeat(span: MakeSpan) -> None:
    first = span(range(1, 101))
    second = span(range(2, 201, 2))

    figures = delay_figures([first, second])

    assert list(figures) == ["p50 ms", "p95 ms", "p99 ms", "max ms"]
    assert figures["p50 ms"].values == pytest.approx((50, 100), rel=ONE_PERCENT)
    assert figures["p95 ms"].values == pytest.approx((95, 190), rel=ONE_PERCENT)
    assert figures["max ms"].values == pytest.approx((100, 200), rel=ONE_PERCENT)


def test_without_durations_there_are_no_figures(span: MakeSpan) -> None:
    assert delay_figures([span([1.0]), Span()]) == {}


def test_a_curve_tells_what_share_takes_no_longer(span: MakeSpan) -> None:
    found = Distribution.of([span(range(1, 51)), span([1000.0] * 50)])

    curve = dict(found.curve)
    assert found.count == 100
    assert curve[50.0] == pytest.approx(50, rel=ONE_PERCENT)
    assert curve[51.0] == pytest.approx(1000, rel=ONE_PERCENT)
    assert Distribution.from_json(found.to_json()) == found
