r"""What each step of the stabiliser gains and costs.

    python -m demos.temporal_ablation --sequences clips \
        --report docs/temporal.json --markdown temporal.md

The steps are added one after the other, in the order of the chain, until the preset ``balanced`` is
complete; then the other presets are scored. Everything is replayed over the same answers of the
network.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Annotated

import cv2
import typer

from demos.sequence_scores import FolderScores, score_folder
from demos.sequence_table import table_rows
from pranet.checkpoint import DEFAULT_MODEL
from pranet.command import run_module
from streamer import report as reports
from streamer.engine import Backend, Precision, load_segmenter
from streamer.sinks.base import prepare_path, reporting_errors
from streamer.temporal import DEFAULT_PRESET, PRESETS, Temporal

#: Steps in the order of the chain → the settings that switch them on.
ADDED = {
    "+ smoothing": ("smoothing_ms",),
    "+ motion": ("motion",),
    "+ jumps": ("jump_ms",),
    "+ hysteresis": ("keep", "start"),
    "+ component rules": ("tidy",),
    "+ confirmation": ("confirm_ms", "window_ms", "trust"),
    f"+ hold = {DEFAULT_PRESET}": ("hold_ms",),
}
#: The figures that the Markdown shows.
SHOWN = (
    "Dice_with_polyp",
    "Dice_without_polyp",
    "boundaryF_with_polyp",
    "consistency",
    "flicker",
    "toggles_per_minute",
    "false_events_per_minute",
    "false_events_per_polyp_free_minute",
    "found_within_1_s",
    "found",
    "first_detection_ms_p50",
    "lag_px_at_2_to_4",
)


def variants() -> dict[str, Temporal]:
    """All settings that are compared, by name."""
    whole = PRESETS[DEFAULT_PRESET]
    none = PRESETS["off"]
    found = {"off": none}
    for title, fields in ADDED.items():
        before = found[next(reversed(found))]
        found[title] = replace(before, **{field: getattr(whole, field) for field in fields})
    # The last of the steps that are added makes the default preset complete.
    return found | {name: preset for name, preset in PRESETS.items() if preset not in (none, whole)}


def as_markdown(results: FolderScores) -> str:
    """Settings down and figures across: the other way would be too wide."""
    rows = table_rows(results)
    columns = [rows[name] for name in SHOWN if name in rows]
    lines = [
        "| setting | " + " | ".join(column.title for column in columns) + " |",
        "|---|" + "--:|" * len(columns),
    ]
    for place, name in enumerate(results.settings):
        cells = " | ".join(column.cells[place] for column in columns)
        lines.append(f"| {name} | {cells} |")
    return "\n".join(lines) + "\n"


def ablate(
    sequences: Annotated[Path, typer.Option(help="Folder with NAME.mp4 and NAME_masks.mkv.")],
    report: Annotated[Path, typer.Option(help="All figures as JSON.")],
    markdown: Annotated[Path | None, typer.Option(help="The table as Markdown.")] = None,
    model: Annotated[str, typer.Option(help="Bundled checkpoint or a path.")] = DEFAULT_MODEL,
    backend: Annotated[Backend, typer.Option(help="Engine.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Of the engine.")] = "auto",
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
) -> None:
    """Score every variant on every clip of a folder."""
    cv2.setNumThreads(1)
    for path in (report, markdown):
        if path is not None:
            prepare_path(path)
    load = partial(load_segmenter, model, backend=backend, precision=precision)
    results = score_folder(load, sequences, variants(), jobs=jobs)
    reports.write(report, results.report())
    text = as_markdown(results)
    print(text)
    if markdown is not None:
        with reporting_errors(markdown):
            markdown.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    run_module("demos.temporal_ablation", ablate)
