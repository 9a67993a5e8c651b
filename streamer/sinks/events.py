"""Findings as JSON lines, in live mode with wall time and the states of the run."""

import json
import logging
import threading
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from time import monotonic_ns, time_ns
from typing import Any

from streamer.audio import AudioPacket
from streamer.errors import OutputError
from streamer.frame import Frame, View
from streamer.live.state import StateChange
from streamer.sinks.base import Composed, prepare_path, reporting_errors
from streamer.temporal.detections import Detection, DetectionLog

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class WallTime:
    """Wall time that never jumps: the wall clock is read once, then the monotonic clock goes on.

    All that a run puts on record uses the same one, so that its times can be compared.

    Attributes:
        start_ns: wall clock at the start, ns since 1970 UTC.
        start_monotonic_ns: monotonic clock at that moment.
    """

    start_ns: int
    start_monotonic_ns: int

    @classmethod
    def now(cls) -> "WallTime":
        """Begin with this machine's clocks."""
        return cls(time_ns(), monotonic_ns())

    def at(self, at_ns: int) -> datetime:
        """The local date and time, with its zone, at a reading of the monotonic clock."""
        since_ns = at_ns - self.start_monotonic_ns
        return datetime.fromtimestamp((self.start_ns + since_ns) / 1e9).astimezone()

    def iso(self, at_ns: int) -> str:
        """The same as ISO 8601 text to the millisecond."""
        return self.at(at_ns).isoformat(timespec="milliseconds")


class EventSink:
    """One line per frame: index, pts, time and the objects seen; each line is flushed.

    Where masks are steadied, a line of type ``detection`` comes with the first frame of an event
    (`phase` ``start``) and after its last one (``end``, within a second, or when the run ends).

    A line of type ``out_of_view`` comes before the first frame that looks unlike the pictures of
    the training (`phase` ``start``) and before the next that does not (``end``).

    With a wall time, as in live mode, a frame's line also says `wall_time` (when it was captured),
    `state` and `mask_age_ms`, and a line of type ``state`` comes before the first frame and
    wherever the state changes.

    A line of type ``view`` comes before the first frame of which another part of the picture is
    analysed: x, y, width and height in px, or null for all of it, which is not said at the start.

    Args:
        path: of the file.
        wall: the run's wall time; None leaves the lines as file mode has them.
    """

    #: Pictures are not looked at.
    takes_gpu_pictures = True

    def __init__(self, path: Path | str, *, wall: WallTime | None = None) -> None:
        self._path = prepare_path(path)
        self._wall = wall
        self._lock = threading.Lock()
        self._state: str | None = None
        self._told = False
        self._detections = DetectionLog()
        self._latest: Frame | None = None
        self._view: View | None = None
        self._out_of_view = False
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
            "out_of_view": composed.out_of_view,
            "objects": [asdict(region) for region in composed.objects],
        }
        with self._lock:
            if self._wall is not None:
                age_ms = composed.mask_age_ms
                event["wall_time"] = self._wall.iso(frame.captured_ns)
                event["state"] = composed.state
                event["mask_age_ms"] = None if age_ms is None else round(age_ms, 3)
                if not self._told and composed.state != self._state:
                    self._put_state(composed.state, frame.captured_ns)
            if composed.view != self._view:
                self._put_view(composed.view, frame)
            if composed.out_of_view != self._out_of_view:
                self._put_out_of_view(composed.out_of_view, frame)
            self._put(event)
            self._latest = frame
            for detection in self._detections.add(frame.time_s, composed.objects):
                self._put_detection(detection, frame)

    def _put_view(self, view: View | None, frame: Frame) -> None:
        self._view = view
        event: dict[str, Any] = {"type": "view", "time_s": round(frame.time_s, 6)}
        if self._wall is not None:
            event["wall_time"] = self._wall.iso(frame.captured_ns)
        event["view"] = None if view is None else [view.x, view.y, view.width, view.height]
        self._put(event)

    def _put_out_of_view(self, begins: bool, frame: Frame) -> None:
        self._out_of_view = begins
        event: dict[str, Any] = {"type": "out_of_view", "phase": "start" if begins else "end"}
        event["time_s"] = round(frame.time_s, 6)
        if self._wall is not None:
            event["wall_time"] = self._wall.iso(frame.captured_ns)
        self._put(event)

    def _put_detection(self, detection: Detection, latest: Frame) -> None:
        """Put an event on record; `latest` is the newest frame, by which its wall time is known."""
        over = detection.end_s is not None
        event: dict[str, Any] = {"type": "detection", "phase": "end" if over else "start"}
        for name, value in asdict(detection).items():
            event[name] = round(value, 4) if isinstance(value, float) else value
        if self._wall is not None:
            at_s = detection.start_s if detection.end_s is None else detection.end_s
            since_ns = round((latest.time_s - at_s) * 1e9)
            event["wall_time"] = self._wall.iso(latest.captured_ns - since_ns)
        self._put(event)

    def write_state(self, change: StateChange) -> None:
        """Put a change of state on record at once, with its reason; from any thread.

        Frames tell the state too, but none comes while the source is lost. From the first call on
        only these calls make lines of type ``state``. They work after `close` too, since a run's
        last change comes when its outputs are finished. What cannot be written is logged: the
        next frame's line will fail as well, and that ends this output. Without a wall time they do
        nothing.
        """
        if self._wall is None:
            return
        with self._lock:
            self._told = True
            try:
                ended = self._file.closed
                if ended:
                    with reporting_errors(self._path):
                        self._file = self._path.open("a", encoding="utf-8", buffering=1)
                self._put_state(str(change.state), change.at_ns, change.reason)
                if ended:
                    self._file.close()
            except OutputError as error:
                logger.error("events: %s", error)

    def _put_state(self, state: str, at_ns: int, reason: str | None = None) -> None:
        assert self._wall is not None
        event = {"type": "state", "wall_time": self._wall.iso(at_ns), "state": state}
        event |= {"previous": self._state} if self._state not in (None, state) else {}
        event |= {"reason": reason} if reason else {}
        self._state = state
        self._put(event)

    def _put(self, event: dict[str, Any]) -> None:
        with reporting_errors(self._path):
            self._file.write(json.dumps(event) + "\n")

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """See `Sink.close`."""
        with reporting_errors(self._path), self._lock:
            if self._latest is not None and not self._file.closed:
                for detection in self._detections.finish():
                    self._put_detection(detection, self._latest)
            self._file.close()
