"""A film played as if it were live."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from streamer.clock import MonotonicClock
from streamer.errors import SourceEndedError, SourceError
from streamer.frame import Frame
from streamer.settings import Settings
from streamer.sources import FileSource, ImageSource, SourceInfo, open_live
from streamer.sources.paced import PacedSource

#: Far more than any step takes; only a deadlock meets it.
PATIENCE_S = 60.0
MS = 10**6
START_NS = 5 * 10**12
STEP_MS = 40

Film = Callable[..., Path]
MakeFrame = Callable[..., Frame]
MakeInfo = Callable[..., SourceInfo]


class FakeClock:
    """Waiting takes no time but moves the clock on."""

    def __init__(self) -> None:
        self.ns = START_NS
        self.waits = 0

    def now_ns(self) -> int:
        return self.ns

    def wait_until(self, due_ns: int, cancelled: threading.Event) -> bool:
        self.waits += 1
        if not cancelled.is_set():
            self.ns = max(self.ns, due_ns)
        return cancelled.is_set()

    def advance(self, ms: float) -> None:
        self.ns += round(ms * MS)


class Reel:
    """A finite source of frames; decoding one takes so long."""

    def __init__(
        self,
        info: SourceInfo,
        frames: list[Any],
        *,
        clock: FakeClock | None = None,
        decode_ms: float = 0.0,
        error: Exception | None = None,
    ) -> None:
        self.info = info
        self.damaged = 0
        self.converted = 0
        self.closed = 0
        self._frames = frames
        self._clock = clock
        self._decode_ms = decode_ms
        self._error = error

    def __iter__(self) -> Iterator[Any]:
        for frame in self._frames:
            if self._clock is not None:
                self._clock.advance(self._decode_ms)
            self.damaged += 1
            yield frame
        # Found damaged after the last picture.
        self.damaged += 1
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def frames(make_frame: MakeFrame) -> list[Frame]:
    """Ten pictures 40 ms apart, the first at 1 s."""
    return [make_frame(index, 1000 + STEP_MS * index) for index in range(10)]


@pytest.fixture
def reel(make_info: MakeInfo, frames: list[Frame], clock: FakeClock) -> Callable[..., Reel]:
    def make(**options: Any) -> Reel:
        info = make_info(frames=10)
        return Reel(info, options.pop("frames", frames), clock=clock, **options)

    return make


def read(source: PacedSource, count: int) -> list[Frame]:
    return [source.read() for _ in range(count)]


def read_all(source: PacedSource) -> list[Frame]:
    found = []
    while True:
        try:
            found.append(source.read())
        except SourceEndedError:
            return found


class TestPace:
    def test_pictures_come_when_they_are_due(
        self, reel: Callable[..., Reel], clock: FakeClock
    ) -> None:
        source = PacedSource(reel(), clock=clock)
        clock.advance(700)  # time begins to run with the first reading

        begun_ns = clock.ns
        found, read_ns = [], []
        for _ in range(10):
            found.append(source.read())
            read_ns.append(clock.ns)

        assert read_ns == [begun_ns + STEP_MS * MS * index for index in range(10)]
        assert [frame.captured_ns for frame in found] == read_ns
        assert [frame.decoded_ns for frame in found] == read_ns
        assert [frame.pts for frame in found] == [1000 + STEP_MS * index for index in range(10)]
        assert source.missed == 0

    def test_decoding_is_done_before_a_picture_is_due(
        self, reel: Callable[..., Reel], clock: FakeClock
    ) -> None:
        source = PacedSource(reel(decode_ms=30), clock=clock)
        delays = [frame.decoded_ns - frame.captured_ns for frame in read_all(source)]

        assert delays == [0] * 10

    def test_late_reader_gets_the_newest(
        self, reel: Callable[..., Reel], clock: FakeClock, frames: list[Frame]
    ) -> None:
        source = PacedSource(reel(), clock=clock)
        source.read()
        clock.advance(3 * STEP_MS + 10)
        late = source.read()

        assert late.picture is frames[3].picture
        assert late.decoded_ns - late.captured_ns == 10 * MS
        assert source.missed == 2
        # From then on at the film's pace again.
        assert source.read().picture is frames[4].picture
        assert clock.ns == START_NS + 4 * STEP_MS * MS

    def test_very_late_reader_gets_the_last(
        self, reel: Callable[..., Reel], clock: FakeClock, frames: list[Frame]
    ) -> None:
        source = PacedSource(reel(), clock=clock)
        source.read()
        clock.advance(10_000)

        assert source.read().picture is frames[9].picture
        assert source.missed == 8
        with pytest.raises(SourceEndedError):
            source.read()

    def test_film_that_is_too_much_for_the_machine_is_played_more_slowly(
        self, make_info: MakeInfo, make_frame: MakeFrame, clock: FakeClock
    ) -> None:
        film = [make_frame(0, STEP_MS * index) for index in range(200)]
        source = PacedSource(Reel(make_info(), film, clock=clock, decode_ms=100), clock=clock)
        found = read_all(source)
        delays_ms = [(frame.decoded_ns - frame.captured_ns) / MS for frame in found]

        # It neither falls behind for good nor skips everything in order to catch up.
        assert max(delays_ms) <= 300
        assert len(found) >= 60
        assert all(b.captured_ns > a.captured_ns for a, b in pairwise(found))

    def test_what_is_no_picture_is_left_out(
        self, reel: Callable[..., Reel], clock: FakeClock, frames: list[Frame]
    ) -> None:
        mixed = [av.Packet(b"sound"), frames[0], av.Packet(b"sound"), frames[1]]
        source = PacedSource(reel(frames=mixed), clock=clock)

        assert [frame.picture for frame in read_all(source)] == [
            frames[0].picture,
            frames[1].picture,
        ]

    def test_what_is_known_of_it(self, reel: Callable[..., Reel]) -> None:
        film = reel()

        assert PacedSource(film).info == replace(film.info, live=True)
        assert PacedSource(film, loop=True).info.frames is None


class TestEnd:
    def test_end(self, reel: Callable[..., Reel], clock: FakeClock) -> None:
        source = PacedSource(reel(), clock=clock)

        assert len(read_all(source)) == 10
        for _ in range(2):
            with pytest.raises(SourceEndedError, match="has come to its end"):
                source.read()

    def test_film_that_breaks_has_ended(self, reel: Callable[..., Reel], clock: FakeClock) -> None:
        # Were it lost, it would be opened again and again, each time from its beginning.
        source = PacedSource(reel(error=SourceError("made up: torn")), clock=clock)
        for _ in range(10):
            source.read()

        with pytest.raises(SourceEndedError, match="made up: torn"):
            source.read()

    def test_closed(self, reel: Callable[..., Reel], clock: FakeClock) -> None:
        film = reel()
        source = PacedSource(film, clock=clock)
        source.read()
        source.close()
        source.close()

        assert film.closed >= 1
        with pytest.raises(SourceEndedError, match="closed"):
            source.read()

    def test_closing_wakes_a_reader(self, reel: Callable[..., Reel], make_frame: MakeFrame) -> None:
        film = reel(frames=[make_frame(0, 0), make_frame(1, 10**9)])
        source = PacedSource(film, clock=MonotonicClock())
        source.read()
        outcome: list[Exception] = []
        begun = threading.Event()

        def read() -> None:
            begun.set()
            try:
                source.read()
            except SourceEndedError as error:
                outcome.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        assert begun.wait(PATIENCE_S)
        source.close()
        reader.join(PATIENCE_S)

        assert not reader.is_alive()
        assert len(outcome) == 1
        assert film.closed >= 1

    def test_film_is_not_closed_while_it_is_decoded(
        self, reel: Callable[..., Reel], frames: list[Frame], clock: FakeClock
    ) -> None:
        # FFmpeg's containers must not be closed under the thread that reads them.
        decoding, go_on = threading.Event(), threading.Event()

        class Slow(Reel):
            def __iter__(self) -> Iterator[Any]:
                yield frames[0]
                decoding.set()
                assert go_on.wait(PATIENCE_S)
                seen.append(self.closed)
                yield frames[1]

        seen: list[int] = []
        film = Slow(reel().info, frames)
        source = PacedSource(film, clock=clock)
        source.read()
        reader = threading.Thread(target=lambda: read_all(source), daemon=True)
        reader.start()
        assert decoding.wait(PATIENCE_S)
        source.close()  # comes back at once
        go_on.set()
        reader.join(PATIENCE_S)

        assert not reader.is_alive()
        assert seen == [0]
        assert film.closed >= 1


class TestLoop:
    def test_times_and_numbers_go_on_rising(
        self, reel: Callable[..., Reel], clock: FakeClock, frames: list[Frame]
    ) -> None:
        source = PacedSource(reel(), loop=True, clock=clock)
        found = [source.read() for _ in range(25)]

        assert [frame.index for frame in found] == list(range(25))
        assert [frame.pts for frame in found] == [1000 + STEP_MS * index for index in range(25)]
        assert [frame.captured_ns - START_NS for frame in found] == [
            STEP_MS * MS * index for index in range(25)
        ]
        assert [frame.picture for frame in found[10:20]] == [frame.picture for frame in frames]

    def test_damage_adds_up(self, reel: Callable[..., Reel], clock: FakeClock) -> None:
        source = PacedSource(reel(), loop=True, clock=clock)
        for _ in range(15):
            source.read()

        assert source.damaged == 10 + 1 + 5

    @pytest.mark.parametrize("kind", ["file", "folder"])
    def test_film_is_opened_again(
        self, film: Film, tmp_path: Path, clock: FakeClock, kind: str
    ) -> None:
        opened = self._film(film, tmp_path, kind)
        source = PacedSource(opened, loop=True, clock=clock)
        found = [source.read() for _ in range(13)]
        source.close()

        times_s = [frame.time_s for frame in found]
        assert np.diff(times_s) == pytest.approx([1 / 25] * 12)
        first, again = (found[place].picture.to_ndarray(format="rgb24") for place in (1, 6))
        assert np.array_equal(first, again)

    @staticmethod
    def _film(film: Film, folder: Path, kind: str) -> FileSource | ImageSource:
        if kind == "file":
            return FileSource(str(film(folder / "film.mp4", count=5)))
        (folder / "stills").mkdir()
        for number in range(5):
            image = np.full((48, 64, 3), 40 * number + 20, np.uint8)
            assert cv2.imwrite(str(folder / "stills" / f"{number}.png"), image)
        return ImageSource(str(folder / "stills"))

    def test_damage_at_the_end_of_a_round_is_not_forgotten(
        self, film: Film, tmp_path: Path, clock: FakeClock
    ) -> None:
        path = film(tmp_path / "film.ts", count=12, codec="mpeg2video")
        # What comes last is only found to be damaged when all pictures have been given out.
        path.write_bytes(path.read_bytes()[:-40] + b"\x00" * 40)
        plain = FileSource(str(path))
        count = sum(isinstance(item, Frame) for item in plain)
        source = PacedSource(FileSource(str(path)), loop=True, clock=clock)
        for _ in range(3 * count + 1):
            source.read()
        source.close()

        assert source.damaged == 3 * plain.damaged > 0

    def test_other_film_of_the_same_name_ends_it(
        self, film: Film, tmp_path: Path, clock: FakeClock
    ) -> None:
        path = film(tmp_path / "film.mp4", count=5)
        source = PacedSource(FileSource(str(path)), loop=True, clock=clock)
        path.unlink()
        film(path, count=5, size=(48, 32))

        with pytest.raises(SourceEndedError, match="no longer the same film"):
            read(source, 6)
        source.close()

    def test_film_that_has_gone_ends_it(self, film: Film, tmp_path: Path, clock: FakeClock) -> None:
        path = film(tmp_path / "film.mp4", count=5)
        source = PacedSource(FileSource(str(path)), loop=True, clock=clock)
        path.unlink()

        with pytest.raises(SourceEndedError, match="no such file"):
            read(source, 6)


def test_a_user_opens_one(film: Film, tmp_path: Path, clock: FakeClock) -> None:
    path = film(tmp_path / "film.mp4", count=3)
    source = open_live(str(path), settings=Settings(), loop=True, clock=clock)(None)
    found = [source.read() for _ in range(4)]
    source.close()

    assert source.info.live
    assert found[3].captured_ns == START_NS + 3 * STEP_MS * MS
    assert found[3].time_base == source.info.time_base == Fraction(1, 12800)
