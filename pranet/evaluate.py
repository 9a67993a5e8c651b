"""From pictures and their true masks to one row of scores, for any way of predicting."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pranet.compose import largest_crop_beside
from pranet.data import Pair
from pranet.errors import DataError
from pranet.metrics import (
    LesionCounts,
    boundary_f,
    class_scores,
    count_lesions,
    dice_at,
    hd95,
    overlap_curves,
    structure_scores,
)
from pranet.model import PraNet
from pranet.predict import predict, predict_logits

Image = NDArray[np.uint8]
Probability = NDArray[np.float32]

#: RGB (H, W, 3) → foreground probability (H, W).
Predictor = Callable[[Image], Probability]

#: What is not a share of one, and so is not given in percent.
IN_PX = "HD95"

RESAMPLES = 1000


@dataclass(frozen=True)
class ImageScore:
    """Scores of one image.

    Attributes:
        name: of the image file, without its suffix.
        values: metric → 0…1 (`HD95` in px of the mask file), NaN where it is not defined.
        lesions: counts of lesions and finds at the threshold 0.5.
    """

    name: str
    values: dict[str, float]
    lesions: LesionCounts


def overlap_scores(probability: Probability, mask: Image) -> dict[str, float]:
    """The cheap metrics of one image, 0…1: enough to follow a training run.

    `mDice` and `mIoU` are means over all thresholds, `Dice` and `IoU` are at 0.5.
    """
    dice, iou = overlap_curves(probability, mask)
    half = dice_at(probability, mask)
    return {
        "mDice": float(dice.mean()),
        "mIoU": float(iou.mean()),
        "Dice": half,
        "IoU": half / (2 - half),
        "MAE": float(np.abs(probability - (mask > 0)).mean()),
    }


def score_image(
    name: str,
    probability: Probability,
    mask: Image,
    *,
    beside: Probability | None = None,
    structure: bool = True,
) -> ImageScore:
    """Every metric of one image at the size of its mask.

    Args:
        probability: (H, W), 0…1.
        mask: (H, W), zero is background.
        beside: (h, w), the answer to a polyp-free crop of the image, if there is one.
        structure: also the three metrics of `pysodmetrics`, which take most of the time.

    Raises:
        DataError: a probability is not a number.
    """
    if not np.isfinite(probability).all():
        raise DataError(f"{name}: the network's answer is not a number everywhere")
    predicted, inside = probability >= 0.5, mask > 0
    values = overlap_scores(probability, mask)
    if structure:
        values |= structure_scores(probability, inside)
    values["HD95"] = hd95(predicted, inside)
    values["boundaryF"] = boundary_f(predicted, inside)
    values["false_area"] = float("nan") if inside.any() else float(predicted.mean())
    values["crop_false_area"] = float("nan") if beside is None else float((beside >= 0.5).mean())
    return ImageScore(name, values, count_lesions(predicted, inside))


def score_pairs(
    predictor: Predictor, pairs: Iterable[Pair], *, structure: bool = True, minmax: bool = False
) -> list[ImageScore]:
    """Scores of every pair.

    Args:
        structure: see `score_image`.
        minmax: stretch each map to 0…1 first, as the published tables do.
    """
    scores = []
    for pair in pairs:
        image, mask = pair.read()
        probability = predictor(image)
        if minmax:
            probability = stretched(probability)
        crop = largest_crop_beside(image, mask) if mask.any() else None
        beside = None if crop is None else predictor(crop)
        scores.append(
            score_image(pair.image.stem, probability, mask, beside=beside, structure=structure)
        )
    return scores


def stretched(probability: Probability) -> Probability:
    """The map with its least value at 0 and its greatest at 1; a flat map as it is."""
    low, high = probability.min(), probability.max()
    return probability if low == high else (probability - low) / (high - low)


def summarise(scores: Sequence[ImageScore]) -> dict[str, float]:
    """One row: the mean of each metric over the images where it is defined, in percent.

    `HD95` is in px. `lesion_sensitivity` and `lesion_precision` are over all regions of all
    images together. What is nowhere defined is NaN.
    """
    row = means(score.values for score in scores)
    lesions = sum((score.lesions for score in scores), LesionCounts())
    return row | {
        "lesion_sensitivity": 100 * lesions.sensitivity,
        "lesion_precision": 100 * lesions.precision,
    }


def means(scores: Iterable[dict[str, float]]) -> dict[str, float]:
    """Mean of each metric over the images where it is defined, in percent; HD95 in px."""
    rows = list(scores)
    names = dict.fromkeys(name for row in rows for name in row)
    averages = {}
    for name in names:
        values = np.array([row.get(name, np.nan) for row in rows])
        defined = values[~np.isnan(values)]
        mean = float(defined.mean()) if len(defined) else float("nan")
        averages[name] = mean if name.startswith(IN_PX) else 100 * mean
    return averages


def confidence_interval(values: Sequence[float], seed: int = 0) -> tuple[float, float]:
    """95 % bootstrap interval of the mean over the images, in the unit of the values."""
    rng = np.random.default_rng(seed)
    picks = rng.integers(len(values), size=(RESAMPLES, len(values)))
    low, high = np.percentile(np.asarray(values)[picks].mean(axis=1), (2.5, 97.5))
    return float(low), float(high)


def evaluate(model: PraNet, pairs: Iterable[Pair], device: str = "cpu") -> dict[str, float]:
    """Mean scores of a network in training, in percent (HD95 in px).

    The cheap metrics for one class, `class_scores` for several.
    """
    classes = model.config.num_classes
    if classes > 1:
        labelled = ((pair.read()[0], pair.read_labels(classes)) for pair in pairs)
        return means(
            class_scores(predict_logits(model, image, device), labels) for image, labels in labelled
        )
    return means(
        overlap_scores(predict(model, image, device), mask)
        for image, mask in (pair.read() for pair in pairs)
    )
