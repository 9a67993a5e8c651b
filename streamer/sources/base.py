"""What every source offers."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Protocol

import av

from streamer.audio import AudioPacket
from streamer.color import ColorDescription
from streamer.frame import Frame

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
        live: pictures come at their own pace and are lost if nobody takes them.
        decoder: where pictures are decoded: ``CPU`` or ``NVDEC``.
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
    live: bool = False
    decoder: str = "CPU"


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


class LiveSource(Protocol):
    """A source whose pictures come at their own pace; one thread reads it."""

    info: SourceInfo
    #: See `Source`.
    damaged: int
    converted: int

    @property
    def missed(self) -> int:
        """Pictures left out since nobody came for them in time, as far as the source can tell."""

    def read(self) -> Frame:
        """Wait for the next picture. Those that nobody comes for in time are left out.

        Raises:
            SourceLostError: it has gone: unplugged, cut off, or silent for too long.
            SourceEndedError: it has come to its end.
        """

    def close(self) -> None:
        """Release it, also while another thread waits in `read`; may be called twice."""


class OpenLive(Protocol):
    """Opens a live source, at first and after it was lost."""

    def __call__(self, like: SourceInfo | None) -> LiveSource:
        """Open it.

        Args:
            like: what is known of the source from before; its pictures are converted to that
                size, pixel format and time base, so that what is being recorded goes on.

        Raises:
            SourceError: it is not there (yet), or is not the same device.
        """
