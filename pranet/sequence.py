"""From the masks of a clip, frame by frame, to its scores, and from those of many clips to one row.

What `pranet.evaluate` is for single pictures. Every figure that is a mean over frames is one value
per clip; rates and shares of events are pooled over all clips, for a mean of ratios would weigh a
clip of a second like one of a minute.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike

from pranet.metrics.boundary import boundary_f
from pranet.metrics.detection import (
    Appearance,
    Event,
    Mask,
    Masks,
    Values,
    appearances,
    count_by_duration,
    false_areas,
    false_events,
    frame_durations,
    recall_within,
)
from pranet.metrics.temporal import (
    Flow,
    Lag,
    consistency,
    flicker,
    label_changes,
    lags,
    marked,
    overlaps,
    toggles,
)

#: Speeds in px per frame by which lags are told apart: from, and less than.
SPEEDS_PX = {
    "0.5_to_2": (0.5, 2),
    "2_to_4": (2, 4),
    "4_to_8": (4, 8),
    "over_8": (8, math.inf),
}
#: Within how many s of its appearance a polyp is found, see `recall_within`.
LIMITS_S = (0.5, 1, 2, 5)


@dataclass(frozen=True)
class Truth:
    """What is known of a clip beside its masks.

    Attributes:
        inside: (n, h, w), the true masks.
        seen: (h, w), where the picture shows anything; beside it all is black.
    """

    inside: Masks
    seen: Mask


@dataclass(frozen=True)
class Judged:
    """What comes of comparing a clip's masks with the truth, and is counted.

    Attributes:
        toggles: of the truth itself.
        free_s: how long no polyp is in view.
        events: false events.
        free_events: those in the frames without a polyp; one may be a part of one in `events`.
        appearances, lags: see `pranet.metrics`.
    """

    toggles: int
    free_s: float
    events: list[Event]
    free_events: list[Event]
    appearances: list[Appearance]
    lags: list[Lag]


@dataclass(frozen=True)
class SequenceScore:
    """Scores of one clip.

    Attributes:
        name: of the clip.
        frames, duration_s: its length.
        values: means over the frames: shares in percent, flicker in ‰, NaN where not defined.
        toggles: see `pranet.metrics.temporal.toggles`.
        judged: None without a truth.
    """

    name: str
    frames: int
    duration_s: float
    values: dict[str, float]
    toggles: int
    judged: Judged | None


def score_sequence(
    name: str,
    predicted: Masks,
    times_s: ArrayLike,
    flows: Sequence[Flow | None],
    truth: Truth | None = None,
) -> SequenceScore:
    """Every figure of one clip; without a truth only those that need none.

    Args:
        predicted: (n, h, w).
        times_s: (n,), rising.
        flows: of the n − 1 steps, see `pranet.metrics.temporal`.
    """
    durations = frame_durations(times_s)
    values = {
        "consistency": 100 * _mean(consistency(predicted, flows)),
        "label_changes": 1000 * _mean(label_changes(predicted)),
    }
    judged = None
    if truth is not None:
        inside, seen = truth.inside, truth.seen
        dice, iou = overlaps(predicted, inside)
        edges = np.array([_boundary_f(*both) for both in zip(predicted, inside, strict=True)])
        with_polyp = marked(inside)
        for metric, frames in (("Dice", dice), ("IoU", iou), ("boundaryF", edges)):
            values[metric] = 100 * _mean(frames)
            values[f"{metric}_with_polyp"] = 100 * _mean(frames[with_polyp])
            values[f"{metric}_without_polyp"] = 100 * _mean(frames[~with_polyp])
        values["flicker"] = 1000 * _mean(flicker(predicted, inside))
        wrong = false_areas(predicted, inside)
        judged = Judged(
            toggles=toggles(inside),
            free_s=float(durations[~with_polyp].sum()),
            events=false_events(wrong, times_s),
            free_events=false_events(np.where(with_polyp, 0, wrong), times_s),
            appearances=appearances(inside, iou, times_s),
            lags=lags(predicted, inside, iou, seen),
        )
    return SequenceScore(
        name, len(predicted), float(durations.sum()), values, toggles(predicted), judged
    )


def steadiness(masks: Masks, flows: Sequence[Flow | None]) -> dict[str, float]:
    """What the truth itself comes to where masks are scored on steadiness: ``…_of_truth``."""
    return {
        "consistency_of_truth": 100 * _mean(consistency(masks, flows)),
        "label_changes_of_truth": 1000 * _mean(label_changes(masks)),
    }


def _boundary_f(predicted: Mask, inside: Mask) -> float:
    """`boundary_f` of the part that holds both masks and a rim around them: the same, but soon."""
    left, top, width, height = cv2.boundingRect((predicted | inside).view(np.uint8))
    part = np.s_[max(top - 1, 0) : top + height + 1, max(left - 1, 0) : left + width + 1]
    return boundary_f(predicted[part], inside[part])


def _mean(values: Values) -> float:
    """Over those that are defined; NaN where none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else math.nan


def pool(scores: Sequence[SequenceScore]) -> dict[str, float]:
    """All figures that are counted over the clips together; NaN where they are not defined.

    Rates are per minute of all clips, those against the truth of the clips that have one, and
    ``…_per_polyp_free_minute`` of their time without a polyp. Shares are in percent of all
    appearances, `first_detection_ms` is over those that are found.
    """
    judged = [score.judged for score in scores if score.judged is not None]
    minutes = sum(score.duration_s for score in scores) / 60
    judged_minutes = sum(score.duration_s for score in scores if score.judged is not None) / 60
    events = [event for one in judged for event in one.events]
    free = sum(len(one.free_events) for one in judged)
    shown = [appearance for one in judged for appearance in one.appearances]
    by_duration = zip(
        ("under_0.5_s", "0.5_to_1_s", "over_1_s"), count_by_duration(events), strict=True
    )
    return {
        "toggles_per_minute": _rate(sum(score.toggles for score in scores), minutes),
        "toggles_per_minute_of_truth": _rate(sum(one.toggles for one in judged), judged_minutes),
        "false_events_per_minute": _rate(len(events), judged_minutes),
        **{
            f"false_events_per_minute_{name}": _rate(count, judged_minutes)
            for name, count in by_duration
        },
        "false_events_per_polyp_free_minute": _rate(free, sum(one.free_s for one in judged) / 60),
        "appearances": len(shown),
        **{f"found_within_{limit:g}_s": 100 * recall_within(shown, limit) for limit in LIMITS_S},
        "found": 100 * recall_within(shown, math.inf),
        **_first_detection(shown),
        **_lag_by_speed([lag for one in judged for lag in one.lags]),
    }


def _rate(count: int, minutes: float) -> float:
    return count / minutes if minutes else math.nan


def _first_detection(shown: Sequence[Appearance]) -> dict[str, float]:
    """Median and quartiles in ms, as the literature gives them, over what is found at all."""
    times_ms = [one.found_after_ms for one in shown if one.found_after_ms is not None]
    quartiles = np.percentile(times_ms, (50, 25, 75)) if times_ms else (math.nan,) * 3
    names = ("p50", "p25", "p75")
    return {
        f"first_detection_ms_{name}": float(value)
        for name, value in zip(names, quartiles, strict=True)
    }


def _lag_by_speed(found: Sequence[Lag]) -> dict[str, float]:
    """Median lag in px by the polyp's speed in px per frame, and from how many frames."""
    figures: dict[str, float] = {}
    for name, (low, high) in SPEEDS_PX.items():
        values = [one.lag_px for one in found if low <= one.speed_px < high]
        figures[f"lag_px_at_{name}"] = float(np.median(values)) if values else math.nan
        figures[f"lag_frames_at_{name}"] = len(values)
    return figures


def row(score: SequenceScore) -> dict[str, float]:
    """All figures of one clip."""
    return {
        "frames": score.frames,
        "duration_s": round(score.duration_s, 6),
        **score.values,
        **pool([score]),
    }


def spread(rows: Iterable[Mapping[str, float]]) -> dict[str, dict[str, float]]:
    """Each figure over the clips in which it is defined.

    Returns:
        Figure → ``mean``, ``sd`` (of the sample; NaN of a single clip), ``median``, and
        ``sequences``, how many there are. What is nowhere defined is left out.
    """
    table = list(rows)
    figures = {}
    for name in dict.fromkeys(name for one in table for name in one):
        values = np.array([one.get(name, math.nan) for one in table], np.float64)
        defined = values[~np.isnan(values)]
        if len(defined):
            figures[name] = {
                "mean": float(defined.mean()),
                "sd": float(defined.std(ddof=1)) if len(defined) > 1 else math.nan,
                "median": float(np.median(defined)),
                "sequences": len(defined),
            }
    return figures
