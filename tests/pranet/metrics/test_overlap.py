"""Overlap over all thresholds: against loops, and against the published evaluation's library."""

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numpy.typing import NDArray

from pranet.metrics import THRESHOLDS, dice_at, overlap_curves

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)

Answer = tuple[NDArray[np.uint8], NDArray[np.bool_]]


@st.composite
def drawn_answers(
    draw: st.DrawFn,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]]:
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


def library_curves(
    module: ModuleType, prediction: NDArray[np.generic], truth: NDArray[np.generic], **options: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Dice and IoU by `pysodmetrics`, from the threshold 255 down to 0."""
    handlers = {"dice": module.DICEHandler, "iou": module.IOUHandler}
    metric = module.FmeasureV2(
        {
            name: handler(with_dynamic=True, with_adaptive=False)
            for name, handler in handlers.items()
        }
    )
    metric.step(prediction, truth, **options)
    results = metric.get_results()
    return results["dice"]["dynamic"], results["iou"]["dynamic"]


@EXAMPLES
@given(drawn_answers())
def test_overlap_curves_equal_a_loop_over_the_thresholds(
    answer: tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.uint8]],
) -> None:
    levels, probability, mask = answer

    dice, iou = overlap_curves(probability, mask)

    expected_dice, expected_iou = naive_curves(levels, mask)
    np.testing.assert_allclose(dice, expected_dice)
    np.testing.assert_allclose(iou, expected_iou)


@EXAMPLES
@given(drawn_answers(), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
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


def test_curves_of_the_files_of_a_published_test_equal_the_librarys(
    answers: list[Answer], sod_metrics: ModuleType
) -> None:
    for levels, inside in answers:
        mask = 255 * inside.astype(np.uint8)
        expected_dice, expected_iou = library_curves(sod_metrics, levels, mask)

        dice, iou = overlap_curves((levels / 255).astype(np.float32), mask)

        np.testing.assert_allclose(dice, expected_dice)
        np.testing.assert_allclose(iou, expected_iou)


def test_curves_of_plain_probabilities_equal_the_librarys_without_its_stretch(
    sod_metrics: ModuleType,
) -> None:
    rng = np.random.default_rng(8)
    for top in (0.3, 0.8, 1.0):
        probability = (top * rng.random((31, 43))).astype(np.float32)
        inside = rng.random((31, 43)) < top
        expected_dice, expected_iou = library_curves(
            sod_metrics, probability, inside, normalize=False
        )

        dice, iou = overlap_curves(probability, inside.astype(np.uint8))

        np.testing.assert_allclose(dice, expected_dice)
        np.testing.assert_allclose(iou, expected_iou)


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
