"""The clip that is measured on has the frames, the size and the rate that were asked for."""

import itertools
from pathlib import Path

import pytest

from demos.bench.clip import Limited, limited, parse_size, prepared
from streamer.errors import StreamError
from streamer.frame import Frame

FRAMES = 40  # of the clip


def test_a_source_longer_than_its_clip_goes_round_with_rising_times(clip: Path) -> None:
    source = Limited(str(clip), 2 * FRAMES + 5)
    frames = [item for item in source if isinstance(item, Frame)]
    source.close()

    assert [frame.index for frame in frames] == list(range(2 * FRAMES + 5))
    steps = {after.pts - before.pts for before, after in itertools.pairwise(frames)}
    assert len(steps) == 1
    assert steps.pop() > 0


def test_a_clip_is_brought_to_size_rate_and_length(clip: Path) -> None:
    with prepared(str(clip), frames=FRAMES + 3, size=(128, 80), rate=60) as name:
        with limited(name, FRAMES + 3) as source:
            frames = [item for item in source if isinstance(item, Frame)]
            info = source.info
        copy = Path(name)
        assert copy != clip

    assert (info.width, info.height, info.rate) == (128, 80, 60)
    assert len(frames) == FRAMES + 3
    assert frames[-1].time_s - frames[0].time_s == pytest.approx((FRAMES + 2) / 60)
    assert not copy.exists()


def test_a_clip_that_is_right_as_it_is_is_not_copied(clip: Path) -> None:
    with prepared(str(clip), frames=10) as name:
        assert name == str(clip)


def test_a_size_is_read() -> None:
    assert parse_size("1920x1080") == (1920, 1080)


@pytest.mark.parametrize("text", ["1920", "0x0", "9000x9000", "axb", "1920x1080p"])
def test_a_size_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(StreamError, match=f"--size {text}: WIDTHxHEIGHT"):
        parse_size(text)
