"""From images and masks to one row of scores."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from torch import Tensor, nn

from pranet.data import Pair, find_pairs
from pranet.errors import DataError
from pranet.evaluate import (
    ImageScore,
    confidence_interval,
    evaluate,
    means,
    overlap_scores,
    score_image,
    score_pairs,
    stretched,
    summarise,
)
from pranet.metrics import LesionCounts, overlap_curves
from pranet.model import ModelConfig, PraNet
from pranet.predict import predict

MakeModel = Callable[..., PraNet]
MakePairs = Callable[..., list[Pair]]

STRUCTURE = {"wFm", "S-m", "mEm"}


def square(left: int = 10, side_px: int = 20, value: float = 1) -> NDArray[np.float32]:
    """A square in a picture (40, 60) that is zero elsewhere."""
    plane = np.zeros((40, 60), np.float32)
    plane[10 : 10 + side_px, left : left + side_px] = value
    return plane


def mask_of(plane: NDArray[np.float32]) -> NDArray[np.uint8]:
    return np.where(plane > 0, np.uint8(255), np.uint8(0))


def brightness(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Stands for a network: how red a pixel is makes its probability."""
    return (image[..., 0] / 255).astype(np.float32)


class Colours(nn.Module):
    """Stands for a network of three classes: the strongest colour is the class."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = replace(config, num_classes=3, mean=(0.5,) * 3, std=(0.5,) * 3)

    def forward(self, image: Tensor) -> Tensor:
        return image


@pytest.fixture
def red_pairs(tmp_path: Path) -> list[Pair]:
    """Two pictures whose red is the answer, and a third one without a mask."""
    pairs = []
    for name, left in (("b", 10), ("a", 15), ("c", 30)):
        image, mask = tmp_path / f"{name}.png", tmp_path / f"mask of {name}.png"
        red = (255 * square(left, value=0.4) + 51).astype(np.uint8)
        cv2.imwrite(str(image), np.stack([np.full_like(red, 9), np.full_like(red, 200), red], 2))
        cv2.imwrite(str(mask), mask_of(square()))
        pairs.append(Pair(image, None if name == "c" else mask))
    return pairs


class TestScoresOfOneImage:
    def test_overlap_is_the_means_of_the_curves_and_the_overlap_at_half(self) -> None:
        rng = np.random.default_rng(6)
        probability = rng.random((23, 31), np.float32)
        mask = rng.choice(np.array([0, 1, 255], np.uint8), (23, 31))
        predicted, inside = probability >= 0.5, mask != 0
        hit = (predicted & inside).sum()
        dice, iou = overlap_curves(probability, mask)

        assert overlap_scores(probability, mask) == pytest.approx(
            {
                "mDice": np.mean(dice),
                "mIoU": np.mean(iou),
                "Dice": 2 * hit / (predicted.sum() + inside.sum()),
                "IoU": hit / (predicted | inside).sum(),
                "MAE": np.mean(
                    [abs(p - i) for p, i in zip(probability.flat, inside.flat, strict=True)]
                ),
            }
        )

    def test_mean_absolute_error_is_the_librarys(self, sod_metrics: ModuleType) -> None:
        rng = np.random.default_rng(7)
        levels = rng.integers(0, 256, (23, 31), dtype=np.uint8)
        levels[0, :2] = 0, 255
        mask = rng.choice(np.array([0, 255], np.uint8), (23, 31))
        metric = sod_metrics.MAE()
        metric.step(levels, mask)

        scores = overlap_scores((levels / 255).astype(np.float32), mask)

        assert scores["MAE"] == pytest.approx(metric.get_results()["mae"], abs=1e-6)

    def test_every_metric_is_taken_at_half_or_over_all_thresholds(self) -> None:
        probability = square(15, value=0.5)

        score = score_image("one", probability, mask_of(square()), structure=False)

        assert score.name == "one"
        assert score.values["Dice"] == pytest.approx(15 / 20)
        assert score.values["mDice"] == pytest.approx(
            overlap_curves(probability, mask_of(square()))[0].mean()
        )
        assert score.values["HD95"] == 5
        assert 0 < score.values["boundaryF"] < 1
        assert math.isnan(score.values["false_area"])
        assert score.lesions == LesionCounts(1, 1, 1, 1)
        assert not STRUCTURE & score.values.keys()

    def test_false_area_is_what_is_found_where_nothing_is(self) -> None:
        score = score_image("one", square(value=0.5), np.zeros((40, 60), np.uint8), structure=False)

        assert score.values["false_area"] == pytest.approx(20 * 20 / (40 * 60))
        assert score.values["HD95"] == pytest.approx(math.hypot(40, 60))
        assert score.values["Dice"] == score.values["boundaryF"] == 0
        assert score.lesions == LesionCounts(0, 0, 1, 0)

    def test_nothing_found_where_nothing_is(self) -> None:
        score = score_image("one", square(value=0.4), np.zeros((40, 60), np.uint8), structure=False)

        assert score.values["false_area"] == 0
        assert score.values["Dice"] == score.values["IoU"] == score.values["boundaryF"] == 1
        assert math.isnan(score.values["HD95"])
        assert score.lesions == LesionCounts()

    def test_structure_adds_the_three_metrics_of_the_library(self, sod_metrics: ModuleType) -> None:
        plain = score_image("one", square(12), mask_of(square()), structure=False)

        score = score_image("one", square(12), mask_of(square()))

        assert score.values.keys() == plain.values.keys() | STRUCTURE
        assert all(0.3 < score.values[name] < 0.999 for name in STRUCTURE)


class TestScoresOfPairs:
    def test_each_pair_is_scored_in_its_turn_by_what_is_said_of_its_rgb(
        self, red_pairs: list[Pair]
    ) -> None:
        scores = score_pairs(brightness, iter(red_pairs), structure=False)

        assert [score.name for score in scores] == ["b", "a", "c"]
        expected = [
            score_image(
                name, (square(left, value=102) + 51) / np.float32(255), mask, structure=False
            )
            for name, left, mask in (
                ("b", 10, mask_of(square())),
                ("a", 15, mask_of(square())),
                ("c", 30, np.zeros((40, 60), np.uint8)),
            )
        ]
        for score, one in zip(scores, expected, strict=True):
            # Of a crop beside the polyps a test of its own tells.
            del score.values["crop_false_area"], one.values["crop_false_area"]
            assert score.values == pytest.approx(one.values, nan_ok=True)
            assert score.lesions == one.lesions
        assert [score.values["Dice"] for score in scores] == [1, 0.75, 0]

    def test_what_is_found_in_the_largest_crop_beside_the_polyps_is_a_share_of_that_crop(
        self, tmp_path: Path
    ) -> None:
        for kind in ("images", "masks"):
            (tmp_path / kind).mkdir()
        image = np.full((40, 100, 3), 120, np.uint8)
        image[:, 80:] = 200
        mask = np.zeros((40, 100), np.uint8)
        mask[10:30, 5:15] = 255
        for path, plane in (("images/a.png", image), ("masks/a.png", mask)):
            cv2.imwrite(str(tmp_path / path), plane)

        (score,) = score_pairs(
            lambda picture: (picture[..., 0] > 150).astype(np.float32),
            find_pairs(tmp_path),
            structure=False,
        )

        # Right of the polyp and a margin of 15 % of the height lie 79 columns, the last 20 bright.
        assert score.values["crop_false_area"] == pytest.approx(20 / 79)
        assert math.isnan(score.values["false_area"])

    def test_answer_that_is_no_number_is_refused(self) -> None:
        probability = np.full((4, 4), 0.5, np.float32)
        probability[1, 2] = np.nan

        with pytest.raises(DataError, match="polyp_7: the network's answer is not a number"):
            score_image("polyp_7", probability, np.zeros((4, 4), np.uint8), structure=False)

    def test_maps_are_stretched_on_demand_only(self, red_pairs: list[Pair]) -> None:
        def faint(image: NDArray[np.uint8]) -> NDArray[np.float32]:
            return brightness(image) * np.float32(0.25)

        plain = score_pairs(faint, red_pairs[:2], structure=False)
        wide = score_pairs(faint, red_pairs[:2], structure=False, minmax=True)

        assert [score.values["Dice"] for score in plain] == [0, 0]
        assert [score.values["Dice"] for score in wide] == [1, 0.75]
        # At every threshold but 0.
        assert wide[0].values["mDice"] == pytest.approx((255 + 800 / 2800) / 256)
        assert wide[0].values["MAE"] == pytest.approx(0)

    def test_structure_is_on_by_default(
        self, red_pairs: list[Pair], sod_metrics: ModuleType
    ) -> None:
        (score,) = score_pairs(brightness, red_pairs[:1])

        assert score.values.keys() > STRUCTURE

    def test_image_that_cannot_be_read_is_named(self, red_pairs: list[Pair]) -> None:
        red_pairs[1].image.write_bytes(b"")

        with pytest.raises(DataError, match=r"a\.png"):
            score_pairs(brightness, red_pairs, structure=False)


def test_stretched_map_reaches_from_zero_to_one_and_keeps_its_proportions() -> None:
    probability = np.array([[0.2, 0.3], [0.25, 0.4]], np.float32)

    wide = stretched(probability)

    assert wide == pytest.approx(np.array([[0, 0.5], [0.25, 1]]), abs=1e-6)
    assert (wide.min(), wide.max()) == (0, 1)
    assert wide.dtype == np.float32


@pytest.mark.parametrize("level", [0.0, 0.3, 1.0])
def test_flat_map_cannot_be_stretched(level: float) -> None:
    probability = np.full((3, 4), level, np.float32)

    np.testing.assert_array_equal(stretched(probability), probability)


def test_summary_is_in_percent_but_for_distances() -> None:
    scores = [
        ImageScore(
            "a", {"mDice": 0.5, "HD95": 8.0, "false_area": math.nan}, LesionCounts(1, 1, 3, 1)
        ),
        ImageScore(
            "b", {"mDice": 0.7, "HD95": math.nan, "false_area": 0.1}, LesionCounts(3, 1, 1, 1)
        ),
        ImageScore("c", {"mDice": 0.9, "HD95": 4.0, "false_area": 0.3}, LesionCounts(0, 0, 0, 0)),
    ]

    row = summarise(scores)

    assert row == pytest.approx(
        {
            "mDice": 70,
            "HD95": 6,
            "false_area": 20,
            # Over the regions of all images together, not over the images.
            "lesion_sensitivity": 50,
            "lesion_precision": 50,
        }
    )


def test_summary_of_what_is_nowhere_defined_is_not_a_number() -> None:
    row = summarise([ImageScore("a", {"mDice": 1.0, "wFm": math.nan}, LesionCounts(finds=2))])

    assert math.isnan(row["wFm"])
    assert math.isnan(row["lesion_sensitivity"])
    assert row["lesion_precision"] == 0
    assert row["mDice"] == 100


def test_means_take_every_metric_over_the_images_that_have_it() -> None:
    rows = [
        {"Dice/1": 0.5, "HD95/1": 3.0, "HD95": 3.0},
        {"Dice/1": math.nan, "HD95/1": math.nan, "HD95": 5.0, "extra": 0.2},
    ]

    assert means(iter(rows)) == pytest.approx({"Dice/1": 50, "HD95/1": 3, "HD95": 4, "extra": 20})
    assert means([]) == {}


class TestConfidenceInterval:
    def test_it_is_the_same_every_time_and_depends_on_the_seed(self) -> None:
        values = np.random.default_rng(3).random(20).tolist()

        assert confidence_interval(values) == confidence_interval(values)
        assert confidence_interval(values) != confidence_interval(values, seed=1)

    @pytest.mark.parametrize("count", [2, 7, 60])
    def test_it_holds_the_mean_within_the_range_of_the_values(self, count: int) -> None:
        values = np.random.default_rng(count).random(count).tolist()

        low, high = confidence_interval(values)

        assert min(values) <= low < np.mean(values) < high <= max(values)

    def test_its_width_is_that_of_the_normal_approximation(self) -> None:
        values = np.random.default_rng(3).normal(5, 2, 400)

        low, high = confidence_interval(values.tolist())

        error = values.std() / math.sqrt(len(values))
        assert high - low == pytest.approx(2 * 1.96 * error, rel=0.1)

    def test_it_has_no_width_where_nothing_varies(self) -> None:
        assert confidence_interval([0.25]) == confidence_interval([0.25] * 9) == (0.25, 0.25)


class TestOfANetwork:
    def test_scores_are_means_over_the_images_in_percent(
        self, tmp_path: Path, make_model: MakeModel, make_pairs: MakePairs
    ) -> None:
        model, pairs = make_model(), make_pairs(tmp_path / "data", 3)

        scores = evaluate(model, iter(pairs))

        each = [
            overlap_scores(predict(model, image), mask)
            for image, mask in (pair.read() for pair in pairs)
        ]
        assert scores == pytest.approx(
            {name: 100 * np.mean([one[name] for one in each]) for name in each[0]}
        )
        assert 0 < scores["mDice"] < 100

    def test_scores_of_several_classes_are_means_over_the_images_that_hold_them(
        self, tmp_path: Path, tiny_config: ModelConfig
    ) -> None:
        answers, truths = np.zeros((2, 3, 64, 64), np.uint8)
        answers[0, 10:20, 10:20] = truths[0, 10:20, 10:20] = 1
        answers[1, 10:15, 10:20] = truths[1, 10:20, 10:20] = 2
        pairs = []
        for index, (answer, truth) in enumerate(zip(answers, truths, strict=True)):
            pair = Pair(tmp_path / f"{index}.png", tmp_path / f"mask_{index}.png")
            # Red, green and blue for the answers 0, 1 and 2.
            cv2.imwrite(str(pair.image), 200 * np.eye(3, dtype=np.uint8)[answer][..., ::-1])
            cv2.imwrite(str(pair.mask), truth)
            pairs.append(pair)

        scores = evaluate(Colours(tiny_config), iter(pairs))  # type: ignore[arg-type]

        assert scores == pytest.approx(
            {
                # The third picture has no class at all: it is right, and without a distance.
                "mDice": 100 * (1 + 2 / 3 + 1) / 3,
                "mIoU": 100 * (1 + 1 / 2 + 1) / 3,
                "HD95": 5 / 2,
                "Dice/1": 100,
                "IoU/1": 100,
                "HD95/1": 0,
                "Dice/2": 200 / 3,
                "IoU/2": 50,
                "HD95/2": 5,
            }
        )

    def test_mask_with_more_classes_than_the_network_is_refused(
        self, tmp_path: Path, make_model: MakeModel, make_pairs: MakePairs
    ) -> None:
        with pytest.raises(DataError, match="holds the label 255"):
            evaluate(make_model(num_classes=3), make_pairs(tmp_path / "data", 1))
