"""Lamp, exposure and sensor: what makes a video out of what the lens sees."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from cv2.typing import MatLike

from demos.sequences.field import FieldOfView

_AIM = 112.0  # the level that automatic exposure goes for, of 255
_GRAIN_MARGIN_PX = 64


class Sensor:
    """Light that falls off from a wandering centre, automatic exposure and noise.

    shots: when each begins, in seconds, and its mean level, 0 to 255.
    steps_s: when the exposure jumps away, to settle again.
    """

    def __init__(
        self,
        field: FieldOfView,
        shots: Sequence[tuple[float, float]],
        steps_s: Sequence[float],
        rng: np.random.Generator,
    ) -> None:
        self._size = field.width, field.height
        gains = [(_AIM / (level + 10)) ** 0.6 for _, level in shots]
        # A shot begins with the exposure of the one before.
        self._settled = gains
        self._changes = [
            (start_s, math.log(gains[max(number - 1, 0)] / gains[number]))
            for number, (start_s, _) in enumerate(shots)
        ]
        self._settle_s = rng.uniform(0.1, 0.35)
        sizes = rng.uniform(0.25, 0.6, len(steps_s)) * rng.choice((-1, 1), len(steps_s))
        self._steps = list(zip(steps_s, sizes.tolist(), strict=True))
        self._phases = rng.uniform(0, 2 * np.pi, 4).tolist()
        self._falloff = rng.uniform(0.15, 0.4)
        grain = rng.standard_normal(
            (field.height + _GRAIN_MARGIN_PX, field.width + _GRAIN_MARGIN_PX, 3), np.float32
        )
        level = 2 ** rng.uniform(0.5, 2.5)
        self._grain = level * cv2.GaussianBlur(grain, (0, 0), rng.uniform(0.4, 0.9))
        self._seed = int(rng.integers(2**32))

    def gain(self, time_s: float) -> float:
        """The exposure at a time; 1 leaves the picture as it is."""
        number = max(sum(start_s <= time_s for start_s, _ in self._changes) - 1, 0)
        start_s, change = self._changes[number]
        log_gain = math.log(self._settled[number])
        log_gain += change * math.exp(-(time_s - start_s) / self._settle_s)
        for at_s, size in self._steps:
            since_s = time_s - at_s
            if since_s >= 0:
                # It overshoots a little on its way back.
                swing = math.cos(2.2 * since_s / self._settle_s)
                log_gain += size * math.exp(-1.4 * since_s / self._settle_s) * swing
        c, d = self._phases[2:]
        drift = 0.08 * math.sin(0.5 * time_s + c) + 0.04 * math.sin(2.9 * time_s + d)
        return min(max(math.exp(log_gain) + drift, 0.35), 1.9)

    def expose(self, image: MatLike, time_s: float, moment: int) -> MatLike:
        """The picture as it is recorded, uint8 (h, w, 3).

        moment: its number; it chooses the noise.
        """
        gain = self.gain(time_s)
        a, b = self._phases[:2]
        x = (np.linspace(-1, 1, 40) - 0.3 * math.sin(0.7 * time_s + a)) ** 2
        y = (np.linspace(-1, 1, 32) - 0.3 * math.sin(0.5 * time_s + b)) ** 2
        coarse = gain * (1.1 - self._falloff * np.add.outer(y, x).astype(np.float32))
        gains = cv2.resize(coarse.clip(0, 1.95), self._size)
        # White stays white: highlights are far above what the sensor can show.
        level = image.astype(np.float32)
        white = cv2.multiply(level, level, scale=1 / 255)
        lit = cv2.multiply(cv2.subtract(level, white), cv2.merge([gains] * 3))
        lit = cv2.add(lit, white)
        top, left = np.random.default_rng([self._seed, moment]).integers(_GRAIN_MARGIN_PX, size=2)
        grain = self._grain[top:, left:][: self._size[1], : self._size[0]]
        return cv2.add(lit, grain, dtype=cv2.CV_8U)
