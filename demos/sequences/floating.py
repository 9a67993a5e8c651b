"""What drifts between lens and tissue: bubbles, and liquid that is clear, murky or opaque."""

from __future__ import annotations

import math

import cv2
import numpy as np
from cv2.typing import MatLike

from demos.sequences.clouds import Floats, periodic_clouds
from demos.sequences.field import FieldOfView
from demos.sequences.plan import Spell

_SPRITE_PX = 65  # odd: a bubble has a middle
_COARSE = 4
_TEXTURE_PX = 256
# RGB
_MURKY = ((172, 134, 60), (150, 92, 48), (186, 160, 120), (150, 60, 45))
_OPAQUE = ((140, 106, 44), (112, 78, 34), (176, 150, 84))


class Bubbles:
    """Bubbles that drift together through a spell; the mask does not know of them."""

    def __init__(self, spell: Spell, field: FieldOfView, rng: np.random.Generator) -> None:
        self._spell = spell
        count = int(rng.integers(6, 45))
        aspect = field.width / field.height
        self._box = np.array((aspect + 0.2, 1.2))
        self._height = field.height
        self._places = rng.uniform(0, 1, (count, 2)) * self._box
        if rng.random() < 0.6:
            # Foam: they keep together.
            middle = rng.uniform(0.2, 0.8, 2) * self._box
            self._places = middle + rng.normal(0, 0.13, (count, 2))
        flow = rng.normal(0, 0.06, 2)
        self._drifts = flow + rng.normal(0, 0.008, (count, 2))
        self._radii = 0.008 * np.exp(rng.exponential(0.45, count)).clip(1, 4.5)
        self._strength = rng.uniform(0.6, 1.0)

    def lay(self, image: MatLike, time_s: float) -> None:
        """Draw them over a picture of the view's box, in place."""
        share = self._spell.presence(time_s, 0.4)
        if share == 0:
            return
        places = self._places + self._drifts * (time_s - self._spell.start_s)
        places = (places % self._box - 0.1) * self._height
        radii = np.maximum(self._radii * self._height, 2)
        for (x, y), radius in zip(places.tolist(), radii.tolist(), strict=True):
            _blend_bubble(image, x, y, radius, share * self._strength)


class Liquid:
    """A sheet of liquid that flows over the view during a spell.

    opaque: it hides the tissue, also in the mask.
    """

    def __init__(
        self, spell: Spell, field: FieldOfView, rng: np.random.Generator, *, opaque: bool
    ) -> None:
        self._spell, self._opaque = spell, opaque
        self._size = field.width, field.height
        patch_px = rng.uniform(0.07, 0.14) * field.height / _COARSE
        ripple_px = 0.012 * field.height / _COARSE
        # A ragged rim upon a smooth shape.
        self._shape = periodic_clouds(rng, _TEXTURE_PX, patch_px)
        self._shape += 0.12 * periodic_clouds(rng, _TEXTURE_PX, 2 * ripple_px)
        colors = _OPAQUE if opaque else _MURKY
        color = np.array(colors[rng.integers(len(colors))], np.float32)
        shade = 1 + 0.12 * periodic_clouds(rng, _TEXTURE_PX, ripple_px)
        shade += 0.12 * self._shape.clip(-2, 2)
        self._colors = (shade[..., None] * color).clip(0, 255).astype(np.float32)
        self._flow = rng.normal(0, 0.1, 2) * field.height / _COARSE
        self._least = rng.uniform(1.0, 1.5) if opaque else rng.uniform(0.2, 1.2)
        self._strength = 1.0 if opaque else rng.uniform(0.2, 0.5)
        self._steep = 8.0 if opaque else 1.5

    def lay(self, image: MatLike, mask: MatLike, time_s: float) -> tuple[MatLike, MatLike]:
        """Picture and mask under the liquid."""
        share = self._spell.presence(time_s, 0.8)
        if share == 0:
            return image, mask
        shape = self._moved(self._shape, time_s)
        least = self._least + 4 * (1 - share)
        rough = self._strength * ((shape - least) * self._steep + 0.5).clip(0, 1)
        cover = cv2.resize(rough, self._size)
        if self._opaque:
            mask = cv2.blendLinear(mask, np.zeros_like(mask), 1 - cover, cover)
        colors = cv2.resize(self._moved(self._colors, time_s), self._size)
        return cv2.blendLinear(image, colors.astype(np.uint8), 1 - cover, cover), mask

    def _moved(self, texture: Floats, time_s: float) -> MatLike:
        x, y = self._flow * (time_s - self._spell.start_s)
        size = math.ceil(self._size[0] / _COARSE), math.ceil(self._size[1] / _COARSE)
        move = np.array(((1, 0, -x), (0, 1, -y)))
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpAffine(texture, move, size, flags=flags, borderMode=cv2.BORDER_WRAP)


def _bubble() -> tuple[Floats, Floats]:
    """Brightness, 0 to 255, and opacity, 0 to 1, of a bubble of radius 1 in a square of 2.2."""
    y, x = np.mgrid[-1.1 : 1.1 : _SPRITE_PX * 1j, -1.1 : 1.1 : _SPRITE_PX * 1j]
    away = np.hypot(x, y)
    rim = np.exp(-(((away - 0.88) / 0.1) ** 2))
    # Lit from the upper left: the rim is bright there and across, as light leaves it.
    side = (x + y) / (away + 1e-6) / math.sqrt(2)
    spark = np.exp(-((np.hypot(x + 0.38, y + 0.38) / 0.16) ** 2))
    tone = 90 + 150 * np.maximum(np.abs(side), spark)
    opacity = np.maximum(0.55 * rim, 0.95 * spark) + 0.06
    opacity *= ((1.05 - away) / 0.06).clip(0, 1)
    return tone.astype(np.float32), opacity.clip(0, 1).astype(np.float32)


_TONE, _OPACITY = _bubble()


def _blend_bubble(image: MatLike, x: float, y: float, radius: float, strength: float) -> None:
    """Lay one bubble over a picture, in place; x, y and radius in px."""
    side = 2 * math.ceil(1.1 * radius) + 3
    left, top = math.floor(x) - side // 2, math.floor(y) - side // 2
    height, width = image.shape[:2]
    rows = slice(max(top, 0), min(top + side, height))
    columns = slice(max(left, 0), min(left + side, width))
    if rows.start >= rows.stop or columns.start >= columns.stop:
        return
    scale = 2.2 * radius / (_SPRITE_PX - 1)
    middle = (_SPRITE_PX - 1) / 2
    move = np.array(
        ((scale, 0, x - left - scale * middle), (0, scale, y - top - scale * middle)), np.float32
    )
    part = np.s_[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    tone, opacity = (
        cv2.warpAffine(plane, move, (side, side), flags=cv2.INTER_LINEAR)[part][..., None]
        for plane in (_TONE, _OPACITY)
    )
    under = image[rows, columns].astype(np.float32)
    image[rows, columns] = under + strength * opacity * (tone - under)
