"""Plots are written where matplotlib is there, and asked for in one line where it is not."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from demos.bench import plots
from demos.bench.report import Report
from demos.bench.statistics import Distribution
from streamer.errors import StreamError

PNG = b"\x89PNG"

MakeReport = Callable[..., Report]


def test_everything_that_can_be_drawn_is(made_up: MakeReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is optional")

    drawn = plots.draw(made_up(), tmp_path / "plots")

    assert [path.name for path in drawn] == [
        "file_delays.png",
        "file_stages.png",
        "file_curves.png",
        "file_bars.png",
    ]
    assert all(path.read_bytes().startswith(PNG) for path in drawn)


def test_a_report_without_anything_to_draw_draws_nothing(
    made_up: MakeReport, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is optional")
    report = made_up()
    report.measured.grids.clear()
    report.measured.distributions.clear()

    assert plots.draw(report, tmp_path) == []


def test_a_histogram_holds_what_the_curve_tells() -> None:
    curve = tuple((float(percent), 10.0 + percent) for percent in range(1, 101))

    edges_ms, shares = plots.histogram(Distribution(100, curve))

    assert edges_ms[0] == 11.0
    assert edges_ms[-1] == pytest.approx(109.5)
    assert sum(shares) == pytest.approx(98.5)
    assert max(shares) == pytest.approx(min(shares))


def test_missing_matplotlib_is_told_before_anything_is_measured(
    run_bench: Callable[..., object], clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with pytest.raises(StreamError, match="pip install matplotlib"):
        plots.check_matplotlib()
    ended = run_bench("file", clip, "--plots", tmp_path / "plots")

    assert ended.code == 2
    assert ended.errors.startswith("pranet-bench: --plots: needs matplotlib")
    assert not (tmp_path / "plots").exists()
