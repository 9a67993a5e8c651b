r"""What is found against what is marked for nothing, for pairs of thresholds: the FROC curve.

    python -m demos.operating_points --sequences clips --report points.json --plot froc.png

Every pair is replayed over the same answers of the network, by the preset ``balanced``. See
`streamer/temporal/operating.py` for what is a pair, and `docs/calibration.md` for what was chosen.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import cv2
import typer

from demos.sequence_scores import score_folder
from pranet.checkpoint import DEFAULT_MODEL
from pranet.command import run_module
from pranet.sequence import pool
from streamer import report as reports
from streamer.engine import Backend, Precision, load_segmenter
from streamer.errors import OutputError
from streamer.sinks.base import prepare_path, reporting_errors
from streamer.temporal import DEFAULT_PRESET, OPERATING_POINTS, PRESETS, Temporal

#: Mean probabilities from which on something counts at once, where nothing else is asked of it: the
#: lower, the more is shown.
SURES = (0.8, 0.9, 0.95)
#: Confidences that something has to have to count at all.
TRUSTS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95)

FALSE, FOUND = "false_events_per_polyp_free_minute", "found_within_1_s"


def pairs() -> dict[str, Temporal]:
    """All settings that are compared, by name, from much to little shown."""
    preset = PRESETS[DEFAULT_PRESET]
    swept = {f"sure {sure:g}": replace(preset, trust=0.0, sure=sure) for sure in SURES}
    swept |= {f"trust {trust:g}": replace(preset, trust=trust) for trust in TRUSTS}
    named = {point.adjust(preset): name for name, point in OPERATING_POINTS.items()}
    return {named.get(temporal, name): temporal for name, temporal in swept.items()}


def draw_froc(found: Mapping[str, Mapping[str, float]], path: Path) -> None:
    """Draw what is found over what is marked for nothing.

    Args:
        found: by the name of the setting, what `pool` gives, from much to little shown.

    Raises:
        OutputError: matplotlib is not installed, or the picture cannot be written.
    """
    try:
        figure_type: Any = import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise OutputError('a curve needs matplotlib; pip install "pranet-stream[train]"') from error
    figure = figure_type(figsize=(6, 4.5), layout="constrained")
    axes = figure.subplots()
    places = [(figures[FALSE], figures[FOUND]) for figures in found.values()]
    axes.plot(*zip(*places, strict=True), ".-", color="tab:gray", linewidth=0.8)
    for name, place in zip(found, places, strict=True):
        named = name in OPERATING_POINTS
        if named:
            axes.plot(*place, "o", color="tab:red")
        axes.annotate(
            name,
            place,
            xytext=(6, 6) if named else (6, -9),
            textcoords="offset points",
            fontsize=9 if named else 7,
            weight="bold" if named else "normal",
        )
    axes.set_xlabel("false events a polyp-free minute")
    axes.set_ylabel("polyps found within 1 s, %")
    axes.grid(visible=True, alpha=0.3)
    # Not defined where no clip has a minute without a polyp.
    farthest = max((false for false, _ in places if math.isfinite(false)), default=0.0)
    axes.set_xlim(left=0, right=1.12 * max(farthest, 1.0))
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
    found = {name: pool(results.scores(name)) for name in results.settings}
    for name, figures in found.items():
        print(f"{name:28} {figures[FALSE]:6.2f} false events, {figures[FOUND]:5.1f} % found")
    if plot is not None:
        draw_froc(found, plot)


if __name__ == "__main__":
    run_module("demos.operating_points", measure)
