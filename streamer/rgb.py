"""Pictures as the network's RGB input, read on the CPU by swscale."""

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace, Interpolation, VideoReformatter
from numpy.typing import NDArray

from streamer.color import ColorDescription
from streamer.frame import View
from streamer.planes import crop, on_host

#: swscale's names of the matrices.
SWSCALE = {
    "bt601": Colorspace.ITU601,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.bt2020,
}
#: Pixel formats that swscale reads as full range, whatever it is told.
_ALWAYS_FULL = ("gray", "yuvj")

# Area averages where it reduces, so nothing aliases, and is bilinear where it enlarges. Without the
# two flags swscale's fast paths are off by up to 5 of 255.
_INTERPOLATION = Interpolation.AREA | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND


class RgbReader:
    """Reads pictures as small RGB images; keeps swscale's tables between frames.

    Only the network's input is ever converted to RGB. One instance belongs to one thread.

    Args:
        threads: of swscale's own, each for some of the rows; the samples are the same.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._reformatter = VideoReformatter()
        self._unranged = VideoReformatter()

    def read(
        self, picture: av.VideoFrame, color: ColorDescription, width_px: int, height_px: int
    ) -> NDArray[np.uint8]:
        """The whole picture, scaled, as RGB (height_px, width_px, 3), full range."""
        if not color.full_range and picture.format.name.startswith(_ALWAYS_FULL):
            # Scaled first, as it is, into a format whose range can be chosen.
            picture = self._unranged.reformat(
                picture,
                width=width_px,
                height=height_px,
                format="yuv444p",
                src_color_range=ColorRange.JPEG,
                dst_color_range=ColorRange.JPEG,
                interpolation=_INTERPOLATION,
                threads=self._threads,
            )
        small = self._reformatter.reformat(
            picture,
            width=width_px,
            height=height_px,
            format="rgb24",
            src_colorspace=SWSCALE[color.matrix],
            src_color_range=ColorRange.JPEG if color.full_range else ColorRange.MPEG,
            dst_color_range=ColorRange.JPEG,
            interpolation=_INTERPOLATION,
            threads=self._threads,
        )
        return np.asarray(small.to_ndarray(), np.uint8)


class SquareReader:
    """Reads pictures as the square RGB image that a network on the CPU takes; see `Reader`.

    Args:
        threads: see `RgbReader`.
    """

    def __init__(self, size_px: int, threads: int = 1) -> None:
        self._size_px = size_px
        self._rgb = RgbReader(threads)

    def read(
        self, picture: av.VideoFrame, color: ColorDescription, view: View | None = None
    ) -> NDArray[np.uint8]:
        """The picture, or a part of it, as RGB (size_px, size_px, 3)."""
        picture = on_host(picture)
        seen = picture if view is None else crop(picture, view)
        return self._rgb.read(seen, color, self._size_px, self._size_px)
