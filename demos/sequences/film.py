"""One shot as the camera sees it: living tissue under a moving lens, and the exact mask.

The mask is a fourth channel of the picture, so that whatever moves or bends a colour moves and
bends the mask in the same way. Blur is symmetric about the middle of the exposure, which is the
moment that the mask shows.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from cv2.typing import MatLike

from demos.sequences.camera import Hand
from demos.sequences.clouds import periodic_clouds
from demos.sequences.field import FieldOfView
from demos.sequences.stills import Ground
from streamer.sources.scene import Pixels, Pose, Still, Tissue, parallax, smear

_STEP_PX = 8  # tissue bends so smoothly that a grid as coarse as this knows it
_HUNT_FADES_S = 0.3
_TEXTURE_PX = 256


class Take:
    """A shot.

    rate: exposures per second; the shutter is open for half of the time.
    focus_s: when the focus hunts.
    optics: blur and highlights; False leaves the geometry alone.
    """

    def __init__(
        self,
        ground: Ground,
        hand: Hand,
        field: FieldOfView,
        rng: np.random.Generator,
        *,
        start_s: float,
        end_s: float,
        rate: float,
        focus_s: Sequence[float],
        optics: bool,
    ) -> None:
        self._hand, self._field, self._rate, self._optics = hand, field, rate, optics
        tinted = _tinted(ground.image, rng)
        self._colors = tinted if optics else ground.image
        self._with_mask = np.ascontiguousarray(np.dstack([self._colors, ground.mask]))
        relief = Tissue(Still(ground.image, ground.mask, "")).relief
        self._relief = np.asarray(relief, np.float32)
        windows = [hand.pose(time_s) for time_s in np.linspace(start_s, end_s, 9).tolist()]
        self._middle = np.mean([(pose.x, pose.y, pose.height) for pose in windows], axis=0).tolist()
        self._waves = _waves(self._middle[2], rng)
        self._hunts = [(at_s, rng.uniform(0.004, 0.012)) for at_s in focus_s]

        width, height = field.width, field.height
        columns, rows = math.ceil(width / _STEP_PX), math.ceil(height / _STEP_PX)
        # Where cv2.resize takes the pixels of a small picture to lie in a large one.
        coarse_u = (np.arange(columns) + 0.5) * width / columns - width / 2
        coarse_v = (np.arange(rows) + 0.5) * height / rows - height / 2
        self._coarse = np.meshgrid(coarse_u.astype(np.float32), coarse_v.astype(np.float32))
        self._u = np.arange(width, dtype=np.float32)[None] - (width - 1) / 2
        self._v = np.arange(height, dtype=np.float32)[:, None] - (height - 1) / 2

        patch_px = rng.uniform(0.009, 0.02) * height / 2
        self._shines = [periodic_clouds(rng, _TEXTURE_PX, patch_px) for _ in range(2)]
        self._dull = rng.uniform(2.7, 3.8)
        self._flicker = rng.uniform(0, 2 * np.pi, 3).tolist()

    def mean_level(self) -> float:
        """Mean brightness of the tissue, 0 to 255, which automatic exposure goes by."""
        return float(self._colors[::4, ::4].mean())

    def see(self, time_s: float) -> tuple[MatLike, MatLike]:
        """Picture (h, w, 3), RGB, and how much polyp each pixel holds, (h, w), 0 to 255.

        Both uint8, of the box around the view.
        """
        pose = self._hand.pose(time_s)
        x, y = self._looks_at(pose, time_s)
        border = cv2.BORDER_REFLECT_101
        seen = cv2.remap(self._with_mask, x, y, cv2.INTER_CUBIC, borderMode=border)
        image: MatLike = cv2.cvtColor(seen, cv2.COLOR_RGBA2RGB)
        if self._optics:
            self._shine(image, pose, time_s)
            image = self._blur(image, pose, time_s)
        return image, cv2.extractChannel(seen, 3)

    def _looks_at(self, pose: Pose, time_s: float) -> tuple[MatLike, MatLike]:
        """Place in the still of each pixel of the view: x and y, float32 (h, w)."""
        scale = pose.height / self._field.height
        cos, sin = scale * math.cos(pose.roll), scale * math.sin(pose.roll)
        u, v = self._coarse
        x, y = pose.x + cos * u - sin * v, pose.y + sin * u + cos * v
        relief = cv2.remap(self._relief, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        dx, dy = parallax(relief, pose, self._middle, x, y)
        for along_x, along_y, speed, phase, sway_x, sway_y in self._waves:
            wave = np.sin(along_x * x + along_y * y - speed * time_s + phase)
            dx, dy = dx + sway_x * wave, dy + sway_y * wave
        size = self._field.width, self._field.height
        far_x, far_y = (cv2.resize(np.asarray(bend, np.float32), size) for bend in (dx, dy))
        far_x += (cos * self._u + pose.x) - sin * self._v
        far_y += (sin * self._u + pose.y) + cos * self._v
        return far_x, far_y

    def _shine(self, image: MatLike, pose: Pose, time_s: float) -> None:
        """Put in highlights that creep over the tissue and flicker: they mirror the lamp."""
        size = (self._field.width // 2, self._field.height // 2)
        scale = 0.5 * self._field.height / pose.height
        a, b, c = self._flicker
        along = (0.75 * scale * pose.x, 0.75 * scale * pose.y)  # slower than the tissue itself
        apart = (9 * math.sin(0.9 * time_s + a), 9 * math.sin(1.3 * time_s + b))
        # Ridges and bumps face the lamp: they are brighter than what is around them.
        green = cv2.resize(cv2.extractChannel(image, 1), size).astype(np.float32)
        side = self._field.height // 16
        bumps = cv2.blur(green, (5, 5)) - cv2.blur(green, (side, side))
        level = (bumps / 12).clip(-2, 1.5)
        for clouds, shift in zip(self._shines, (along, apart), strict=True):
            move = np.array(((1, 0, shift[0]), (0, 1, shift[1])))
            flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
            level += cv2.warpAffine(clouds, move, size, flags=flags, borderMode=cv2.BORDER_WRAP)
        dull = self._dull + 0.15 * math.sin(31 * time_s + c)
        small = (level - dull).clip(0, 1) ** 1.5
        shine = cv2.resize(small, (self._field.width, self._field.height))
        lit = np.nonzero(shine > 0.02)
        image[lit] += (shine[lit][:, None] * (252 - image[lit].clip(0, 252))).astype(np.uint8)

    def _blur(self, image: MatLike, pose: Pose, time_s: float) -> MatLike:
        """Defocus, and motion for as long as the shutter is open."""
        sigma_px = self._defocus(time_s) * self._field.height
        if sigma_px > 0.4:
            image = cv2.GaussianBlur(image, (0, 0), sigma_px)
        before, after = (self._hand.pose(time_s + side / (4 * self._rate)) for side in (-1, 1))
        scale = self._field.height / pose.height
        dx, dy = scale * (after.x - before.x), scale * (after.y - before.y)
        cos, sin = math.cos(pose.roll), math.sin(pose.roll)
        return smear(image, cos * dx + sin * dy, cos * dy - sin * dx)

    def _defocus(self, time_s: float) -> float:
        """Deviation of the focus blur, as a share of the view's height."""
        blur = 0.0
        for at_s, size in self._hunts:
            since_s = time_s - at_s
            if since_s > 0:
                # Past the sharp plane, back, and past it again.
                swing = abs(math.sin(2 * math.pi * 1.3 * since_s))
                blur += size * swing * math.exp(-since_s / _HUNT_FADES_S)
        return blur


def _tinted(image: Pixels, rng: np.random.Generator) -> Pixels:
    """A still as another processor would show it: white balance and gamma a little different."""
    levels = np.arange(256)[:, None] / 255
    table = levels ** rng.uniform(0.88, 1.15) * rng.uniform(0.93, 1.05, 3)
    table = (255 * table).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(image, table[None]), np.uint8)


def _waves(height: float, rng: np.random.Generator) -> list[tuple[float, ...]]:
    """How tissue moves by itself: travelling waves of (along x, y, speed, phase, sway x, y).

    height: of the window, in px of the still.
    """
    waves: list[tuple[float, ...]] = []
    # The last one is peristalsis: slow and large.
    for size, slowest, fastest in ((0.004, 0.3, 1.3), (0.004, 0.3, 1.3), (0.012, 0.1, 0.25)):
        angle, sway_angle = rng.uniform(0, 2 * np.pi, 2)
        length = height * rng.uniform(0.4, 1.2)
        sway = height * size * rng.uniform(0.2, 1.5)
        waves.append(
            (
                2 * math.pi * math.cos(angle) / length,
                2 * math.pi * math.sin(angle) / length,
                2 * math.pi * rng.uniform(slowest, fastest),
                rng.uniform(0, 2 * math.pi),
                sway * math.cos(sway_angle),
                sway * math.sin(sway_angle),
            )
        )
    return waves
