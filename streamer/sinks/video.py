"""The overlay as an H.264 video file."""

import os
from pathlib import Path

import av

from streamer.frame import AudioPacket
from streamer.planes import pad_to_even
from streamer.sinks.base import Composed
from streamer.sinks.container import ContainerWriter
from streamer.sources.base import SourceInfo


class VideoSink:
    """Encodes pictures in the source's own pixel format and time base, audio copied along.

    Args:
        path: ``.mp4`` or ``.mkv``.
        info: the source whose pictures come.
        preset: x264's; faster ones make larger files.
        quality: x264's constant rate factor, 0 (lossless) … 51.
    """

    def __init__(
        self, path: Path | str, info: SourceInfo, *, preset: str = "ultrafast", quality: int = 20
    ) -> None:
        pixel_format = info.pixel_format
        self._pad = pixel_format != "gray" and "444" not in pixel_format
        self._writer = ContainerWriter(
            path,
            codec="libx264",
            options={"preset": preset, "crf": str(quality), "bf": "0"},
            width=info.width + (info.width % 2 if self._pad else 0),
            height=info.height + (info.height % 2 if self._pad else 0),
            pixel_format=pixel_format,
            rate=info.rate,
            time_base=info.time_base,
            audio=info.audio,
        )
        video = self._writer.video
        # The network needs the cores; sliced threads of x264 would only fight it for them.
        video.thread_count = max(1, (os.cpu_count() or 1) // 2)

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        picture = pad_to_even(composed.picture) if self._pad else composed.picture
        # A type kept from the source would force x264 to repeat the source's frame types.
        picture.pict_type = av.video.frame.PictureType.NONE
        picture.pts, picture.time_base = composed.frame.pts, composed.frame.time_base
        self._writer.encode(picture)

    def write_audio(self, packet: AudioPacket) -> None:
        """See `Sink.write_audio`."""
        self._writer.copy(packet)

    def close(self) -> None:
        """See `Sink.close`."""
        self._writer.close()
