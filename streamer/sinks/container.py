"""A video container that stays playable whatever happens to the process that writes it."""

import logging
from fractions import Fraction
from pathlib import Path

import av

from streamer.errors import OutputError
from streamer.frame import AudioPacket
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
    ".mkv": {"flush_packets": "1"},
}

#: Longest stretch in seconds that a crash can cost: fragments begin at key frames.
KEYFRAME_INTERVAL_S = 1


class ContainerWriter:
    """One encoded video stream, and optionally one copied audio stream, into a file.

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
    ) -> None:
        path = Path(name)
        if path.suffix.lower() not in SUFFIXES:
            raise OutputError(f"{path}: unknown kind of video file; use .mp4 or .mkv")
        self._path = prepare_path(path)
        self._closed = False
        with reporting_errors(path):
            self._container = av.open(
                f"file:{path}", "w", container_options=dict(SUFFIXES[path.suffix.lower()])
            )
            stream = self._container.add_stream(codec, rate=rate, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height = width, height
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = time_base
        stream.time_base = time_base
        stream.gop_size = max(1, round(rate * KEYFRAME_INTERVAL_S))
        self.video = stream
        self.audio = self._add_audio(audio)

    def _add_audio(self, source: av.AudioStream | None) -> av.AudioStream | None:
        if source is None:
            return None
        if source.codec_context.name not in self._container.supported_codecs:
            logger.warning(
                "%s: audio (%s) does not fit into %s and is left out; .mkv takes it",
                self._path,
                source.codec_context.name,
                self._path.suffix,
            )
            return None
        return self._container.add_stream_from_template(source)

    def encode(self, picture: av.VideoFrame | None) -> None:
        """Encode one picture by its pts, or flush with None.

        Raises:
            OutputError: it cannot be written.
        """
        with reporting_errors(self._path):
            self._container.mux(self.video.encode(picture))

    def copy(self, packet: AudioPacket) -> None:
        """Write one packet of the audio source as it is.

        Raises:
            OutputError: it cannot be written.
        """
        if self.audio is None:
            return
        packet.stream = self.audio
        with reporting_errors(self._path):
            self._container.mux_one(packet)

    def close(self) -> None:
        """Flush the encoder and end the file; may be called twice."""
        if self._closed:
            return
        self._closed = True
        try:
            self.encode(None)
        finally:
            with reporting_errors(self._path):
                self._container.close()
