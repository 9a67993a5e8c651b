"""A video file, decoded with PyAV."""

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from time import monotonic_ns
from typing import cast

import av
from av.stream import Disposition

from streamer.color import describe
from streamer.errors import SourceError
from streamer.frame import AudioPacket, Frame
from streamer.planes import DRAWABLE
from streamer.sources.base import Item, SourceInfo

# Containers that hold video. Play lists and other formats that open further files or network
# addresses are left out on purpose: a file is untrusted input.
CONTAINERS = ("mov", "matroska,webm", "avi", "mpeg", "mpegvideo", "mpegts", "h264", "hevc", "m4v")
_OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)}

#: Greatest picture that is accepted; a hostile header can claim any size.
MAX_PIXELS = 8192 * 8192

#: Stored times stand this many units apart where a stream gives none.
DEFAULT_RATE = Fraction(25)


class FileSource:
    """Every frame of a video file in order, with the packets of its audio in between.

    Damage inside the stream does not end it: what can be decoded is yielded, and `damaged`
    counts the rest. A change of size or format half-way is converted to that of the first frame.

    Raises:
        SourceError: no such file, no video in it, or no single frame can be decoded.
    """

    def __init__(
        self, name: str, *, color_matrix: str = "auto", full_range: bool | None = None
    ) -> None:
        path = Path(name).expanduser()
        _check_is_file(path, name)
        self.damaged = 0
        self.converted = 0
        try:
            # "file:" keeps FFmpeg from reading a protocol or a pattern into the name.
            self._container = av.open(f"file:{path}", container_options=dict(_OPEN_OPTIONS))
        except (av.FFmpegError, ValueError) as error:
            raise SourceError(f"{name}: not a video that can be read ({_reason(error)})") from error
        try:
            self._video = self._find_video(name)
            audio = next(iter(self._container.streams.audio), None)
            self._streams = [self._video] + ([audio] if audio is not None else [])
            self._decoded = self._decode()
            self._held: list[AudioPacket] = []
            self._first = self._first_frame(name)
        except BaseException:
            self._container.close()
            raise
        self._color = describe(self._first, matrix=color_matrix, full_range=full_range)
        rate = self._video.average_rate or self._video.guessed_rate or DEFAULT_RATE
        self._time_base = self._video.time_base or 1 / rate
        self._step = max(1, round(1 / (rate * self._time_base)))
        pixel_format = self._first.format.name
        self.info = SourceInfo(
            name=name,
            width=self._first.width,
            height=self._first.height,
            pixel_format=pixel_format if pixel_format in DRAWABLE else "yuv420p",
            rate=rate,
            time_base=self._time_base,
            color=self._color,
            frames=self._video.frames or self._frames_by_duration(rate),
            audio=audio,
        )

    def _find_video(self, name: str) -> av.VideoStream:
        streams = [
            stream
            for stream in self._container.streams.video
            if not stream.disposition & Disposition.attached_pic
        ]
        if not streams:
            raise SourceError(f"{name}: holds no video, only {self._kinds()}")
        video = streams[0]
        # One decoding thread: the cores belong to the network. Threads of one frame add no delay.
        video.thread_count = max(1, (os.cpu_count() or 1) // 4)
        return video

    def _kinds(self) -> str:
        return ", ".join(sorted({stream.type for stream in self._container.streams})) or "nothing"

    def _frames_by_duration(self, rate: Fraction) -> int | None:
        if self._container.duration is None:
            return None
        return round(self._container.duration / av.time_base * rate)

    def _first_frame(self, name: str) -> av.VideoFrame:
        for item in self._decoded:
            if isinstance(item, av.Packet):
                self._held.append(item)
                continue
            if not 0 < item.width * item.height <= MAX_PIXELS:
                raise SourceError(f"{name}: picture of {item.width}x{item.height} px is refused")
            return item
        raise SourceError(f"{name}: no frame can be decoded; the file is empty or damaged")

    def _decode(self) -> Iterator[av.VideoFrame | AudioPacket]:
        """Pictures and audio packets as they come; damage is counted and skipped."""
        packets = self._container.demux(self._streams)
        while True:
            try:
                packet = next(packets, None)
            except av.FFmpegError:
                # The container itself is broken here; what was read so far is all there is.
                self.damaged += 1
                packet = None
            if packet is None:
                return
            if packet.stream is not self._video:
                if packet.dts is not None:
                    yield cast(AudioPacket, packet)
                continue
            try:
                pictures = packet.decode()
            except av.FFmpegError:
                self.damaged += 1
                continue
            for picture in pictures:
                if isinstance(picture, av.VideoFrame):
                    self.damaged += picture.is_corrupt
                    yield picture

    def _all(self) -> Iterator[av.VideoFrame | AudioPacket]:
        yield from self._held
        self._held.clear()
        yield self._first
        yield from self._decoded

    def __iter__(self) -> Iterator[Item]:
        index = 0
        last_pts: int | None = None
        for item in self._all():
            if isinstance(item, av.Packet):
                yield item
                continue
            captured_ns = monotonic_ns()
            pts = self._monotonic(item.pts, last_pts)
            last_pts = pts
            yield Frame(self._conform(item), index, pts, self._time_base, captured_ns, self._color)
            index += 1

    def _monotonic(self, pts: int | None, last_pts: int | None) -> int:
        # A missing or backward time (damaged or spliced streams) follows the one before it.
        if last_pts is None:
            return pts if pts is not None else 0
        return pts if pts is not None and pts > last_pts else last_pts + self._step

    def _conform(self, picture: av.VideoFrame) -> av.VideoFrame:
        info = self.info
        same_size = (picture.width, picture.height) == (info.width, info.height)
        if same_size and picture.format.name == info.pixel_format:
            return picture
        self.converted += 1
        return picture.reformat(info.width, info.height, info.pixel_format)

    def close(self) -> None:
        """Release the file; may be called twice."""
        self._container.close()


def _check_is_file(path: Path, name: str) -> None:
    if path.is_dir():
        raise SourceError(f"{name}: is a folder; name a video file in it")
    if not path.exists():
        raise SourceError(f"{name}: no such file")
    if not path.is_file():
        raise SourceError(f"{name}: is not a plain file")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{name}: may not be read; check its permissions")
    if path.stat().st_size == 0:
        raise SourceError(f"{name}: is an empty file")


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
