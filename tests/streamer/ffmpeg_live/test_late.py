"""Streams that come late, and streams that are opened again."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import count

import pytest
from streams import (
    PATTERN,
    Encode,
    Open,
    Sender,
    level,
    opener_of,
    read_all,
)

from streamer.errors import SourceLostError
from streamer.sources import packets
from streamer.sources.base import LiveSource


class TestLate:
    """What waits on its way, by a clock that the test holds in its hands."""

    STEP_NS = 40_000_000

    def read(
        self,
        opened: Open,
        url: str,
        monkeypatch: pytest.MonkeyPatch,
        clock_ns: Callable[[int], int],
    ) -> LiveSource:
        calls = count()
        monkeypatch.setattr(packets, "monotonic_ns", lambda: clock_ns(next(calls)))
        monkeypatch.setattr(packets, "_TOO_LATE_NS", 300_000_000)
        return opened(url)

    def test_what_waited_too_long_is_left_out(
        self,
        opened: Open,
        sender: Callable[..., Sender],
        encode: Encode,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        # After ten pictures nobody reads for 2 s; then all the others are there.
        def clock_ns(number: int) -> int:
            return number * self.STEP_NS if number < 10 else 60 * self.STEP_NS

        url = sender(encode(60), hang_up=True).url
        source = self.read(opened, url, monkeypatch, clock_ns)
        frames, error = read_all(source)
        levels = [round(level(frame)) for frame in frames]

        # Every fifth is a key picture, and number 58 is no longer late.
        assert len(frames) == 10 + 5
        assert source.missed == 45  # type: ignore[attr-defined]
        assert levels[:10] == sorted(levels[:10])
        assert source.damaged == 0
        assert "pictures wait too long to be read, 45 left out" in caplog.text
        assert isinstance(error, SourceLostError)
        # Those that are shown are not passed off as new ones.
        assert {frame.captured_ns for frame in frames[10:]} == {60 * self.STEP_NS}

    def test_the_way_has_become_longer(
        self,
        opened: Open,
        sender: Callable[..., Sender],
        encode: Encode,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def clock_ns(number: int) -> int:
            return number * self.STEP_NS + (number >= 10) * 2_000_000_000

        url = sender(encode(60), hang_up=True).url
        source = self.read(opened, url, monkeypatch, clock_ns)
        frames, _ = read_all(source)

        # It looks for what waits once, not with each picture.
        assert len(frames) >= 60 - 10
        assert source.missed == 60 - len(frames)  # type: ignore[attr-defined]

    def test_lost_while_the_way_is_cleared(
        self,
        opened: Open,
        sender: Callable[..., Sender],
        encode: Encode,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def clock_ns(number: int) -> int:
            return number * self.STEP_NS if number < 10 else 100 * self.STEP_NS

        url = sender(encode(60), hang_up=True).url
        frames, error = read_all(self.read(opened, url, monkeypatch, clock_ns))

        assert len(frames) == 10 + 5
        assert "ended by the sender" in str(error)


class TestAgain:
    def test_another_size_is_converted_and_time_goes_on(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        first_one, second_one = encode(30), encode(30, size=(192, 128))
        opener = opener_of(sender(first_one, second_one, hang_up=True).url)
        first = opened(opener)
        before, _ = read_all(first)
        second = opened(opener, first.info)
        after, _ = read_all(second)

        assert replace(second.info, rate=first.info.rate) == first.info
        assert {(f.picture.width, f.picture.height) for f in after} == {(96, 64)}
        assert (first.converted, second.converted) == (0, 30)
        assert after[0].index == 0
        assert after[0].pts > before[-1].pts
        gap_s = (after[0].captured_ns - before[0].captured_ns) / 1e9
        assert abs(after[0].time_s - gap_s) < 0.25

    def test_the_time_base_is_that_of_before(self, opened: Open) -> None:
        first = opened(PATTERN)
        like = replace(first.info, time_base=Fraction(1, 1000))
        frame = opened(opener_of(PATTERN), like).read()

        assert frame.time_base == Fraction(1, 1000)

    def test_the_colour_is_that_of_before(self, opened: Open) -> None:
        first = opened(f"{PATTERN},format=gray", color_matrix="bt709", color_range="full")
        second = opened(opener_of("lavfi:color=white:size=96x64:rate=200"), first.info)
        frame = second.read()

        assert frame.color == second.info.color == first.info.color
        assert frame.picture.format.name == "gray"
        assert level(frame) > 250
