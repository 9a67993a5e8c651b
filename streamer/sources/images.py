"""A folder of pictures, read as a video."""

import io
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from time import monotonic_ns

import av

from streamer.color import describe
from streamer.errors import SourceError
from streamer.frame import Frame
from streamer.sources.base import Item, SourceInfo
from streamer.sources.conform import Conformer, drawable_format
from streamer.sources.file import DEFAULT_RATE, MAX_PIXELS

#: What a picture's file is called; what it holds decides how it is read.
SUFFIXES = frozenset({".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"})
_OPTIONS = {"format_whitelist": "bmp_pipe,jpeg_pipe,png_pipe,tiff_pipe,webp_pipe"}


class ImageSource:
    """The pictures of one folder, ordered by name, with numbers in a name by their value.

    All have the size, pixel format and colour of the first that can be read. A file that cannot
    be read leaves a gap of one frame in the times, and `damaged` counts it.

    Args:
        name: the folder.
        rate: pictures per second.
        color_matrix: ``auto``, ``bt601``, ``bt709`` or ``bt2020``, for pictures in YUV (JPEG).
        full_range: override of the range; None takes what the pictures say.

    Raises:
        SourceError: no such folder, or no picture in it that can be read.
    """

    def __init__(
        self,
        name: str,
        *,
        rate: Fraction = DEFAULT_RATE,
        color_matrix: str = "auto",
        full_range: bool | None = None,
    ) -> None:
        self.damaged = 0
        self.converted = 0
        self._matrix, self._full_range = color_matrix, full_range
        paths = _pictures_in(Path(os.path.expanduser(name)), name)
        self._pictures = self._read(paths)
        first = next(self._pictures, None)
        if first is None:
            raise SourceError(f"{name}: none of its {len(paths)} pictures can be read")
        self._pictures = chain([first], self._pictures)
        picture = first[1]
        self.info = SourceInfo(
            name=name,
            width=picture.width,
            height=picture.height,
            pixel_format=drawable_format(picture.format.name),
            rate=rate,
            time_base=1 / rate,
            color=describe(picture, matrix=color_matrix, full_range=full_range),
            frames=len(paths),
            audio=None,
        )
        self._conformer = Conformer(self.info)

    def _read(self, paths: list[Path]) -> Iterator[tuple[int, av.VideoFrame]]:
        for position, path in enumerate(paths):
            picture = _decode(path)
            self.damaged += picture is None or picture.is_corrupt
            if picture is not None:
                yield position, picture

    def __iter__(self) -> Iterator[Item]:
        for index, (position, picture) in enumerate(self._pictures):
            color = describe(picture, matrix=self._matrix, full_range=self._full_range)
            conformed = self._conformer.conform(picture, color)
            self.converted += conformed is not picture
            now_ns = monotonic_ns()
            yield Frame(
                conformed, index, position, self.info.time_base, now_ns, now_ns, self.info.color
            )

    def close(self) -> None:
        """Release it; may be called twice."""
        self._pictures = iter(())


def _pictures_in(folder: Path, name: str) -> list[Path]:
    try:
        paths = [
            path
            for path in folder.iterdir()
            if path.suffix.lower() in SUFFIXES and path.name[0] != "." and path.is_file()
        ]
    except OSError as error:
        raise SourceError(f"{name}: cannot be opened ({error.strerror})") from error
    if not paths:
        raise SourceError(f"{name}: is a folder without pictures; name a video file in it")
    return sorted(paths, key=lambda path: _natural(path.name))


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sorts numbers by value: 2 before 10. Names that differ in zeros only go by the name."""
    # Text and digits take turns, so that like is compared with like.
    parts = re.split(r"([0-9]+)", name.casefold())
    return [(int(part), "") if index % 2 else (0, part) for index, part in enumerate(parts)], name


def _decode(path: Path) -> av.VideoFrame | None:
    """The picture in a file, or None."""
    try:
        # Bytes rather than a name: FFmpeg reads patterns and addresses into names.
        content = io.BytesIO(path.read_bytes())
        with av.open(content, "r", container_options=dict(_OPTIONS)) as container:
            video = container.streams.video[0]
            video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
            video.thread_count = 1
            return next(container.decode(video), None)
    except (OSError, ValueError, IndexError, av.FFmpegError):
        return None
