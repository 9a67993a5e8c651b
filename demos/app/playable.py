"""An upload as a source of pictures that every browser can show."""

from collections.abc import Iterator
from dataclasses import replace

import av

from streamer.audio import AudioPacket
from streamer.errors import SourceError
from streamer.frame import Frame
from streamer.sinks.base import Composed, Sink
from streamer.sources.base import Item, Source
from streamer.sources.conform import Conformer

#: What browsers decode everywhere; deeper and denser formats are converted.
_SHOWN = frozenset({"yuv420p", "yuvj420p", "nv12"})


class PlayableSource:
    """The pictures of a source in 8-bit 4:2:0, its times beginning at 0, its sound if it is AAC.

    Args:
        source: closed with this one.
        name: what to call it.
    """

    def __init__(self, source: Source, name: str) -> None:
        self._source = source
        info = source.info
        sound = info.audio if info.audio and info.audio.codec_context.name == "aac" else None
        shown = info.pixel_format in _SHOWN
        self.info = replace(
            info,
            name=name,
            pixel_format=info.pixel_format if shown else "yuv420p",
            audio=sound,
        )
        self.damaged = source.damaged
        self.converted = source.converted
        self._conformer = Conformer(self.info)
        self._recorder: Sink | None = None

    def record(self, recorder: Sink) -> None:
        """Write each picture before it is drawn upon; in the thread that iterates."""
        self._recorder = recorder

    def __iter__(self) -> Iterator[Item]:
        start: int | None = None
        for item in self._source:
            self.damaged, self.converted = self._source.damaged, self._source.converted
            if isinstance(item, av.Packet):
                if self.info.audio is not None and self._shift(item, start or 0):
                    yield item
                continue
            start = item.pts if start is None else start
            frame = self._conform(item, start)
            if self._recorder is not None:
                self._recorder.write(Composed(frame, frame.picture, None, []))
            yield frame

    def _conform(self, frame: Frame, start: int) -> Frame:
        picture = self._conformer.conform(frame.picture, frame.color)
        return replace(frame, picture=picture, pts=frame.pts - start)

    def _shift(self, packet: AudioPacket, start: int) -> bool:
        """Move a packet's time; false where it lies before the first picture."""
        if packet.dts is None:
            return False
        packet.dts -= round(start * self.info.time_base / packet.time_base)
        packet.pts = packet.dts
        return packet.dts >= 0

    def close(self) -> None:
        """See `Source.close`."""
        self._source.close()


def check_clip(source: Source, *, max_pixels: int, max_s: float) -> None:
    """See to it that a video is not larger or longer than what is taken here.

    Raises:
        SourceError: it is, or says that it is.
    """
    info = source.info
    if info.width * info.height > max_pixels:
        raise SourceError(
            f"The pictures have {info.width}x{info.height} px; at most "
            f"{max_pixels / 1e6:.1f} megapixels are taken here."
        )
    if info.frames is not None and info.frames / info.rate > max_s:
        raise SourceError(
            f"The video is {spell_duration(float(info.frames / info.rate))} long; "
            f"at most {spell_duration(max_s)} are taken here. Cut it to the part that matters."
        )


def spell_duration(duration_s: float) -> str:
    """A duration in words, such as ``10 minutes``."""
    if duration_s < 120:
        return f"{duration_s:.0f} seconds"
    if duration_s < 7200:
        return f"{duration_s / 60:.0f} minutes"
    return f"{duration_s / 3600:.1f} hours"
