"""A picture's planes as NumPy arrays, in place and in the picture's own format."""

from dataclasses import dataclass
from functools import lru_cache

import av
import numpy as np
from av.video.plane import VideoPlane
from numpy.typing import NDArray

from streamer.frame import View

#: FFmpeg's format of pictures whose memory is a GPU's, and the layout of their planes; see
#: `streamer.gpu.surface`.
ON_GPU, GPU_LAYOUT = "cuda", "nv12"

Samples = NDArray[np.uint8] | NDArray[np.uint16]

#: Pixel formats that can be drawn into and encoded as they are.
DRAWABLE = frozenset(
    {
        "gray",
        "nv12",
        *(f"yuv{chroma}p" for chroma in (420, 422, 444)),
        *(f"yuvj{chroma}p" for chroma in (420, 422, 444)),
        *(f"yuv{chroma}p10le" for chroma in (420, 422, 444)),
    }
)


@dataclass(frozen=True)
class Plane:
    """One plane of a picture.

    Attributes:
        pixels: (h, w, k) uint8 or uint16, a writable window into the picture itself.
        components: which of Y, U, V (0, 1, 2) its last axis holds.
        step: (across, down) px of the picture for one sample of the plane.
    """

    pixels: Samples
    components: tuple[int, ...]
    step: tuple[int, int]


def is_on_gpu(picture: av.VideoFrame) -> bool:
    """Whether the picture's memory is a GPU's: its planes are out of reach here."""
    return picture.format.name == ON_GPU


def on_host(picture: av.VideoFrame) -> av.VideoFrame:
    """The picture itself, or a copy of one that is on a GPU."""
    if not is_on_gpu(picture):
        return picture
    # Loads torch only now.
    from streamer.gpu.surface import download

    return download(picture)


def bit_depth(picture: av.VideoFrame) -> int:
    """Bits of one sample."""
    return picture.format.components[0].bits


def planes(picture: av.VideoFrame) -> list[Plane]:
    """The planes of a picture in a `DRAWABLE` format."""
    width, height = picture.width, picture.height
    deep, held = _layout(picture.format.name)
    found = []
    for plane, components in zip(picture.planes, held, strict=True):
        across, down = plane.width, plane.height
        rows = _samples(plane, deep=deep).reshape(down, -1)
        samples = rows[:, : across * len(components)].reshape(down, across, len(components))
        found.append(Plane(samples, components, (-(-width // across), -(-height // down))))
    return found


@lru_cache(maxsize=32)
def _layout(pixel_format: str) -> tuple[bool, list[tuple[int, ...]]]:
    """Whether samples have more than 8 bits, and which of Y, U, V each plane holds.

    Remembered, since PyAV makes new objects at each look at a format, and planes are asked for
    several times a picture.
    """
    components = av.VideoFormat(pixel_format).components
    held: dict[int, list[int]] = {}
    for component, place in enumerate(components):
        held.setdefault(place.plane, []).append(component)
    return components[0].bits > 8, [tuple(held[index]) for index in sorted(held)]


def _samples(plane: VideoPlane, *, deep: bool) -> Samples:
    buffer = memoryview(plane)
    return np.frombuffer(buffer, np.uint16) if deep else np.frombuffer(buffer, np.uint8)


def blank_like(picture: av.VideoFrame, width: int, height: int) -> av.VideoFrame:
    """A picture of another size with the same format, time and colour tags; not yet filled."""
    blank = av.VideoFrame(width, height, picture.format.name)
    blank.pts = picture.pts
    if picture.time_base is not None:
        blank.time_base = picture.time_base
    blank.colorspace, blank.color_range = picture.colorspace, picture.color_range
    blank.color_primaries, blank.color_trc = picture.color_primaries, picture.color_trc
    return blank


def copy_picture(picture: av.VideoFrame) -> av.VideoFrame:
    """The same samples, time and colour tags in memory of its own.

    Whoever gives a picture to an encoder or to swscale needs one of its own: both write to fields
    of the picture, swscale while it lets other threads run.
    """
    copied = blank_like(picture, picture.width, picture.height)
    for plane, target in zip(planes(picture), planes(copied), strict=True):
        np.copyto(target.pixels, plane.pixels)
    return copied


def whole_samples(view: View, picture: av.VideoFrame) -> View:
    """The view with its left and top edge moved outwards to whole chroma samples."""
    steps = [(2, 2)] if is_on_gpu(picture) else [plane.step for plane in planes(picture)]
    left = view.x - view.x % max(across for across, _ in steps)
    top = view.y - view.y % max(down for _, down in steps)
    return View(left, top, view.x + view.width - left, view.y + view.height - top)


def crop(picture: av.VideoFrame, view: View) -> av.VideoFrame:
    """A copy of one part of a picture, brought to `whole_samples`."""
    view = whole_samples(view, picture)
    part = blank_like(picture, view.width, view.height)
    for plane, target in zip(planes(picture), planes(part), strict=True):
        x, y = view.x // plane.step[0], view.y // plane.step[1]
        rows, columns = target.pixels.shape[:2]
        target.pixels[:] = plane.pixels[y : y + rows, x : x + columns]
    return part


def pad_to_even(picture: av.VideoFrame) -> av.VideoFrame:
    """Repeat the last column and row where a side is odd: 4:2:0 video needs even sides."""
    width, height = picture.width + picture.width % 2, picture.height + picture.height % 2
    if (width, height) == (picture.width, picture.height):
        return picture
    padded = blank_like(picture, width, height)
    for plane, target in zip(planes(picture), planes(padded), strict=True):
        rows, columns = plane.pixels.shape[:2]
        target.pixels[:rows, :columns] = plane.pixels
        target.pixels[rows:, :columns] = plane.pixels[-1:]
        target.pixels[:, columns:] = target.pixels[:, columns - 1 : columns]
    return padded
