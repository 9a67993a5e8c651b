r"""What is found against what is marked for nothing, for pairs of thresholds: the FROC curve.

    python -m demos.operating_points --sequences clips --report points.json --plot froc.png

Every pair is replayed over the same answers of the network, by the preset ``balanced``. See
`streamer/temporal/operating.py` for what is a pair, and `docs/calibration.md` for what was chosen.
"""

from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer

from demos.sequence_scores import FolderScores, score_folder
from pranet.checkpoint import DEFAULT_MODEL
from pranet.command import run_module
from pranet.sequence import pool
from streamer import report as reports
from streamer.engine import Backend, Precision, load_segmenter
from streamer.errors import OutputError
from streamer.sinks.base import prepare_path, reporting_errors
from streamer.temporal import DEFAULT_PRESET, OPERATING_POINTS, PRESETS, Temporal

#: Mean probabilities from which on something begins to count.
TRUSTS = (0.8, 0.9, 0.95, 0.97, 0.98, 0.99)
#: How far below that what counts goes on to do so.
MARGIN = 0.05
#: Mean probabilities from which on something counts at once; below the preset's, more is shown.
SURES = (0.7, 0.8, 0.9, 0.95)

FALSE, FOUND = "false_events_per_polyp_free_minute", "found_within_1_s"


def pairs() -> dict[str, Temporal]:
    """All settings that are compared, by name, from much to little shown."""
    preset = PRESETS[DEFAULT_PRESET]
    found = {f"sure {sure:g}": replace(preset, sure=sure) for sure in SURES}
    for trust in TRUSTS:
        doubt = round(trust - MARGIN, 4)
        found[f"trust {trust:g}, doubt {doubt:g}"] = replace(preset, trust=trust, doubt=doubt)
    return found | {name: point.adjust(preset) for name, point in OPERATING_POINTS.items()}


def draw_froc(results: FolderScores, path: Path) -> None:
    """Draw what is found over what is marked for nothing.

    Raises:
        OutputError: matplotlib is not installed, or the picture cannot be written.
    """
    try:
        figure_type: Any = import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise OutputError('a curve needs matplotlib; pip install "pranet-stream[train]"') from error
    figure = figure_type(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    for name in results.settings:
        figures = pool(results.scores(name))
        named = name in OPERATING_POINTS
        axes.plot(figures[FALSE], figures[FOUND], "o" if named else ".", label=name)
    axes.set_xlabel("false events a polyp-free minute")
    axes.set_ylabel("polyps found within 1 s, %")
    axes.grid(visible=True, alpha=0.3)
    axes.legend(fontsize="small")
    with reporting_errors(prepare_path(path)):
        figure.savefig(path, dpi=110)


def measure(
    sequences: Annotated[Path, typer.Option(help="Folder with NAME.mp4 and NAME_masks.mkv.")],
    report: Annotated[Path, typer.Option(help="All figures as JSON.")],
    plot: Annotated[Path | None, typer.Option(help="The curve (PNG).")] = None,
    model: Annotated[str, typer.Option(help="Bundled checkpoint or a path.")] = DEFAULT_MODEL,
    backend: Annotated[Backend, typer.Option(help="Engine.")] = "auto",
    precision: Annotated[Precision, typer.Option(help="Of the engine.")] = "auto",
    jobs: Annotated[int, typer.Option(help="Processes.", min=1)] = 1,
) -> None:
    """Score every pair of thresholds on every clip of a folder."""
    cv2.setNumThreads(1)
    prepare_path(report)
    load = partial(load_segmenter, model, backend=backend, precision=precision)
    results = score_folder(load, sequences, pairs(), jobs=jobs)
    reports.write(report, results.report())
    for name in results.settings:
        figures = pool(results.scores(name))
        print(f"{name:28} {figures[FALSE]:6.2f} false events, {figures[FOUND]:5.1f} % found")
    if plot is not None:
        draw_froc(results, plot)


if __name__ == "__main__":
    run_module("demos.operating_points", measure)
