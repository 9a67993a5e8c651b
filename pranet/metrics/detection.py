"""What is found over time, and what is marked for nothing.

Masks are (n, h, w) of the consecutive frames of one clip. Areas and distances are in px of the
masks and the limits below are meant for masks of 352x352. A frame is shown until the next one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]
#: (n, h, w)
Masks = NDArray[np.bool_]
Values = NDArray[np.float64]

#: A component is false where less than this share of it lies on the truth …
LEAST_TRUE_SHARE = 0.1
#: … made larger by so much on all sides, for the truth's own boundary is not exact.
TRUTH_MARGIN_PX = 3
#: What false events are told apart by, see `count_by_duration`. Most of those of a CADe device last
#: less than the first (Diagnostics 2021, 11(6):1113).
SHORT_S, LONG_S = 0.5, 1.0

#: A polyp has appeared where it is at least this large in at least so many frames on end.
LEAST_AREA_PX = 100
LEAST_FRAMES = 5
#: IoU from which on a mask has found the polyp. One over the whole picture finds nothing.
FOUND_IOU = 0.2


def frame_durations(times_s: ArrayLike) -> Values:
    """How long each frame is shown, in s: until the next; the last for the median of the others."""
    steps = np.diff(np.asarray(times_s, np.float64))
    last = np.median(steps) if len(steps) else 0.0
    return np.append(steps, last)


def runs(flags: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """First frame, and the one after the last, of each run of frames for which something holds."""
    padded = np.concatenate(([False], flags, [False]))
    edges = np.flatnonzero(padded[1:] != padded[:-1]).tolist()
    yield from zip(edges[::2], edges[1::2], strict=True)


@dataclass(frozen=True, slots=True)
class Event:
    """A run of frames in which something is marked for nothing.

    Attributes:
        start_s: time of its first frame.
        duration_s: until the frame after its last one.
        frames: how many.
        peak_area_px: the most that was marked for nothing in one of them.
    """

    start_s: float
    duration_s: float
    frames: int
    peak_area_px: int


def false_areas(predicted: Masks, inside: Masks) -> NDArray[np.int64]:
    """How many px of each frame are marked for nothing, (n,).

    Those of the components (8 neighbours) of the mask of which less than `LEAST_TRUE_SHARE` lies
    within `TRUTH_MARGIN_PX` of the truth. No component is too small to count.
    """
    return np.array(
        [_false_area(found, truth) for found, truth in zip(predicted, inside, strict=True)],
        np.int64,
    )


def _false_area(predicted: Mask, inside: Mask) -> int:
    if not predicted.any():
        return 0
    if not inside.any():
        return int(np.count_nonzero(predicted))
    side = 2 * TRUTH_MARGIN_PX + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    near = np.asarray(cv2.dilate(inside.view(np.uint8), disc)) > 0
    left, top, width, height = cv2.boundingRect(predicted.view(np.uint8))
    # The rest costs nothing.
    part = np.s_[top : top + height, left : left + width]
    count, labels, stats, _ = cv2.connectedComponentsWithStats(predicted[part].view(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    true = np.bincount(np.asarray(labels)[near[part]], minlength=count)[1:]
    return int(areas[true < LEAST_TRUE_SHARE * areas].sum())


def false_events(areas_px: NDArray[np.int64], times_s: ArrayLike) -> list[Event]:
    """Runs of frames with something false, in their order; two at the same time are one.

    Args:
        areas_px: (n,), see `false_areas`.
        times_s: (n,).
    """
    times, durations = np.asarray(times_s, np.float64), frame_durations(times_s)
    return [
        Event(
            start_s=float(times[start]),
            # To the µs, so that 15 frames of 1/30 s are half a second.
            duration_s=round(float(durations[start:stop].sum()), 6),
            frames=stop - start,
            peak_area_px=int(areas_px[start:stop].max()),
        )
        for start, stop in runs(areas_px > 0)
    ]


def count_by_duration(events: Sequence[Event]) -> tuple[int, int, int]:
    """How many last less than `SHORT_S`, from there to `LONG_S` inclusive, and longer."""
    durations_s = [event.duration_s for event in events]
    short = sum(duration_s < SHORT_S for duration_s in durations_s)
    long = sum(duration_s > LONG_S for duration_s in durations_s)
    return short, len(events) - short - long, long


@dataclass(frozen=True, slots=True)
class Appearance:
    """A polyp, or several together, from coming into view to going out of it.

    Attributes:
        start_s: time of its first frame.
        duration_s: until the frame after its last one.
        found_after_ms: from its first frame to the first in which it is found; None: never.
    """

    start_s: float
    duration_s: float
    found_after_ms: float | None


def appearances(inside: Masks, iou: Values, times_s: ArrayLike) -> list[Appearance]:
    """Runs of at least `LEAST_FRAMES` frames with a truth of at least `LEAST_AREA_PX`.

    It is found in the first of its frames with an IoU of at least `FOUND_IOU`.

    Args:
        iou: (n,), of each frame.
        times_s: (n,).
    """
    times, durations = np.asarray(times_s, np.float64), frame_durations(times_s)
    found = []
    for start, stop in runs(np.count_nonzero(inside, axis=(1, 2)) >= LEAST_AREA_PX):
        if stop - start < LEAST_FRAMES:
            continue
        hits = np.flatnonzero(iou[start:stop] >= FOUND_IOU)
        after_ms = 1e3 * float(times[start + hits[0]] - times[start]) if len(hits) else None
        found.append(
            Appearance(
                start_s=float(times[start]),
                duration_s=round(float(durations[start:stop].sum()), 6),
                found_after_ms=None if after_ms is None else round(after_ms, 3),
            )
        )
    return found


def recall_within(found: Sequence[Appearance], limit_s: float) -> float:
    """Share of the appearances that are found within a time, 0…1; NaN where there are none.

    One that is shorter than the limit has to be found while it lasts.
    """
    if not found:
        return float("nan")
    times_ms = [one.found_after_ms for one in found if one.found_after_ms is not None]
    return sum(time_ms <= 1e3 * limit_s for time_ms in times_ms) / len(found)
