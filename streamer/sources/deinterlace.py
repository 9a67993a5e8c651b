"""Interlaced pictures: found out by looking at them, and made whole ones.

An interlaced picture holds two moments, half a frame apart, in its even and its odd lines. What
moved between them has combs at its edges, and a network that was trained on whole pictures sees
what is not there. Streams often do not say that they are interlaced, cards least of all.
"""

import logging
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from typing import Generic, TypeVar

import av
import cv2
import numpy as np
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from streamer.planes import DRAWABLE, Samples, bit_depth, blank_like, planes

logger = logging.getLogger(__name__)

Tag = TypeVar("Tag")
Lines = NDArray[np.float32]

#: Columns of a picture that are looked at.
_COLUMNS = 96
#: Moving pictures that a verdict rests on, and what counts as moving: mean change of 255.
_WINDOW = 15
_MOVING = 0.3
#: Mean lean above which a stream is interlaced, and below which it is progressive. In between, the
#: verdict stays as it is.
_INTERLACED, _PROGRESSIVE = 0.4, 0.15
#: Pictures without a flag after which a stream counts as not flagged any more: streams that mix
#: both kinds of pictures are interlaced.
_UNFLAGGED = 50


class Scan(StrEnum):
    """How the lines of a picture belong together."""

    PROGRESSIVE = "progressive"
    TOP_FIRST = "top field first"
    BOTTOM_FIRST = "bottom field first"


class CombDetector:
    """Tells from moving pictures whether they are interlaced, and which field came first.

    The odd lines of a picture are compared with what lies between the even lines of the same
    picture, of the one before it and of the one after it. In a progressive stream they fit the
    same picture best, and the one before and the one after equally badly. In an interlaced one
    whose even lines came first they lie half way between the same picture and the one *after*, and
    are thrice as far from the one before; with the odd lines first it is the other way round. What
    detail, noise, blur and compression add to these distances is the same in all of them and goes
    away in the differences.

    How far a picture leans, from -1 (to the one before) to 1 (to the one after), is the difference
    of the two by how much has moved. Over several pictures the mean is about zero for any
    progressive stream, also one that jerks or repeats pictures: what is after for one picture is
    before for the next. It is near 1 or -1 for an interlaced stream, and 0.6 for a film that was
    brought to video rate by weaving two of five pictures (2:3 pull-down). Each picture counts the
    same, so a cut does not outweigh the others. Pictures at rest look alike either way and do not
    count.
    """

    def __init__(self) -> None:
        #: The verdict; None until enough has moved.
        self.verdict: Scan | None = None
        self._before: Lines | None = None
        self._even: Lines | None = None
        self._odd: Lines | None = None
        self._leans: deque[float] = deque(maxlen=_WINDOW)

    def look(self, luma: Samples, bits: int = 8) -> None:
        """Take in the next picture.

        Args:
            luma: (height, width) code values.
            bits: of a sample.
        """
        if min(luma.shape) < 8:
            return
        step = max(1, luma.shape[1] // _COLUMNS)
        sampled = luma[: luma.shape[0] // 2 * 2, step // 2 :: step].astype(np.float32)
        sampled /= 1 << (bits - 8)
        even, odd = sampled[::2], sampled[1::2]
        if self._even is not None and self._even.shape != even.shape:
            self._before = self._even = self._odd = None
            self._leans.clear()
        if self._before is not None and self._even is not None and self._odd is not None:
            self._weigh(*(_apart(self._odd, lines) for lines in (self._before, self._even, even)))
        self._before, self._even, self._odd = self._even, even, odd

    def _weigh(self, before: float, same: float, after: float) -> None:
        moved = max(before, after) - min(before, same, after)
        if moved <= _MOVING:
            return
        self._leans.append((before - after) / moved)
        if len(self._leans) < _WINDOW:
            return
        lean = sum(self._leans) / _WINDOW
        if abs(lean) > _INTERLACED:
            self.verdict = Scan.TOP_FIRST if lean > 0 else Scan.BOTTOM_FIRST
        elif abs(lean) < _PROGRESSIVE:
            self.verdict = Scan.PROGRESSIVE


def _apart(odd: Lines, even: Lines) -> float:
    """Mean distance of odd lines from the middle of the even lines around them."""
    return float(np.abs(odd[:-1] - (even[:-1] + even[1:]) / 2).mean())


@dataclass(frozen=True, slots=True)
class Whole(Generic[Tag]):
    """A picture of one moment.

    Attributes:
        picture: its samples.
        tag: what went in with the picture that it was made from.
        second: it is the later half of that picture's time.
    """

    picture: av.VideoFrame
    tag: Tag
    second: bool = False


class Deinterlacer(Generic[Tag]):
    """Makes whole pictures of interlaced ones, and lets the others pass untouched.

    ``bob`` shows every field at its own time: twice as many pictures, motion as smooth as it was
    filmed (FFmpeg's bwdif). It needs the next picture to fill the missing lines of one, so it adds
    one frame of delay. ``blend`` mixes each line with its neighbours: as many pictures as before,
    softer, moving edges doubled, and no delay.

    One instance belongs to one thread.

    Args:
        mode: ``yes``, ``no`` or ``auto``: where the stream says so, else where `CombDetector` does.
        method: ``bob`` or ``blend``.
    """

    def __init__(self, mode: str = "auto", method: str = "bob") -> None:
        #: Pictures are being deinterlaced now.
        self.active = mode == "yes"
        self._mode = mode
        self._bob = method == "bob"
        self._detector = CombDetector()
        self._unflagged = _UNFLAGGED
        self._fields: _Fields[Tag] | None = None
        self._reformatter = VideoReformatter()

    @property
    def pictures_per_frame(self) -> int:
        """How many pictures come out for one that goes in, as things are now."""
        return 2 if self.active and self._bob else 1

    def feed(self, picture: av.VideoFrame, tag: Tag, *, flagged: bool) -> list[Whole[Tag]]:
        """Take in the next picture.

        Args:
            picture: formats other than the `DRAWABLE` ones pass as they are.
            tag: comes out with what is made of it.
            flagged: the stream says that it is interlaced.

        Returns:
            What is ready, in order; it may stem from the picture before.
        """
        if self._mode == "no" or picture.format.name not in DRAWABLE:
            return [*self._finish(), Whole(picture, tag)]
        self._detector.look(planes(picture)[0].pixels[..., 0], bit_depth(picture))
        self._unflagged = 0 if flagged else self._unflagged + 1
        order = self._detector.verdict
        said = self._unflagged < _UNFLAGGED
        self._set_active(self._mode == "yes" or said or order not in (None, Scan.PROGRESSIVE))
        if not self.active:
            return [*self._finish(), Whole(picture, tag)]
        if not self._bob:
            return [Whole(_blended(picture), tag)]
        # Where the stream says that it is interlaced, it also says which field is first.
        parity = {Scan.TOP_FIRST: "tff", Scan.BOTTOM_FIRST: "bff"}.get(order or Scan.PROGRESSIVE)
        if picture.format.name == "nv12":
            # The filter does not take it, and its own way of converting drops the colour tags.
            picture = self._reformatter.reformat(picture, format="yuv420p", threads=1)
        key = (picture.width, picture.height, picture.format.name, "auto" if said else parity)
        left: list[Whole[Tag]] = []
        if self._fields is None or self._fields.key != key:
            left = self._finish()
            self._fields = _Fields(key)
        return left + self._fields.feed(picture, tag)

    def _set_active(self, active: bool) -> None:
        if active and not self.active:
            how = "one picture a field (bob)" if self._bob else "fields mixed (blend)"
            said = self._detector.verdict or "as the stream says"
            logger.info("the source is interlaced, %s: deinterlaced, %s", said, how)
        elif self.active and not active:
            logger.info("the source is not interlaced any more: its pictures pass as they are")
        self.active = active

    def _finish(self) -> list[Whole[Tag]]:
        if self._fields is None:
            return []
        left = self._fields.finish()
        self._fields = None
        return left


class _Fields(Generic[Tag]):
    """FFmpeg's deinterlacer for pictures of one size, format and order of fields."""

    def __init__(self, key: tuple[int, int, str, str | None]) -> None:
        self.key = key
        width, height, pixel_format, parity = key
        self._tags: dict[int, Tag] = {}
        self._count = 0
        self._graph = av.filter.Graph()
        # The cores belong to the network.
        self._graph.threads = 1
        self._graph.link_nodes(
            self._graph.add_buffer(
                width=width,
                height=height,
                format=av.VideoFormat(pixel_format),
                time_base=Fraction(1),
            ),
            self._graph.add("bwdif", f"mode=send_field:parity={parity or 'tff'}:deint=all"),
            self._graph.add("buffersink"),
        )
        self._graph.configure()

    def feed(self, picture: av.VideoFrame, tag: Tag) -> list[Whole[Tag]]:
        # Pictures are numbered, and their fields come back with twice that number.
        picture.pts = self._count
        self._tags[self._count] = tag
        self._count += 1
        self._graph.vpush(picture)
        return self._pull()

    def finish(self) -> list[Whole[Tag]]:
        self._graph.vpush(None)
        return self._pull()

    def _pull(self) -> list[Whole[Tag]]:
        found: list[Whole[Tag]] = []
        while True:
            try:
                picture = self._graph.vpull()
            except (av.BlockingIOError, av.EOFError):
                return found
            number, second = divmod(picture.pts or 0, 2)
            tag = self._tags.pop(number) if second else self._tags[number]
            found.append(Whole(picture, tag, bool(second)))


def _blended(picture: av.VideoFrame) -> av.VideoFrame:
    """Each line a quarter of the one above, half of itself, and a quarter of the one below."""
    blended = blank_like(picture, picture.width, picture.height)
    kernel = np.array([[0.25], [0.5], [0.25]], np.float32)
    for plane, target in zip(planes(picture), planes(blended), strict=True):
        mixed = cv2.filter2D(plane.pixels, -1, kernel, borderType=cv2.BORDER_REPLICATE)
        target.pixels[:] = mixed.reshape(target.pixels.shape)
    return blended
