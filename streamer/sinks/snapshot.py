"""Single pictures on request: with markers, without, and what was found."""

import json
import logging
from dataclasses import asdict
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.audio import AudioPacket
from streamer.color import ColorDescription
from streamer.errors import OutputError
from streamer.planes import copy_picture
from streamer.rgb import RgbReader
from streamer.sinks.base import Composed, make_folder, reporting_errors
from streamer.sinks.events import WallTime

logger = logging.getLogger(__name__)


class BgrReader:
    """Reads pictures at their own size as OpenCV takes them; one instance belongs to one thread."""

    def __init__(self) -> None:
        self._rgb = RgbReader()

    def read(self, picture: av.VideoFrame, color: ColorDescription) -> NDArray[np.uint8]:
        """The picture as BGR (height, width, 3), full range."""
        # Of its own: swscale writes to fields of the picture that it reads.
        picture = copy_picture(picture)
        rgb = self._rgb.read(picture, color, picture.width, picture.height)
        return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), np.uint8)


class SnapshotSink:
    """Keeps a picture whenever it was asked to, as three files that share a name.

    ``snapshot-20260131-142530-250-overlay.png`` has the markers, ``…-raw.png`` has none, both as
    8-bit RGB; ``….json`` says when it was and what was found. No file is ever written over. What
    cannot be written is logged; the next request is tried again.

    Args:
        folder: made if it is not there.
        wall: the run's wall time.

    Raises:
        OutputError: the folder cannot be made.
    """

    def __init__(self, folder: Path | str, *, wall: WallTime | None = None) -> None:
        self._folder = Path(folder)
        make_folder(self._folder)
        self._wall = wall or WallTime.now()
        self._reader = BgrReader()
        self._wanted = False

    def request(self) -> None:
        """Keep the next picture. From any thread, and from a signal handler: it only sets a flag.

        Requests that come before that picture are one.
        """
        self._wanted = True

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        if not self._wanted:
            return
        # First, so that a request which comes meanwhile is one for the next picture.
        self._wanted = False
        try:
            path = self._keep(composed)
        except OutputError as error:
            logger.error("snapshot: %s", error)
        else:
            logger.info("snapshot: %s", path)

    def _keep(self, composed: Composed) -> Path:
        """Write the three files, the JSON last: where it is, the others are complete."""
        frame = composed.frame
        stem = self._free_stem(frame.captured_ns)
        overlay, raw, told = (
            self._folder / f"{stem}{end}" for end in ("-overlay.png", "-raw.png", ".json")
        )
        for path, picture in ((overlay, composed.picture), (raw, frame.picture)):
            _, png = cv2.imencode(".png", self._reader.read(picture, frame.color))
            _write_new(path, png.tobytes())
        age_ms = composed.mask_age_ms
        content = {
            "wall_time": self._wall.iso(frame.captured_ns),
            "frame": frame.index,
            "pts": frame.pts,
            "time_s": round(frame.time_s, 6),
            "state": composed.state,
            "mask_age_ms": None if age_ms is None else round(age_ms, 3),
            "objects": [asdict(region) for region in composed.objects],
            "width": frame.picture.width,
            "height": frame.picture.height,
            "color": str(frame.color),
            "overlay": overlay.name,
            "raw": raw.name,
        }
        _write_new(told, (json.dumps(content, indent=2) + "\n").encode())
        return told

    def _free_stem(self, captured_ns: int) -> str:
        at = self._wall.at(captured_ns)
        base = f"snapshot-{at:%Y%m%d-%H%M%S}-{at.microsecond // 1000:03d}"
        stem, number = base, 1
        while any(self._folder.glob(f"{stem}[-.]*")):
            number += 1
            stem = f"{base}_{number}"
        return stem

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """Nothing is open."""


def _write_new(path: Path, content: bytes) -> None:
    with reporting_errors(path), path.open("xb") as file:
        file.write(content)
