"""The values that flow through the engine."""

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import av
import numpy as np
from numpy.typing import NDArray

from streamer.color import ColorDescription

if TYPE_CHECKING:
    AudioPacket = av.Packet[av.AudioStream]
else:
    AudioPacket = av.Packet

Probability = NDArray[np.float32]
Mask = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class View:
    """The part of the picture that is analysed, in px of the picture."""

    x: int
    y: int
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture of a source.

    Attributes:
        picture: the decoded picture in the source's own pixel format.
        index: count of frames since the source was opened, from 0.
        pts: presentation time in units of `time_base`, from the source.
        time_base: seconds per unit of `pts`.
        captured_ns: monotonic clock when the source handed it over, still coded.
        decoded_ns: monotonic clock when the picture was decoded.
        color: how its YUV values are to be read.
    """

    picture: av.VideoFrame
    index: int
    pts: int
    time_base: Fraction
    captured_ns: int
    decoded_ns: int
    color: ColorDescription

    @property
    def time_s(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)


@dataclass(frozen=True, slots=True)
class Segmentation:
    """What the network saw in one frame.

    Attributes:
        probability: (h, w) at network size, 0…1, plain sigmoid.
        view: the part of the picture that `probability` covers.
        threshold: probability from which on a pixel counts as polyp.
    """

    probability: Probability
    view: View
    threshold: float
