"""A capture card that does what is written down for it: faults on purpose, for tests and demos."""

import threading
from bisect import bisect_left, bisect_right
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange

from streamer.clock import Clock, MonotonicClock
from streamer.color import HD_HEIGHT_PX, ColorDescription, rgb_to_yuv
from streamer.errors import SourceEndedError, SourceError, SourceLostError
from streamer.frame import Frame, View
from streamer.planes import blank_like, crop, planes
from streamer.rgb import SWSCALE
from streamer.sources.base import SourceInfo
from streamer.sources.conform import Conformer
from streamer.sources.mock_schedule import (
    Black,
    Drift,
    Event,
    Format,
    Freeze,
    Gap,
    Interlaced,
    Resize,
    Run,
    Schedule,
    Unplug,
    plan,
    random_schedule,
)
from streamer.sources.times import LIVE_TIME_BASE, LiveTimes
from streamer.sources.tissue import make_stills

__all__ = [
    "Black",
    "Drift",
    "Format",
    "Freeze",
    "Gap",
    "Interlaced",
    "MockCard",
    "MockSlot",
    "Resize",
    "Run",
    "Schedule",
    "Unplug",
    "random_schedule",
]

#: Luma noise is at most so many code values.
_NOISE = 2


class _Camera:
    """What is in front of the card: a view that glides over made-up tissue, with sensor noise."""

    def __init__(self, info: SourceInfo, seed: int) -> None:
        self._info = info
        still = make_stills(seed, count=1, width=320, height=240)[0]
        size = (2 * info.width, 2 * info.height)
        image = np.asarray(cv2.resize(still.image, size, interpolation=cv2.INTER_CUBIC), np.uint8)
        picture = av.VideoFrame.from_ndarray(image, format="rgb24")
        large = replace(info, width=size[0], height=size[1])
        self._tissue = Conformer(large).conform(picture, info.color)
        rng = np.random.default_rng(seed)
        shape = (info.height + 32, info.width + 32)
        self._noise = rng.integers(-_NOISE, _NOISE + 1, shape, np.int16)

    def picture(self, number: float) -> av.VideoFrame:
        """The picture of a number; halves lie between two."""
        info = self._info
        x = info.width * (0.5 + 0.48 * np.sin(number / 23))
        y = info.height * (0.5 + 0.48 * np.sin(number / 31 + 1))
        # Even places: chroma samples span two px.
        view = View(int(x) & ~1, int(y) & ~1, info.width, info.height)
        picture = crop(self._tissue, view)
        luma = planes(picture)[0].pixels[..., 0]
        left, top = (round(2 * number) * step % 32 for step in (7, 13))
        noise = self._noise[top : top + info.height, left : left + info.width]
        luma[:] = cv2.add(luma, noise, dtype=cv2.CV_8U)
        return picture

    def flat(self, *, blue: bool) -> av.VideoFrame:
        """A picture of one tone."""
        picture = blank_like(self._tissue, self._info.width, self._info.height)
        code = rgb_to_yuv((0, 0, 255) if blue else (0, 0, 0), self._info.color, 8)
        for plane in planes(picture):
            plane.pixels[:] = code[plane.components[0]]
        return picture


class MockSlot:
    """Where mock cards are plugged in: keeps the time of the schedule while they come and go.

    An `OpenLive`. The schedule begins with the first opening.

    Args:
        schedule: what happens, or the seed of a random schedule of one minute.
        clock: what the pictures wait on; None: the machine's.
        width, height: px of the pictures as they should be.
        rate: pictures per second.
    """

    def __init__(
        self,
        schedule: int | Schedule,
        *,
        clock: Clock | None = None,
        width: int = 320,
        height: int = 240,
        rate: float = 25,
    ) -> None:
        seed = schedule if isinstance(schedule, int) else 0
        self.schedule = random_schedule(seed) if isinstance(schedule, int) else schedule
        self.clock = clock or MonotonicClock()
        matrix = "bt709" if height >= HD_HEIGHT_PX else "bt601"
        self.info = SourceInfo(
            name="mock card",
            width=width,
            height=height,
            pixel_format="yuv420p",
            rate=Fraction(rate).limit_denominator(1001),
            time_base=LIVE_TIME_BASE,
            color=ColorDescription(matrix, full_range=False, guessed=False),
            frames=None,
            audio=None,
            live=True,
        )
        self.camera = _Camera(self.info, seed)
        self.events = plan(self.schedule, self.info.rate)
        self.start_ns: int | None = None
        self._times: LiveTimes | None = None

    def __call__(self, like: SourceInfo | None) -> "MockCard":
        """See `OpenLive`; SourceEndedError if the schedule is over."""
        return MockCard(self, like=like)

    def plug_in(self) -> int:
        """Begin, or go on.

        Returns:
            Number of the next event.

        Raises:
            SourceError: unplugged now.
            SourceEndedError: the schedule is over.
        """
        now_ns = self.clock.now_ns()
        if self.start_ns is None:
            self.start_ns = now_ns
        at_ns = now_ns - self.start_ns
        start_ns = 0.0
        for step in self.schedule:
            end_ns = start_ns + step.duration_s * 1e9
            if start_ns <= at_ns < end_ns and isinstance(step, Unplug):
                raise SourceError(f"{self.info.name}: is not plugged in")
            start_ns = end_ns
        if at_ns >= start_ns:
            raise SourceEndedError(f"{self.info.name}: its schedule is over")
        return bisect_left(self.events, at_ns, key=lambda event: event.due_ns)

    def times(self, like: SourceInfo | None) -> LiveTimes:
        """The one that dates the pictures of all openings."""
        if self._times is None or (like and like.time_base != self._times.time_base):
            self._times = LiveTimes(like.time_base if like else LIVE_TIME_BASE)
        return self._times


class MockCard:
    """A `LiveSource` that follows a schedule.

    All pictures are brought to the size and format of `info`. Interlaced ones are handed over as
    they are, combed. A reader that comes late gets the newest picture that is due; `missed` counts
    those before it.

    Args:
        schedule: see `MockSlot`; or the slot itself, which then keeps its own clock and size.
        like: see `OpenLive`.
        clock, width, height, rate: see `MockSlot`.

    Raises:
        SourceError: unplugged now, or the schedule is over.
    """

    def __init__(
        self,
        schedule: int | Schedule | MockSlot,
        *,
        like: SourceInfo | None = None,
        clock: Clock | None = None,
        width: int = 320,
        height: int = 240,
        rate: float = 25,
    ) -> None:
        if not isinstance(schedule, MockSlot):
            schedule = MockSlot(schedule, clock=clock, width=width, height=height, rate=rate)
        self._slot = schedule
        self._next = self._slot.plug_in()
        self._times = self._slot.times(like)
        self.info = replace(self._slot.info, time_base=self._times.time_base)
        if like is not None:
            self.info = replace(
                self.info,
                width=like.width,
                height=like.height,
                pixel_format=like.pixel_format,
                color=like.color,
                pixel_aspect=like.pixel_aspect,
            )
        self.damaged = 0
        self.converted = 0
        #: Pictures that nobody came for in time.
        self.missed = 0
        self._conformer = Conformer(self.info)
        self._index = 0
        self._last_card_ns: int | None = None
        self._closed = threading.Event()

    def read(self) -> Frame:
        """See `LiveSource.read`. A picture counts as captured at the time that it was due."""
        slot = self._slot
        start_ns = slot.start_ns or 0
        self._check_open()
        due = bisect_right(
            slot.events, slot.clock.now_ns() - start_ns, key=lambda event: event.due_ns
        )
        # Events that are due, the newest last; nothing is seen beyond the loss of the card.
        position = self._next
        while position + 1 < due and slot.events[position].is_picture:
            position += 1
        event = slot.events[position]
        self.missed += position - self._next
        picture, color = (None, self.info.color) if not event.is_picture else self._shoot(event)
        slot.clock.wait_until(start_ns + event.due_ns, self._closed)
        self._check_open()
        self._next = position
        if picture is None:
            if event.step is None:
                raise SourceEndedError(f"{self.info.name}: its schedule is over")
            raise SourceLostError(f"{self.info.name}: was unplugged")
        self._next += 1
        return self._frame(picture, color, event)

    def _frame(self, picture: av.VideoFrame, color: ColorDescription, event: Event) -> Frame:
        conformed = self._conformer.conform(picture, color)
        self.converted += conformed is not picture
        step_ns = None if self._last_card_ns is None else event.card_ns - self._last_card_ns
        self._last_card_ns = event.card_ns
        captured_ns = (self._slot.start_ns or 0) + event.due_ns
        frame = Frame(
            conformed,
            self._index,
            self._times.take(captured_ns, step_ns),
            self.info.time_base,
            captured_ns,
            self._slot.clock.now_ns(),
            self.info.color,
        )
        self._index += 1
        return frame

    def _shoot(self, event: Event) -> tuple[av.VideoFrame, ColorDescription]:
        """The picture as the card sends it, and how it is to be read."""
        camera, color = self._slot.camera, self._slot.info.color
        match event.shown:
            case Black(blue=blue):
                return camera.flat(blue=blue), color
            case Interlaced(flagged=flagged):
                picture = _woven(camera.picture(event.number), camera.picture(event.number + 0.5))
                return _flagged(picture) if flagged else picture, color
            case Resize(width=width, height=height):
                return camera.picture(event.number).reformat(width, height), color
            case Format(pixel_format=pixel_format):
                return _in_format(camera.picture(event.number), pixel_format, color)
            case _:
                return camera.picture(event.number), color

    def _check_open(self) -> None:
        if self._closed.is_set():
            raise SourceEndedError(f"{self.info.name}: closed")

    def close(self) -> None:
        """See `LiveSource.close`."""
        self._closed.set()


def _woven(even: av.VideoFrame, odd: av.VideoFrame) -> av.VideoFrame:
    """The even lines of one picture and the odd lines of another."""
    for plane, other in zip(planes(even), planes(odd), strict=True):
        plane.pixels[1::2] = other.pixels[1::2]
    return even


def _flagged(picture: av.VideoFrame) -> av.VideoFrame:
    """The same picture, saying that it is interlaced with the even lines first."""
    graph = av.filter.Graph()
    graph.link_nodes(
        graph.add_buffer(
            width=picture.width,
            height=picture.height,
            format=picture.format,
            time_base=Fraction(1),
        ),
        graph.add("setfield", "mode=tff"),
        graph.add("buffersink"),
    )
    graph.configure()
    graph.vpush(picture)
    return graph.vpull()


def _in_format(
    picture: av.VideoFrame, pixel_format: str, color: ColorDescription
) -> tuple[av.VideoFrame, ColorDescription]:
    converted = picture.reformat(
        format=pixel_format,
        src_colorspace=SWSCALE[color.matrix],
        dst_colorspace=SWSCALE[color.matrix],
        src_color_range=ColorRange.MPEG,
        dst_color_range=ColorRange.JPEG if _is_full(pixel_format) else ColorRange.MPEG,
    )
    return converted, replace(color, full_range=_is_full(pixel_format))


def _is_full(pixel_format: str) -> bool:
    """Whether a format has full range whatever is said."""
    return pixel_format.startswith(("gray", "yuvj", "rgb", "bgr"))
