"""Pictures as a video file: H.264, or FFV1 where every bit counts."""

import logging
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path

import av
from av.video.reformatter import ColorRange

from streamer.audio import AudioPacket
from streamer.cores import usable_cores
from streamer.errors import OutputError
from streamer.planes import ON_GPU, copy_picture, on_host, pad_to_even, planes
from streamer.sinks.base import Composed, refuse_source
from streamer.sinks.container import ContainerWriter
from streamer.sinks.encoder import X264, EncoderChoice
from streamer.sinks.nvenc import CODEC, nvenc_options
from streamer.sources.base import SourceInfo

logger = logging.getLogger(__name__)

#: FFmpeg's colour space of RGB; some decoders leave it on gray pictures.
_RGB = 0

#: Every picture a key frame, with checksums. FFV1 chooses slices that fit the size.
_EXACT_OPTIONS = {"g": "1", "level": "3", "slicecrc": "1"}
#: Formats that FFV1 does not take, and those of the same samples that it does.
_SAME_SAMPLES = {"nv12": "yuv420p", **{f"yuvj{n}p": f"yuv{n}p" for n in (420, 422, 444)}}


@dataclass(frozen=True, slots=True)
class _Coding:
    """An encoder, its options, the format it is given, and whether sides are made even for it."""

    codec: str
    options: dict[str, str]
    pixel_format: str
    pad: bool = False


class VideoSink:
    """Encodes pictures in the source's own pixel format and time base, audio copied along.

    Args:
        path: ``.mp4`` or ``.mkv``.
        info: the source whose pictures come.
        preset: x264's; faster ones make larger files.
        quality: x264's constant rate factor, 0 (lossless) … 51, or NVENC's quantiser.
        exact: FFV1 in a ``.mkv`` file instead of H.264: every sample keeps its value.
        encoder: of H.264, see `choose_encoder`. NVENC takes pictures on the GPU as they are.
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
        encoder: EncoderChoice = X264,
        began: datetime | None = None,
    ) -> None:
        refuse_source(path, info)
        if exact and Path(path).suffix.lower() != ".mkv":
            raise OutputError(f"{path}: exact recordings need a .mkv file")
        self._info = info
        self._coding = _ffv1(info) if exact else _x264(info, preset, quality)
        # What takes over should the first picture not be encoded.
        self._spare: _Coding | None = None
        if encoder.name == "NVENC" and not exact:
            self._spare = self._coding if encoder.replaceable else None
            self._coding = _nvenc(info, quality)
        self._open = partial(_writer, path, info, began)
        self._writer = self._open(self._coding)

    @property
    def takes_gpu_pictures(self) -> bool:
        """See `Sink`."""
        return self._coding.pixel_format == ON_GPU

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        spare, self._spare = self._spare, None
        try:
            self._encode(composed)
        except OutputError as error:
            if spare is None or self._writer.has_begun:
                raise
            # Consumer cards have few sessions, and others may have taken them meanwhile.
            logger.warning("%s; x264 takes over from NVENC", error)
            with suppress(OutputError):
                self._writer.close()
        else:
            return
        self._coding, self._writer = spare, self._open(spare)
        self._encode(composed)

    def _encode(self, composed: Composed) -> None:
        picture = self._prepared(self.chosen(composed))
        # A type kept from the source would force the encoder to repeat the source's frame types.
        picture.pict_type = av.video.frame.PictureType.NONE
        if not self._writer.has_begun:
            _copy_color_tags(picture, self._writer.video.codec_context)
        picture.pts, picture.time_base = composed.frame.pts, composed.frame.time_base
        self._writer.encode(picture)

    def _prepared(self, picture: av.VideoFrame) -> av.VideoFrame:
        """The picture as the encoder takes it."""
        pixel_format = self._coding.pixel_format
        if pixel_format == ON_GPU:
            return picture
        picture = on_host(picture)
        # In live mode other threads hold the same pictures, and encoding writes to their fields.
        if self._info.live or pixel_format != self._info.pixel_format:
            picture = laid_out(picture, pixel_format)
        return pad_to_even(picture) if self._coding.pad else picture

    def chosen(self, composed: Composed) -> av.VideoFrame:
        """The picture that is recorded: the one with the markers."""
        return composed.picture

    def write_audio(self, packet: AudioPacket) -> None:
        """See `Sink.write_audio`."""
        self._writer.copy(packet)

    def close(self) -> None:
        """See `Sink.close`."""
        self._writer.close()


def _ffv1(info: SourceInfo) -> _Coding:
    pixel_format = _SAME_SAMPLES.get(info.pixel_format, info.pixel_format)
    return _Coding("ffv1", _EXACT_OPTIONS, pixel_format)


def _x264(info: SourceInfo, preset: str, quality: int) -> _Coding:
    options = {"preset": preset, "crf": str(quality), "bf": "0"}
    pad = info.pixel_format != "gray" and "444" not in info.pixel_format
    return _Coding("libx264", options, info.pixel_format, pad)


def _nvenc(info: SourceInfo, quality: int) -> _Coding:
    # NVDEC leaves its pictures on the GPU.
    pixel_format = ON_GPU if info.decoder == "NVDEC" else info.pixel_format
    return _Coding(CODEC, nvenc_options(quality), pixel_format)


def _writer(
    path: Path | str, info: SourceInfo, began: datetime | None, coding: _Coding
) -> ContainerWriter:
    writer = ContainerWriter(
        path,
        codec=coding.codec,
        options=coding.options,
        width=info.width + (info.width % 2 if coding.pad else 0),
        height=info.height + (info.height % 2 if coding.pad else 0),
        pixel_format=coding.pixel_format,
        rate=info.rate,
        time_base=info.time_base,
        audio=info.audio,
        began=began,
    )
    # The network needs the cores; sliced threads of x264 would only fight it for them.
    writer.video.thread_count = max(1, usable_cores() // 2)
    if info.pixel_aspect:
        writer.video.codec_context.sample_aspect_ratio = info.pixel_aspect
    return writer


def laid_out(picture: av.VideoFrame, pixel_format: str) -> av.VideoFrame:
    """A copy with the same samples and colour tags; see `copy_picture`.

    Args:
        picture: of any format whose samples lie in planes.
        pixel_format: a format of the same samples, perhaps differently laid out or named.
    """
    if pixel_format == picture.format.name:
        return copy_picture(picture)
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
