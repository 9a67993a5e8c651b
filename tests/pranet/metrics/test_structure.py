"""Weighted F, S-measure and E-measure are the library's own, without its min-max stretch."""

import math
import sys
from types import ModuleType

import numpy as np
import pytest
from numpy.typing import NDArray

from pranet.evaluate import stretched
from pranet.metrics import structure_scores
from pranet.metrics.structure import is_available

Answer = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def by_library(
    module: ModuleType, prediction: NDArray[np.generic], truth: NDArray[np.generic], **options: bool
) -> dict[str, float]:
    weighted, structure, enhanced = (
        module.WeightedFmeasure(),
        module.Smeasure(),
        module.Emeasure(),
    )
    for metric in (weighted, structure, enhanced):
        metric.step(prediction, truth, **options)
    return {
        "wFm": weighted.get_results()["wfm"],
        "S-m": structure.get_results()["sm"],
        "mEm": np.mean(enhanced.get_results()["em"]["curve"]),
    }


def test_plain_probabilities_score_as_in_the_library_without_its_stretch(
    faint_answers: list[Answer], sod_metrics: ModuleType
) -> None:
    for levels, inside in faint_answers:
        probability = (levels / 255).astype(np.float32)

        scores = structure_scores(probability, inside)

        assert scores == pytest.approx(
            by_library(sod_metrics, probability, inside, normalize=False)
        )


def test_stretched_probabilities_score_as_the_files_of_a_published_test(
    answers: list[Answer], faint_answers: list[Answer], sod_metrics: ModuleType
) -> None:
    for levels, inside in answers + faint_answers:
        probability = stretched((levels / 255).astype(np.float32))

        scores = structure_scores(probability, inside)

        expected = by_library(sod_metrics, levels, 255 * inside.astype(np.uint8))
        assert scores["wFm"] == pytest.approx(expected["wFm"], abs=1e-6)
        assert scores["S-m"] == pytest.approx(expected["S-m"], abs=1e-6)
        # A value right on one of the 256 thresholds may fall to either side of it.
        assert scores["mEm"] == pytest.approx(expected["mEm"], abs=1 / 256)


def test_perfect_answer_scores_one(sod_metrics: ModuleType) -> None:
    inside = np.zeros((40, 40), np.bool_)
    inside[10:20, 5:30] = True

    scores = structure_scores(inside.astype(np.float32), inside)

    assert scores["wFm"] == pytest.approx(1)
    assert scores["S-m"] == pytest.approx(1)
    assert scores["mEm"] == pytest.approx(1, abs=0.01)


def test_weighted_f_is_not_defined_on_an_empty_truth_but_the_others_are(
    sod_metrics: ModuleType,
) -> None:
    nothing = np.zeros((20, 20), np.bool_)
    probability = np.full((20, 20), 0.25, np.float32)

    scores = structure_scores(probability, nothing)

    assert math.isnan(scores["wFm"])
    assert scores["S-m"] == pytest.approx(0.75)
    # All is wrong at the thresholds 0…63 of 255, all is right at those above.
    assert scores["mEm"] == pytest.approx(192 / 256, abs=0.005)


def test_library_is_there_when_it_can_be_imported(
    sod_metrics: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert is_available()

    monkeypatch.setitem(sys.modules, "py_sod_metrics", None)

    assert not is_available()
    with pytest.raises(ImportError):
        structure_scores(np.zeros((2, 2), np.float32), np.zeros((2, 2), np.bool_))


def test_library_without_what_it_needs_is_not_there(
    sod_metrics: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "py_sod_metrics"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "sklearn.neighbors", None)

    assert not is_available()
