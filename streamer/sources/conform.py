"""Brings pictures to the size, pixel format and colour that were announced."""

from fractions import Fraction

import av
from av.video.reformatter import ColorRange, VideoReformatter

from streamer.color import ColorDescription
from streamer.errors import SourceError
from streamer.planes import DRAWABLE, bit_depth, blank_like, planes
from streamer.rgb import SWSCALE
from streamer.sources.base import SourceInfo

#: Formats of capture devices and what holds the same samples in another order.
_SAME_SAMPLES = {
    "yuyv422": "yuv422p",
    "uyvy422": "yuv422p",
    "yvyu422": "yuv422p",
    "nv16": "yuv422p",
    "nv21": "yuv420p",
    "nv24": "yuv444p",
    "p010le": "yuv420p10le",
    "p210le": "yuv422p10le",
    "y210le": "yuv422p10le",
}

#: Shapes that differ by less than this share are one: 704 and 720 px are used for the same picture.
_SAME_SHAPE = 0.03


def drawable_format(pixel_format: str) -> str:
    """The pixel format that a source has whose pictures come in this one."""
    return pixel_format if pixel_format in DRAWABLE else "yuv420p"


class Unpacker:
    """Reorders samples into planes; no value changes. One instance belongs to one thread."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()

    def unpack(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The picture in a `DRAWABLE` format, or itself where that cannot be done without loss."""
        into = _SAME_SAMPLES.get(picture.format.name)
        if into is None:
            return picture
        return self._reformatter.reformat(picture, format=into, threads=1)


class Conformer:
    """Converts what differs from the announced; keeps swscale's tables between pictures.

    One instance belongs to one thread.

    Args:
        keep_shape: a picture of another shape gets black bars, else it is stretched.
    """

    def __init__(self, info: SourceInfo, *, keep_shape: bool = False) -> None:
        self._info = info
        self._keep_shape = keep_shape
        self._reformatter = VideoReformatter()

    def conform(
        self,
        picture: av.VideoFrame,
        color: ColorDescription,
        pixel_aspect: Fraction | None = None,
    ) -> av.VideoFrame:
        """The picture as announced; the very same object where nothing differs.

        Args:
            color: how its values are to be read now; afterwards it is as the source's info says.
            pixel_aspect: width of its pixels by their height; None: square.

        Raises:
            SourceError: its format cannot be converted.
        """
        info = self._info
        same_color = (color.matrix, color.full_range) == (info.color.matrix, info.color.full_range)
        same_size = (picture.width, picture.height) == (info.width, info.height)
        if same_color and same_size and picture.format.name == info.pixel_format:
            return picture
        bars = self._keep_shape and not same_size
        left, top = self._bars(picture, pixel_aspect) if bars else (0, 0)
        try:
            converted = self._reformatter.reformat(
                picture,
                info.width - 2 * left,
                info.height - 2 * top,
                info.pixel_format,
                src_colorspace=SWSCALE[color.matrix],
                dst_colorspace=SWSCALE[info.color.matrix],
                src_color_range=_levels(color.full_range or picture.format.is_rgb),
                dst_color_range=_levels(info.color.full_range),
                threads=1,
            )
        except (av.FFmpegError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise SourceError(
                f"{info.name}: pictures of format {picture.format.name} cannot be converted "
                f"({reason})"
            ) from error
        return self._between_bars(converted, left, top) if left or top else converted

    def _bars(self, picture: av.VideoFrame, pixel_aspect: Fraction | None) -> tuple[int, int]:
        """Width of the bars at both sides, and height of those above and below, in px."""
        info = self._info
        shape = picture.width / picture.height * float(pixel_aspect or 1)
        wider = shape * info.height / info.width / float(info.pixel_aspect or 1)
        if abs(wider - 1) < _SAME_SHAPE:
            return 0, 0
        if wider < 1:
            return _bar(info.width, wider), 0
        return 0, _bar(info.height, 1 / wider)

    def _between_bars(self, picture: av.VideoFrame, left: int, top: int) -> av.VideoFrame:
        whole = blank_like(picture, self._info.width, self._info.height)
        scale = 1 << (bit_depth(whole) - 8)
        black = 0 if self._info.color.full_range else 16
        for plane, target in zip(planes(picture), planes(whole), strict=True):
            target.pixels[:] = scale * (black if 0 in target.components else 128)
            x, y = left // target.step[0], top // target.step[1]
            rows, columns = plane.pixels.shape[:2]
            target.pixels[y : y + rows, x : x + columns] = plane.pixels
        return whole


def _bar(side: int, share: float) -> int:
    """Width of the bar at each end of a side, of which the picture takes a share: whole samples."""
    bar = round(side * (1 - share) / 2)
    return min(bar, (side - 2) // 2) // 2 * 2


def _levels(full_range: bool) -> ColorRange:
    return ColorRange.JPEG if full_range else ColorRange.MPEG
