"""The clip that is measured on: cut to length, brought to a size and a rate."""

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from av.video.frame import PictureType

from streamer.errors import StreamError
from streamer.frame import Frame
from streamer.sinks.container import ContainerWriter
from streamer.sources import Item, Source, open_source

#: Width and height in px.
Size = tuple[int, int]

_LEAST_PX, _MOST_PX = 16, 8192


@dataclass
class Limited:
    """A source cut to a number of frames, going round again where it is too short for them.

    Audio is left out. Times go on over the seam, so that sinks see one long clip.
    """

    name: str
    frames: int
    damaged: int = 0
    converted: int = 0
    _open: Source = field(init=False)

    def __post_init__(self) -> None:
        self._open = open_source(self.name)
        self.info = replace(self._open.info, frames=self.frames, audio=None)

    def __iter__(self) -> Iterator[Item]:
        return islice(self._endless(), self.frames)

    def _endless(self) -> Iterator[Frame]:
        step = max(1, round(1 / (self.info.rate * self.info.time_base)))
        index, offset = 0, 0
        while True:
            last_pts = 0
            for item in self._open:
                if isinstance(item, Frame):
                    last_pts = item.pts + offset
                    yield replace(item, index=index, pts=last_pts)
                    index += 1
            self.damaged += self._open.damaged
            self._open.close()
            self._open = open_source(self.name)
            offset = last_pts + step

    def close(self) -> None:
        """Release the file."""
        self._open.close()


@contextmanager
def limited(name: str, frames: int) -> Iterator[Limited]:
    """A `Limited` for as long as the body runs."""
    # Buffers of the run before are given back now and not in the middle of this one.
    gc.collect()
    source = Limited(name, frames)
    try:
        yield source
    finally:
        source.close()


def parse_size(text: str, option: str = "--size") -> Size:
    """Read ``WIDTHxHEIGHT``.

    Raises:
        StreamError: it is none, or out of all proportion.
    """
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if match is None or not all(_LEAST_PX <= int(side) <= _MOST_PX for side in match.groups()):
        raise StreamError(f"{option} {text}: WIDTHxHEIGHT in px is needed, e.g. 1920x1080")
    return int(match[1]), int(match[2])


@contextmanager
def prepared(
    name: str, *, frames: int, size: Size | None = None, rate: int | None = None
) -> Iterator[str]:
    """The clip as it is to be measured on, for as long as the body runs.

    Args:
        name: of the clip as it is.
        frames: that are needed of it.
        size: to bring it to; None leaves it.
        rate: frames per second to play it at; None leaves it.

    Yields:
        Its own name, or that of a copy.
    """
    if size is None and rate is None:
        yield name
        return
    with TemporaryDirectory(prefix="pranet-bench-") as folder:
        copy = Path(folder) / "clip.mp4"
        write_clip(name, copy, frames=frames, size=size, rate=rate)
        yield str(copy)


def write_clip(
    name: str, output: Path, *, frames: int, size: Size | None = None, rate: int | None = None
) -> None:
    """Write a clip anew, as H.264 with a constant rate; see `prepared`.

    Raises:
        SourceError: the clip cannot be read.
        OutputError: the copy cannot be written.
    """
    with limited(name, frames) as source:
        info = source.info
        width, height = size or (info.width, info.height)
        steady_rate = Fraction(rate) if rate else info.rate
        writer = ContainerWriter(
            output,
            codec="libx264",
            options={"preset": "fast", "crf": "20"},
            width=width,
            height=height,
            pixel_format=info.pixel_format,
            rate=steady_rate,
            time_base=1 / steady_rate,
        )
        for frame in source:
            if isinstance(frame, Frame):
                picture = frame.picture.reformat(width, height, interpolation="BICUBIC")
                picture.pts, picture.time_base = frame.index, 1 / steady_rate
                picture.pict_type = PictureType.NONE
                writer.encode(picture)
        writer.close()
