"""An instrument that comes out beside the lens, pokes at the tissue and withdraws."""

from __future__ import annotations

import math

import cv2
import numpy as np
from cv2.typing import MatLike

from demos.sequences.field import FieldOfView
from demos.sequences.plan import Spell
from pranet.instrument import covered, painted, rod, shadow

_COMES_S = 0.7
_POINTS = 64
_THICKNESS = (0.05, 0.14)  # of the view's height
_TIP_PX = 12  # between the tip and the edge of its drawing


class Tool:
    """An instrument as a drawing that moves as one piece.

    target: x and y in the view's box, px, that its tip goes to.
    optics: its shadow; False leaves what hides tissue.
    """

    def __init__(
        self,
        spell: Spell,
        target: tuple[float, float],
        field: FieldOfView,
        rng: np.random.Generator,
        *,
        optics: bool = True,
    ) -> None:
        self._spell, self._target = spell, np.array(target)
        self._size = field.width, field.height
        # The channel lies at the lower right of most lenses.
        angle = rng.normal(0.9, 0.5) if rng.random() < 0.75 else rng.uniform(0, 2 * np.pi)
        self._outward = np.array((math.cos(angle), math.sin(angle)))
        edges = np.where(self._outward > 0, self._size, 0) - self._target
        self._reach = float(np.min(np.abs(edges) / np.maximum(np.abs(self._outward), 1e-3)))
        self._reach += 0.2 * field.height
        self._phases = rng.uniform(0, 2 * np.pi, 3).tolist()
        self._draw(field, rng)
        if not optics:
            self._shade[:] = 0

    def _draw(self, field: FieldOfView, rng: np.random.Generator) -> None:
        """The rod, lying, its tip at the right."""
        height = round(0.4 * field.height)
        width = math.ceil(math.hypot(*self._size)) + _TIP_PX
        steps = np.linspace(0, 1, _POINTS)
        bend = rng.normal(0, 0.06) * height * (1 - steps) ** 2
        line = np.stack([steps * (width - _TIP_PX), height / 2 + bend], axis=1)
        thick = field.height * math.exp(rng.uniform(*np.log(_THICKNESS)))
        half = thick / 2 * np.linspace(1, rng.uniform(0.7, 1), _POINTS)
        across, along, half_px = rod((height, width), line, half)
        cover = covered(across, half_px)
        colors = painted(across, along, rng).clip(0, 255)
        self._drawing = np.dstack([colors, 255 * cover]).round().astype(np.uint8)
        self._shade = shadow(cover, rng)
        self._tip = np.array((width - _TIP_PX, height / 2))

    def lay(self, image: MatLike, mask: MatLike, time_s: float) -> tuple[MatLike, MatLike]:
        """Picture and mask behind the instrument."""
        if self._spell.presence(time_s, _COMES_S) == 0:
            return image, mask
        move = self._placed(time_s)
        drawing = cv2.warpAffine(self._drawing, move, self._size)
        cover = cv2.extractChannel(drawing, 3).astype(np.float32) / 255
        shade = cv2.warpAffine(self._shade, move, self._size)
        # Its light is that of the scene.
        light = min(max(float(image[::16, ::16].mean()) / 128, 0.5), 1.4)
        colors = cv2.convertScaleAbs(cv2.cvtColor(drawing, cv2.COLOR_RGBA2RGB), alpha=light)
        ground = cv2.blendLinear(image, np.zeros_like(image), 1 - shade, shade)
        image = cv2.blendLinear(ground, colors, 1 - cover, cover)
        return image, cv2.blendLinear(mask, np.zeros_like(mask), 1 - cover, cover)

    def _placed(self, time_s: float) -> MatLike:
        """The affine map (2, 3) from its drawing to the view."""
        a, b, c = self._phases
        height = self._size[1]
        out = 1 - self._spell.presence(time_s, _COMES_S)
        poke = 0.04 * math.sin(4.1 * time_s + a) + 0.02 * math.sin(9.7 * time_s + b)
        sideways = np.array((-self._outward[1], self._outward[0]))
        place = self._target + self._outward * (out * self._reach + poke * height)
        place = place + sideways * height * 0.02 * math.sin(2.7 * time_s + c)
        cos, sin = -self._outward
        turn = np.array(((cos, -sin), (sin, cos)))
        return np.column_stack([turn, place - turn @ self._tip])
