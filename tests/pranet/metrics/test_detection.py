"""What counts as found and as a false event, and how long each lasts."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pranet.metrics.detection import (
    Appearance,
    Event,
    appearances,
    count_by_duration,
    false_areas,
    false_events,
    frame_durations,
    recall_within,
    runs,
)

RATE = 30

Mask = NDArray[np.bool_]
#: Left, top, width and height in px.
Box = tuple[int, int, int, int]


def boxes(*places: Box) -> Mask:
    mask = np.zeros((100, 100), np.bool_)
    for left, top, width_px, height_px in places:
        mask[top : top + height_px, left : left + width_px] = True
    return mask


def times(count: int, rate: int = RATE, start_s: float = 0) -> NDArray[np.float64]:
    return start_s + np.arange(count) / rate


def flags(pattern: str) -> NDArray[np.bool_]:
    return np.array([mark == "x" for mark in pattern])


class TestFrameDurations:
    def test_frames_last_until_the_next_and_the_last_one_like_the_others(self) -> None:
        assert frame_durations([1.0, 1.5, 2.5, 3.0]).tolist() == [0.5, 1, 0.5, 0.5]

    def test_single_frame_lasts_no_time_that_is_known(self) -> None:
        assert frame_durations([7.0]).tolist() == [0]


@given(st.lists(st.booleans(), max_size=20))
@settings(max_examples=80, deadline=None, derandomize=True)
def test_runs_hold_every_frame_that_is_marked_and_no_two_of_them_touch(marked: list[bool]) -> None:
    found = list(runs(np.array(marked, np.bool_)))

    held = [index for start, stop in found for index in range(start, stop)]
    assert held == [index for index, mark in enumerate(marked) if mark]
    assert all(before[1] < after[0] for before, after in pairwise(found))


TRUTH: Box = (40, 40, 20, 20)


class TestFalseAreas:
    @pytest.mark.parametrize(
        ("predicted", "expected"),
        [
            pytest.param([], 0, id="nothing"),
            pytest.param([TRUTH], 0, id="right"),
            pytest.param([(0, 0, 10, 10)], 100, id="elsewhere"),
            pytest.param([(0, 0, 1, 1)], 1, id="a speck"),
            pytest.param([TRUTH, (0, 0, 5, 5), (90, 90, 2, 2)], 29, id="beside the right one"),
            pytest.param([(62, 40, 5, 5)], 0, id="one px of five within the margin"),
            pytest.param([(63, 40, 5, 5)], 25, id="just outside the margin"),
            pytest.param([(58, 45, 20, 5)], 0, id="a quarter on the truth and its margin"),
            pytest.param([(58, 45, 42, 5), (0, 0, 1, 1)], 1, id="5 columns of 42 on it"),
            pytest.param([(0, 45, 45, 5)], 0, id="8 columns of 45 on it"),
            pytest.param([(0, 0, 100, 30), (0, 30, 10, 70), (10, 90, 31, 10)], 4010, id="a ring"),
            pytest.param([(0, 0, 100, 100)], 10000, id="everything"),
            pytest.param([(40, 40, 20, 1), (60, 39, 40, 1)], 0, id="joined at a corner"),
        ],
    )
    def test_components_with_hardly_any_truth_in_them_are_false(
        self, predicted: list[Box], expected: int
    ) -> None:
        areas = false_areas(boxes(*predicted)[None], boxes(TRUTH)[None])

        assert areas.tolist() == [expected]

    def test_a_tenth_is_enough(self) -> None:
        # The truth and its margin reach to column 62.
        predicted = np.stack([boxes((60, 45, 30, 5)), boxes((60, 45, 31, 5))])
        truth = np.stack([boxes(TRUTH)] * 2)

        assert false_areas(predicted, truth).tolist() == [0, 155]

    def test_everything_is_false_where_there_is_no_polyp(self) -> None:
        predicted = np.stack([boxes((0, 0, 3, 3), (50, 50, 4, 4)), boxes()])

        assert false_areas(predicted, np.zeros_like(predicted)).tolist() == [25, 0]


class TestFalseEvents:
    def test_runs_of_frames_have_their_times_and_areas(self) -> None:
        areas = np.array([0, 4, 9, 0, 0, 2])

        assert false_events(areas, times(6, rate=10, start_s=2)) == [
            Event(start_s=pytest.approx(2.1), duration_s=0.2, frames=2, peak_area_px=9),
            Event(start_s=pytest.approx(2.5), duration_s=0.1, frames=1, peak_area_px=2),
        ]

    @pytest.mark.parametrize(
        ("frames", "expected"),
        [(1, (1, 0, 0)), (14, (1, 0, 0)), (15, (0, 1, 0)), (30, (0, 1, 0)), (31, (0, 0, 1))],
    )
    @pytest.mark.parametrize("start_s", [0, 1234.5])
    def test_half_a_second_and_a_second_are_counted_exactly(
        self, frames: int, expected: tuple[int, int, int], start_s: float
    ) -> None:
        areas = np.array([0, *[5] * frames, 0])

        events = false_events(areas, times(frames + 2, start_s=start_s))

        assert count_by_duration(events) == expected

    def test_frames_that_stay_longer_make_longer_events(self) -> None:
        (event,) = false_events(np.array([0, 1, 1, 0]), [0.0, 0.1, 0.2, 1.4])

        assert event.duration_s == pytest.approx(1.3)
        assert count_by_duration([event]) == (0, 0, 1)

    def test_there_are_none_in_clean_masks(self) -> None:
        assert false_events(np.zeros(4, np.int64), times(4)) == []
        assert count_by_duration([]) == (0, 0, 0)


def shown(pattern: str, area: Box = (40, 40, 10, 10)) -> NDArray[np.bool_]:
    """A truth that is there in the frames with an x."""
    return np.stack([boxes(area) if mark else boxes() for mark in flags(pattern)])


class TestAppearances:
    def test_it_is_found_in_the_first_frame_with_enough_overlap(self) -> None:
        iou = np.array([1, 0, 0.19, 0.2, 0, 1, 1, 1])

        (one,) = appearances(shown(".xxxxxx."), iou, times(8, rate=25))

        assert one == Appearance(start_s=pytest.approx(0.04), duration_s=0.24, found_after_ms=80)

    def test_it_is_found_at_once_later_or_never(self) -> None:
        truth = shown("xxxxx.xxxxx.xxxxx")
        iou = np.zeros(len(truth))
        iou[[0, 10, 11]] = 1

        found = appearances(truth, iou, times(len(truth), rate=10))

        assert [one.found_after_ms for one in found] == [0, 400, None]
        assert [one.duration_s for one in found] == pytest.approx([0.5, 0.5, 0.5])

    @pytest.mark.parametrize(
        ("pattern", "area", "expected"),
        [
            ("xxxx.xxxx", (40, 40, 10, 10), 0),
            ("xxxxx.xxxx", (40, 40, 10, 10), 1),
            ("xxxxx", (40, 40, 9, 11), 0),
            ("xxxxx", (40, 40, 20, 5), 1),
            (".....", (40, 40, 10, 10), 0),
        ],
    )
    def test_it_has_to_be_large_enough_for_long_enough(
        self, pattern: str, area: Box, expected: int
    ) -> None:
        truth = shown(pattern, area)

        assert len(appearances(truth, np.ones(len(truth)), times(len(truth)))) == expected


class TestRecall:
    def test_it_is_the_share_that_is_found_in_time(self) -> None:
        found = [Appearance(0, 9, after_ms) for after_ms in (0, 500, 501, None)]

        assert recall_within(found, 0.5) == 1 / 2
        assert recall_within(found, 1) == 3 / 4
        assert recall_within(found, math.inf) == 3 / 4

    def test_short_ones_count_as_well_and_have_to_be_found_while_they_last(self) -> None:
        found = [Appearance(0, 0.3, 200), Appearance(1, 0.3, None)]

        assert recall_within(found, 5) == 1 / 2

    def test_of_nothing_it_is_not_defined(self) -> None:
        assert math.isnan(recall_within([], 1))
