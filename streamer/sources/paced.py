"""A film played as if it were live."""

import threading
from collections.abc import Iterator
from dataclasses import replace

from streamer.clock import Clock, MonotonicClock
from streamer.errors import SourceEndedError, SourceError
from streamer.frame import Frame
from streamer.sources.base import Source, SourceInfo
from streamer.sources.file import FileSource
from streamer.sources.images import ImageSource


class PacedSource:
    """Plays a finite source by its own times, as a `LiveSource`.

    Time begins to run with the first `read`. Each picture is decoded before it is due, so that
    waiting for it is no delay. A reader that comes late gets the newest picture that is due, and
    those it did not come for are counted in `missed`; the numbers and times of what it gets leave
    them out. A machine that decodes more slowly than the film plays sees it played more slowly.

    A film that breaks half-way has come to its end there: unlike a device, it would not be another
    one when it is opened again.

    Args:
        source: closed with this one. It need not be one that can be iterated twice.
        loop: begin again at the end, with times that go on rising. Sources of the kinds that a
            user can name are opened anew for that; others are iterated again.
        clock: what the pictures wait on; None: the machine's.
    """

    def __init__(self, source: Source, *, loop: bool = False, clock: Clock | None = None) -> None:
        frames = None if loop else source.info.frames
        self.info = replace(source.info, live=True, audio=None, frames=frames)
        self.damaged = source.damaged
        self.converted = source.converted
        #: Pictures that nobody came for in time.
        self.missed = 0
        self._source = source
        self._loop = loop
        self._clock = clock or MonotonicClock()
        self._frames = self._play()
        self._ahead: Frame | None = None
        # When a picture with time 0 would be due.
        self._start_ns: int | None = None
        self._period_ns = round(1_000_000_000 / source.info.rate)
        # What was counted by sources that are closed now.
        self._before = (0, 0)
        self._closing = threading.Event()
        self._in_use = threading.Lock()

    def read(self) -> Frame:
        """See `LiveSource.read`. A picture counts as captured at the time that it was due."""
        try:
            with self._in_use:
                return self._read()
        finally:
            if self._closing.is_set():
                self.close()

    def close(self) -> None:
        """See `LiveSource.close`; does not wait for the thread that reads."""
        self._closing.set()
        # Where another thread is reading, it comes by here once it is done.
        if self._in_use.acquire(blocking=False):
            try:
                self._source.close()
            finally:
                self._in_use.release()

    def _read(self) -> Frame:
        frame, self._ahead = self._ahead or self._decode(), None
        if frame is None:
            raise SourceEndedError(f"{self.info.name}: has come to its end")
        now_ns = self._clock.now_ns()
        if self._start_ns is None:
            self._start_ns = now_ns - _time_ns(frame)
        if self._due_ns(frame) > now_ns:
            self._clock.wait_until(self._due_ns(frame), self._closing)
        elif now_ns - self._due_ns(frame) >= self._period_ns:
            frame = self._newest(frame, now_ns)
        # Else the one after it is not due yet, and decoding it would only hold this one up.
        self._check_open()
        return replace(frame, captured_ns=self._due_ns(frame), decoded_ns=self._clock.now_ns())

    def _newest(self, frame: Frame, now_ns: int) -> Frame:
        """Of the frame at hand and those after it, the last that was due by a time."""
        first_ns = self._due_ns(frame)
        while True:
            self._ahead = self._decode()
            if self._ahead is None or self._due_ns(self._ahead) > now_ns:
                break
            frame = self._ahead
            self.missed += 1
        after_ns, skipped_ns = self._clock.now_ns(), self._due_ns(frame) - first_ns
        if 0 < skipped_ns < after_ns - now_ns:
            # Skipping took longer than what was skipped would have: it would never catch up.
            self._start_ns = after_ns - _time_ns(frame)
        return frame

    def _due_ns(self, frame: Frame) -> int:
        return (self._start_ns or 0) + _time_ns(frame)

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise SourceEndedError(f"{self.info.name}: closed")

    def _decode(self) -> Frame | None:
        """The next frame, or None at the end."""
        self._check_open()
        try:
            frame = next(self._frames, None)
        except SourceError as error:
            raise SourceEndedError(str(error)) from error
        self.damaged = self._before[0] + self._source.damaged
        self.converted = self._before[1] + self._source.converted
        return frame

    def _play(self) -> Iterator[Frame]:
        """All frames of all rounds, with rising numbers and times."""
        step = max(1, round(1 / (self.info.rate * self.info.time_base)))
        index, last = 0, None
        while True:
            shift: int | None = None
            for item in self._source:
                if not isinstance(item, Frame):
                    continue
                if shift is None:
                    shift = 0 if last is None else last + step - item.pts
                pts = item.pts + shift
                step = step if last is None else pts - last
                yield replace(item, index=index, pts=pts)
                index, last = index + 1, pts
            if not self._loop or shift is None:
                return
            self._open_again()

    def _open_again(self) -> None:
        """Make the source one that can be iterated once more."""
        info = self._source.info
        matrix, full_range = info.color.matrix, info.color.full_range
        if isinstance(self._source, FileSource):
            again: Source = FileSource(info.name, color_matrix=matrix, full_range=full_range)
        elif isinstance(self._source, ImageSource):
            again = ImageSource(
                info.name, rate=info.rate, color_matrix=matrix, full_range=full_range
            )
        else:
            return
        damaged, converted = self._before
        self._before = (damaged + self._source.damaged, converted + self._source.converted)
        self._source.close()
        self._source = again
        if _kind(again.info) != _kind(info):
            raise SourceError(f"{info.name}: is no longer the same film")


def _time_ns(frame: Frame) -> int:
    return round(frame.pts * frame.time_base * 1_000_000_000)


def _kind(info: SourceInfo) -> tuple[object, ...]:
    return info.width, info.height, info.pixel_format, info.time_base
