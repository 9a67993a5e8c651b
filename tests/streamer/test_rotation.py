"""Recordings in parts: nothing lost between two, each playable by itself, and room left on disk."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamer.audio import AudioPacket
from streamer.errors import OutputError
from streamer.frame import Frame
from streamer.sinks import Composed, EventSink, RotatingSink, VideoSink, WallTime
from streamer.sources import SourceInfo

LIVE = Fraction(1, 90_000)
SECOND_NS = 1_000_000_000
#: Frames that a process writes before it is killed.
KILLED_AFTER = 140

MakeFrame = Callable[..., Frame]
MakeInfo = Callable[..., SourceInfo]


@dataclass
class Clock:
    """Stands still until it is set."""

    ns: int = 0

    def now_ns(self) -> int:
        return self.ns

    def wait_until(self, due_ns: int, cancelled: threading.Event) -> bool:
        raise AssertionError("nobody waits")


class Noted:
    """A sink that keeps what it is given."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frames: list[Composed] = []
        self.closed = False

    def write(self, composed: Composed) -> None:
        assert not self.closed
        self.frames.append(composed)

    def write_audio(self, packet: AudioPacket) -> None:
        raise AssertionError("no sound is passed on")

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made() -> list[Noted]:
    """The sinks that `note` made."""
    return []


@pytest.fixture
def note(made: list[Noted]) -> Callable[[Path], Noted]:
    """Makes a sink for one part."""

    def make(path: Path) -> Noted:
        assert all(sink.closed for sink in made), "the one before is still open"
        path.write_bytes(b"")
        made.append(Noted(path))
        return made[-1]

    return make


@pytest.fixture
def compose(make_frame: MakeFrame) -> Callable[..., Composed]:
    """A frame whose index says what its pixels are; 25 a second, in live units."""

    def make(index: int, pts: int | None = None, **changes: Any) -> Composed:
        pts = 3600 * index if pts is None else pts
        frame = make_frame(index, 123_456 + pts, time_base=LIVE)
        return Composed(replace(frame, **changes), frame.picture, None, [])

    return make


def plenty(folder: Path) -> int:
    return 10**15


def pictures(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def times_s(found: list[av.VideoFrame]) -> list[float]:
    assert all(each.pts is not None and each.time_base is not None for each in found)
    return [float(each.pts * each.time_base) for each in found]  # type: ignore[operator]


class TestParts:
    def test_without_a_limit_it_is_the_file_itself(
        self,
        tmp_path: Path,
        compose: Callable[..., Composed],
        note: Callable[[Path], Noted],
        made: list[Noted],
    ) -> None:
        path = tmp_path / "new" / "name.mp4"
        sink = RotatingSink(path, note, free=plenty)
        for index in range(500):
            sink.write(compose(index, 90_000 * index))
        sink.close()

        assert sink.parts == [path] == list(path.parent.iterdir())
        assert [composed.frame.index for composed in made[0].frames] == list(range(500))
        assert made[0].closed

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_by_time_each_part_plays_by_itself(
        self,
        suffix: str,
        tmp_path: Path,
        compose: Callable[..., Composed],
        make_info: MakeInfo,
    ) -> None:
        info = make_info(time_base=LIVE, live=True)
        frames = [compose(index) for index in range(60)]
        sink = RotatingSink(
            tmp_path / f"rec{suffix}",
            lambda path: VideoSink(path, info, quality=0),
            max_s=1,
            free=plenty,
        )
        for composed in frames:
            sink.write(composed)
        sink.close()
        parts = [pictures(path) for path in sink.parts]

        assert sorted(tmp_path.iterdir()) == sink.parts
        assert [len(part) for part in parts] == [25, 25, 10]
        for part in parts:
            assert part[0].key_frame
            expected = [index / 25 for index in range(len(part))]
            assert times_s(part) == pytest.approx(expected, abs=0.0006)
        found = [each for part in parts for each in part]
        for composed, picture in zip(frames, found, strict=True):
            np.testing.assert_array_equal(
                composed.picture.to_ndarray(), picture.to_ndarray(format="yuv420p")
            )

    def test_by_size(
        self, tmp_path: Path, compose: Callable[..., Composed], make_info: MakeInfo
    ) -> None:
        info = make_info(time_base=LIVE, live=True)
        sink = RotatingSink(
            tmp_path / "rec.mkv", lambda path: VideoSink(path, info), max_bytes=40_000, free=plenty
        )
        for index in range(150):
            sink.write(compose(index))
        sink.close()
        counts = [len(pictures(path)) for path in sink.parts]
        sizes = [path.stat().st_size for path in sink.parts]
        largest = max(size / count for size, count in zip(sizes, counts, strict=True))

        assert sum(counts) == 150
        assert len(counts) > 2
        assert all(size >= 40_000 for size in sizes[:-1])
        # More by a second of pictures at most.
        assert all(size <= 40_000 + 27 * largest for size in sizes)

    def test_a_gap_in_time_ends_a_part(
        self,
        tmp_path: Path,
        compose: Callable[..., Composed],
        note: Callable[[Path], Noted],
        made: list[Noted],
    ) -> None:
        sink = RotatingSink(tmp_path / "rec.mp4", note, max_s=10, free=plenty)
        for index, second in enumerate((0, 1, 9, 900, 901, 909, 910, 911)):
            sink.write(compose(index, 90_000 * second))
        sink.close()

        assert [[c.frame.index for c in each.frames] for each in made] == [
            [0, 1, 2],
            [3, 4, 5],
            [6, 7],
        ]
        assert [[c.frame.pts // 90_000 for c in each.frames] for each in made] == [
            [0, 1, 9],
            [0, 1, 9],
            [0, 1],
        ]
        assert all(sink.closed for sink in made)

    def test_what_the_frames_say_else_is_passed_on(
        self,
        tmp_path: Path,
        compose: Callable[..., Composed],
        note: Callable[[Path], Noted],
        made: list[Noted],
    ) -> None:
        sink = RotatingSink(tmp_path / "rec.mp4", note, max_s=10, free=plenty)
        composed = compose(7, captured_ns=55)
        sink.write(composed)
        (got,) = made[0].frames

        assert replace(got, frame=composed.frame) == composed
        assert replace(got.frame, pts=composed.frame.pts) == composed.frame

    def test_events_keep_their_times(
        self, tmp_path: Path, compose: Callable[..., Composed]
    ) -> None:
        sink = RotatingSink(
            tmp_path / "events.jsonl", EventSink, max_s=1, restart_times=False, free=plenty
        )
        for index in range(60):
            sink.write(compose(index))
        sink.close()
        lines = [json.loads(line) for path in sink.parts for line in path.open()]

        assert len(sink.parts) == 3
        assert [line["pts"] for line in lines] == [123_456 + 3600 * n for n in range(60)]

    def test_sound_is_left_out(self, tmp_path: Path, note: Callable[[Path], Noted]) -> None:
        packet: Any = av.Packet(b"sound")
        RotatingSink(tmp_path / "rec.mp4", note, free=plenty).write_audio(packet)

    def test_a_part_that_cannot_be_opened(
        self, tmp_path: Path, compose: Callable[..., Composed], make_info: MakeInfo
    ) -> None:
        with pytest.raises(OutputError, match=r"use \.mp4 or \.mkv"):
            RotatingSink(tmp_path / "rec.avi", lambda path: VideoSink(path, make_info()))
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(OutputError, match="a folder is needed"):
            RotatingSink(tmp_path / "file" / "rec.mp4", EventSink)


class TestNames:
    WALL = WallTime(int(datetime(2026, 1, 31, 14, 25, 30).timestamp()) * SECOND_NS, 500 * SECOND_NS)

    def names(
        self, folder: Path, note: Callable[[Path], Noted], compose: Callable[..., Composed]
    ) -> list[str]:
        clock = Clock(500 * SECOND_NS)
        sink = RotatingSink(
            folder / "rec.mp4", note, max_s=60, wall=self.WALL, clock=clock, free=plenty
        )
        for minute in range(3):
            clock.ns = (500 + 60 * minute) * SECOND_NS
            sink.write(compose(minute, 60 * 90_000 * minute))
        sink.close()
        return [path.name for path in sink.parts]

    def test_say_when_a_part_began(
        self, tmp_path: Path, note: Callable[[Path], Noted], compose: Callable[..., Composed]
    ) -> None:
        assert self.names(tmp_path, note, compose) == [
            "rec-20260131-142530-0001.mp4",
            "rec-20260131-142630-0002.mp4",
            "rec-20260131-142730-0003.mp4",
        ]

    def test_never_those_of_a_file_that_is_there(
        self, tmp_path: Path, note: Callable[[Path], Noted], compose: Callable[..., Composed]
    ) -> None:
        taken = [tmp_path / f"rec-20260131-14{time}.mp4" for time in ("2530-0001", "2630-0002")]
        for path in taken:
            path.write_bytes(b"somebody's")

        assert self.names(tmp_path, note, compose) == [
            "rec-20260131-142530-0002.mp4",
            "rec-20260131-142630-0003.mp4",
            "rec-20260131-142730-0004.mp4",
        ]
        assert all(path.read_bytes() == b"somebody's" for path in taken)

    def test_default_is_now(self, tmp_path: Path, note: Callable[[Path], Noted]) -> None:
        before = datetime.now().replace(microsecond=0)
        sink = RotatingSink(tmp_path / "rec.mp4", note, max_bytes=10, free=plenty)
        found = re.fullmatch(r"rec-(\d{8}-\d{6})-0001\.mp4", sink.parts[0].name)

        assert found is not None
        assert before <= datetime.strptime(found[1], "%Y%m%d-%H%M%S") <= datetime.now()


class TestSpace:
    def test_recording_ends_while_there_is_room(
        self, tmp_path: Path, compose: Callable[..., Composed], make_info: MakeInfo
    ) -> None:
        clock, left = Clock(), [3_000_000]
        info = make_info(time_base=LIVE, live=True)
        path = tmp_path / "rec.mp4"
        sink = RotatingSink(
            path,
            lambda part: VideoSink(part, info),
            max_s=1,
            min_free_bytes=2_000_000,
            clock=clock,
            free=lambda folder: left[0],
        )
        # It is looked at once a second, so the 40th picture does not know yet.
        for index in range(50):
            clock.ns = 40_000_000 * index
            if index == 40:
                left[0] = 1_999_999
            sink.write(compose(index))
        clock.ns = 2 * SECOND_NS
        with pytest.raises(OutputError) as caught:
            sink.write(compose(50))
        files = sorted(tmp_path.iterdir())
        with pytest.raises(OutputError, match="recording ends"):
            sink.write(compose(999))
        sink.close()

        assert str(caught.value) == (
            f"{path}: recording ends, 2 MiB are free on its disk and 2 MiB are to be left; "
            "what was recorded is kept"
        )
        assert sum(len(pictures(part)) for part in sink.parts) == 50
        assert sorted(tmp_path.iterdir()) == files == sink.parts

    def test_is_looked_at_once_a_second_only(
        self, tmp_path: Path, compose: Callable[..., Composed], note: Callable[[Path], Noted]
    ) -> None:
        clock, asked = Clock(), []

        def free(folder: Path) -> int:
            asked.append((folder, clock.ns))
            return 1 << 60

        sink = RotatingSink(tmp_path / "rec.mp4", note, clock=clock, free=free)
        for index in range(100):
            clock.ns = 100_000_000 * index
            sink.write(compose(index))

        assert [folder for folder, _ in asked] == [tmp_path] * 10
        assert all(later - sooner == SECOND_NS for (_, sooner), (_, later) in pairwise(asked))

    def test_too_little_at_the_start_leaves_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="1024 MiB are to be left"):
            RotatingSink(tmp_path / "rec.mp4", EventSink, free=lambda folder: 5)

        assert list(tmp_path.iterdir()) == []

    def test_disk_that_has_gone(
        self, tmp_path: Path, compose: Callable[..., Composed], note: Callable[[Path], Noted]
    ) -> None:
        clock = Clock()
        folder = tmp_path / "stick"
        sink = RotatingSink(folder / "rec.mp4", note, min_free_bytes=0, clock=clock)
        sink.write(compose(0))
        (folder / "rec.mp4").unlink()
        folder.rmdir()
        clock.ns = 2 * SECOND_NS

        with pytest.raises(OutputError, match=r"rec\.mp4: cannot be written"):
            sink.write(compose(1))


#: Writes so many frames, says so, and waits for its end.
RECORDER = """
import sys
from fractions import Fraction
from pathlib import Path
import av, numpy as np
from streamer.color import ColorDescription
from streamer.frame import Frame
from streamer.sinks import Composed, RawSink, RotatingSink
from streamer.sources import SourceInfo

color, unit = ColorDescription("bt601", False, False), Fraction(1, 90_000)
info = SourceInfo(
    "made up", 64, 48, "yuv420p", Fraction(25), unit, color, None, None, live=True
)
sink = RotatingSink(
    Path(sys.argv[1]), lambda path: RawSink(path, info), max_s=2, min_free_bytes=0
)
for index in range(int(sys.argv[2])):
    pixels = np.random.default_rng(index).integers(0, 256, (72, 64), np.uint8)
    picture = av.VideoFrame.from_ndarray(pixels, "yuv420p")
    frame = Frame(picture, index, 3600 * index, unit, 0, 0, color)
    sink.write(Composed(frame, picture, None, []))
print("written", flush=True)
sys.stdin.read()
"""


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_killed_while_it_records(suffix: str, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", RECORDER, str(tmp_path / f"rec{suffix}"), str(KILLED_AFTER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        process.communicate()
    counts = []
    for path in sorted(tmp_path.iterdir()):
        with av.open(str(path)) as container:
            counts.append(sum(1 for picture in container.decode(video=0)))

    assert process.returncode == -signal.SIGKILL
    # What is over is complete; of the last part, of 40, what came after its last full second and
    # what the encoder still held may be missing.
    assert counts[:2] == [50, 50]
    assert len(counts) == 3
    assert 20 <= counts[2] <= 40
