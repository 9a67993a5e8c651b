"""Uploads as sources of pictures that browsers can show."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import pytest

from demos.app.playable import PlayableSource, check_clip, spell_duration
from streamer import open_source
from streamer.errors import SourceError
from streamer.frame import Frame
from streamer.sinks.base import Composed

Film = Callable[..., Path]


class Kept:
    """A sink that keeps what it is given."""

    def __init__(self) -> None:
        self.written: list[Composed] = []

    def write(self, composed: Composed) -> None:
        self.written.append(composed)

    def write_audio(self, packet: object) -> None:
        raise AssertionError("no sound was expected")

    def close(self) -> None:
        pass


def frames(source: PlayableSource) -> list[Frame]:
    return [item for item in source if isinstance(item, Frame)]


@pytest.mark.parametrize(
    ("pixel_format", "codec", "shown"),
    [
        ("yuv420p", "libx264", "yuv420p"),
        ("yuvj420p", "libx264", "yuvj420p"),
        ("yuv420p10le", "libx264", "yuv420p"),
        ("yuv444p", "libx264", "yuv420p"),
        ("gray", "ffv1", "yuv420p"),
    ],
)
def test_pictures_are_such_as_browsers_show(
    pixel_format: str, codec: str, shown: str, tmp_path: Path, film: Film
) -> None:
    path = film(tmp_path / "clip.mkv", count=3, pixel_format=pixel_format, codec=codec)
    source = PlayableSource(open_source(str(path)), "clip")

    assert source.info.pixel_format == shown
    assert {frame.picture.format.name for frame in frames(source)} == {shown}


def test_times_begin_at_nought(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "clip.mkv", count=4, pts=[50, 51, 53, 54], audio="aac")
    source = PlayableSource(open_source(str(path)), "clip")

    items = list(source)
    times_s = [item.time_s for item in items if isinstance(item, Frame)]
    assert times_s == pytest.approx([0, 0.04, 0.12, 0.16])
    packets = [item for item in items if isinstance(item, av.Packet)]
    assert packets
    assert all(0 <= float(packet.pts * packet.time_base) < 0.3 for packet in packets)


def test_only_sound_that_browsers_play_is_kept(tmp_path: Path, film: Film) -> None:
    path = film(tmp_path / "clip.mkv", count=5, audio="mp2")
    source = PlayableSource(open_source(str(path)), "clip")

    assert source.info.audio is None
    assert all(isinstance(item, Frame) for item in source)


def test_the_recorder_gets_each_picture_before_it_is_drawn_upon(tmp_path: Path, film: Film) -> None:
    source = PlayableSource(open_source(str(film(tmp_path / "clip.mp4", count=4))), "clip")
    kept = Kept()
    source.record(kept)

    for number, item in enumerate(source, 1):
        assert len(kept.written) == number
        assert kept.written[-1].frame is item
        assert kept.written[-1].segmentation is None


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"width": 10_000, "height": 5_000}, "10000x5000"),
        ({"frames": 10 * 3600 * 25}, "10.0 hours"),
        ({"frames": 601 * 25}, "10 minutes"),
    ],
)
def test_too_large_or_too_long(
    changes: dict[str, int], told: str, tmp_path: Path, film: Film
) -> None:
    source = PlayableSource(open_source(str(film(tmp_path / "clip.mp4"))), "clip")
    source.info = replace(source.info, **changes)  # type: ignore[arg-type]

    with pytest.raises(SourceError, match=told):
        check_clip(source, max_pixels=3840 * 2160, max_s=600)


def test_what_does_not_say_its_length_is_taken(tmp_path: Path, film: Film) -> None:
    source = PlayableSource(open_source(str(film(tmp_path / "clip.mp4"))), "clip")
    source.info = replace(source.info, frames=None)

    check_clip(source, max_pixels=3840 * 2160, max_s=600)


@pytest.mark.parametrize(
    ("duration_s", "told"), [(90, "90 seconds"), (600, "10 minutes"), (36_000, "10.0 hours")]
)
def test_durations_in_words(duration_s: float, told: str) -> None:
    assert spell_duration(duration_s) == told
