"""Distances between boundaries: against all pairs of boundary pixels, and where they are known."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from pranet.metrics import boundary_f, hd95

EXAMPLES = settings(max_examples=80, deadline=None, derandomize=True)

Mask = NDArray[np.bool_]


@st.composite
def two_masks(draw: st.DrawFn) -> tuple[Mask, Mask]:
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=9))
    return draw(arrays(np.bool_, shape)), draw(arrays(np.bool_, shape))


def blobs(seed: int) -> tuple[Mask, Mask]:
    """Two masks of some overlapping ellipses, of a size that no test by hand would have."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:70, :90]
    masks = np.zeros((2, 70, 90), np.bool_)
    for mask in masks:
        for _ in range(3):
            x, y, wide, high = rng.uniform((10, 10, 4, 4), (80, 60, 25, 20))
            mask |= ((columns - x) / wide) ** 2 + ((rows - y) / high) ** 2 <= 1
    return masks[0], masks[1]


def boundary_places(mask: Mask) -> NDArray[np.int64]:
    """Pixels (n, 2) of the mask with one of the four neighbours outside, by their definition."""
    height_px, width_px = mask.shape

    def inside(row: int, column: int) -> bool:
        return 0 <= row < height_px and 0 <= column < width_px and bool(mask[row, column])

    return np.array(
        [
            (row, column)
            for row, column in np.argwhere(mask)
            if not (
                inside(row - 1, column)
                and inside(row + 1, column)
                and inside(row, column - 1)
                and inside(row, column + 1)
            )
        ]
    )


def naive_distances(first: Mask, second: Mask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """From each boundary pixel of the first to the second's nearest, and the other way."""
    apart = boundary_places(first)[:, None] - boundary_places(second)[None]
    lengths = np.hypot(apart[..., 0], apart[..., 1])
    return lengths.min(axis=1), lengths.min(axis=0)


def naive_f(first: Mask, second: Mask, tolerance_px: float) -> float:
    shares = [
        sum(length <= tolerance_px for length in lengths) / len(lengths)
        for lengths in naive_distances(first, second)
    ]
    return 2 * shares[0] * shares[1] / sum(shares) if sum(shares) else 0.0


def square(row: int, column: int, side_px: int = 20, size_px: int = 64) -> Mask:
    mask = np.zeros((size_px, size_px), np.bool_)
    mask[row : row + side_px, column : column + side_px] = True
    return mask


def check_against_all_pairs(predicted: Mask, inside: Mask) -> None:
    expected = np.percentile(np.concatenate(naive_distances(predicted, inside)), 95)
    assert hd95(predicted, inside) == pytest.approx(expected, abs=1e-4)
    for tolerance_px in (0.0, 1.2, 2.0):
        assert boundary_f(predicted, inside, tolerance_px) == pytest.approx(
            naive_f(predicted, inside, tolerance_px)
        )


@EXAMPLES
@given(two_masks())
def test_scores_of_any_small_masks_equal_those_of_all_pairs(masks: tuple[Mask, Mask]) -> None:
    predicted, inside = masks
    if predicted.any() and inside.any():
        check_against_all_pairs(predicted, inside)


@pytest.mark.parametrize("seed", range(6))
def test_scores_of_larger_regions_equal_those_of_all_pairs(seed: int) -> None:
    check_against_all_pairs(*blobs(seed))


@pytest.mark.parametrize("shift_px", [0, 1, 2, 3, 7])
def test_hd95_of_a_shifted_square_is_the_shift(shift_px: int) -> None:
    # As many pixels as the two sides across the shift have are that far away: far more than 5 %.
    assert hd95(square(10, 10 + shift_px), square(10, 10)) == pytest.approx(shift_px)
    assert hd95(square(10 + shift_px, 10), square(10, 10)) == pytest.approx(shift_px)


def test_hd95_of_two_points_is_their_distance() -> None:
    assert hd95(square(5, 10, 1), square(35, 50, 1)) == pytest.approx(50)


def test_hd95_leaves_out_the_worst_twentieth() -> None:
    line = np.zeros((50, 100), np.bool_)
    line[10] = True
    with_speck = line.copy()
    with_speck[40, 50] = True

    assert hd95(with_speck, line) == 0


def test_edge_of_the_picture_is_a_boundary() -> None:
    everything = np.ones((40, 60), np.bool_)
    within = np.zeros((40, 60), np.bool_)
    within[1:-1, 1:-1] = True

    assert hd95(everything, within) == pytest.approx(1)
    assert boundary_f(everything, within, 0.9) == 0


def test_masks_without_any_pixel() -> None:
    something, nothing = np.zeros((2, 30, 40), np.bool_)
    something[3:9, 4:8] = True

    assert hd95(nothing, something) == hd95(something, nothing) == 50
    assert math.isnan(hd95(nothing, nothing))
    assert boundary_f(nothing, something) == boundary_f(something, nothing) == 0
    assert boundary_f(nothing, nothing) == 1


@pytest.mark.parametrize(
    ("shift_px", "expected"),
    # Of the 76 boundary pixels of each square, all 20 of the one side across the shift and 14 of
    # the other are 3 px away from the other square's boundary.
    [(0, 1.0), (1, 1.0), (2, 1.0), (3, 42 / 76)],
)
def test_boundary_within_two_px_is_right(shift_px: int, expected: float) -> None:
    assert boundary_f(square(10, 10 + shift_px), square(10, 10)) == pytest.approx(expected)


def test_boundary_of_another_place_is_wrong() -> None:
    assert boundary_f(square(5, 5, 10), square(40, 40, 10)) == 0


@pytest.mark.parametrize("seed", range(3))
def test_scores_are_the_same_both_ways(seed: int) -> None:
    first, second = blobs(seed)

    assert hd95(first, second) == hd95(second, first)
    assert boundary_f(first, second) == pytest.approx(boundary_f(second, first))
    assert 0 < boundary_f(first, second) < 1
