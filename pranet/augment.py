"""Augmentation that fits endoscopy: geometry, light and colour, blur, compression, dark borders."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Augmentation:
    """Ranges and chances of the random changes; the defaults are those of the bundled model.

    Attributes:
        zoom: factor range of the picture's scale.
        aspect: greatest factor by which one side is stretched against the other; wide, because a
            1280×720 picture is squeezed into the network's square.
        rotation_deg: greatest rotation, beside free quarter turns and mirrors.
        shift: greatest shift, as a share of the side.
        colour_gain: greatest relative change of each channel (colour temperature).
        exposure, contrast, gamma, saturation: greatest relative changes.
        blur_chance, noise_chance, compression_chance, border_chance: probabilities.
    """

    zoom: tuple[float, float] = (0.7, 1.5)
    aspect: float = 1.6
    rotation_deg: float = 30.0
    shift: float = 0.15
    colour_gain: float = 0.12
    exposure: float = 0.35
    contrast: float = 0.25
    gamma: float = 0.3
    saturation: float = 0.3
    blur_chance: float = 0.15
    noise_chance: float = 0.15
    compression_chance: float = 0.2
    border_chance: float = 0.15

    def __call__(
        self, image: Image, mask: Image, size_px: int, rng: Generator
    ) -> tuple[Image, Image]:
        """One random view: RGB (size_px, size_px, 3) and mask (size_px, size_px) of 0 or 255."""
        matrix = self._geometry(image.shape[1], image.shape[0], size_px, rng)
        border = cv2.BORDER_CONSTANT if rng.random() < 0.5 else cv2.BORDER_REFLECT_101
        picture = cv2.warpAffine(
            image, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=border
        )
        truth = cv2.warpAffine(
            mask, matrix, (size_px, size_px), flags=cv2.INTER_LINEAR, borderMode=border
        )
        picture = self._light(np.asarray(picture, np.uint8), rng)
        picture = self._degrade(picture, rng)
        truth = np.where(np.asarray(truth) > 127, np.uint8(255), np.uint8(0))
        if rng.random() < self.border_chance:
            view = _octagon(size_px, rng)
            picture, truth = picture * view[..., None], truth * view
        return np.ascontiguousarray(picture, np.uint8), np.asarray(truth, np.uint8)

    def _geometry(
        self, width_px: int, height_px: int, size_px: int, rng: Generator
    ) -> NDArray[np.float64]:
        """Affine map from source to view coordinates."""
        zoom = np.exp(rng.uniform(*np.log(self.zoom)))
        stretch = np.exp(rng.uniform(-0.5, 0.5) * np.log(self.aspect))
        angle = np.deg2rad(rng.uniform(-self.rotation_deg, self.rotation_deg))
        angle += rng.integers(4) * np.pi / 2
        mirror = rng.choice((-1.0, 1.0))
        cos, sin = np.cos(angle), np.sin(angle)
        to_square = np.diag((size_px / width_px, size_px / height_px))
        turn = np.array([[cos, -sin], [sin, cos]])
        linear = np.diag((zoom * stretch, zoom / stretch)) @ turn @ np.diag((mirror, 1)) @ to_square
        centre = np.array((width_px, height_px)) / 2
        target = size_px * (0.5 + rng.uniform(-self.shift, self.shift, 2))
        return np.column_stack((linear, target - linear @ centre))

    def _light(self, image: Image, rng: Generator) -> Image:
        """Exposure, contrast, gamma and colour temperature in one table per channel."""
        levels = np.linspace(0, 1, 256)
        gamma = np.exp(rng.uniform(-self.gamma, self.gamma))
        gain = np.exp(rng.uniform(-self.exposure, self.exposure))
        contrast = 1 + rng.uniform(-self.contrast, self.contrast)
        colour = 1 + rng.uniform(-self.colour_gain, self.colour_gain, 3)
        curves = gain * colour * (levels[:, None] ** gamma)
        curves = (curves - 0.4) * contrast + 0.4
        table = (255 * curves.clip(0, 1)).astype(np.uint8)
        image = np.asarray(cv2.LUT(image, table[None]), np.uint8)
        gray = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
        keep = 1 + rng.uniform(-self.saturation, self.saturation)
        return np.asarray(cv2.addWeighted(image, keep, gray, 1 - keep, 0), np.uint8)

    def _degrade(self, image: Image, rng: Generator) -> Image:
        if rng.random() < self.blur_chance:
            image = _motion_blur(image, rng) if rng.random() < 0.5 else _defocus(image, rng)
        if rng.random() < self.noise_chance:
            noise = rng.normal(0, rng.uniform(2, 10), image.shape)
            image = (image + noise).clip(0, 255).astype(np.uint8)
        if rng.random() < self.compression_chance:
            quality = int(rng.integers(20, 70))
            _, packed = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
            image = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        return image


def _defocus(image: Image, rng: Generator) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), rng.uniform(0.5, 2.5)), np.uint8)


def _motion_blur(image: Image, rng: Generator) -> Image:
    length_px = int(rng.integers(3, 12))
    kernel = np.zeros((length_px, length_px), np.float32)
    angle = rng.uniform(0, np.pi)
    centre = (length_px - 1) / 2
    reach = centre * np.array((np.cos(angle), np.sin(angle)))
    start, end = (np.rint(centre + sign * reach).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return np.asarray(cv2.filter2D(image, -1, kernel / kernel.sum()), np.uint8)


def _octagon(size_px: int, rng: Generator) -> Image:
    """A view with cut corners and dark margins, 1 inside and 0 outside."""
    left, top = rng.uniform(0, 0.12, 2) * size_px
    right, bottom = size_px - rng.uniform(0, 0.12, 2) * size_px
    cut = rng.uniform(0.05, 0.25) * size_px
    corners = [
        (left + cut, top),
        (right - cut, top),
        (right, top + cut),
        (right, bottom - cut),
        (right - cut, bottom),
        (left + cut, bottom),
        (left, bottom - cut),
        (left, top + cut),
    ]
    view = np.zeros((size_px, size_px), np.uint8)
    cv2.fillConvexPoly(view, np.rint(np.array(corners)).astype(np.int32), 1)
    return view
