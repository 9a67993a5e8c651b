"""Figures as pictures: delays as histogram and cumulative share, stages as bars, curves of growth.

matplotlib draws them; it is asked for only where somebody wants a picture.
"""

from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from typing import Any

from demos.bench.report import Grid, Report
from demos.bench.statistics import Distribution, Figure
from streamer.errors import StreamError
from streamer.sinks.base import make_folder, reporting_errors

_DPI = 100
#: Bars of a histogram.
_BINS = 60
#: Percent of the durations that a histogram shows; the rest is in the cumulative share.
_SHOWN_PERCENT = 99.5


def check_matplotlib() -> None:
    """See to it before measuring that plots can be drawn afterwards.

    Raises:
        StreamError: they cannot.
    """
    _figure_type()


def _figure_type() -> Any:
    # The type itself and not pyplot, which would look for a display.
    try:
        return import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise StreamError(
            "--plots: needs matplotlib, which is not installed; pip install matplotlib"
        ) from error


def draw(report: Report, folder: Path) -> list[Path]:
    """Draw whatever the report has to be drawn.

    Returns:
        The files, named after the mode.

    Raises:
        StreamError: matplotlib is missing.
        OutputError: a file cannot be written.
    """
    figure_type = _figure_type()
    make_folder(folder)
    drawn = []

    def new(width: float, height: float) -> Any:
        return figure_type(figsize=(width, height), layout="constrained")

    def keep(figure: Any, name: str) -> None:
        path = folder / f"{report.mode}_{name}.png"
        with reporting_errors(path):
            figure.savefig(path, dpi=_DPI)
        drawn.append(path)

    if report.measured.distributions:
        figure = new(10, 4)
        _draw_delays(figure, report.measured.distributions)
        keep(figure, "delays")
    for kind, draw_grid in _KINDS.items():
        grids = [grid for grid in report.measured.grids if grid.plot == kind]
        for number, grid in enumerate(grids, 1):
            figure = draw_grid(new, grid)
            keep(figure, kind if len(grids) == 1 else f"{kind}_{number}")
    return drawn


def _draw_delays(figure: Any, distributions: dict[str, Distribution]) -> None:
    """Left how often each duration comes, right the share that takes no longer."""
    left, right = figure.subplots(1, 2)
    for name, found in distributions.items():
        percents = [percent for percent, _ in found.curve]
        durations_ms = [duration_ms for _, duration_ms in found.curve]
        edges_ms, shares = histogram(found)
        left.stairs(shares, edges_ms, label=name)
        right.step(durations_ms, percents, where="post", label=name)
    left.set_ylabel("% of the frames, per bar")
    right.set_ylabel("% of the frames")
    right.set_xscale("log", base=2)
    right.xaxis.set_major_formatter("{x:g}")
    for axes in (left, right):
        axes.set_xlabel("ms")
        axes.grid(visible=True, alpha=0.3)
    right.legend(fontsize="small")


def histogram(found: Distribution) -> tuple[list[float], list[float]]:
    """Edges of bars in ms, and the percent of the durations that lie in each of them."""
    import numpy as np

    percents, durations_ms = np.array(found.curve).T
    end_ms = np.interp(_SHOWN_PERCENT, percents, durations_ms)
    edges_ms = np.linspace(durations_ms[0], max(end_ms, durations_ms[0] * 1.01), _BINS + 1)
    # Between two points of the curve the durations are taken to lie evenly.
    reached = np.interp(edges_ms, durations_ms, percents, left=0.0)
    return edges_ms.tolist(), np.diff(reached).tolist()


def _draw_stages(new: Any, grid: Grid) -> Any:
    """A bar for each column, the rows lying one behind the other."""
    figure = new(10, 1.2 + 0.5 * len(grid.columns))
    axes = figure.subplots()
    begins = dict.fromkeys(grid.columns, 0.0)
    for row, columns in grid.rows.items():
        lengths = [columns[name].median if name in columns else 0.0 for name in begins]
        axes.barh(list(begins), lengths, left=list(begins.values()), label=row)
        begins = {name: begins[name] + more for name, more in zip(begins, lengths, strict=True)}
    axes.invert_yaxis()
    axes.set_xlabel(f"ms: {grid.title}")
    axes.legend(fontsize="small", ncols=len(grid.rows), loc="lower center", bbox_to_anchor=(0.5, 1))
    return figure


def _draw_curves(new: Any, grid: Grid) -> Any:
    """A small plot for each column, the interval of each point as a bar."""
    assert grid.axis is not None
    columns = grid.columns
    across = min(3, len(columns))
    down = -(-len(columns) // across)
    figure = new(4 * across, 3 * down)
    plots = figure.subplots(down, across, squeeze=False).flat
    for axes, column in zip(plots, columns, strict=False):
        points = {
            x: columns[column]
            for x, columns in zip(grid.axis.positions, grid.rows.values(), strict=True)
            if column in columns
        }
        medians = [found.median for found in points.values()]
        axes.errorbar(list(points), medians, _spans(points.values()), marker="o", capsize=3)
        axes.set_title(column, fontsize="medium")
        axes.set_xlabel(grid.axis.label)
        axes.set_ylim(bottom=0)
        axes.grid(visible=True, alpha=0.3)
    for axes in list(figure.axes)[len(columns) :]:
        axes.remove()
    return figure


def _draw_bars(new: Any, grid: Grid) -> Any:
    """A small plot for each column, a bar for each row."""
    figure = new(2.5 * len(grid.columns) + 2, 1 + 0.4 * len(grid.rows))
    plots = figure.subplots(1, len(grid.columns), sharey=True, squeeze=False).flat
    for axes, column in zip(plots, grid.columns, strict=True):
        found = {row: columns[column] for row, columns in grid.rows.items() if column in columns}
        medians = [one.median for one in found.values()]
        axes.barh(list(found), medians, xerr=_spans(found.values()), color="tab:blue", capsize=3)
        axes.set_title(column, fontsize="small")
        axes.grid(visible=True, axis="x", alpha=0.3)
    figure.axes[0].invert_yaxis()
    return figure


def _spans(figures: Iterable[Figure]) -> list[list[float]]:
    """How far the intervals reach below and above the medians."""
    found = list(figures)
    return [
        [one.median - one.interval.low for one in found],
        [one.interval.high - one.median for one in found],
    ]


_KINDS = {"stages": _draw_stages, "curves": _draw_curves, "bars": _draw_bars}
