"""Masks at the picture's own size: lossless video, or a folder of PNG."""

from pathlib import Path

import av
import cv2

from streamer.audio import AudioPacket
from streamer.errors import OutputError
from streamer.objects import full_size_mask
from streamer.sinks.base import Composed, Sink, make_folder, refuse_source, reporting_errors
from streamer.sinks.container import ContainerWriter
from streamer.sources.base import SourceInfo


def open_mask_sink(name: Path | str, info: SourceInfo) -> Sink:
    """``.mkv`` makes a video, a path without suffix a folder of PNG.

    Raises:
        OutputError: another suffix, or it cannot be written.
    """
    path = Path(name)
    if path.suffix.lower() == ".mkv":
        return MaskVideoSink(path, info)
    if not path.suffix:
        return MaskFolderSink(path, info)
    raise OutputError(f"{path}: masks go to a .mkv file or to a folder (no suffix)")


class MaskVideoSink:
    """FFV1, 8-bit gray, 0 or 255, with the source's times."""

    #: Of a picture only the size counts.
    takes_gpu_pictures = True

    def __init__(self, path: Path, info: SourceInfo) -> None:
        refuse_source(path, info)
        self._writer = ContainerWriter(
            path,
            codec="ffv1",
            options={"g": "1"},
            width=info.width,
            height=info.height,
            pixel_format="gray",
            rate=info.rate,
            time_base=info.time_base,
        )

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        frame = composed.frame
        mask = full_size_mask(composed.segmentation, frame.picture.width, frame.picture.height)
        picture = av.VideoFrame.from_ndarray(mask, format="gray")
        picture.pts, picture.time_base = frame.pts, frame.time_base
        self._writer.encode(picture)

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """See `Sink.close`."""
        self._writer.close()


class MaskFolderSink:
    """One PNG per frame, named by its index."""

    #: See `MaskVideoSink`.
    takes_gpu_pictures = True

    def __init__(self, path: Path, info: SourceInfo) -> None:
        self._folder = path
        make_folder(path)
        if any(path.glob("[0-9]*.png")):
            raise OutputError(f"{path}: holds masks already; name another folder")

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        frame = composed.frame
        mask = full_size_mask(composed.segmentation, frame.picture.width, frame.picture.height)
        path = self._folder / f"{frame.index:06d}.png"
        _, png = cv2.imencode(".png", mask)
        with reporting_errors(path):
            path.write_bytes(png.tobytes())

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """Nothing is open."""
