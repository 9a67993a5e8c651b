"""What is counted and timed in a live run, in constant memory, by all threads."""

import threading
from collections import Counter, deque
from time import process_time
from typing import Any

import psutil

from streamer.latency import Histogram

#: Stages of every run; each output adds one, ``sink:`` and its name, from captured to written.
STAGES = (
    "decode",
    "queue",
    "look",
    "move",
    "draw",
    "video_delay",
    "ai_wait",
    "convert",
    "segment",
    "steady",
    "annotation_delay",
    "mask_age",
)
#: Stages whose median is kept minute by minute.
SERIES = ("video_delay", "annotation_delay")
RATE_WINDOW_NS = 3_000_000_000
MINUTE_NS = 60_000_000_000
#: When so many minutes are on record, every second one of them is given up.
MAX_MINUTES = 2880


class _Histogram(Histogram):
    """A histogram that can be handed out while it goes on being filled."""

    def copy(self) -> Histogram:
        copied = _Histogram()
        copied._counts = self._counts.copy()
        copied.count, copied.max_ms = self.count, self.max_ms
        return copied


class Record:
    """All methods may be called from any thread.

    Args:
        now_ns: when the run begins.
        outputs: names of the outputs.
    """

    def __init__(self, now_ns: int, outputs: list[str]) -> None:
        self._lock = threading.Lock()
        self._process = psutil.Process()
        self._start_ns = self._last_ns = now_ns
        self._end_ns: int | None = None
        self._cpu_s = 0.0
        self._start_cpu_s = process_time()
        self._frames_in = 0
        self._frames_out = 0
        self._with_objects = 0
        self._detections = 0
        self._out_of_view = 0
        self._dropped: Counter[str] = Counter()
        self._ai_dropped: Counter[str] = Counter()
        self._masks = 0
        self._masks_shown = 0
        self._handed: deque[int] = deque()
        stages = (*STAGES, *(f"sink:{name}" for name in outputs))
        self._histograms = {stage: _Histogram() for stage in stages}
        self._minutes: list[dict[str, float]] = []
        self._begin_minute()

    def _begin_minute(self) -> None:
        self._minute_frames = 0
        self._minute = {stage: Histogram() for stage in SERIES}

    def add(self, stage: str, duration_ns: int) -> None:
        """Count one duration of a stage."""
        with self._lock:
            self._add(stage, duration_ns)

    def _add(self, stage: str, duration_ns: int) -> None:
        self._histograms[stage].add_ns(duration_ns)
        if stage in self._minute:
            self._minute[stage].add_ns(duration_ns)

    def read(self) -> None:
        """A picture came from the source."""
        with self._lock:
            self._frames_in += 1

    def drop(self, cause: str, count: int = 1) -> None:
        """Pictures will not be shown."""
        with self._lock:
            if count:
                self._dropped[cause] += count

    def hand_on(
        self,
        now_ns: int,
        captured_ns: int,
        *,
        objects: bool,
        detections: int = 0,
        out_of_view: bool = False,
    ) -> int:
        """A picture was handed to the outputs.

        Args:
            objects: whether something confirmed was outlined.
            detections: events that began with it.
            out_of_view: whether it looks unlike the pictures of the training.

        Returns:
            Pictures handed on so far.
        """
        with self._lock:
            self._frames_out += 1
            self._minute_frames += 1
            self._with_objects += objects
            self._detections += detections
            self._out_of_view += out_of_view
            self._add("video_delay", now_ns - captured_ns)
            self._handed.append(now_ns)
            self._forget_handed(now_ns)
            return self._frames_out

    def _forget_handed(self, now_ns: int) -> None:
        while self._handed and self._handed[0] <= now_ns - RATE_WINDOW_NS:
            self._handed.popleft()

    def ai_drop(self, cause: str, count: int = 1) -> None:
        """No mask will come of pictures."""
        with self._lock:
            if count:
                self._ai_dropped[cause] += count

    def mask_made(self) -> int:
        """The network has answered.

        Returns:
            Masks before this one.
        """
        with self._lock:
            self._masks += 1
            return self._masks - 1

    def mask_shown(self, delay_ns: int) -> None:
        """A mask was shown for the first time, so long after its picture was captured."""
        with self._lock:
            self._masks_shown += 1
            self._add("annotation_delay", delay_ns)

    def tick(self, now_ns: int) -> None:
        """Close the minute, if it is over."""
        if now_ns - self._last_ns >= MINUTE_NS:
            self._end_minute(now_ns)

    def end(self, now_ns: int) -> None:
        """The run is over; its last minute is a shorter one."""
        self._end_minute(now_ns)
        with self._lock:
            self._end_ns = now_ns
            self._cpu_s = process_time() - self._start_cpu_s

    def _end_minute(self, now_ns: int) -> None:
        memory_mib = self._process.memory_info().rss / 2**20
        with self._lock:
            entry = {
                "until_s": round((now_ns - self._start_ns) / 1e9, 1),
                "frames": float(self._minute_frames),
                "rss_mib": round(memory_mib, 2),
            }
            for stage, histogram in self._minute.items():
                if histogram.count:
                    entry[f"{stage}_ms"] = round(histogram.percentile_ms(50), 3)
            self._minutes.append(entry)
            if len(self._minutes) > MAX_MINUTES:
                del self._minutes[1::2]
            self._last_ns = now_ns
            self._begin_minute()

    def view(self, now_ns: int) -> dict[str, Any]:
        """The fields of `LiveSnapshot` that are kept here."""
        with self._lock:
            cpu_s = self._cpu_s if self._end_ns else process_time() - self._start_cpu_s
            now_ns = self._end_ns or now_ns
            self._forget_handed(now_ns)
            window_ns = min(RATE_WINDOW_NS, now_ns - self._start_ns)
            unshown = self._masks - self._masks_shown
            return {
                "frames_in": self._frames_in,
                "frames_out": self._frames_out,
                "dropped": dict(self._dropped),
                "ai_dropped": dict(self._ai_dropped) | ({"unshown": unshown} if unshown else {}),
                "masks_shown": self._masks_shown,
                "frames_with_objects": self._with_objects,
                "frames_out_of_view": self._out_of_view,
                "detections": self._detections,
                "rate": len(self._handed) * 1e9 / window_ns if window_ns > 0 else 0.0,
                "histograms": {name: each.copy() for name, each in self._histograms.items()},
                "per_minute": [dict(entry) for entry in self._minutes],
                "wall_s": (now_ns - self._start_ns) / 1e9,
                "cpu_s": cpu_s,
            }
