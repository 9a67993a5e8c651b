"""Scores of several classes in one picture."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from pranet.metrics import class_scores

CLASSES = 4


def logits_of(labels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Logits (C, H, W), all negative, of which the greatest one is the label's."""
    each = np.arange(CLASSES, dtype=np.uint8)[:, None, None]
    return np.where(labels == each, np.float32(-0.1), np.float32(-4))


def two_squares(first: int, second: int) -> NDArray[np.uint8]:
    """One label in a square of 10 px at the left, the other at the right, 20 px further."""
    labels = np.zeros((30, 40), np.uint8)
    labels[10:20, 5:15] = first
    labels[10:20, 25:35] = second
    return labels


def test_right_answer_scores_one_for_each_class_that_is_there() -> None:
    labels = two_squares(1, 3)

    scores = class_scores(logits_of(labels), labels)

    assert scores["Dice/1"] == scores["IoU/1"] == scores["Dice/3"] == scores["IoU/3"] == 1
    assert scores["HD95/1"] == scores["HD95/3"] == 0
    assert scores["mDice"] == scores["mIoU"] == 1
    assert scores["HD95"] == 0


def test_background_is_no_class() -> None:
    scores = class_scores(logits_of(two_squares(1, 2)), two_squares(1, 2))

    assert scores.keys() == {"mDice", "mIoU", "HD95"} | {
        f"{metric}/{index}" for metric in ("Dice", "IoU", "HD95") for index in (1, 2, 3)
    }


def test_swapped_classes_are_all_wrong_and_as_far_away_as_they_lie_apart() -> None:
    scores = class_scores(logits_of(two_squares(2, 1)), two_squares(1, 2))

    assert scores["Dice/1"] == scores["Dice/2"] == scores["mDice"] == scores["mIoU"] == 0
    # The far sides are 20 px away; of the near ones no pixel is closer than 11 px.
    assert scores["HD95/1"] == scores["HD95/2"] == scores["HD95"] == 20


def test_class_that_is_nowhere_is_not_defined_and_no_part_of_the_means() -> None:
    truth = two_squares(1, 2)
    answer = truth.copy()
    answer[10:15, 25:35] = 0

    scores = class_scores(logits_of(answer), truth)

    assert all(math.isnan(scores[f"{metric}/3"]) for metric in ("Dice", "IoU", "HD95"))
    assert scores["Dice/2"] == pytest.approx(2 / 3)
    assert scores["IoU/2"] == pytest.approx(1 / 2)
    assert scores["mDice"] == pytest.approx((1 + 2 / 3) / 2)
    assert scores["mIoU"] == pytest.approx((1 + 1 / 2) / 2)
    assert scores["HD95"] == pytest.approx(scores["HD95/2"] / 2)


@pytest.mark.parametrize(("answer", "truth"), [((1, 3), (1, 0)), ((1, 0), (1, 3))])
def test_class_that_only_one_side_holds_is_wrong_and_counts(
    answer: tuple[int, int], truth: tuple[int, int]
) -> None:
    scores = class_scores(logits_of(two_squares(*answer)), two_squares(*truth))

    assert scores["Dice/3"] == scores["IoU/3"] == 0
    assert scores["HD95/3"] == 50
    assert scores["mDice"] == scores["mIoU"] == pytest.approx(1 / 2)
    assert scores["HD95"] == pytest.approx(25)


def test_picture_without_any_class_scores_one_and_has_no_distance() -> None:
    nothing = np.zeros((20, 20), np.uint8)

    scores = class_scores(logits_of(nothing), nothing)

    assert scores["mDice"] == scores["mIoU"] == 1
    assert math.isnan(scores["HD95"])


def test_overlap_equals_that_of_sets_of_pixels() -> None:
    rng = np.random.default_rng(4)
    logits = rng.standard_normal((CLASSES, 12, 17)).astype(np.float32)
    labels = rng.integers(0, CLASSES, (12, 17), dtype=np.uint8)

    scores = class_scores(logits, labels)

    dice, iou = [], []
    for index in range(1, CLASSES):
        predicted = {place for place in np.ndindex(12, 17) if logits[:, *place].argmax() == index}
        inside = {place for place in np.ndindex(12, 17) if labels[place] == index}
        dice.append(2 * len(predicted & inside) / (len(predicted) + len(inside)))
        iou.append(len(predicted & inside) / len(predicted | inside))
        assert scores[f"Dice/{index}"] == pytest.approx(dice[-1])
        assert scores[f"IoU/{index}"] == pytest.approx(iou[-1])
    assert scores["mDice"] == pytest.approx(np.mean(dice))
    assert scores["mIoU"] == pytest.approx(np.mean(iou))
