"""The reliability diagram: what was said against what was, before and after."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from calibration.probability import Answers, reliability
from streamer.confidence import Scaling
from streamer.errors import OutputError
from streamer.sinks.base import prepare_path, reporting_errors


@dataclass(frozen=True)
class Panel:
    """One diagram.

    Attributes:
        answers: without a scaling.
        scaling: that they are shown with, too.
        equal_mass: see `reliability`.
    """

    title: str
    answers: Answers
    scaling: Scaling
    bins: int
    equal_mass: bool


def draw_reliability(panels: Sequence[Panel], path: Path) -> None:
    """Draw diagrams side by side.

    Raises:
        OutputError: matplotlib is not installed, or the picture cannot be written.
    """
    try:
        # The type itself and not pyplot, which would look for a display.
        figure_type = import_module("matplotlib.figure").Figure
    except ImportError as error:
        raise OutputError(
            'a diagram needs matplotlib; pip install "pranet-stream[train]"'
        ) from error
    figure = figure_type(figsize=(4.6 * len(panels), 4.4), layout="constrained")
    grid = np.atleast_1d(figure.subplots(1, len(panels)))
    for axes, panel in zip(grid, panels, strict=True):
        was = panel.answers.outcomes.astype(np.float64)
        axes.plot([0, 1], [0, 1], color="gray", linestyle="--", linewidth=1)
        for label, each, color in (
            ("before", Scaling(1.0), "tab:red"),
            ("after", panel.scaling, "tab:blue"),
        ):
            said = each.of_logit(panel.answers.logits)
            found = reliability(said, was, panel.bins, equal_mass=panel.equal_mass)
            axes.plot(
                [bin_.said for bin_ in found],
                [bin_.was for bin_ in found],
                marker="o",
                color=color,
                label=label,
            )
        axes.set_title(panel.title)
        axes.set_xlabel("said: mean probability of the bin")
        axes.set_ylabel("was: share that is right")
        axes.set_aspect("equal")
        axes.grid(visible=True, alpha=0.3)
        axes.legend()
    with reporting_errors(prepare_path(path)):
        figure.savefig(path, dpi=110)
