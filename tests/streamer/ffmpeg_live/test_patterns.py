"""Test patterns as a live source, and interlaced ones."""

from itertools import pairwise
from time import monotonic_ns

import pytest
from streams import (
    PATTERN,
    Open,
    read_all,
)

from streamer.errors import SourceEndedError, SourceError
from streamer.sources import ffmpeg_live
from streamer.sources.times import LIVE_TIME_BASE, LiveTimes


class TestTestPattern:
    def test_reads_pictures(self, opened: Open) -> None:
        source = opened("lavfi:testsrc2=size=96x64:rate=200")
        frames = [source.read() for _ in range(10)]
        info = source.info

        assert (info.width, info.height, info.pixel_format) == (96, 64, "yuv420p")
        assert (info.rate, info.time_base, info.live) == (200, LIVE_TIME_BASE, True)
        assert (info.frames, info.audio) == (None, None)
        assert [frame.index for frame in frames] == list(range(10))
        assert frames[0].pts == 0
        assert all(before.pts < after.pts for before, after in pairwise(frames))
        assert {frame.time_base for frame in frames} == {LIVE_TIME_BASE}
        assert all(frame.color == info.color for frame in frames)
        for frame in frames:
            assert frame.captured_ns <= frame.decoded_ns <= monotonic_ns()
        assert len({bytes(frame.picture.planes[0]) for frame in frames}) == 10

    def test_has_the_pace_of_its_rate(self, opened: Open) -> None:
        begun_ns = monotonic_ns()
        source = opened("lavfi:testsrc2=size=96x64:rate=50")
        frames = [source.read() for _ in range(11)]

        # Never sooner; later on a busy machine.
        assert frames[-1].captured_ns - begun_ns >= 10 * 20_000_000

    def test_comes_to_its_end(self, opened: Open) -> None:
        source = opened(f"{PATTERN}:duration=0.1")
        frames, error = read_all(source)

        assert len(frames) == 20
        assert isinstance(error, SourceEndedError)
        assert "has come to its end" in str(error)
        with pytest.raises(SourceEndedError):
            source.read()

    def test_without_any_picture(self, opened: Open) -> None:
        with pytest.raises(SourceError, match="ended before its first picture") as caught:
            opened("lavfi:testsrc2=size=96x64:duration=1,select=0")
        assert not isinstance(caught.value, SourceEndedError)

    def test_is_no_graph(self, opened: Open) -> None:
        with pytest.raises(SourceError, match=r"stream \(lavfi:nosuch=1\): is not a graph"):
            opened("lavfi:nosuch=1")

    def test_only_sound(self, opened: Open) -> None:
        with pytest.raises(SourceError, match="sends no video that can be decoded"):
            opened("lavfi:anullsrc")

    def test_rgb_gets_a_format_that_can_be_drawn_into(self, opened: Open) -> None:
        source = opened(f"{PATTERN},format=rgb24")
        frame = source.read()

        assert source.info.pixel_format == frame.picture.format.name == "yuv420p"
        assert source.converted == 1

    def test_packed_pixels_lose_nothing(self, opened: Open) -> None:
        source = opened(f"{PATTERN},format=yuyv422")
        frame = source.read()

        assert source.info.pixel_format == frame.picture.format.name == "yuv422p"
        assert source.converted == 0

    def test_monstrous_size_is_refused(self, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ffmpeg_live, "MAX_PIXELS", 96 * 64 - 1)

        with pytest.raises(SourceError, match="96x64 px; that is refused"):
            opened(PATTERN)


class TestInterlaced:
    #: Moves, and is woven from the top field of one picture and the bottom field of the next.
    WOVEN = (
        "lavfi:testsrc2=size=96x64:rate=200,scroll=horizontal=0.02,separatefields,"
        "select='not(mod(n,4))+eq(mod(n,4),3)',weave"
    )

    @pytest.mark.parametrize("method", ["bob", "blend"])
    def test_flagged(self, opened: Open, method: str) -> None:
        source = opened(f"{PATTERN},setfield=tff", deinterlace=method)
        frames = [source.read() for _ in range(12)]

        assert source.info.rate == (400 if method == "bob" else 200)
        assert [frame.index for frame in frames] == list(range(12))
        assert all(before.pts < after.pts for before, after in pairwise(frames))
        captured = len({frame.captured_ns for frame in frames})
        assert captured == (6 if method == "bob" else 12)

    def test_fields_are_half_a_frame_apart(
        self, opened: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[int, int | None]] = []
        take = LiveTimes.take

        def record(self: LiveTimes, clock_ns: int, step_ns: int | None = None) -> int:
            asked.append((clock_ns, step_ns))
            return take(self, clock_ns, step_ns)

        monkeypatch.setattr(LiveTimes, "take", record)
        source = opened("lavfi:testsrc2=size=96x64:rate=50,setfield=bff")
        frames = [source.read() for _ in range(8)]

        half_ns = 10_000_000
        assert [step_ns for _, step_ns in asked[1:]] == [half_ns] * 7
        later = [
            clock_ns - frame.captured_ns for frame, (clock_ns, _) in zip(frames, asked, strict=True)
        ]
        assert later == [0, half_ns] * 4

    def test_not_flagged_but_combed(self, opened: Open) -> None:
        source = opened(f"{self.WOVEN},setfield=prog")
        before = source.info.rate
        for _ in range(40):
            source.read()

        assert source.info.rate == 2 * before

    def test_not_combed(self, opened: Open) -> None:
        source = opened(f"{PATTERN},scroll=horizontal=0.02")
        for _ in range(40):
            source.read()

        assert source.info.rate == 200

    def test_asked_for_or_not(self, opened: Open) -> None:
        asked = opened(PATTERN, interlaced="yes")
        refused = opened(f"{PATTERN},setfield=tff", interlaced="no")
        asked.read()
        refused.read()

        assert asked.info.rate == 400
        assert refused.info.rate == 200
