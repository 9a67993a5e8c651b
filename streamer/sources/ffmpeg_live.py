"""Live sources by way of FFmpeg: capture devices, network streams, screens, test patterns."""

import threading
from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from time import monotonic, monotonic_ns
from typing import Any

import av
from av.codec.context import Flags

from streamer.color import ColorDescription, describe
from streamer.cores import usable_cores
from streamer.errors import SourceEndedError, SourceError, SourceLostError
from streamer.frame import Frame
from streamer.settings import SourceSettings
from streamer.sources.address import Address, Input, Kind, ffmpeg_input, reason
from streamer.sources.base import SourceInfo
from streamer.sources.conform import Conformer, Unpacker, drawable_format
from streamer.sources.deinterlace import Deinterlacer
from streamer.sources.devices import DEVICES, DeviceIdentity
from streamer.sources.file import DEFAULT_RATE, MAX_PIXELS
from streamer.sources.packets import Coded, PacketReader
from streamer.sources.times import LIVE_TIME_BASE, LiveTimes
from streamer.sources.whole import NotWholeError, WholePictures
from streamer.sources.x_libraries import check_screen_capture

#: Highest rate that a stream is believed to have, per second.
_HIGHEST_RATE = 1000


@dataclass(frozen=True, slots=True)
class _Moment:
    """When a picture was captured: by the monotonic clock, and since the one before it."""

    captured_ns: int
    decoded_ns: int
    step_ns: int | None


class FFmpegLive:
    """A live source that FFmpeg reads, with as little delay as it has to have.

    Decoding uses no threads of frames, each of which would add one frame of delay. Everything is
    decoded and handed out in order; whoever reads decides what is too old. The times of the
    pictures are made by `LiveTimes`. Interlaced pictures are taken apart: ``bob`` adds one frame
    of delay, see `Deinterlacer`; where that starts or ends half-way, `info.rate` follows.

    One thread reads. `close` may be called from another: a device lets go at once; FFmpeg cannot be
    woken while it waits for the network, so there the waiting thread finds out, and releases what
    it holds, after the read timeout at the latest. `close` itself never waits.

    Args:
        given: what FFmpeg is told.
        name: what to call the source in messages, free of secrets.
        settings: how it is opened and read.
        times: gives the pictures their times; hand in the same one at each re-opening.
        ends: coming to its end is its regular end, and no loss.
        like: see `OpenLive`.
        rate: of frames per second, where it is known from before.
        whole: see `PacketReader`.

    Raises:
        NotWholeError: see `WholePictures`.
        SourceError: it is not there, does not answer, or sends no picture that can be read.
    """

    def __init__(
        self,
        given: Input,
        name: str,
        *,
        settings: SourceSettings,
        times: LiveTimes,
        ends: bool = False,
        like: SourceInfo | None = None,
        rate: Fraction | None = None,
        whole: WholePictures | None = None,
    ) -> None:
        self.damaged = 0
        self.converted = 0
        self._given = given
        self._name = name
        self._settings = settings
        self._times = times
        self._index = 0
        self._ready: deque[Frame] = deque()
        self._pictures: deque[tuple[av.VideoFrame, _Moment]] = deque()
        self._last_pts_ns: int | None = None
        self._colors: dict[tuple[Any, ...], ColorDescription] = {}
        self._unpacker = Unpacker()
        self._deinterlacer: Deinterlacer[_Moment] = Deinterlacer(
            settings.interlaced, settings.deinterlace
        )
        self._closing = threading.Event()
        self._in_use = threading.Lock()
        self._reader = PacketReader(
            given,
            name,
            open_timeout_s=settings.open_timeout_s,
            ends=ends,
            closing=self._closing,
            whole=whole,
        )
        try:
            self._video = self._set_up(self._reader.video)
            first = self._first_picture()
            #: Frames per second, before they are taken apart.
            self.frame_rate = rate or self._nominal_rate()
            self.info = self._announce(first, like)
        except BaseException:
            self._reader.close()
            raise
        self._conformer = Conformer(self.info, keep_shape=True)

    def read(self) -> Frame:
        """See `LiveSource.read`."""
        try:
            with self._in_use:
                return self._next()
        finally:
            if self._closing.is_set():
                self.close()

    def close(self) -> None:
        """See `LiveSource.close`."""
        self._closing.set()
        # Where another thread is reading, it comes by here once it is done.
        if self._in_use.acquire(blocking=False):
            try:
                self._reader.close()
            finally:
                self._in_use.release()

    @property
    def missed(self) -> int:
        """See `LiveSource` and `PacketReader.skipped`."""
        return self._reader.skipped

    def _set_up(self, stream: av.VideoStream) -> av.VideoStream:
        """Have a stream decoded with the least delay."""
        context = stream.codec_context
        self._check_size(context.width, context.height)
        context.options = {"max_pixels": str(MAX_PIXELS)}
        stream.thread_type = "SLICE"
        stream.thread_count = max(1, usable_cores() // 4)
        context.flags |= Flags.low_delay
        # A picture comes out with the time at which its own packet came in.
        context.copy_opaque = True
        return stream

    def _check_size(self, width: int, height: int) -> None:
        if width * height > MAX_PIXELS:
            raise SourceError(
                f"{self._name}: says its pictures have {width}x{height} px; that is refused"
            )

    def _first_picture(self) -> av.VideoFrame:
        try:
            self._decode_next(monotonic() + self._settings.open_timeout_s)
        except SourceEndedError:
            raise SourceError(f"{self._name}: ended before its first picture") from None
        # Where a stream is joined half-way, nothing can be decoded until its next key picture.
        self.damaged = 0
        return self._pictures[0][0]

    def _nominal_rate(self) -> Fraction:
        for rate in (self._video.average_rate, self._video.guessed_rate, self._settings.rate):
            if rate and 0 < rate <= _HIGHEST_RATE:
                return rate
        return DEFAULT_RATE

    def _announce(self, first: av.VideoFrame, like: SourceInfo | None) -> SourceInfo:
        info = SourceInfo(
            name=self._name,
            width=first.width,
            height=first.height,
            pixel_format=drawable_format(self._unpacker.unpack(first).format.name),
            rate=self.frame_rate * self._deinterlacer.pictures_per_frame,
            time_base=self._times.time_base,
            color=self._color(first),
            frames=None,
            audio=None,
            pixel_aspect=self._video.sample_aspect_ratio,
            live=True,
        )
        if like is None:
            return info
        return replace(
            info,
            width=like.width,
            height=like.height,
            pixel_format=like.pixel_format,
            color=like.color,
            pixel_aspect=like.pixel_aspect,
        )

    def _color(self, picture: av.VideoFrame) -> ColorDescription:
        key = (picture.height, picture.format.name, picture.colorspace, picture.color_range)
        if key not in self._colors:
            self._colors[key] = describe(
                picture,
                matrix=self._settings.color_matrix,
                full_range=self._settings.full_range,
            )
        return self._colors[key]

    def _next(self) -> Frame:
        silence_s = max(self._given.read_timeout_s, self._settings.open_timeout_s)
        self._reader.check_open()
        while not self._ready:
            if not self._pictures:
                self._decode_next(monotonic() + silence_s)
            try:
                self._finish(*self._pictures.popleft())
            except av.FFmpegError as error:
                problem = f"its pictures cannot be deinterlaced ({reason(error, self._given)})"
                raise SourceLostError(f"{self._name}: {problem}") from None
        return self._ready.popleft()

    def _finish(self, picture: av.VideoFrame, moment: _Moment) -> None:
        """Deinterlace, conform and date one decoded picture."""
        flagged = picture.interlaced_frame
        picture = self._unpacker.unpack(picture)
        for whole in self._deinterlacer.feed(picture, moment, flagged=flagged):
            conformed = self._conformer.conform(
                whole.picture,
                self._color(whole.picture),
                self._video.codec_context.sample_aspect_ratio,
            )
            self.converted += conformed is not whole.picture
            pts = self._date(whole.tag, second=whole.second)
            self._ready.append(
                Frame(
                    conformed,
                    self._index,
                    pts,
                    self._times.time_base,
                    whole.tag.captured_ns,
                    whole.tag.decoded_ns,
                    self.info.color,
                )
            )
            self._index += 1
        rate = self.frame_rate * self._deinterlacer.pictures_per_frame
        if rate != self.info.rate:
            self.info = replace(self.info, rate=rate)

    def _date(self, moment: _Moment, *, second: bool) -> int:
        halves = self._deinterlacer.pictures_per_frame
        step_ns = moment.step_ns // halves if moment.step_ns is not None else None
        clock_ns = moment.captured_ns
        if second:
            step_ns = step_ns or round(1e9 / (2 * self.frame_rate))
            clock_ns += step_ns
        return self._times.take(clock_ns, step_ns)

    def _decode_next(self, deadline: float) -> None:
        """Decode until there is a picture.

        Args:
            deadline: on the monotonic clock, seconds; for packets that make no picture.
        """
        while not self._pictures:
            coded = self._reader.next()
            self._decode(coded)
            if not self._pictures and coded.captured_ns / 1e9 > deadline:
                raise SourceLostError(f"{self._name}: nothing that it sends makes a picture")

    def _decode(self, coded: Coded) -> None:
        coded.packet.opaque = coded.captured_ns
        try:
            pictures = coded.packet.decode()
        except av.FFmpegError:
            self.damaged += 1
            return
        for picture in pictures:
            assert isinstance(picture, av.VideoFrame)
            self.damaged += picture.is_corrupt
            opaque = picture.opaque
            captured_ns = opaque if isinstance(opaque, int) else coded.captured_ns
            moment = _Moment(captured_ns, monotonic_ns(), self._step_ns(picture))
            self._pictures.append((picture, moment))

    def _step_ns(self, picture: av.VideoFrame) -> int | None:
        """Time since the picture before, as the source has it."""
        if picture.pts is None or picture.time_base is None:
            self._last_pts_ns = None
            return None
        pts_ns = int(picture.pts * picture.time_base * 1_000_000_000)
        before_ns, self._last_pts_ns = self._last_pts_ns, pts_ns
        return None if before_ns is None else pts_ns - before_ns


class OpenFFmpeg:
    """Opens one and the same source, as often as it is lost; see `OpenLive`.

    A capture device is found again as `DeviceIdentity` has it.

    Args:
        address: of a device, a network stream, a screen or a graph.
        settings: how it is opened.
        name: what to call it in messages, free of secrets.
        devices: the folder that has the devices.

    Raises:
        SourceError: this process cannot capture a screen, see `x_libraries`.
    """

    def __init__(
        self,
        address: Address,
        settings: SourceSettings,
        name: str,
        *,
        devices: Path = DEVICES,
    ) -> None:
        self._given = ffmpeg_input(address, settings)
        self._settings = settings
        self._name = name
        self._ends = address.kind == Kind.LAVFI
        self._times: LiveTimes | None = None
        self._rate: Fraction | None = None
        self._probes = address.kind == Kind.NETWORK
        self._whole = WholePictures()
        self._identity: DeviceIdentity | None = None
        if address.kind == Kind.SCREEN and self._given.format == "x11grab":
            check_screen_capture(name)
        if address.kind == Kind.DEVICE and self._given.format == "v4l2":
            self._identity = DeviceIdentity(Path(self._given.url), name, devices)

    def __call__(self, like: SourceInfo | None) -> FFmpegLive:
        """See `OpenLive`."""
        if self._times is None or (like and like.time_base != self._times.time_base):
            self._times = LiveTimes(like.time_base if like else LIVE_TIME_BASE)
        given = self._given
        if self._identity:
            given = replace(given, url=str(self._identity.find()))
        try:
            source = self._open(given, like)
        except NotWholeError:
            source = self._open(given, like)
        self._rate = source.frame_rate
        if self._identity:
            self._identity.remember(Path(given.url))
        return source

    def _open(self, given: Input, like: SourceInfo | None) -> FFmpegLive:
        assert self._times is not None
        options = dict(given.options)
        whole = self._whole if given.format == "mpegts" and not self._whole.refuted else None
        if whole is not None:
            options["fflags"] = "+noparse"
        rate = self._rate if like and self._probes else None
        if rate is not None:
            # To find out the rate, half a second of pictures would have to be held back.
            options["fpsprobesize"] = "1"
        return FFmpegLive(
            replace(given, options=options),
            self._name,
            settings=self._settings,
            times=self._times,
            ends=self._ends,
            like=like,
            rate=rate,
            whole=whole,
        )
