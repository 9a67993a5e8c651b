"""The hand that leads the camera: it sets out, stops, trembles and jolts, and the patient breathes.

A path is a chain of moves between windows that lie on usable tissue and show as much of the polyp
as the shot's course wants. Each move runs as human hands do, with the least jerk (T. Flash and
N. Hogan, J. Neurosci. 5, 1985); between two moves the hand rests. Speeds are those of a
colonoscope in use: mostly 1 to 6 px per frame for pictures 352 px wide at 30 Hz, with short moves
beyond.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from demos.sequences.field import FieldOfView
from demos.sequences.stills import Ground
from streamer.sources.scene import Doubles, Pose

COURSES = {
    "enters": (0.0, 0.4, 1.0, 1.0),
    "leaves": (1.0, 1.0, 0.4, 0.0),
    "passes": (0.0, 0.6, 1.0, 0.6, 0.0),
    "comes and goes": (1.0, 0.0, 1.0),
    "stays at the rim": (0.5, 0.5),
    "stays": (1.0, 1.0),
}
"""Share of the polyp that is to be in view in the course of a shot."""

# Mean speed of a move in heights of the view per second: 0.1 is about 1 px per frame (see above).
_SPEED = (0.2, 0.65)
_FAST_SPEED = (0.8, 1.5)
_FAST_CHANCE = 0.1
_MOVE_S = (0.5, 1.8)
_FAST_MOVE_S = (0.25, 0.5)
_REST_S = 0.3  # mean
_REST_CHANCE = 0.4
_WINDOWS = 1200
_SIZES = (0.48, 0.98)  # of windows, as shares of the largest one that fits
_JOLT_HZ = 3.5
_JOLT_FADES_S = 0.12


@dataclass(frozen=True, eq=False)
class Move:
    """From one window to another, each (4,): centre x and y, logarithm of its height, roll."""

    start_s: float
    end_s: float
    start: Doubles
    end: Doubles

    def at(self, time_s: float) -> Doubles:
        """The window at a time; before and after the move it rests."""
        u = min(max((time_s - self.start_s) / (self.end_s - self.start_s), 0.0), 1.0)
        return self.start + u**3 * (10 - 15 * u + 6 * u * u) * (self.end - self.start)


class Hand:
    """Where the camera looks in one shot.

    moves: in order, each from where the one before ended.
    jolts_s: when it is pushed.
    """

    def __init__(
        self, moves: Sequence[Move], jolts_s: Sequence[float], rng: np.random.Generator
    ) -> None:
        self._moves = moves
        self._starts_s = [move.start_s for move in moves]
        angles = rng.uniform(0, 2 * np.pi, len(jolts_s))
        sizes = rng.uniform(0.012, 0.035, len(jolts_s))
        rolls = rng.normal(0, 0.03, len(jolts_s))
        pushes = np.stack([sizes * np.cos(angles), sizes * np.sin(angles), rolls], axis=1)
        self._jolts = list(zip(jolts_s, pushes.tolist(), strict=True))
        self._phases = rng.uniform(0, 2 * np.pi, 9).tolist()
        self._tremor = float(rng.uniform(0.3, 1.0))
        self._breath = float(rng.uniform(0.004, 0.02))
        self._breath_rate = 2 * math.pi * float(rng.uniform(0.2, 0.35))

    def pose(self, time_s: float) -> Pose:
        """The camera at a time."""
        number = max(bisect_right(self._starts_s, time_s) - 1, 0)
        x, y, log_height, roll = self._moves[number].at(time_s).tolist()
        height = math.exp(log_height)
        a, b, c, d, e, f, g, h, i = self._phases
        sin = math.sin
        dx = self._tremor * (
            0.008 * sin(2.3 * time_s + a) + 0.003 * sin(7.1 * time_s + b) + 0.001 * sin(19 * time_s)
        )
        dy = self._tremor * (
            0.008 * sin(1.9 * time_s + c) + 0.003 * sin(6.3 * time_s + d) + 0.001 * sin(23 * time_s)
        )
        roll += self._tremor * (0.03 * sin(0.9 * time_s + e) + 0.008 * sin(4.1 * time_s + f))
        breath = sin(self._breath_rate * time_s + g)
        dx += self._breath * math.cos(h) * breath
        dy += self._breath * math.sin(h) * breath
        height *= 1 + 0.5 * self._breath * breath + 0.006 * sin(1.1 * time_s + i)
        for start_s, (push_x, push_y, push_roll) in self._jolts:
            since_s = time_s - start_s
            if since_s > 0:
                swing = math.exp(-since_s / _JOLT_FADES_S) * sin(2 * math.pi * _JOLT_HZ * since_s)
                dx += push_x * swing
                dy += push_y * swing
                roll += push_roll * swing
        return Pose(x + height * dx, y + height * dy, height, roll)


def lead(
    ground: Ground,
    field: FieldOfView,
    course: Sequence[float],
    start_s: float,
    end_s: float,
    jolts_s: Sequence[float],
    rng: np.random.Generator,
) -> Hand:
    """Plan how a shot is filmed.

    Args:
        course: share of the polyp that is to be in view, evenly spread over the shot.
        start_s, end_s: of the shot.
        jolts_s: when the hand is pushed.
    """
    windows = _windows(ground, field, rng)
    seen = _seen(ground, field, windows, rng)
    largest = windows[:, 2].max()

    def wanted(time_s: float) -> float:
        progress = (time_s - start_s) / (end_s - start_s)
        return float(np.interp(progress, np.linspace(0, 1, len(course)), course))

    # Wide windows are sharper; not always the widest, so that shots differ.
    lure = 0.4 * (largest - windows[:, 2]) + rng.uniform(0, 0.3, len(windows))
    here = windows[(3 * np.abs(seen - wanted(start_s)) + lure).argmin()]
    moves: list[Move] = []
    # The hand may be in the middle of a move when the shot begins.
    now_s = start_s - rng.uniform(0, 0.5)
    while now_s < end_s:
        fast = rng.random() < _FAST_CHANCE
        low, high = _FAST_SPEED if fast else _SPEED
        speed = low * (high / low) ** rng.random()
        planned_s = rng.uniform(*(_FAST_MOVE_S if fast else _MOVE_S))
        far = _distance(here, windows)
        badness = 3 * np.abs(seen - wanted(now_s + planned_s)) + 0.2 * lure
        badness += np.abs(far / (speed * planned_s) - 1).clip(0, 3)
        badness += 8 * _outside_between(ground, field, here, windows)
        best = int(badness.argmin())
        took_s = float(np.clip(far[best] / speed, 0.25, 2.5))
        moves.append(Move(now_s, now_s + took_s, here, windows[best]))
        here = windows[best]
        now_s += took_s + (rng.exponential(_REST_S) if rng.random() < _REST_CHANCE else 0)
    return Hand(moves, jolts_s, rng)


def _distance(here: Doubles, windows: Doubles) -> Doubles:
    """How far the picture moves from one window to others, in heights of the view."""
    offset = windows - here
    shift = np.hypot(offset[:, 0], offset[:, 1]) / np.exp(here[2])
    return np.asarray(shift + 0.4 * np.abs(offset[:, 2]) + 0.35 * np.abs(offset[:, 3]))


def _windows(ground: Ground, field: FieldOfView, rng: np.random.Generator) -> Doubles:
    """Windows (n, 4) as in `Move` that lie on usable tissue, as far as there are any."""
    height, width = ground.mask.shape
    largest = min(height, width * field.height / field.width)
    size = largest * rng.uniform(*_SIZES, (_WINDOWS, 1))
    # Upright, each would lie within the still.
    reach = size / 2 * (field.width / field.height, 1)
    centre = reach + ((width, height) - 2 * reach) * rng.random((_WINDOWS, 2))
    roll = rng.normal(0, 0.2, (_WINDOWS, 1)).clip(-0.5, 0.5)
    windows = np.concatenate([centre, np.log(size), roll], axis=1)
    outside = _outside(ground, field, windows)
    return windows[outside <= max(0.04, np.quantile(outside, 0.05))]


def _outside(ground: Ground, field: FieldOfView, windows: Doubles) -> Doubles:
    """Share of each window's rim that does not lie on usable tissue."""
    height, width = ground.mask.shape
    rim = 1.05 * field.outline[::3]  # the margin is for the unsteady hand
    cos, sin = np.cos(windows[:, 3:]), np.sin(windows[:, 3:])
    size = np.exp(windows[:, 2:3])
    x = (windows[:, :1] + size * (cos * rim[:, 0] - sin * rim[:, 1])).astype(int)
    y = (windows[:, 1:2] + size * (sin * rim[:, 0] + cos * rim[:, 1])).astype(int)
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    inside &= ground.usable[y.clip(0, height - 1), x.clip(0, width - 1)]
    return np.asarray(1 - inside.mean(axis=1))


def _outside_between(
    ground: Ground, field: FieldOfView, here: Doubles, windows: Doubles
) -> Doubles:
    """The greatest share on the way from one window to each of the others."""
    ways = [_outside(ground, field, here + u * (windows - here)) for u in (0.3, 0.5, 0.7)]
    return np.asarray(np.max(ways, axis=0))


def _seen(
    ground: Ground, field: FieldOfView, windows: Doubles, rng: np.random.Generator
) -> Doubles:
    """Share of the polyps that each window shows."""
    polyp = np.argwhere(ground.mask > 127)[:, ::-1]
    if not len(polyp):
        return np.zeros(len(windows))
    x, y = np.moveaxis(rng.choice(polyp, 96)[None] - windows[:, None, :2], -1, 0)
    cos, sin = np.cos(windows[:, 3:]), np.sin(windows[:, 3:])
    scale = field.height / np.exp(windows[:, 2:3])
    column = (scale * (cos * x + sin * y) + field.width / 2).astype(int)
    row = (scale * (cos * y - sin * x) + field.height / 2).astype(int)
    inside = (column >= 0) & (column < field.width) & (row >= 0) & (row < field.height)
    shown = field.inside[row.clip(0, field.height - 1), column.clip(0, field.width - 1)]
    return np.asarray((inside & (shown > 0)).mean(axis=1))
