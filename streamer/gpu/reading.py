"""From a picture's planes to the network's input in one step: scale, RGB, normalise, format.

On a GPU one Triton kernel does it all (`kernels`); `read_plain` is the same in plain torch, on any
device, and what the kernel is tested against. Both read with the weights of `resample`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from streamer.color import LUMA_WEIGHTS, ColorDescription
from streamer.gpu.picture import YuvPicture
from streamer.gpu.resample import Taps, area_taps


@dataclass(frozen=True, slots=True)
class Axis:
    """`Taps` on a device.

    Attributes:
        first: (n,) int32.
        weights: (n, k) float32.
    """

    first: Tensor
    weights: Tensor

    @classmethod
    def of(cls, taps: Taps, place: torch.device) -> "Axis":
        """Bring it there."""
        return cls(torch.from_numpy(taps.first).to(place), torch.from_numpy(taps.weights).to(place))

    def matrix(self, count: int) -> Tensor:
        """The same as a matrix (n, count)."""
        size, taps = self.weights.shape
        matrix = torch.zeros(size, count, device=self.weights.device)
        places = self.first.long()[:, None] + torch.arange(taps, device=matrix.device)
        return matrix.scatter_(1, places, self.weights)


@dataclass(frozen=True, slots=True)
class RgbTerms:
    """How code values become normalised RGB.

    ``y' = (Y - offset) · scale``; red = y' + red_by_red · (V - 128), and so on; each is cut to
    0…255, then has its mean subtracted and is multiplied by `gains`.
    """

    offset: float
    scale: float
    red_by_red: float
    green_by_blue: float
    green_by_red: float
    blue_by_blue: float
    means: tuple[float, ...]
    gains: tuple[float, ...]

    @classmethod
    def of(cls, color: ColorDescription, mean: Sequence[float], std: Sequence[float]) -> "RgbTerms":
        """By the definitions of ITU-R BT.601, BT.709 and BT.2020.

        Args:
            mean, std: of RGB in 0…1, as in `ModelConfig`.
        """
        red, blue = LUMA_WEIGHTS[color.matrix]
        green = 1 - red - blue
        offset, scale, chroma = (0, 1.0, 1.0) if color.full_range else (16, 255 / 219, 255 / 224)
        return cls(
            offset,
            scale,
            2 * (1 - red) * chroma,
            -2 * (1 - blue) * blue / green * chroma,
            -2 * (1 - red) * red / green * chroma,
            2 * (1 - blue) * chroma,
            tuple(255 * value for value in mean),
            tuple(1 / (255 * value) for value in std),
        )


@dataclass(frozen=True, slots=True)
class Reading:
    """All that is the same for every picture of one size and colour.

    Attributes:
        rows, columns: of luma.
        chroma_rows, chroma_columns: of the chroma planes.
    """

    rows: Axis
    columns: Axis
    chroma_rows: Axis
    chroma_columns: Axis
    terms: RgbTerms

    @classmethod
    def of(
        cls, width_px: int, height_px: int, size_px: int, terms: RgbTerms, place: torch.device
    ) -> "Reading":
        """For pictures of (height_px, width_px) and an input of (size_px, size_px)."""
        sides = (height_px, width_px, (height_px + 1) // 2, (width_px + 1) // 2)
        rows, columns, down, across = (Axis.of(area_taps(side, size_px), place) for side in sides)
        return cls(rows, columns, down, across, terms)


def read(picture: YuvPicture, reading: Reading, out: Tensor) -> None:
    """Read a picture as the network's input, where it lives.

    Args:
        out: (3, size, size), any strides, float16 or float32; written to.
    """
    if picture.luma.is_cuda:
        from streamer.gpu.kernels import launch_read

        launch_read(picture, reading, out)
    else:
        out.copy_(read_plain(picture, reading))


def read_plain(picture: YuvPicture, reading: Reading) -> Tensor:
    """See `read`; (3, size, size) float32."""
    terms = reading.terms
    luma = _resized(picture.luma, reading.rows, reading.columns)
    blue, red = (
        _resized(plane, reading.chroma_rows, reading.chroma_columns) - 128
        for plane in (picture.blue, picture.red)
    )
    base = (luma - terms.offset) * terms.scale
    rgb = torch.stack(
        (
            base + terms.red_by_red * red,
            base + terms.green_by_blue * blue + terms.green_by_red * red,
            base + terms.blue_by_blue * blue,
        )
    ).clamp(0, 255)
    means, gains = (
        torch.tensor(values, device=rgb.device)[:, None, None]
        for values in (terms.means, terms.gains)
    )
    return (rgb - means) * gains


def _resized(plane: Tensor, rows: Axis, columns: Axis) -> Tensor:
    height, width = plane.shape
    return rows.matrix(height) @ plane.float() @ columns.matrix(width).T
