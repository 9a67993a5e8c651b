"""The overlay as an H.264 video file."""

from pathlib import Path

import av

from streamer.cores import usable_cores
from streamer.frame import AudioPacket
from streamer.planes import pad_to_even
from streamer.sinks.base import Composed, refuse_source
from streamer.sinks.container import ContainerWriter
from streamer.sources.base import SourceInfo

#: FFmpeg's colour space of RGB; some decoders leave it on gray pictures.
_RGB = 0


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
        refuse_source(path, info)
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
        video.thread_count = max(1, usable_cores() // 2)
        if info.pixel_aspect:
            video.codec_context.sample_aspect_ratio = info.pixel_aspect
        self._tagged = False

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        picture = pad_to_even(composed.picture) if self._pad else composed.picture
        # A type kept from the source would force x264 to repeat the source's frame types.
        picture.pict_type = av.video.frame.PictureType.NONE
        if not self._tagged:
            self._tagged = True
            _copy_color_tags(picture, self._writer.video.codec_context)
        picture.pts, picture.time_base = composed.frame.pts, composed.frame.time_base
        self._writer.encode(picture)

    def write_audio(self, packet: AudioPacket) -> None:
        """See `Sink.write_audio`."""
        self._writer.copy(packet)

    def close(self) -> None:
        """See `Sink.close`."""
        self._writer.close()


def _copy_color_tags(picture: av.VideoFrame, context: av.VideoCodecContext) -> None:
    """Say of the video what the source said of its colours; the first picture knows."""
    if picture.colorspace != _RGB:
        context.colorspace = picture.colorspace
    context.color_range = picture.color_range
    context.color_primaries, context.color_trc = picture.color_primaries, picture.color_trc
