"""A video file, decoded with PyAV."""

import os
import stat
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from time import monotonic_ns
from typing import Any, cast

import av
from av.stream import Disposition

from streamer.audio import AudioPacket
from streamer.color import describe
from streamer.cores import usable_cores
from streamer.errors import SourceError, reason_of
from streamer.frame import Frame
from streamer.planes import GPU_LAYOUT
from streamer.sources.base import Item, SourceInfo
from streamer.sources.conform import Conformer, drawable_format
from streamer.sources.nvdec import MOST_REFUSED, adopt, check_on_gpu, nvdec

# Containers that hold video. Play lists and other formats that open further files or network
# addresses are left out on purpose: a file is untrusted input.
CONTAINERS = ("mov", "matroska,webm", "avi", "mpeg", "mpegvideo", "mpegts", "h264", "hevc", "m4v")
_OPEN_OPTIONS = {"protocol_whitelist": "file", "format_whitelist": ",".join(CONTAINERS)}

#: Greatest picture that is accepted; a hostile header can claim any size.
MAX_PIXELS = 8192 * 8192

#: Frames per second where a stream does not say.
DEFAULT_RATE = Fraction(25)

#: Longest pause in seconds between two frames; a time further ahead is damaged.
MAX_GAP_S = 600


class FileSource:
    """Every frame of a video file in order, with the packets of its audio in between.

    Damage inside the stream does not end it: what can be decoded is yielded, and `damaged`
    counts the rest. A change of size or format half-way is converted to that of the first frame.

    Args:
        name: path of the file.
        color_matrix, full_range: override what the stream says of its colours.
        on_gpu: decode by NVDEC and leave the pictures there; see `streamer.gpu.surface`.

    Raises:
        SourceError: no such file, no video in it, or no single frame can be decoded; or no NVDEC
            for it.
    """

    def __init__(
        self,
        name: str,
        *,
        color_matrix: str = "auto",
        full_range: bool | None = None,
        on_gpu: bool = False,
    ) -> None:
        # Unlike Path.expanduser, leaves the name of an unknown user as it is.
        path = Path(os.path.expanduser(name))
        _check_is_file(path, name)
        self.damaged = 0
        self.converted = 0
        self._on_gpu = on_gpu
        try:
            # "file:" keeps FFmpeg from reading a protocol or a pattern into the name.
            self._container = av.open(
                f"file:{path}",
                container_options=dict(_OPEN_OPTIONS),
                # Titles and the like may be in any encoding; nothing here depends on them.
                metadata_errors="replace",
                hwaccel=nvdec() if on_gpu else None,
            )
        except (av.FFmpegError, ValueError, RuntimeError) as error:
            if on_gpu:
                raise SourceError(f"{name}: NVDEC cannot be used ({reason_of(error)})") from error
            raise SourceError(
                f"{name}: not a video that can be read ({reason_of(error)})"
            ) from error
        try:
            self._video = self._find_video(name)
            # A stream of an unknown codec has no context; its packets could not be labelled.
            known = (stream for stream in self._container.streams.audio if stream.codec_context)
            audio = next(known, None)
            self._streams = [self._video] + ([audio] if audio is not None else [])
            self._decoded = self._decode(name)
            self._held: list[AudioPacket] = []
            self._first = self._first_frame(name)
            if on_gpu:
                check_on_gpu(self._first, name)
        except BaseException:
            self._container.close()
            raise
        self._color = describe(self._first, matrix=color_matrix, full_range=full_range)
        rate = self._video.average_rate or self._video.guessed_rate or DEFAULT_RATE
        self._time_base = self._video.time_base or 1 / rate
        if self._time_base > MAX_GAP_S:
            # A damaged header; the pictures are there all the same.
            rate, self._time_base = DEFAULT_RATE, 1 / DEFAULT_RATE
        self._step = max(1, round(1 / (rate * self._time_base)))
        self.info = SourceInfo(
            name=name,
            width=self._first.width,
            height=self._first.height,
            pixel_format=GPU_LAYOUT if on_gpu else drawable_format(self._first.format.name),
            rate=rate,
            time_base=self._time_base,
            color=self._color,
            frames=self._video.frames or self._frames_by_duration(rate),
            audio=audio,
            pixel_aspect=self._video.sample_aspect_ratio,
            decoder="NVDEC" if on_gpu else "CPU",
        )
        self._conformer = Conformer(self.info)

    def _find_video(self, name: str) -> av.VideoStream:
        streams = [
            stream
            for stream in self._container.streams.video
            if stream.codec_context and not stream.disposition & Disposition.attached_pic
        ]
        if not streams:
            raise SourceError(f"{name}: holds no video that can be decoded")
        video = streams[0]
        _check_size(video.codec_context, name)
        # Also refused where only the stream itself tells, before memory is taken for it.
        video.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        # Few decoding threads: the cores belong to the network. Threads of one frame add no delay.
        video.thread_count = max(1, usable_cores() // 4)
        return video

    def _frames_by_duration(self, rate: Fraction) -> int | None:
        if self._container.duration is None:
            return None
        return round(self._container.duration / av.time_base * rate)

    def _first_frame(self, name: str) -> av.VideoFrame:
        for item in self._decoded:
            if isinstance(item, av.Packet):
                self._held.append(item)
                continue
            return item
        if self._on_gpu and self.damaged:
            raise SourceError(f"{name}: NVDEC does not decode it, or it is damaged")
        raise SourceError(f"{name}: no frame can be decoded; the file is empty or damaged")

    def _decode(self, name: str) -> Iterator[av.VideoFrame | AudioPacket]:
        """Pictures and audio packets as they come; damage is counted and skipped."""
        audio_times = _RisingTimes()
        has_begun, failures = False, 0
        for packet in self._packets():
            if packet.stream is not self._video:
                if packet.dts is not None:
                    step = packet.duration or 1
                    packet.dts = audio_times.take(
                        packet.dts, step, packet.time_base, least=step // 2
                    )
                    packet.pts = packet.dts
                    yield cast(AudioPacket, packet)
                continue
            try:
                pictures = packet.decode()
            except av.FFmpegError as error:
                self.damaged += 1
                failures += 1
                if self._on_gpu and not has_begun and failures == MOST_REFUSED:
                    raise SourceError(
                        f"{name}: NVDEC does not decode it ({reason_of(error)})"
                    ) from error
                continue
            failures = 0
            for picture in pictures:
                if isinstance(picture, av.VideoFrame):
                    has_begun = True
                    self.damaged += picture.is_corrupt
                    yield picture

    def _packets(self) -> "Iterator[av.Packet[Any]]":
        """All packets, up to the empty one that brings the decoder's last pictures out."""
        try:
            yield from self._container.demux(self._streams)
            return
        except av.FFmpegError:
            # The container itself is broken here; what was read so far is all there is.
            self.damaged += 1
        except IndexError:
            # PyAV ends so where a further stream has begun half-way; all was read.
            pass
        end = av.Packet()
        end.stream = self._video
        yield end

    def _all(self) -> Iterator[av.VideoFrame | AudioPacket]:
        # The picture goes ahead of the sound before it: sinks learn from it what to announce.
        yield self._first
        yield from self._held
        self._held.clear()
        yield from self._decoded

    def __iter__(self) -> Iterator[Item]:
        index = 0
        times = _RisingTimes()
        for item in self._all():
            if isinstance(item, av.Packet):
                yield item
                continue
            now_ns = monotonic_ns()
            pts = times.take(item.pts, self._step, self._time_base)
            yield Frame(
                self._conform(item), index, pts, self._time_base, now_ns, now_ns, self._color
            )
            index += 1

    def _conform(self, picture: av.VideoFrame) -> av.VideoFrame:
        if self._on_gpu:
            if (picture.width, picture.height) != (self.info.width, self.info.height):
                raise SourceError(
                    f"{self.info.name}: changes its size half-way, which needs --decode cpu"
                )
            check_on_gpu(picture, self.info.name)
            return adopt(picture)
        aspect = self._video.codec_context.sample_aspect_ratio
        conformed = self._conformer.conform(picture, self._color, aspect)
        self.converted += conformed is not picture
        return conformed

    def close(self) -> None:
        """Release the file; may be called twice."""
        self._container.close()


class _RisingTimes:
    """The times of one stream, such that they rise.

    A time that is missing, that goes back or that leaps ahead comes from a damaged or spliced
    stream; it is taken to follow the one before it by one step, and those after it keep their
    distance from it, until the stream's own times fit again. One that is off by less than a step
    follows at once, so that those after it can keep their own.
    """

    def __init__(self) -> None:
        self._last: int | None = None
        self._shift = 0

    def take(self, time: int | None, step: int, time_base: Fraction, *, least: int = 1) -> int:
        """The time itself, or what takes its place; all in units of `time_base`.

        Args:
            least: by how much it has to rise to be believed.
        """
        if self._last is None:
            self._last = time or 0
        elif time is None:
            self._last += step
        else:
            self._last = self._place(time, self._last, step, MAX_GAP_S / time_base, least)
        return self._last

    def _place(self, time: int, last: int, step: int, longest: Fraction, least: int) -> int:
        for shift in (self._shift, 0):
            if least <= time + shift - last <= longest:
                self._shift = shift
                return time + shift
        if abs(time + self._shift - last) < step:
            return last + least
        self._shift = last + step - time
        return last + step


def _check_is_file(path: Path, name: str) -> None:
    try:
        status = path.stat()
    except FileNotFoundError:
        raise SourceError(f"{name}: no such file") from None
    except (OSError, ValueError) as error:
        raise SourceError(f"{name}: cannot be opened ({reason_of(error)})") from error
    if stat.S_ISDIR(status.st_mode):
        raise SourceError(f"{name}: is a folder; name a video file in it")
    if not stat.S_ISREG(status.st_mode):
        raise SourceError(f"{name}: is not a plain file")
    if not os.access(path, os.R_OK):
        raise SourceError(f"{name}: may not be read; check its permissions")
    if status.st_size == 0:
        raise SourceError(f"{name}: is an empty file")


def _check_size(video: av.VideoCodecContext, name: str) -> None:
    if video.width * video.height > MAX_PIXELS:
        raise SourceError(
            f"{name}: says its pictures have {video.width}x{video.height} px; that is refused"
        )
