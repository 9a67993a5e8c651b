"""A video container that stays playable whatever happens to the process that writes it."""

import logging
import math
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.bitstream import BitStreamFilterContext
from av.video.frame import PictureType

from streamer.audio import AudioPacket
from streamer.errors import OutputError
from streamer.sinks.base import prepare_path, reporting_errors

logger = logging.getLogger(__name__)

#: Container options by file suffix. Fragmented MP4 needs no index at the end of the file;
#: Matroska never does.
SUFFIXES = {
    ".mp4": {
        "movflags": "frag_keyframe+delay_moov+default_base_moof",
        # Edit lists are counted in this unit; the default of 1/1000 s would shift the times.
        "movie_timescale": "90000",
        "flush_packets": "1",
    },
    # A cluster is written when it is complete, after this many ms at the latest.
    ".mkv": {"flush_packets": "1", "cluster_time_limit": "1000"},
}

#: Longest stretch in seconds that a crash can cost: fragments begin at key frames.
KEYFRAME_INTERVAL_S = 1


_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1", 8: "7.1"}


class ContainerWriter:
    """One encoded video stream, and optionally one copied audio stream, into a file.

    Args:
        began: when the first picture was taken, for the file's ``creation_time``; None leaves it
            out.

    Raises:
        OutputError: unknown suffix, or the file cannot be written.
    """

    def __init__(
        self,
        name: Path | str,
        *,
        codec: str,
        options: dict[str, str],
        width: int,
        height: int,
        pixel_format: str,
        rate: Fraction,
        time_base: Fraction,
        audio: av.AudioStream | None = None,
        began: datetime | None = None,
    ) -> None:
        path = Path(name)
        if path.suffix.lower() not in SUFFIXES:
            raise OutputError(f"{path}: unknown kind of video file; use .mp4 or .mkv")
        self._path = prepare_path(path)
        self._closed = False
        with reporting_errors(path):
            # FFmpeg opens it with the first packet; a path that cannot be written is known now.
            path.open("ab").close()
            self._container = av.open(
                f"file:{path}", "w", container_options=dict(SUFFIXES[path.suffix.lower()])
            )
            if began is not None:
                self._container.metadata["creation_time"] = began.astimezone(UTC).isoformat()
            stream = self._container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = width, height
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        stream.time_base = time_base
        self._key_interval = KEYFRAME_INTERVAL_S / time_base
        self._next_key_pts: Fraction | float = -math.inf
        self._reframe: BitStreamFilterContext | None = None
        self.video = stream
        self.audio = self._add_audio(audio)

    def _add_audio(self, source: av.AudioStream | None) -> av.AudioStream | None:
        if source is None:
            return None
        codec, layout = source.codec_context.name, source.codec_context.layout
        # Some containers tell only the number of channels, which MP4 does not take as it is.
        unnamed = layout.name == f"{layout.nb_channels} channels"
        name = _LAYOUTS.get(layout.nb_channels) if unnamed else layout.name
        if codec not in self._container.supported_codecs or name is None:
            hint = "; .mkv takes more kinds" if self._path.suffix.lower() == ".mp4" else ""
            logger.warning(
                "%s: audio (%s, %s) does not fit and is left out%s",
                self._path,
                codec,
                layout.name,
                hint,
            )
            return None
        stream = self._container.add_stream_from_template(source)
        if unnamed:
            stream.codec_context.layout = name
        if codec == "aac" and not source.codec_context.extradata:
            # As broadcast streams frame it. The muxers would convert it, but not with delay_moov.
            self._reframe = BitStreamFilterContext("aac_adtstoasc", source)
        return stream

    def encode(self, picture: av.VideoFrame | None) -> None:
        """Encode one picture by its pts, or flush with None.

        Raises:
            OutputError: it cannot be written.
        """
        # By time, not by number: the rate that a source claims may be far from its true one.
        pts = picture.pts if picture is not None else None
        if picture is not None and pts is not None and pts >= self._next_key_pts:
            picture.pict_type = PictureType.I
            self._next_key_pts = pts + self._key_interval
        with reporting_errors(self._path):
            self._container.mux(self._encoded(picture))

    def _encoded(self, picture: av.VideoFrame | None) -> "list[av.Packet[av.VideoStream]]":
        try:
            # Opens the encoder with the first picture, for one on a GPU says which GPU it is.
            return self.video.encode(picture)
        except av.FFmpegError as error:
            if self.has_begun:
                raise
            raise OutputError(
                f"{self._path}: cannot be written "
                "(the encoder refuses the size of the pictures or its settings)"
            ) from error

    @property
    def has_begun(self) -> bool:
        """Whether the encoder has been opened, which it is with the first picture."""
        return self.video.codec_context.is_open

    def copy(self, packet: AudioPacket) -> None:
        """Write one packet of the audio source as it is.

        Raises:
            OutputError: it cannot be written.
        """
        if self.audio is None:
            return
        with reporting_errors(self._path):
            for part in self._reframed(packet):
                part.stream = self.audio
                self._container.mux_one(part)

    def _reframed(self, packet: AudioPacket) -> Iterable[AudioPacket]:
        if self._reframe is None:
            return [packet]
        try:
            return cast(list[AudioPacket], self._reframe.filter(packet))
        except av.FFmpegError:
            return []  # damaged

    def close(self) -> None:
        """Flush the encoder and end the file; may be called twice."""
        if self._closed:
            return
        self._closed = True
        if not self.has_begun:
            return  # not one picture came
        try:
            self.encode(None)
        finally:
            with reporting_errors(self._path):
                self._container.close()
        if self._path.suffix.lower() == ".mp4":
            self._check_end()

    def _check_end(self) -> None:
        """FFmpeg forgets errors of the last fragment; if all went well, an index ends the file."""
        with reporting_errors(self._path), self._path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 12))
            end = file.read(4)
        if end != b"mfro":
            raise OutputError(f"{self._path}: its end cannot be written; is there no space left?")
