"""Latency histograms against NumPy's percentiles."""

import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer import latency
from streamer.latency import HIGHEST_MS, LOWEST_MS, Histogram, StageTimes

#: Durations that a histogram resolves, in ns: 1 µs to 1000 s.
DURATIONS_NS = st.integers(int(LOWEST_MS * 1e6), int(HIGHEST_MS * 1e6))


def histogram_of(durations_ns: list[int]) -> Histogram:
    histogram = Histogram()
    for duration_ns in durations_ns:
        histogram.add_ns(duration_ns)
    return histogram


@given(
    st.lists(DURATIONS_NS, min_size=1, max_size=200),
    st.sampled_from([0, 1, 5, 25, 50, 75, 90, 95, 99, 99.9, 100]),
)
def test_percentiles_are_those_of_numpy_to_one_percent(
    durations_ns: list[int], percent: float
) -> None:
    expected_ms = np.percentile(durations_ns, percent, method="inverted_cdf") / 1e6

    assert histogram_of(durations_ns).percentile_ms(percent) == pytest.approx(expected_ms, rel=0.01)


@pytest.mark.parametrize("percent", [50, 95, 99])
def test_percentiles_of_many_frames(percent: int) -> None:
    rng = np.random.default_rng(5)
    durations_ns = (rng.lognormal(3, 0.8, 20_000) * 1e6).astype(int).tolist()

    found_ms = histogram_of(durations_ns).percentile_ms(percent)

    assert found_ms == pytest.approx(np.percentile(durations_ns, percent) / 1e6, rel=0.01)


@given(st.lists(DURATIONS_NS, min_size=1, max_size=50))
def test_percentiles_rise_up_to_the_maximum(durations_ns: list[int]) -> None:
    histogram = histogram_of(durations_ns)
    found_ms = [histogram.percentile_ms(percent) for percent in range(0, 101, 10)]

    assert all(low <= high for low, high in pairwise(found_ms))
    assert found_ms[-1] <= histogram.max_ms == max(durations_ns) / 1e6


@given(st.lists(DURATIONS_NS, max_size=100))
def test_sum_to_one_percent(durations_ns: list[int]) -> None:
    assert histogram_of(durations_ns).sum_ms == pytest.approx(sum(durations_ns) / 1e6, rel=0.01)


@given(
    st.lists(DURATIONS_NS, max_size=100),
    st.lists(st.floats(LOWEST_MS / 2, 2 * HIGHEST_MS), max_size=20),
)
def test_counts_up_to_edges(durations_ns: list[int], edges_ms: list[float]) -> None:
    edges_ms.sort()
    *counts, total = histogram_of(durations_ns).cumulative(edges_ms)

    assert total == len(durations_ns)
    assert all(low <= high for low, high in pairwise([0, *counts, total]))
    for edge_ms, count in zip(edges_ms, counts, strict=True):
        # What is closer to the edge than 1 % may count or not.
        surely = sum(duration_ns / 1e6 <= edge_ms / 1.011 for duration_ns in durations_ns)
        perhaps = sum(duration_ns / 1e6 <= edge_ms * 1.011 for duration_ns in durations_ns)
        assert surely <= count <= perhaps


def test_memory_does_not_grow() -> None:
    histogram = histogram_of([1])
    before = sys.getsizeof(histogram._counts)
    for duration_ns in np.geomspace(1, 1e15, 5_000).astype(int).tolist():
        histogram.add_ns(duration_ns)

    assert sys.getsizeof(histogram._counts) == before
    assert vars(histogram).keys() == vars(Histogram()).keys()
    assert histogram.count == 5_001


@pytest.mark.parametrize("duration_ns", [0, 1, -1, -(10**12)])
def test_too_short_to_measure_is_next_to_nothing(duration_ns: int) -> None:
    histogram = histogram_of([duration_ns])

    assert histogram.count == 1
    assert 0 <= histogram.percentile_ms(99) <= LOWEST_MS
    assert histogram.max_ms >= 0


def test_longer_than_the_scale_is_its_last_bucket_and_an_exact_maximum() -> None:
    histogram = histogram_of([5_000_000, 10**18])

    assert histogram.percentile_ms(50) == pytest.approx(5, rel=0.01)
    assert histogram.percentile_ms(99) == pytest.approx(HIGHEST_MS, rel=0.01)
    assert histogram.max_ms == 1e12


def test_empty_histogram() -> None:
    histogram = Histogram()

    assert histogram.percentile_ms(50) == 0
    assert histogram.summary() == {"p50": 0.0, "p95": 0.0, "p99": 0.0, "max": 0.0}


def test_stage_times_are_read_from_the_monotonic_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    now_ns = iter([1_000_000, 3_000_000, 9_000_000])
    monkeypatch.setattr(latency, "monotonic_ns", lambda: next(now_ns))
    times = StageTimes(("decode", "draw", "write"))
    with times.measure("decode"):
        pass
    times.add_since("draw", 4_000_000)

    summary = times.summary()

    assert summary.keys() == {"decode", "draw"}
    assert summary["decode"] == pytest.approx({"p50": 2, "p95": 2, "p99": 2, "max": 2}, rel=0.01)
    assert summary["draw"]["max"] == 5.0


def test_a_stage_that_fails_is_measured_too() -> None:
    times = StageTimes(("decode",))
    with pytest.raises(ValueError, match="broken"), times.measure("decode"):
        raise ValueError("broken")

    assert times.histograms["decode"].count == 1
