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
_ZOOMS = ("zoom", "window_zoom")
_RANGES = {"aspect": Range(1, 10), "rotation_deg": Range(0, 180)}
#: Of everything else: chances, and greatest relative changes.
_SHARE = Range(0, 1)
#: Of the windows: those around a place of a polyp, and those in a dark frame.
_POLYP_WINDOWS = 0.8
_FRAMED_WINDOWS = 0.7


@dataclass(frozen=True)
class Augmentation:
    """Ranges and chances of the random changes; the defaults trained the bundled model.

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
            compression_chance: probabilities, one by one, for all other pictures.
        border_chance: of a dark border around the picture as it stands, for the others too.
        frame_chance: of a window of the picture, mostly with a part of a polyp in it, as the
            endoscope's view within a dark frame, or as the whole frame.
        window_zoom: factor range by which such a window is enlarged.
        exchange_chance: of a picture taking on the colours of another one.
        paste_chance: of polyps of another picture being copied into one.
        removal_chance: of a picture with polyps giving one without (a crop, or inpainted).
        instrument_chance: of a made-up instrument being laid over a picture.

    Raises:
        DataError: a value of the wrong type or out of range, by name.
    """

    zoom: tuple[float, float] = (0.65, 1.5)
    aspect: float = 1.6
    rotation_deg: float = 30.0
    shift: float = 0.12
    colour_gain: float = 0.18
    exposure: float = 0.4
    contrast: float = 0.3
    gamma: float = 0.4
    saturation: float = 0.4
    plain_chance: float = 0.1
    highlight_chance: float = 0.1
    blur_chance: float = 0.15
    comb_chance: float = 0.04
    noise_chance: float = 0.1
    text_chance: float = 0.08
    compression_chance: float = 0.15
    border_chance: float = 0.12
    frame_chance: float = 0.3
    window_zoom: tuple[float, float] = (1.0, 2.2)
    exchange_chance: float = 0.4
    paste_chance: float = 0.1
    removal_chance: float = 0.06
    instrument_chance: float = 0.15

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name not in _ZOOMS:
                _RANGES.get(name, _SHARE).check(name, value)
                continue
            if not isinstance(value, tuple | list) or len(value) != 2:
                raise DataError(f"{name} must be two numbers, not {value!r}")
            for bound in value:
                _ZOOM.check(name, bound)

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
        framed = not plain and rng.random() < self.frame_chance
        view = None
        if framed:
            matrix, view = self._window(mask, size_px, rng)
        else:
            matrix = self._geometry(mask.shape[1], mask.shape[0], size_px, rng, plain=plain)
            if not plain and rng.random() < self.border_chance:
                view = degrade.view_shape(degrade.view_box(size_px, rng), size_px, rng)
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
        picture = self._light(picture, rng)
        if view is not None:
            picture, truth = picture * view[..., None], truth * view
        picture = self._degrade(picture, rng)
        return np.ascontiguousarray(picture, np.uint8), np.asarray(truth, np.uint8)

    def _geometry(
        self, width_px: int, height_px: int, size_px: int, rng: Generator, *, plain: bool
    ) -> NDArray[np.float64]:
        """Affine map from the whole source to view coordinates."""
        zoom, stretch, tilt, shift = 1.0, 1.0, 0.0, np.zeros(2)
        if not plain:
            zoom = np.exp(rng.uniform(*np.log(self.zoom)))
            stretch = np.exp(rng.uniform(-0.5, 0.5) * np.log(self.aspect))
            tilt = rng.uniform(-self.rotation_deg, self.rotation_deg)
            shift = rng.uniform(-self.shift, self.shift, 2)
        to_square = np.diag((size_px / width_px, size_px / height_px))
        linear = np.diag((zoom * stretch, zoom / stretch)) @ _turn(tilt, rng) @ to_square
        centre = np.array((width_px, height_px)) / 2
        return _affine(linear, centre, size_px * (0.5 + shift))

    def _window(
        self, mask: Image, size_px: int, rng: Generator
    ) -> tuple[NDArray[np.float64], Image]:
        """Affine map of a window, often cut through a polyp, into a view; and the view's shape."""
        height_px, width_px = mask.shape
        side_px = min(mask.shape) / np.exp(rng.uniform(*np.log(self.window_zoom)))
        polyp = np.argwhere(mask)
        if len(polyp) and rng.random() < _POLYP_WINDOWS:
            centre = polyp[rng.integers(len(polyp))][::-1] + rng.uniform(-0.5, 0.5, 2) * side_px
        else:
            centre = rng.uniform(0, 1, 2) * (width_px, height_px)
        half_px = side_px / 2
        centre = np.clip(centre, half_px, np.maximum((width_px, height_px) - half_px, half_px))
        box = (0.0, 0.0, float(size_px), float(size_px))
        view: Image = np.ones((size_px, size_px), np.uint8)
        if rng.random() < _FRAMED_WINDOWS:
            box = degrade.frame_box(size_px, rng)
            view = degrade.view_shape(box, size_px, rng)
        left, top, right, bottom = box
        stretch = np.diag((right - left, bottom - top)) / side_px
        tilt = rng.uniform(-self.rotation_deg, self.rotation_deg)
        target = np.array((left + right, top + bottom)) / 2
        return _affine(stretch @ _turn(tilt, rng), centre, target), view

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


def _turn(tilt_deg: float, rng: Generator) -> NDArray[np.float64]:
    """A mirror or none, a free quarter turn, and a tilt."""
    angle = rng.integers(4) * np.pi / 2 + np.deg2rad(tilt_deg)
    cos, sin = np.cos(angle), np.sin(angle)
    mirror = np.diag((rng.choice((-1.0, 1.0)), 1.0))
    return np.asarray(np.array([[cos, -sin], [sin, cos]]) @ mirror)


def _affine(
    linear: NDArray[np.float64], centre: NDArray[np.float64], target: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The map (2, 3) with this linear part that brings the centre to the target."""
    return np.column_stack((linear, target - linear @ centre))
