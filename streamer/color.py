"""Colour: which matrix and range a stream's YUV values have.

Streams often say nothing ("unspecified"). Then size decides, as broadcast practice has it: HD is
BT.709, SD is BT.601, and the range is limited unless the pixel format itself is full range.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import av

HD_HEIGHT_PX = 720

#: Luma weights (Kr, Kb) of each matrix: ITU-R BT.601, BT.709, BT.2020.
LUMA_WEIGHTS = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}

# What a decoder reports as range (AVColorRange).
_LIMITED, _FULL = 1, 2
# AVColorSpace values as a decoder reports them (ITU-T H.273, table 4).
_MATRICES = {1: "bt709", 5: "bt601", 6: "bt601", 9: "bt2020", 10: "bt2020"}


@dataclass(frozen=True, slots=True)
class ColorDescription:
    """How YUV values are to be read.

    Attributes:
        matrix: ``bt601``, ``bt709`` or ``bt2020``.
        full_range: luma 0…255 rather than 16…235.
        guessed: the stream said nothing, or not everything.
    """

    matrix: str
    full_range: bool
    guessed: bool

    def __str__(self) -> str:
        text = f"{self.matrix} {'full' if self.full_range else 'limited'} range"
        return text + (" (assumed)" if self.guessed else "")


def describe(
    picture: "av.VideoFrame", *, matrix: str = "auto", full_range: bool | None = None
) -> ColorDescription:
    """The colour description of a decoded picture; the arguments override what it says."""
    by_size = "bt709" if picture.height >= HD_HEIGHT_PX else "bt601"
    said = _MATRICES.get(picture.colorspace)
    range_said = picture.color_range in (_LIMITED, _FULL)
    is_full = picture.color_range == _FULL or picture.format.name.startswith("yuvj")
    description = ColorDescription(said or by_size, is_full, not (said and range_said))
    if matrix != "auto":
        description = replace(description, matrix=matrix)
    if full_range is not None:
        description = replace(description, full_range=full_range)
    if matrix != "auto" and full_range is not None:
        description = replace(description, guessed=False)
    return description


def rgb_to_yuv(
    rgb: tuple[int, int, int], color: ColorDescription, bits: int
) -> tuple[int, int, int]:
    """One RGB colour (0…255) as Y, U, V code values of the given bit depth."""
    red_weight, blue_weight = LUMA_WEIGHTS[color.matrix]
    red, green, blue = (value / 255 for value in rgb)
    luma = red_weight * red + (1 - red_weight - blue_weight) * green + blue_weight * blue
    chroma_blue = (blue - luma) / (2 * (1 - blue_weight))
    chroma_red = (red - luma) / (2 * (1 - red_weight))
    scale = 1 << (bits - 8)
    if color.full_range:
        top = 256 * scale - 1
        codes = (luma * top, chroma_blue * top + 128 * scale, chroma_red * top + 128 * scale)
    else:
        codes = (
            (16 + 219 * luma) * scale,
            (128 + 224 * chroma_blue) * scale,
            (128 + 224 * chroma_red) * scale,
        )
    y, u, v = (round(min(max(code, 0), 256 * scale - 1)) for code in codes)
    return y, u, v
