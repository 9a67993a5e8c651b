"""Augmentation that fits endoscopy: geometry, light and colour, blur, compression, dark borders."""

from dataclasses import dataclass
from functools import partial

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pranet import degrade
from pranet.errors import DataError
from pranet.labels import resample
from pranet.ranges import Range

Image = NDArray[np.uint8]

_ZOOM = Range(0.05, 20)
_RANGES = {"aspect": Range(1, 10), "rotation_deg": Range(0, 180)}
#: Of everything else: chances, and greatest relative changes.
_SHARE = Range(0, 1)


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
        plain_chance: probability of a picture that is only mirrored and turned by right angles:
            what the network will mostly see.
        highlight_chance, blur_chance, comb_chance, noise_chance, text_chance,
            compression_chance, border_chance: probabilities, one by one, for all other pictures.
        paste_chance: of polyps of another picture being copied into one.
        removal_chance: of a picture with polyps giving one without (a crop, or inpainted).

    Raises:
        DataError: a value of the wrong type or out of range, by name.
    """

    zoom: tuple[float, float] = (0.75, 1.4)
    aspect: float = 1.5
    rotation_deg: float = 30.0
    shift: float = 0.12
    colour_gain: float = 0.12
    exposure: float = 0.3
    contrast: float = 0.25
    gamma: float = 0.3
    saturation: float = 0.3
    plain_chance: float = 0.25
    highlight_chance: float = 0.1
    blur_chance: float = 0.15
    comb_chance: float = 0.04
    noise_chance: float = 0.1
    text_chance: float = 0.08
    compression_chance: float = 0.15
    border_chance: float = 0.12
    paste_chance: float = 0.1
    removal_chance: float = 0.06

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name != "zoom":
                _RANGES.get(name, _SHARE).check(name, value)
        if not isinstance(self.zoom, tuple | list) or len(self.zoom) != 2:
            raise DataError(f"zoom must be two numbers, not {self.zoom!r}")
        for bound in self.zoom:
            _ZOOM.check("zoom", bound)

    def __call__(
        self, image: Image, mask: Image, size_px: int, rng: Generator
    ) -> tuple[Image, Image]:
        """One random view.

        Args:
            image: RGB (H, W, 3).
            mask: (H, W), of 0 or 255 or a label map.

        Returns:
            RGB (size_px, size_px, 3) and a mask of the same kind (size_px, size_px).
        """
        plain = rng.random() < self.plain_chance
        matrix = self._geometry(image.shape[1], image.shape[0], size_px, rng, plain=plain)
        border = cv2.BORDER_CONSTANT if rng.random() < 0.7 else cv2.BORDER_REFLECT_101
        warp = partial(
            cv2.warpAffine,
            M=matrix,
            dsize=(size_px, size_px),
            flags=cv2.INTER_LINEAR,
            borderMode=border,
        )
        picture, truth = np.asarray(warp(image), np.uint8), resample(mask, warp)
        if plain:
            return picture, truth
        picture = self._degrade(self._light(picture, rng), rng)
        if rng.random() < self.border_chance:
            view = degrade.view_shape(size_px, rng)
            picture, truth = picture * view[..., None], truth * view
        return np.ascontiguousarray(picture, np.uint8), np.asarray(truth, np.uint8)

    def _geometry(
        self, width_px: int, height_px: int, size_px: int, rng: Generator, *, plain: bool
    ) -> NDArray[np.float64]:
        """Affine map from source to view coordinates."""
        quarter_turns = rng.integers(4) * np.pi / 2
        mirror = rng.choice((-1.0, 1.0))
        if plain:
            zoom, stretch, angle, shift = 1.0, 1.0, quarter_turns, np.zeros(2)
        else:
            zoom = np.exp(rng.uniform(*np.log(self.zoom)))
            stretch = np.exp(rng.uniform(-0.5, 0.5) * np.log(self.aspect))
            tilt = np.deg2rad(rng.uniform(-self.rotation_deg, self.rotation_deg))
            angle, shift = quarter_turns + tilt, rng.uniform(-self.shift, self.shift, 2)
        cos, sin = np.cos(angle), np.sin(angle)
        to_square = np.diag((size_px / width_px, size_px / height_px))
        turn = np.array([[cos, -sin], [sin, cos]])
        linear = np.diag((zoom * stretch, zoom / stretch)) @ turn @ np.diag((mirror, 1)) @ to_square
        centre = np.array((width_px, height_px)) / 2
        target = size_px * (0.5 + shift)
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
        for chance, changes in (
            (self.highlight_chance, (degrade.specular_highlights,)),
            (self.blur_chance, (degrade.motion_blur, degrade.defocus)),
            (self.comb_chance, (degrade.interlacing_comb,)),
            (self.noise_chance, (degrade.sensor_noise,)),
            (self.text_chance, (degrade.burnt_in_text,)),
            (self.compression_chance, (degrade.jpeg_artefacts, degrade.h264_artefacts)),
        ):
            if rng.random() < chance:
                image = changes[rng.integers(len(changes))](image, rng)
        return image
