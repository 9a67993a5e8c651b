"""Recordings in parts: a new file by time or size, and an end before the disk is full."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from streamer.audio import AudioPacket
from streamer.clock import Clock, MonotonicClock
from streamer.errors import OutputError
from streamer.frame import Frame
from streamer.sinks.base import Composed, Sink, make_folder, reporting_errors
from streamer.sinks.events import WallTime

#: Recording ends when less than this is left on its disk, so that other work can go on.
MIN_FREE_BYTES = 1 << 30
CHECK_INTERVAL_NS = 1_000_000_000


def free_bytes(folder: Path) -> int:
    """What is free on a folder's disk.

    Raises:
        OSError: the folder has gone.
    """
    return shutil.disk_usage(folder).free


class RotatingSink:
    """Writes through one sink after another, each into a file of its own.

    With a limit, ``name.mp4`` becomes ``name-20260131-142530-0001.mp4`` and so on: when the part
    began, in local time, and its number. Parts that are there already are never written over.
    Without a limit there is one part, which is `path` itself. Every part begins with a key frame
    and is complete by itself; each picture is in exactly one of them.

    Players expect a file to begin at 0, so the times of pictures are counted from the first one of
    each part. For events, `restart_times` = False leaves the times as they are.

    Nothing is ever deleted. When the disk runs full, recording ends and what is there stays
    playable.

    Args:
        path: with the suffix that `make` wants.
        make: opens the sink for one part. Sound is not passed on to it: live sources have none.
        max_s: a part ends before the first picture whose time in it is this or more, in s.
        max_bytes: a part ends when its file has reached this size. Containers are written to once
            a second, so a part may be larger by as much.
        min_free_bytes: recording ends when less is left on the disk.
        restart_times: whether the times of each part begin at 0.
        wall: the run's wall time, for the names.
        clock: of the run.
        free: reads what is free on a folder's disk, bytes.

    Raises:
        OutputError: the first part cannot be written, or too little is free.
    """

    def __init__(
        self,
        path: Path | str,
        make: Callable[[Path], Sink],
        *,
        max_s: float | None = None,
        max_bytes: int | None = None,
        min_free_bytes: int = MIN_FREE_BYTES,
        restart_times: bool = True,
        wall: WallTime | None = None,
        clock: Clock | None = None,
        free: Callable[[Path], int] = free_bytes,
    ) -> None:
        self._path = Path(path)
        self._make = make
        self._max_s, self._max_bytes = max_s, max_bytes
        self._min_free_bytes = min_free_bytes
        self._restart_times = restart_times
        self._wall = wall or WallTime.now()
        self._clock = clock or MonotonicClock()
        self._free = free
        #: Files written so far, in order.
        self.parts: list[Path] = []
        self._number = 0
        self._ended: str | None = None
        # Time of the first picture of the part.
        self._start_pts: int | None = None
        make_folder(self._path.parent)
        self._check_space()
        self._sink = self._open()

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        if self._ended is not None:
            raise OutputError(self._ended)
        if self._clock.now_ns() >= self._next_check_ns:
            self._check_space()
        frame = composed.frame
        if self._start_pts is not None and self._is_full(frame, self._start_pts):
            self._sink.close()
            self._sink = self._open()
            self._start_pts = None
        if self._start_pts is None:
            self._start_pts = frame.pts
        if self._restart_times:
            composed = replace(composed, frame=replace(frame, pts=frame.pts - self._start_pts))
        self._sink.write(composed)

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """See `Sink.close`."""
        self._sink.close()

    def _is_full(self, frame: Frame, start_pts: int) -> bool:
        if self._max_s is not None and (frame.pts - start_pts) * frame.time_base >= self._max_s:
            return True
        if self._max_bytes is None:
            return False
        with reporting_errors(self.parts[-1]):
            return self.parts[-1].stat().st_size >= self._max_bytes

    def _check_space(self) -> None:
        """See to it that there is room for the next second, or end the recording."""
        self._next_check_ns = self._clock.now_ns() + CHECK_INTERVAL_NS
        with reporting_errors(self._path):
            free = self._free(self._path.parent)
        if free >= self._min_free_bytes:
            return
        self._ended = (
            f"{self._path}: recording ends, {_mebibytes(free)} are free on its disk and "
            f"{_mebibytes(self._min_free_bytes)} are to be left; what was recorded is kept"
        )
        if self.parts:
            self._sink.close()
        raise OutputError(self._ended)

    def _open(self) -> Sink:
        path = self._path if self._max_s is None and self._max_bytes is None else self._next_name()
        sink = self._make(path)
        self.parts.append(path)
        return sink

    def _next_name(self) -> Path:
        began = self._wall.at(self._clock.now_ns()).strftime("%Y%m%d-%H%M%S")
        while True:
            self._number += 1
            name = f"{self._path.stem}-{began}-{self._number:04d}{self._path.suffix}"
            path = self._path.with_name(name)
            if not path.exists():
                return path


def _mebibytes(count: int) -> str:
    return f"{count / 2**20:.0f} MiB"
