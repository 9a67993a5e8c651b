"""What every source offers."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av

from streamer.color import ColorDescription
from streamer.frame import AudioPacket, Frame

#: A source yields frames and, between them in file order, packets of the audio that goes along.
Item = Frame | AudioPacket


@dataclass(frozen=True)
class SourceInfo:
    """What is known of a source before it is read to its end.

    Attributes:
        name: as the user gave it.
        width, height: px; every frame has this size.
        pixel_format: FFmpeg's name; every frame has it.
        rate: nominal frames per second; the frames' own pts are what counts.
        time_base: unit of the frames' pts, seconds.
        color: how YUV values are read.
        frames: expected count, if known.
        audio: stream whose packets are yielded, if any.
        pixel_aspect: width of a pixel by its height, if the source says so.
    """

    name: str
    width: int
    height: int
    pixel_format: str
    rate: Fraction
    time_base: Fraction
    color: ColorDescription
    frames: int | None
    audio: av.AudioStream | None
    pixel_aspect: Fraction | None = None


class Source(Protocol):
    """A finite source: iterate it once, from one thread."""

    info: SourceInfo
    #: Packets and frames that were damaged; what could be shown of them was.
    damaged: int
    #: Frames whose size or pixel format differed from the first frame's and were converted.
    converted: int

    def __iter__(self) -> Iterator[Item]: ...

    def close(self) -> None:
        """Release it; may be called twice."""
