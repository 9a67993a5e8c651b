"""What the tests of `pranet-bench` share: the command, made-up figures and durations, a clip."""

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demos import bench
from demos.bench.options import Network
from demos.bench.report import Axis, Grid, Measured, Report
from demos.bench.statistics import Distribution, higher, lower
from demos.benchmarks.live_runs import Span
from streamer.latency import Histogram

Film = Callable[..., Path]


@dataclass(frozen=True)
class Ended:
    """How a run of the command ended."""

    code: int
    out: str
    errors: str


@pytest.fixture
def run_bench(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Runs `pranet-bench` with these arguments in this process."""

    def run(*arguments: str | Path) -> Ended:
        monkeypatch.setattr(sys, "argv", ["pranet-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            bench.main()
        code = caught.value.code
        assert code is None or isinstance(code, int)
        told = capsys.readouterr()
        return Ended(code or 0, told.out, told.err)

    return run


@pytest.fixture
def fake_network(monkeypatch: pytest.MonkeyPatch, segmenter: Any) -> Any:
    """The network that costs nothing, in the place of every one that is loaded."""
    monkeypatch.setattr(Network, "load", lambda self, *, streams=0: segmenter)
    return segmenter


@pytest.fixture(scope="session")
def clip(film: Film, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A short clip."""
    return film(tmp_path_factory.mktemp("bench") / "clip.mp4", count=40)


@pytest.fixture(scope="session")
def span() -> Callable[[Iterable[float]], Span]:
    """Makes a span of durations in ms."""

    def make(durations_ms: Iterable[float]) -> Span:
        histogram = Histogram()
        for duration_ms in durations_ms:
            histogram.add_ns(round(duration_ms * 1e6))
        return Span(None, histogram)

    return make


@pytest.fixture
def made_up(span: Callable[[Iterable[float]], Span]) -> Callable[..., Report]:
    """A report with a table of each kind; `fps` are those of its repeats."""

    def make(fps: Iterable[float] = (50, 51, 52, 53, 54), **changes: Any) -> Report:
        rates = tuple(fps)
        count = len(rates)
        measured = Measured(
            [
                Grid(
                    "file mode",
                    {
                        "file mode": {
                            "fps": higher(rates),
                            "CPU ms": lower([2000 - rate for rate in rates]),
                        },
                        "nothing": {},
                    },
                    plot="bars",
                ),
                Grid(
                    "bare stages",
                    {"decode": {"CPU ms": lower([4.0] * count)}, "draw": {"CPU ms": lower(rates)}},
                    plot="stages",
                ),
                Grid(
                    "by size",
                    {"small": {"fps": higher(rates)}, "large": {"fps": higher(rates)}},
                    plot="curves",
                    axis=Axis("megapixels", (1.0, 2.0)),
                ),
            ],
            {"written": Distribution.of([span(range(1, 101))])},
            {"resident_mb": {"100": 1.5}},
        )
        machine = {
            "cpu": "a processor",
            "cpu_flags": ["avx2"],
            "cores": 2,
            "frequency_mhz": {"now": 2000},
            "gpus": [],
            "memory_gib": 24.0,
            "load_1_min": 0.1,
            "versions": {"python": "3.11"},
        }
        fields = {
            "mode": "file",
            "command": "pranet-bench file clip.mp4",
            "settings": {"frames": 10},
            "machine": machine,
            "engine": None,
            "measured": measured,
        }
        return Report(**fields | changes)

    return make
