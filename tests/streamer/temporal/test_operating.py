"""Operating points: what they change of a preset."""

from dataclasses import replace

import pytest

from streamer.errors import StreamError
from streamer.temporal import DEFAULT_POINT, OPERATING_POINTS, PRESETS, find_steadying


@pytest.mark.parametrize("preset", PRESETS)
def test_the_default_leaves_every_preset_as_it_is(preset: str) -> None:
    assert find_steadying(preset, DEFAULT_POINT) == PRESETS[preset]


@pytest.mark.parametrize("name", OPERATING_POINTS)
def test_only_the_thresholds_of_objects_change(name: str) -> None:
    point, preset = OPERATING_POINTS[name], PRESETS["calm"]
    found = point.adjust(preset)
    assert (found.trust, found.sure) == (point.trust, point.sure)
    assert replace(found, trust=preset.trust, sure=preset.sure) == preset


@pytest.mark.parametrize("name", OPERATING_POINTS)
def test_without_steadying_nothing_changes(name: str) -> None:
    assert OPERATING_POINTS[name].adjust(PRESETS["off"]).is_off


def test_they_go_from_much_to_little() -> None:
    points = [OPERATING_POINTS[name] for name in ("sensitive", "balanced", "specific")]
    assert sorted(points, key=lambda each: (each.trust, each.sure)) == points
    assert all(0 <= each.trust <= 1 and 0 <= each.sure <= 1 for each in points)


def test_one_that_there_is_not() -> None:
    with pytest.raises(StreamError, match="unknown operating point 'wild'; known: sensitive, bal"):
        find_steadying("balanced", "wild")
