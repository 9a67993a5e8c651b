"""Coded pictures of a live source by way of FFmpeg, none older than it has to be."""

import logging
import threading
from collections import deque
from dataclasses import dataclass
from time import monotonic, monotonic_ns
from typing import Any

import av
from av.stream import Disposition

from streamer.errors import SourceEndedError, SourceError, SourceLostError
from streamer.sources.address import Input, explain, reason
from streamer.sources.times import Lag, Pace
from streamer.sources.whole import WholePictures

logger = logging.getLogger(__name__)

#: Pause before a device that has no picture yet is asked again, in seconds.
_ASK_AGAIN_S = 0.002

#: From this lag on, the way is cleared, until the lag is as small as the second figure; in ns.
_TOO_LATE_NS = 300_000_000
_CAUGHT_UP_NS = 100_000_000
#: When so many pictures in a row make the lag no smaller than by so many ns, none of them waited.
_NONE_WAITED = 8
_SMALLER_NS = 10_000_000
#: The log hears of it once in so many seconds.
_TELL_AGAIN_S = 60.0


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded picture, or the end of them.

    Attributes:
        captured_ns: when it came, by the monotonic clock.
        key: others do not go back beyond it.
    """

    packet: "av.Packet[Any]"
    captured_ns: int
    key: bool


class PacketReader:
    """Reads the coded pictures of one video stream, in order.

    Where pictures are fetched more slowly than they are sent, they wait in the buffers of FFmpeg
    and of the system, for many seconds and unseen. Their own times give it away, see `Lag`: then
    all that waits is fetched at once, and what lies before the newest key picture is left out.

    Args:
        given: what FFmpeg is told.
        name: what to call the source in messages, free of secrets.
        open_timeout_s: how long it may take until the source answers.
        ends: coming to its end is its regular end, and no loss.
        closing: no longer waits once it is set.
        whole: watches over packets that FFmpeg does not cut into pictures, if it does not.

    Raises:
        NotWholeError: see `WholePictures`.
        SourceError: it is not there, does not answer, or sends no video that can be decoded.
    """

    def __init__(
        self,
        given: Input,
        name: str,
        *,
        open_timeout_s: float,
        ends: bool,
        closing: threading.Event,
        whole: WholePictures | None = None,
    ) -> None:
        #: Coded pictures that were left out, since they had waited for too long.
        self.skipped = 0
        self._given = given
        self._name = name
        self._ends = ends
        self._closing = closing
        self._whole = whole
        self._pace = Pace()
        self._lag = Lag()
        self._waiting: deque[Coded] = deque()
        self._told_s = -_TELL_AGAIN_S
        self._container = self._open(open_timeout_s)
        try:
            self.video = self._find_video()
            self._packets = self._container.demux()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Release the source; only for the thread that reads, or where none does."""
        self._waiting.clear()
        self._container.close()

    def _open(self, timeout_s: float) -> av.container.InputContainer:
        given = self._given
        try:
            return av.open(
                given.url,
                format=given.format,
                container_options=dict(given.options),
                timeout=(timeout_s, given.read_timeout_s),
                metadata_errors="replace",
            )
        except (av.FFmpegError, ValueError) as error:
            problem = explain(error, given, timeout_s)
        # Outside of the handler: FFmpeg's own errors hold the address with its password.
        raise SourceError(f"{self._name}: {problem}")

    def _find_video(self) -> av.VideoStream:
        for stream in self._container.streams.video:
            if stream.codec_context and not stream.disposition & Disposition.attached_pic:
                return stream
        raise SourceError(f"{self._name}: sends no video that can be decoded")

    def next(self) -> Coded:
        """Wait for the next coded picture.

        Raises:
            SourceLostError, SourceEndedError: see `LiveSource.read`.
        """
        self.check_open()
        if self._waiting:
            return self._waiting.popleft()
        coded = self._fetch()
        if not self._given.by_time and (lag_ns := self._lag_of(coded)) > _TOO_LATE_NS:
            self._clear_the_way(coded, lag_ns)
            return self._waiting.popleft()
        return coded

    def check_open(self) -> None:
        """Nothing can be read any more once the source is being closed.

        Raises:
            SourceEndedError: it is.
        """
        if self._closing.is_set():
            raise SourceEndedError(f"{self._name}: closed")

    def _lag_of(self, coded: Coded) -> int:
        own_ns = _own_time_ns(coded.packet)
        return 0 if own_ns is None else self._lag.take(coded.captured_ns, own_ns)

    def _clear_the_way(self, coded: Coded, lag_ns: int) -> None:
        """Fetch all that waits; keep it from the newest key picture on."""
        skipped = in_vain = 0
        self._waiting.append(coded)
        least_ns = lag_ns
        try:
            while lag_ns > _CAUGHT_UP_NS:
                coded = self._fetch()
                if coded.key:
                    skipped += len(self._waiting)
                    self._waiting.clear()
                self._waiting.append(coded)
                lag_ns = self._lag_of(coded)
                in_vain += 1
                if lag_ns < least_ns - _SMALLER_NS:
                    least_ns, in_vain = lag_ns, 0
                elif in_vain == _NONE_WAITED:
                    # It is the way that has become longer.
                    self._lag.accept()
                    break
        except SourceError:
            # What is there is shown first; then it fails again.
            pass
        if not skipped:
            return
        self.skipped += skipped
        if monotonic() >= self._told_s + _TELL_AGAIN_S:
            self._told_s = monotonic()
            logger.warning(
                "%s: pictures wait too long to be read, %d left out so far",
                self._name,
                self.skipped,
            )

    def _fetch(self) -> Coded:
        heard = monotonic()
        while True:
            packet = self._next_packet()
            if packet.stream is self.video:
                if self._given.by_time:
                    self._hold_back(packet)
                return Coded(packet, monotonic_ns(), self._is_key(packet))
            if monotonic() - heard > self._given.read_timeout_s:
                raise SourceLostError(f"{self._name}: sends no video any more")

    def _is_key(self, packet: "av.Packet[Any]") -> bool:
        if self._whole is None or not packet.size:
            return packet.is_keyframe
        return self._whole.check(self.video.codec_context.name, bytes(packet))

    def _next_packet(self) -> "av.Packet[Any]":
        silent_from = monotonic() + self._given.read_timeout_s
        while True:
            self.check_open()
            try:
                return next(self._packets)
            except StopIteration:
                break
            except av.BlockingIOError:
                # A device without a picture. The generator is spent by the error.
                self._packets = self._container.demux()
                problem = self._silent()
                if monotonic() < silent_from:
                    self._closing.wait(_ASK_AGAIN_S)
                    continue
            except av.ExitError:
                problem = self._silent()
            except (av.FFmpegError, IndexError, ValueError) as error:
                problem = f"lost ({reason(error, self._given)})"
            raise SourceLostError(f"{self._name}: {problem}")
        if self._ends:
            raise SourceEndedError(f"{self._name}: has come to its end")
        raise SourceLostError(f"{self._name}: ended by the sender")

    def _silent(self) -> str:
        return f"silent for {self._given.read_timeout_s:g} s"

    def _hold_back(self, packet: "av.Packet[Any]") -> None:
        """Wait until a packet is due by its own time."""
        own_ns = _own_time_ns(packet)
        if own_ns is None:
            return
        now_ns = monotonic_ns()
        due_ns = self._pace.due_ns(own_ns, now_ns)
        self._closing.wait(max(0, due_ns - now_ns) / 1e9)


def _own_time_ns(packet: "av.Packet[Any]") -> int | None:
    if packet.dts is None or packet.time_base is None:
        return None
    return int(packet.dts * packet.time_base * 1_000_000_000)
