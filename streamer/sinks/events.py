"""Findings as JSON lines."""

import json
from dataclasses import asdict
from pathlib import Path

from streamer.frame import AudioPacket
from streamer.sinks.base import Composed, prepare_path, reporting_errors


class EventSink:
    """One line per frame: index, pts, time and the objects seen; each line is flushed."""

    def __init__(self, path: Path | str) -> None:
        self._path = prepare_path(path)
        with reporting_errors(self._path):
            # Line-buffered: what was seen before a crash is in the file.
            self._file = self._path.open("w", encoding="utf-8", buffering=1)

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        frame = composed.frame
        event = {
            "type": "frame",
            "frame": frame.index,
            "pts": frame.pts,
            "time_s": round(frame.time_s, 6),
            "objects": [asdict(region) for region in composed.objects],
        }
        with reporting_errors(self._path):
            self._file.write(json.dumps(event) + "\n")

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """See `Sink.close`."""
        with reporting_errors(self._path):
            self._file.close()
