"""Figures as tables: on the terminal, and as Markdown."""

import math
import os
from pathlib import Path
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table

from demos.bench.machine import summary
from demos.bench.report import Grid, Report
from demos.bench.statistics import CONFIDENCE, Figure
from streamer.errors import OutputError
from streamer.sinks.base import prepare_path, reporting_errors

#: No such figure: what it would be of was not there.
NONE = "–"


def number(value: float) -> str:
    """Three digits that count, never as a power of ten."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    decimals = 2 - math.floor(math.log10(abs(value)))
    return f"{round(value, decimals):,.{max(0, decimals)}f}"


def cell(figure: Figure | None) -> str:
    """Median and interval; a single repeat has no interval."""
    if figure is None:
        return NONE
    if len(figure.values) == 1:
        return number(figure.median)
    low, high, _ = figure.interval
    return f"{number(figure.median)} ({number(low)} to {number(high)})"


def cells(grid: Grid) -> list[list[str]]:
    """All rows, each with its name first; those without any figure too."""
    return [
        [row, *(cell(columns.get(column)) for column in grid.columns)]
        for row, columns in grid.rows.items()
    ]


def as_rich(grid: Grid) -> RenderableType:
    """For the terminal."""
    table = Table(grid.title, *grid.columns, title_justify="left")
    for row in cells(grid):
        table.add_row(*row)
    return table


def as_markdown(grid: Grid) -> str:
    """The same for a document."""
    lines = [["", *grid.columns], ["---"] * (1 + len(grid.columns)), *cells(grid)]
    rows = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"**{grid.title[0].upper()}{grid.title[1:]}**\n\n{rows}"


def note(report: Report) -> str:
    """What the numbers in brackets are."""
    repeated = [figure for _, figure in report.figures() if len(figure.values) > 1]
    if not repeated:
        return "One repeat each: there is no interval."
    least = min(figure.interval.coverage for figure in repeated)
    few = "" if least >= CONFIDENCE else "; too few repeats for more"
    return (
        "Median of the repeats; in brackets an interval of order statistics that holds the true "
        f"median with {100 * least:.0f} %{few}."
    )


def show(report: Report, console: Console) -> None:
    """Print all tables."""
    for grid in report.measured.grids:
        console.print(as_rich(grid))
    console.print(note(report))


def markdown(report: Report, pictures: list[str]) -> str:
    """The report as part of a document.

    Args:
        pictures: addresses of its plots, as seen from the document.
    """
    engine = report.engine
    named = ""
    if engine is not None:
        named = (
            f" {engine['model']} (SHA-256 {engine['checkpoint_sha256'][:16]}…) on "
            f"{engine['backend']} {engine['precision']}, {engine['streams']} streams, "
            f"{engine['threads']} threads."
        )
    versions = _listed(report.machine["versions"])
    parts = [
        f"```\n{report.command}\n```",
        f"{summary(report.machine)}.{named} {versions}.",
        f"Settings: {_listed(report.settings)}.",
        *map(as_markdown, report.measured.grids),
        note(report),
        *(f"![{Path(address).stem.replace('_', ' ')}]({address})" for address in pictures),
    ]
    return "\n\n".join(parts)


def _listed(facts: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())


def check_markdown(path: Path, mode: str) -> None:
    """See to it before measuring that the report can be put into a document afterwards.

    Raises:
        OutputError: it cannot; see `write_markdown`.
    """
    prepare_path(path)
    if path.exists():
        _marked(_read(path), mode, path)


def write_markdown(path: Path, report: Report, pictures: list[Path]) -> None:
    """Write the report into a document: between the marks of its mode, or as the whole of it.

    The marks are ``<!-- pranet-bench MODE -->`` and ``<!-- end -->``, each on a line of its own.

    Args:
        pictures: its plots.

    Raises:
        OutputError: it cannot be written, or is there and has no such marks.
    """
    prepare_path(path)
    seen_from_it = [Path(os.path.relpath(one, path.parent)).as_posix() for one in pictures]
    content = f"{markdown(report, seen_from_it)}\n"
    if path.exists():
        before, between, after = _marked(_read(path), report.mode, path)
        content = f"{before}{between}\n{content}\n{after}"
    with reporting_errors(path):
        path.write_text(content, encoding="utf-8")


def _read(path: Path) -> str:
    with reporting_errors(path):
        return path.read_text(encoding="utf-8")


def _marked(document: str, mode: str, path: Path) -> tuple[str, str, str]:
    """What comes before the marks of a mode, the first of them, and the rest from the second on."""
    begin, end = f"<!-- pranet-bench {mode} -->\n", "<!-- end -->"
    before, found, rest = document.partition(begin)
    _, ended, after = rest.partition(end)
    if not found or not ended:
        raise OutputError(
            f"{path}: is there and has no lines {begin.strip()} and {end} to put the tables between"
        )
    return before, begin, end + after
