"""Which polyps count as found, and which finds count as right."""

import math
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from pranet.metrics import LesionCounts, count_lesions

Mask = NDArray[np.bool_]

#: Top, left, height and width in px.
Box = tuple[int, int, int, int]


def boxes(*places: Box) -> Mask:
    """A picture of 10000 px, of which a region must have 5, with these boxes filled."""
    mask = np.zeros((100, 100), np.bool_)
    for top, left, height_px, width_px in places:
        mask[top : top + height_px, left : left + width_px] = True
    return mask


FIRST: Box = (10, 10, 20, 20)
SECOND: Box = (10, 60, 20, 20)


@pytest.mark.parametrize(
    ("predicted", "inside", "expected"),
    [
        pytest.param([FIRST], [FIRST], LesionCounts(1, 1, 1, 1), id="all right"),
        pytest.param([FIRST], [FIRST, SECOND], LesionCounts(2, 1, 1, 1), id="one of two found"),
        pytest.param([FIRST, SECOND], [FIRST], LesionCounts(1, 1, 2, 1), id="one find too many"),
        pytest.param(
            [(10, 10, 20, 70)], [FIRST, SECOND], LesionCounts(2, 2, 1, 1), id="one find over two"
        ),
        pytest.param(
            [(0, 0, 100, 100)],
            [FIRST, SECOND],
            LesionCounts(2, 2, 1, 0),
            id="a find of everything",
        ),
        pytest.param(
            [(10, 10, 8, 20), (22, 10, 8, 20)], [FIRST], LesionCounts(1, 1, 2, 2), id="in two parts"
        ),
        pytest.param([], [FIRST], LesionCounts(1, 0, 0, 0), id="nothing found"),
        pytest.param([FIRST], [], LesionCounts(0, 0, 1, 0), id="nothing there"),
        pytest.param([], [], LesionCounts(), id="neither"),
    ],
)
def test_regions_are_counted_one_by_one(
    predicted: Iterable[Box], inside: Iterable[Box], expected: LesionCounts
) -> None:
    assert count_lesions(boxes(*predicted), boxes(*inside)) == expected


def test_half_of_a_lesion_must_be_covered() -> None:
    half, less = boxes((10, 10, 20, 10)), boxes((10, 10, 20, 10))
    less[10, 10] = False

    assert count_lesions(half, boxes(FIRST)) == LesionCounts(1, 1, 1, 1)
    assert count_lesions(less, boxes(FIRST)) == LesionCounts(1, 0, 1, 1)


def test_half_of_a_find_must_lie_on_lesions() -> None:
    # Half on both together is enough.
    find, too_much = boxes((10, 20, 10, 40)), boxes((10, 20, 10, 41))
    lesions = boxes((10, 20, 10, 10), (10, 50, 10, 10))

    assert count_lesions(find, lesions) == LesionCounts(2, 2, 1, 1)
    assert count_lesions(too_much, lesions) == LesionCounts(2, 2, 1, 0)


def test_regions_that_touch_at_a_corner_are_one() -> None:
    assert count_lesions(boxes(), boxes((10, 10, 5, 5), (15, 15, 5, 5))).lesions == 1


def test_specks_are_neither_lesions_nor_finds() -> None:
    specks, just_large_enough = boxes((0, 0, 1, 4), (50, 50, 2, 2)), boxes((70, 70, 1, 5))

    assert count_lesions(specks, specks) == LesionCounts()
    assert count_lesions(specks | just_large_enough, boxes(FIRST)) == LesionCounts(1, 0, 1, 0)
    assert count_lesions(boxes(), specks | just_large_enough) == LesionCounts(1, 0, 0, 0)


def test_counts_of_many_pictures_add_up() -> None:
    counts = [LesionCounts(3, 2, 5, 1), LesionCounts(1, 1, 0, 0), LesionCounts(0, 0, 3, 1)]

    total = sum(counts, LesionCounts())

    assert total == LesionCounts(4, 3, 8, 2)
    assert total.sensitivity == pytest.approx(0.75)
    assert total.precision == pytest.approx(0.25)


def test_shares_of_nothing_are_not_defined() -> None:
    assert math.isnan(LesionCounts(finds=2, right=1).sensitivity)
    assert math.isnan(LesionCounts(lesions=2, found=1).precision)
