"""Pictures of how masks behave over time: a timeline of each clip, and a strip of frames."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demos.contact_sheet import tile, write_sheet
from demos.sequence_runs import Clip, Recording, frames_of
from pranet.errors import PranetError
from pranet.metrics.detection import Masks, false_areas, frame_durations, runs
from pranet.metrics.temporal import flicker, label_changes, marked
from streamer.rgb import RgbReader
from streamer.sinks.base import prepare_path, reporting_errors

#: Frames of a strip: so many before the step in which most flickers, and as many after it.
BESIDE = 4
WHITE = (255, 255, 255)
FALSE_COLOUR = "tab:red"
#: Height of a bar, of 1 for each line of bars.
BAR, FALSE_BAR = 0.7, 0.3


@dataclass(frozen=True)
class Drawings:
    """Which pictures to make of each clip; the folders are made where they are not there.

    Attributes:
        timeline: folder for the timelines, ``NAME_timeline.png`` each; None: none. Needs
            matplotlib.
        strips: folder for the strips, ``NAME_strip.png`` each.
    """

    timeline: Path | None = None
    strips: Path | None = None


def draw(drawings: Drawings, clip: Clip, recording: Recording, masks: Mapping[str, Masks]) -> None:
    """Make the pictures of one clip.

    Args:
        masks: by setting; the first is what the strip looks for flicker in, usually each frame by
            itself, and stands above the others.

    Raises:
        PranetError: there is no matplotlib, or a picture cannot be written.
    """
    if drawings.timeline is not None:
        draw_timeline(drawings.timeline / f"{clip.name}_timeline.png", recording, masks)
    if drawings.strips is not None and len(recording.times_s) > 1:
        draw_strip(drawings.strips / f"{clip.name}_strip.png", clip, recording, masks)


def figure_type() -> Any:
    """Matplotlib's figure.

    Raises:
        PranetError: it is not installed.
    """
    # The type itself and not pyplot, which would look for a display.
    try:
        return import_module("matplotlib.figure").Figure
    except ImportError:
        raise PranetError("timelines need matplotlib: pip install 'pranet-stream[train]'") from None


def draw_timeline(path: Path, recording: Recording, masks: Mapping[str, Masks]) -> None:
    """Write a PNG: how much of the picture each setting marks, and below when it marks anything.

    The truth is gray. A red bar upon the others is a false event.
    """
    figure = figure_type()(figsize=(10, 3.5 + 0.3 * len(masks)), layout="constrained")
    upper, lower = figure.subplots(
        2, 1, sharex=True, gridspec_kw={"height_ratios": (4, 0.5 + 0.5 * len(masks))}
    )
    times = recording.times_s
    truth = recording.truth
    lines = dict(masks)
    if truth is not None:
        upper.fill_between(times, _area(truth.inside), color="lightgray", label="truth")
        _bars(lower, recording, marked(truth.inside), len(lines), "lightgray", BAR)
    for place, (name, shown) in enumerate(lines.items()):
        (line,) = upper.plot(times, _area(shown), linewidth=1, label=name)
        _bars(lower, recording, marked(shown), place, line.get_color(), BAR)
        if truth is not None:
            wrong = false_areas(shown, truth.inside) > 0
            _bars(lower, recording, wrong, place, FALSE_COLOUR, FALSE_BAR)
    titles = [*lines, "truth"] if truth is not None else list(lines)
    lower.set_yticks(range(len(titles)), titles)
    lower.invert_yaxis()
    lower.set_xlabel("s")
    upper.set_ylabel("marked, % of the picture")
    upper.set_title(recording.name)
    upper.grid(visible=True, alpha=0.3)
    upper.legend(loc="upper right")
    prepare_path(path)
    with reporting_errors(path):
        figure.savefig(path, dpi=100)


def _area(masks: Masks) -> NDArray[np.float64]:
    return 100 * np.asarray(masks.mean(axis=(1, 2)), np.float64)


def _bars(
    axes: Any,
    recording: Recording,
    flags: NDArray[np.bool_],
    place: int,
    colour: str,
    height: float,
) -> None:
    """A bar for each run of frames for which something holds."""
    times, durations = recording.times_s, frame_durations(recording.times_s)
    stretches = [(times[start], durations[start:stop].sum()) for start, stop in runs(flags)]
    axes.broken_barh(stretches, (place - height / 2, height), color=colour)


def draw_strip(path: Path, clip: Clip, recording: Recording, masks: Mapping[str, Masks]) -> None:
    """Write a PNG: the frames around the step in which the first setting flickers most.

    One line of frames for each setting, the mask in yellow and the truth in thin white.
    """
    first = next(iter(masks.values()))
    truth = recording.truth
    change = label_changes(first) if truth is None else flicker(first, truth.inside)
    # The frame that the step leads to.
    worst = int(change.argmax()) + 1
    start = max(0, min(worst - BESIDE, len(first) - 2 * BESIDE))
    stop = min(len(first), start + 2 * BESIDE)
    reader = RgbReader()
    pictures = [
        reader.read(frame.picture, frame.color, frame.picture.width, frame.picture.height)
        for frame in islice(frames_of(clip.video), start, stop)
    ]
    tiles = []
    for name, shown in masks.items():
        for index, picture in zip(range(start, stop), pictures, strict=True):
            inside = shown[index] if truth is None else truth.inside[index]
            title = f"{name}  {recording.times_s[index]:.3f} s"
            probability = shown[index].astype(np.float32)
            tiles.append(
                tile(picture, inside.view(np.uint8), probability, title, true_colour=WHITE)
            )
    write_sheet(path, tiles, columns=stop - start)
