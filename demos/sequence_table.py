"""Scores of masks over time as tables: figures down, settings across."""

import math
from dataclasses import dataclass

from rich.table import Column, Table

from demos.sequence_scores import FolderScores
from pranet.sequence import LIMITS_S, SPEEDS_PX, pool, spread

#: Means over the clips that are shown, and their titles.
MEANS = {
    "Dice": "Dice, %",
    "Dice_with_polyp": "Dice, frames with a polyp, %",
    "Dice_without_polyp": "Dice, frames without, %",
    "IoU": "IoU, %",
    "IoU_with_polyp": "IoU, frames with a polyp, %",
    "boundaryF_with_polyp": "boundary F, frames with a polyp, %",
    "consistency": "temporal consistency, %",
    "consistency_of_truth": "temporal consistency of the truth, %",
    "flicker": "excess flicker, ‰ of px a frame",
    "label_changes": "px that change, ‰ a frame",
    "label_changes_of_truth": "px that change in the truth, ‰ a frame",
}
#: What is pooled over the clips.
POOLED = {
    "toggles_per_minute": "toggles a minute",
    "toggles_per_minute_of_truth": "toggles of the truth a minute",
    "false_events_per_minute": "false events a minute",
    "false_events_per_minute_under_0.5_s": "false events a minute, under 0.5 s",
    "false_events_per_minute_0.5_to_1_s": "false events a minute, 0.5 to 1 s",
    "false_events_per_minute_over_1_s": "false events a minute, over 1 s",
    "false_events_per_polyp_free_minute": "false events a polyp-free minute",
    "appearances": "appearances of a polyp",
    **{f"found_within_{limit:g}_s": f"found within {limit:g} s, %" for limit in LIMITS_S},
    "found": "found at all, %",
    "first_detection_ms_p50": "first detection, ms, median",
    "first_detection_ms_p25": "first detection, ms, 25 %",
    "first_detection_ms_p75": "first detection, ms, 75 %",
    **{
        f"lag_px_at_{name}": f"lag at {name.replace('_', ' ')} px a frame, px" for name in SPEEDS_PX
    },
}
COUNTS = {"appearances"}


@dataclass(frozen=True)
class Row:
    """One figure: its title with the unit, and a cell for each setting."""

    title: str
    cells: list[str]


def table_rows(results: FolderScores) -> dict[str, Row]:
    """By the name of the figure; those that no setting has are left out.

    Means are given with the standard deviation over the clips.
    """
    rows = {}
    spreads = [spread(results.rows(name)) for name in results.settings]
    for key, title in MEANS.items():
        if any(key in figures for figures in spreads):
            rows[key] = Row(title, [_mean_cell(figures.get(key)) for figures in spreads])
    pools = [pool(results.scores(name)) for name in results.settings]
    for key, title in POOLED.items():
        values = [figures[key] for figures in pools]
        if not all(map(math.isnan, values)):
            digits = 0 if key in COUNTS else 2
            rows[key] = Row(title, [_cell(value, digits) for value in values])
    return rows


def _mean_cell(figure: dict[str, float] | None) -> str:
    if figure is None:
        return "–"
    mean = _cell(figure["mean"])
    return mean if math.isnan(figure["sd"]) else f"{mean} ± {_cell(figure['sd'])}"


def _cell(value: float, digits: int = 2) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def as_table(results: FolderScores) -> Table:
    """For the screen."""
    table = Table(Column("figure", no_wrap=True))
    for name in results.settings:
        table.add_column(name, justify="right", overflow="fold")
    for row in table_rows(results).values():
        table.add_row(row.title, *row.cells)
    return table


def as_markdown(results: FolderScores) -> str:
    """The same as Markdown."""
    lines = [
        "| figure | " + " | ".join(results.settings) + " |",
        "|---|" + "--:|" * len(results.settings),
    ]
    for row in table_rows(results).values():
        lines.append(f"| {row.title} | " + " | ".join(row.cells) + " |")
    return "\n".join(lines) + "\n"
