"""Latency as a distribution: a histogram of constant memory, read as percentiles."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import monotonic_ns

#: Ratio of neighbouring bucket edges: percentiles are exact to 1 %.
GROWTH = 1.01
LOWEST_MS = 1e-3
HIGHEST_MS = 1e6
_BUCKETS = math.ceil(math.log(HIGHEST_MS / LOWEST_MS, GROWTH)) + 1


class Histogram:
    """Durations in buckets that grow by 1 % each, from 1 µs to 1000 s."""

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        self.count = 0
        self.max_ms = 0.0

    def add_ns(self, duration_ns: int) -> None:
        """Count one duration."""
        duration_ms = duration_ns / 1e6
        place = math.log(max(duration_ms, LOWEST_MS) / LOWEST_MS, GROWTH)
        self._counts[min(int(place), _BUCKETS - 1)] += 1
        self.count += 1
        self.max_ms = max(self.max_ms, duration_ms)

    def percentile_ms(self, percent: float) -> float:
        """The duration in ms that `percent` of all stay at or below, to 1 %; 0 if none."""
        wanted = math.ceil(self.count * percent / 100)
        seen = 0
        for bucket, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                middle_ms: float = LOWEST_MS * GROWTH ** (bucket + 0.5)
                return min(middle_ms, self.max_ms)
        return 0.0

    @property
    def sum_ms(self) -> float:
        """The sum of all durations in ms, to 1 %."""
        total = 0.0
        for bucket, count in enumerate(self._counts):
            if count:
                total += count * LOWEST_MS * GROWTH ** (bucket + 0.5)
        return total

    def cumulative(self, edges_ms: Sequence[float]) -> list[int]:
        """How many durations are at or below each edge, to 1 %, and how many there are at all.

        The counts agree with each other also while another thread goes on counting.

        Args:
            edges_ms: rising.
        """
        counts = self._counts.copy()
        found, seen, begin = [], 0, 0
        for edge_ms in edges_ms:
            end = max(begin, round(math.log(max(edge_ms, LOWEST_MS) / LOWEST_MS, GROWTH)))
            seen += sum(counts[begin:end])
            begin = min(end, _BUCKETS)
            found.append(seen)
        return [*found, seen + sum(counts[begin:])]

    def summary(self) -> dict[str, float]:
        """p50, p95, p99 and max in ms."""
        summary = {f"p{percent}": round(self.percentile_ms(percent), 3) for percent in (50, 95, 99)}
        return summary | {"max": round(self.max_ms, 3)}


class StageTimes:
    """One histogram per named stage. Each stage belongs to one thread."""

    def __init__(self, stages: tuple[str, ...]) -> None:
        self.histograms = {stage: Histogram() for stage in stages}

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Time the body on the monotonic clock."""
        start_ns = monotonic_ns()
        try:
            yield
        finally:
            self.add_since(stage, start_ns)

    def add_since(self, stage: str, start_ns: int) -> None:
        """Count the time from a reading of the monotonic clock until now."""
        self.histograms[stage].add_ns(monotonic_ns() - start_ns)

    def summary(self) -> dict[str, dict[str, float]]:
        """Stages that were measured at all, in ms."""
        return {
            stage: histogram.summary()
            for stage, histogram in self.histograms.items()
            if histogram.count
        }
