"""The metrics, against loops over thresholds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from pranet.metrics import THRESHOLDS, dice_at, overlap_curves, score

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


@st.composite
def answers(draw: st.DrawFn) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
    """Levels 0…255, probabilities that fall upon or above them, and a mask."""
    shape = draw(array_shapes(min_dims=2, max_dims=2, max_side=6))
    levels = draw(arrays(np.uint8, shape))
    above = draw(arrays(np.float64, shape, elements=st.sampled_from([0.0, 0.25, 0.75])))
    probability = np.minimum((levels + above) / 255, 1).astype(np.float32)
    mask = draw(arrays(np.uint8, shape, elements=st.sampled_from([0, 1, 255])))
    return levels, probability, mask


def naive_curves(
    levels: NDArray[np.uint8], mask: NDArray[np.uint8]
) -> tuple[list[float], list[float]]:
    dice, iou = [], []
    for threshold in range(THRESHOLDS - 1, -1, -1):
        predicted, inside = levels >= threshold, mask != 0
        hit, union = (predicted & inside).sum(), (predicted | inside).sum()
        dice.append(2 * hit / (predicted.sum() + inside.sum()) if union else 1.0)
        iou.append(hit / union if union else 1.0)
    return dice, iou


@EXAMPLES
@given(answers())
def test_overlap_curves_equal_a_loop_over_the_thresholds(
    answer: tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]],
) -> None:
    levels, probability, mask = answer

    dice, iou = overlap_curves(probability, mask)

    expected_dice, expected_iou = naive_curves(levels, mask)
    np.testing.assert_allclose(dice, expected_dice)
    np.testing.assert_allclose(iou, expected_iou)


@EXAMPLES
@given(answers(), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_dice_at_equals_the_overlap_of_sets_of_pixels(
    answer: tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]], threshold: float
) -> None:
    _, probability, mask = answer
    predicted = {place for place, value in np.ndenumerate(probability) if value >= threshold}
    inside = {place for place, value in np.ndenumerate(mask) if value}
    both = len(predicted) + len(inside)

    assert dice_at(probability, mask, threshold) == pytest.approx(
        2 * len(predicted & inside) / both if both else 1.0
    )


@EXAMPLES
@given(answers())
def test_score_is_the_means_of_the_curves_and_the_overlap_at_half(
    answer: tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]],
) -> None:
    levels, probability, mask = answer
    dice, iou = naive_curves(levels, mask)
    predicted, inside = probability >= 0.5, mask != 0
    hit, union = (predicted & inside).sum(), (predicted | inside).sum()

    scores = score(probability, mask)

    assert scores == pytest.approx(
        {
            "mDice": np.mean(dice),
            "mIoU": np.mean(iou),
            "Dice": 2 * hit / (predicted.sum() + inside.sum()) if union else 1.0,
            "IoU": hit / union if union else 1.0,
            "MAE": np.mean(
                [abs(p - i) for p, i in zip(probability.flat, inside.flat, strict=True)]
            ),
        }
    )


def test_perfect_answer_scores_one_at_every_threshold_but_zero() -> None:
    mask = np.zeros((8, 8), np.uint8)
    mask[2:4, 2:6] = 255

    dice, iou = overlap_curves((mask / 255).astype(np.float32), mask)

    assert set(dice[:-1]) == set(iou[:-1]) == {1.0}
    assert dice[-1] == pytest.approx(2 * 8 / (64 + 8))
    assert iou[-1] == pytest.approx(8 / 64)


def test_empty_answer_to_an_empty_mask_scores_one_until_all_is_predicted() -> None:
    nothing = np.zeros((8, 8), np.uint8)
    probability = nothing.astype(np.float32)

    dice, iou = overlap_curves(probability, nothing)

    assert dice.tolist() == iou.tolist() == [1.0] * 255 + [0.0]
    assert dice_at(probability, nothing) == 1.0


def test_any_answer_to_an_empty_mask_scores_zero() -> None:
    probability = np.zeros((8, 8), np.float32)
    probability[0, 0] = 1

    assert overlap_curves(probability, np.zeros((8, 8), np.uint8))[0].max() == 0
    assert dice_at(probability, np.zeros((8, 8), np.uint8)) == 0
