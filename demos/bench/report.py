"""What one run of the benchmark came to, and its JSON; `docs/benchmarks.md` describes the form."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from demos.bench.statistics import Distribution, Figure
from streamer import report as reports
from streamer.errors import StreamError

SCHEMA = "pranet-bench/2"

#: How a table can be drawn: the rows stacked to one bar for each column, a curve for each column
#: over what the rows stand for, or a bar for each figure.
Plot = Literal["stages", "curves", "bars"]


@dataclass(frozen=True)
class Axis:
    """What the rows of a table are numbers of.

    Attributes:
        label: of the axis, with the unit.
        positions: one for each row, rising.
    """

    label: str
    positions: tuple[float, ...]


@dataclass(frozen=True)
class Grid:
    """A table of figures.

    Attributes:
        title: unique within a report.
        rows: row → column → figure; a row need not have every column. Units are in the names.
        plot: how it is drawn, if at all.
        axis: of ``curves``.
    """

    title: str
    rows: dict[str, dict[str, Figure]]
    plot: Plot | None = None
    axis: Axis | None = None

    @property
    def columns(self) -> list[str]:
        """Of all rows, in the order in which they first come."""
        return list(dict.fromkeys(column for row in self.rows.values() for column in row))

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        axis = self.axis and {"label": self.axis.label, "positions": list(self.axis.positions)}
        return {
            "title": self.title,
            "plot": self.plot,
            "axis": axis,
            "rows": {
                row: {column: figure.to_json() for column, figure in columns.items()}
                for row, columns in self.rows.items()
            },
        }

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Grid":
        """The inverse of `to_json`.

        Raises:
            KeyError, TypeError, ValueError: it is not of that form.
        """
        axis = stored["axis"]
        return cls(
            str(stored["title"]),
            {
                row: {column: Figure.from_json(figure) for column, figure in columns.items()}
                for row, columns in stored["rows"].items()
            },
            stored["plot"],
            axis and Axis(axis["label"], tuple(axis["positions"])),
        )


@dataclass
class Measured:
    """What a mode measured.

    Attributes:
        grids: its tables.
        distributions: name → durations, for plots.
        details: what fits neither, as plain types.
    """

    grids: list[Grid]
    distributions: dict[str, Distribution] = field(default_factory=dict)
    details: dict[str, Any] = field(default_factory=dict)


@dataclass
class Report:
    """One run.

    Attributes:
        mode: the subcommand.
        command: that repeats it.
        settings: what was measured: clip, frames, repeats, seconds.
        machine: see `demos.bench.machine.describe`.
        engine: fields of the `EngineInfo`; None where there were several or none.
        measured: the result.
    """

    mode: str
    command: str
    settings: dict[str, Any]
    machine: dict[str, Any]
    engine: dict[str, Any] | None
    measured: Measured

    def figures(self) -> Iterator[tuple[tuple[str, str, str], Figure]]:
        """Every figure with its place: title of the table, row, column."""
        for grid in self.measured.grids:
            for row, columns in grid.rows.items():
                for column, figure in columns.items():
                    yield (grid.title, row, column), figure

    def to_json(self) -> dict[str, Any]:
        """As plain types."""
        measured = self.measured
        return {
            "schema": SCHEMA,
            "mode": self.mode,
            "command": self.command,
            "settings": self.settings,
            "machine": self.machine,
            "engine": self.engine,
            "tables": [grid.to_json() for grid in measured.grids],
            "distributions": {
                name: found.to_json() for name, found in measured.distributions.items()
            },
            "details": measured.details,
        }

    def write(self, path: Path) -> None:
        """Put it on record.

        Raises:
            OutputError: it cannot be written.
        """
        reports.write(path, self.to_json())


def read_report(path: Path) -> Report:
    """What `Report.write` wrote.

    Raises:
        StreamError: it is not there, or is something else.
    """
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["schema"] != SCHEMA:
            raise ValueError(f"its form is {stored['schema']!r}")
        return Report(
            stored["mode"],
            stored["command"],
            stored["settings"],
            stored["machine"],
            stored["engine"],
            Measured(
                [Grid.from_json(grid) for grid in stored["tables"]],
                {
                    name: Distribution.from_json(found)
                    for name, found in stored["distributions"].items()
                },
                stored["details"],
            ),
        )
    except OSError as error:
        raise StreamError(f"{path}: cannot be read ({error.strerror})") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise StreamError(
            f"{path}: is no report of pranet-bench in the form {SCHEMA}; measure it anew"
        ) from error
