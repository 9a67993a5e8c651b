"""The values that flow through the engine."""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.color import ColorDescription

if TYPE_CHECKING:
    import av

Probability = NDArray[np.float32]
Mask = NDArray[np.uint8]
Labels = NDArray[np.uint8]
#: x, y, width, height in px of a map.
Window = tuple[int, int, int, int]


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

    picture: "av.VideoFrame"
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
class Track:
    """What is known of an object that is followed from frame to frame.

    Attributes:
        id: counts the objects of a run from 1; never used again.
        start_s: when it was first seen, in media time.
        age_ms: since then.
        confidence: mean probability over its pixels when it was last seen, 0…1.
        confirmed: seen often enough to count; it is only tentative before.
    """

    id: int
    start_s: float
    age_ms: float
    confidence: float
    confirmed: bool


@dataclass(frozen=True, slots=True)
class Tracks:
    """The objects of one frame, and where they are.

    Attributes:
        labels: (h, w) like the probability map; 0 where there is none, k where `all[k - 1]` is.
        all: the objects.
    """

    labels: Labels
    all: tuple[Track, ...]


@dataclass(frozen=True)
class Segmentation:
    """What was found in one frame; its map is not written to.

    Attributes:
        probability: (h, w) at network size, 0…1: the network's plain sigmoid, or what the
            stabiliser made of it.
        view: the part of the picture that `probability` covers.
        threshold: probability from which on a pixel counts as polyp.
        tracks: what the stabiliser knows of the objects; None where each frame stands alone.
    """

    probability: Probability
    view: View
    threshold: float
    tracks: Tracks | None = None

    @cached_property
    def extent(self) -> Window:
        """The window in px of the map around all that is inside; its sides are 0 if nothing is."""
        inside = (self.probability >= self.threshold).view(np.uint8)
        x, y, width, height = cv2.boundingRect(inside)
        return x, y, width, height
