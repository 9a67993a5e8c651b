"""The endoscope's field of view: what shape it has and where it lies in the black frame."""

from __future__ import annotations

import cv2
import numpy as np
from cv2.typing import MatLike

from streamer.sources.scene import Doubles, Pixels

#: Share of the frame's height that the view takes.
_HEIGHT = (0.92, 1.0)
#: Width of the view for a height of 1.
_ASPECT = (1.05, 1.25)
_CORNERS = 96


class FieldOfView:
    """A rounded rectangle, an octagon or a circle with flat sides; the generator chooses.

    Attributes:
        width, height: px of the box around the view.
        outline: (n, 2), x and y of its rim around (0, 0), for a height of 1; it is convex.
        inside: uint8 (height, width), 255 in the view, 0 in the corners of the box.
    """

    def __init__(self, frame_width: int, frame_height: int, rng: np.random.Generator) -> None:
        self._frame = frame_height, frame_width
        self.height = round(frame_height * rng.uniform(*_HEIGHT))
        self.width = min(round(self.height * rng.uniform(*_ASPECT)), frame_width)
        self._top = (frame_height - self.height) // 2
        self._left = round((frame_width - self.width) * rng.uniform(0.3, 1))
        self.outline = _outline(self.width / self.height, rng)
        corners_px = np.add(self.outline, (self.width / self.height / 2, 0.5)) * self.height
        self.inside: Pixels = np.zeros((self.height, self.width), np.uint8)
        cv2.fillConvexPoly(self.inside, corners_px.round().astype(np.int32), 255)

    def framed(self, view: MatLike) -> Pixels:
        """What lies in the view, (height, width, …), in a black frame."""
        frame = np.zeros((*self._frame, *view.shape[2:]), np.uint8)
        box = np.s_[self._top : self._top + self.height, self._left : self._left + self.width]
        frame[box] = cv2.bitwise_and(view, view, mask=self.inside)
        return frame


def _outline(aspect: float, rng: np.random.Generator) -> Doubles:
    angles = np.linspace(0, 2 * np.pi, _CORNERS, endpoint=False)
    x, y = np.cos(angles), np.sin(angles)
    shape = rng.integers(3)
    if shape == 0:
        cut = rng.uniform(0.14, 0.3)
        # Where the ray meets the nearest of a side, a top and a slanted edge.
        slanted = (np.abs(x) + np.abs(y)) / (aspect / 2 + 0.5 - cut)
        away = np.maximum(np.maximum(np.abs(x) / (aspect / 2), np.abs(y) / 0.5), slanted)
    elif shape == 1:
        power = rng.uniform(3.5, 8)
        away = (np.abs(x / (aspect / 2)) ** power + np.abs(y / 0.5) ** power) ** (1 / power)
    else:
        radius = rng.uniform(1.02, 1.12) * aspect / 2
        away = np.maximum(np.abs(x) / (aspect / 2), np.maximum(np.abs(y) / 0.5, 1 / radius))
    return np.asarray(np.stack([x, y], axis=1) / away[:, None])
