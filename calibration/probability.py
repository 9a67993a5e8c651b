"""How far probabilities can be taken at their word: the fit of a scaling, and measures of it."""

from dataclasses import asdict, dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from pranet.errors import DataError
from streamer.confidence import Scaling, to_logit
from streamer.engine.parity import MASK_LEVEL

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]

#: Of an expected calibration error, as most papers take them (Guo et al., ICML 2017) …
PIXEL_BINS = 15
#: … and of one of objects, of which there are but some hundred.
OBJECT_BINS = 10
#: Share of both that an object and a true one have in common from which on it is right.
RIGHT_IOU = 0.5
#: What a fit stops at, and after so many steps at the latest; ten are usual.
_STEP, _STEPS = 1e-9, 100


@dataclass(frozen=True)
class Answers:
    """What was said and what was so.

    Attributes:
        logits: (n,), of the probabilities that were said.
        outcomes: (n,), whether it was so.
    """

    logits: Values
    outcomes: Flags


@dataclass(frozen=True)
class Bin:
    """Answers of nearly the same probability.

    Attributes:
        said: their mean probability.
        was: the share of them that was so.
        count: how many.
    """

    said: float
    was: float
    count: int


@dataclass(frozen=True)
class Quality:
    """How good probabilities are.

    Attributes:
        count: answers.
        said: their mean probability.
        was: the share of them that was so.
        error_by_mass, error_by_width: expected calibration error, of bins that hold equally many
            answers and of bins that are equally wide.
        error_by_chance: by mass, of as many answers with these probabilities that are right by
            definition: what is not above it is as good as can be seen.
        brier: mean squared difference.
        log_loss: mean negative log-likelihood, nats.
    """

    count: int
    said: float
    was: float
    error_by_mass: float
    error_by_width: float
    error_by_chance: float
    brier: float
    log_loss: float

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)


def answers_of_objects(probability: NDArray[np.floating[Any]], inside: Flags) -> Answers:
    """The objects of a map: the logits of their mean probabilities, and which are right.

    An object is a connected region at 0.5, as `streamer.objects.find_objects` finds them. It is
    right where its IoU with one of the truth's regions is at least `RIGHT_IOU`.

    Args:
        probability: (h, w), 0…1.
        inside: (h, w), the truth.
    """
    count, labels = cv2.connectedComponents((probability >= MASK_LEVEL).astype(np.uint8))
    true_count, true_labels = cv2.connectedComponents(inside.astype(np.uint8))
    pairs = np.asarray(labels, np.intp) * true_count + true_labels
    both = np.bincount(pairs.ravel(), minlength=count * true_count).reshape(count, true_count)
    areas, true_areas = both.sum(axis=1), both.sum(axis=0)
    either = areas[1:, None] + true_areas[None, 1:] - both[1:, 1:]
    overlap = (both[1:, 1:] / either).max(axis=1, initial=0.0)
    sums = np.bincount(np.asarray(labels).ravel(), probability.ravel(), count)
    return Answers(to_logit(sums[1:] / areas[1:]), np.asarray(overlap >= RIGHT_IOU))


def fit(answers: Answers, *, with_offset: bool) -> Scaling:
    """The scaling with the greatest likelihood: temperature scaling, or Platt's with an offset.

    As in Platt (1999), what was so counts as a little less than certain, and what was not as a
    little more: a few answers that happen to be told apart without a mistake do not make it
    infinitely steep.

    Raises:
        DataError: there are not both kinds of outcomes, or the more probable was less often so.
    """
    right = int(answers.outcomes.sum())
    wrong = len(answers.outcomes) - right
    if not right or not wrong:
        raise DataError(
            f"{right} answers are right and {wrong} are wrong; a fit needs some of both"
        )
    targets = np.where(answers.outcomes, (right + 1) / (right + 2), 1 / (wrong + 2))
    columns = np.stack([answers.logits, np.ones_like(answers.logits)][: 1 + with_offset], axis=1)
    weights = np.zeros(columns.shape[1])
    loss = _log_loss(columns @ weights, targets)
    for _ in range(_STEPS):
        probability = Scaling(1.0).of_logit(columns @ weights)
        slope = columns.T @ (probability - targets) / len(targets)
        bend = (columns * (probability * (1 - probability))[:, None]).T @ columns / len(targets)
        step = np.linalg.solve(bend + 1e-12 * np.eye(len(weights)), slope)
        # Newton's step can be too long far from the end.
        while (new := _log_loss(columns @ (weights - step), targets)) > loss + 1e-15:
            step = step / 2
        weights, loss = weights - step, new
        if np.abs(step).max() < _STEP:
            break
    if weights[0] <= 0:
        raise DataError("what is more probable by the network is less often so: nothing to scale")
    return Scaling(float(weights[0]), float(weights[1]) if with_offset else 0.0)


def _log_loss(logits: Values, targets: Values) -> float:
    return float(np.mean(np.logaddexp(0, logits) - targets * logits))


def judge(answers: Answers, scaling: Scaling, bins: int) -> Quality:
    """How good the probabilities of a scaling are.

    Raises:
        DataError: there are no answers.
    """
    if not len(answers.logits):
        raise DataError("there is nothing to judge: not one object was found")
    said = scaling.of_logit(answers.logits)
    was = answers.outcomes.astype(np.float64)
    return Quality(
        count=len(said),
        said=float(said.mean()),
        was=float(was.mean()),
        error_by_mass=error_of(reliability(said, was, bins)),
        error_by_width=error_of(reliability(said, was, bins, equal_mass=False)),
        error_by_chance=_error_by_chance(said, bins),
        brier=float(np.mean((said - was) ** 2)),
        log_loss=_log_loss(scaling.scale * answers.logits + scaling.offset, was),
    )


def reliability(said: Values, was: Values, bins: int, *, equal_mass: bool = True) -> list[Bin]:
    """Answers gathered by their probabilities, in rising order; no bin is empty.

    Args:
        said: (n,), probabilities 0…1.
        was: (n,), 0 or 1.
        equal_mass: bins with equally many answers; else equally wide ones.
    """
    if equal_mass:
        order = np.argsort(said, kind="stable")
        parts = [part for part in np.array_split(order, bins) if len(part)]
    else:
        numbers = np.minimum((said * bins).astype(np.intp), bins - 1)
        parts = [part for number in range(bins) if len(part := np.flatnonzero(numbers == number))]
    return [Bin(float(said[part].mean()), float(was[part].mean()), len(part)) for part in parts]


def error_of(bins: list[Bin]) -> float:
    """The expected calibration error, 0…1: how far what was said is from what was, on average."""
    total = sum(each.count for each in bins)
    return sum(each.count * abs(each.said - each.was) for each in bins) / total


def _error_by_chance(said: Values, bins: int, draws: int = 20) -> float:
    rng = np.random.default_rng(0)
    errors = [
        error_of(reliability(said, (rng.random(len(said)) < said).astype(np.float64), bins))
        for _ in range(draws if len(said) < 100_000 else 1)
    ]
    return float(np.mean(errors))
