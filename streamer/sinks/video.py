"""Pictures as a video file: H.264, or FFV1 where every bit counts."""

from datetime import datetime
from pathlib import Path

import av
from av.video.reformatter import ColorRange

from streamer.audio import AudioPacket
from streamer.cores import usable_cores
from streamer.errors import OutputError
from streamer.planes import blank_like, pad_to_even, planes
from streamer.sinks.base import Composed, refuse_source
from streamer.sinks.container import ContainerWriter
from streamer.sources.base import SourceInfo

#: FFmpeg's colour space of RGB; some decoders leave it on gray pictures.
_RGB = 0

#: Every picture a key frame, with checksums. FFV1 chooses slices that fit the size.
_EXACT_OPTIONS = {"g": "1", "level": "3", "slicecrc": "1"}
#: Formats that FFV1 does not take, and those of the same samples that it does.
_SAME_SAMPLES = {"nv12": "yuv420p", **{f"yuvj{n}p": f"yuv{n}p" for n in (420, 422, 444)}}


class VideoSink:
    """Encodes pictures in the source's own pixel format and time base, audio copied along.

    Args:
        path: ``.mp4`` or ``.mkv``.
        info: the source whose pictures come.
        preset: x264's; faster ones make larger files.
        quality: x264's constant rate factor, 0 (lossless) … 51.
        exact: FFV1 in a ``.mkv`` file instead of H.264: every sample keeps its value.
        began: see `ContainerWriter`.

    Raises:
        OutputError: the file cannot be written, or is not of a kind that fits.
    """

    def __init__(
        self,
        path: Path | str,
        info: SourceInfo,
        *,
        preset: str = "ultrafast",
        quality: int = 20,
        exact: bool = False,
        began: datetime | None = None,
    ) -> None:
        refuse_source(path, info)
        if exact and Path(path).suffix.lower() != ".mkv":
            raise OutputError(f"{path}: exact recordings need a .mkv file")
        pixel_format = info.pixel_format
        if exact:
            pixel_format = _SAME_SAMPLES.get(pixel_format, pixel_format)
        # In live mode other threads hold the same pictures, and encoding writes to their fields.
        self._copy = info.live or pixel_format != info.pixel_format
        self._pixel_format = pixel_format
        self._pad = not exact and pixel_format != "gray" and "444" not in pixel_format
        self._writer = ContainerWriter(
            path,
            codec="ffv1" if exact else "libx264",
            options=_EXACT_OPTIONS if exact else {"preset": preset, "crf": str(quality), "bf": "0"},
            width=info.width + (info.width % 2 if self._pad else 0),
            height=info.height + (info.height % 2 if self._pad else 0),
            pixel_format=pixel_format,
            rate=info.rate,
            time_base=info.time_base,
            audio=info.audio,
            began=began,
        )
        video = self._writer.video
        # The network needs the cores; sliced threads of x264 would only fight it for them.
        video.thread_count = max(1, usable_cores() // 2)
        if info.pixel_aspect:
            video.codec_context.sample_aspect_ratio = info.pixel_aspect
        self._tagged = False

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        picture = self.chosen(composed)
        if self._copy:
            picture = copy_picture(picture, self._pixel_format)
        if self._pad:
            picture = pad_to_even(picture)
        # A type kept from the source would force x264 to repeat the source's frame types.
        picture.pict_type = av.video.frame.PictureType.NONE
        if not self._tagged:
            self._tagged = True
            _copy_color_tags(picture, self._writer.video.codec_context)
        picture.pts, picture.time_base = composed.frame.pts, composed.frame.time_base
        self._writer.encode(picture)

    def chosen(self, composed: Composed) -> av.VideoFrame:
        """The picture that is recorded: the one with the markers."""
        return composed.picture

    def write_audio(self, packet: AudioPacket) -> None:
        """See `Sink.write_audio`."""
        self._writer.copy(packet)

    def close(self) -> None:
        """See `Sink.close`."""
        self._writer.close()


def copy_picture(picture: av.VideoFrame, pixel_format: str | None = None) -> av.VideoFrame:
    """The same samples and colour tags in memory that nobody else holds.

    Whoever gives a picture to an encoder or to swscale needs one of its own: both write to fields
    of the picture, swscale while it lets other threads run.

    Args:
        picture: of any format whose samples lie in planes.
        pixel_format: another format of the same samples, differently laid out or named.
    """
    if pixel_format in (None, picture.format.name):
        copy = blank_like(picture, picture.width, picture.height)
        for plane, target in zip(planes(picture), planes(copy), strict=True):
            target.pixels[:] = plane.pixels
        return copy
    copy = av.VideoFrame(picture.width, picture.height, pixel_format)
    # The name of the other format may have said it.
    full_range = picture.format.name.startswith("yuvj")
    copy.color_range = ColorRange.JPEG if full_range else picture.color_range
    copy.colorspace = picture.colorspace
    copy.color_primaries, copy.color_trc = picture.color_primaries, picture.color_trc
    held = {
        component: plane.pixels[..., place]
        for plane in planes(picture)
        for place, component in enumerate(plane.components)
    }
    for target in planes(copy):
        for place, component in enumerate(target.components):
            target.pixels[..., place] = held[component]
    return copy


def _copy_color_tags(picture: av.VideoFrame, context: av.VideoCodecContext) -> None:
    """Say of the video what the source said of its colours; the first picture knows."""
    if picture.colorspace != _RGB:
        context.colorspace = picture.colorspace
    context.color_range = picture.color_range
    context.color_primaries, context.color_trc = picture.color_primaries, picture.color_trc
