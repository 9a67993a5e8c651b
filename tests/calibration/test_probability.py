"""How far probabilities can be taken at their word: fit and measures."""

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from calibration import command
from calibration.answers import PIXEL_STEP
from calibration.probability import (
    Answers,
    answers_of_objects,
    error_of,
    fit,
    judge,
    reliability,
)
from pranet.checkpoint import read_info, save_model
from pranet.errors import DataError
from pranet.model import build_model
from streamer.confidence import Calibration, Scaling, to_logit
from streamer.frame import Segmentation, View
from streamer.objects import find_objects

SIZE_PX = 64


def drawn(scaling: Scaling, count: int = 40_000) -> Answers:
    """Answers that are so as often as a scaling of what was said."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 6, count)
    return Answers(logits, rng.random(count) < scaling.of_logit(logits))


class TestFit:
    def test_a_temperature_is_found_again(self) -> None:
        found = fit(drawn(Scaling(0.2)), with_offset=False)
        assert found.scale == pytest.approx(0.2, rel=0.05)
        assert found.offset == 0

    def test_an_offset_is_found_again(self) -> None:
        found = fit(drawn(Scaling(0.5, -1.5)), with_offset=True)
        assert found.scale == pytest.approx(0.5, rel=0.05)
        assert found.offset == pytest.approx(-1.5, rel=0.05)

    def test_nothing_near_has_a_greater_likelihood(self) -> None:
        answers = drawn(Scaling(0.3, 0.7), 2000)
        found = fit(answers, with_offset=True)
        best = judge(answers, found, 10).log_loss
        for scale, offset in ((1.05, 0), (0.95, 0), (1, 0.05), (1, -0.05)):
            other = Scaling(found.scale * scale, found.offset + offset)
            assert judge(answers, other, 10).log_loss > best

    def test_what_is_told_apart_without_a_mistake_stays_finite(self) -> None:
        logits = np.array([-3.0, -2.0, 1.0, 2.0, 3.0])
        found = fit(Answers(logits, logits > 0), with_offset=True)
        assert 0 < found.scale < 10

    def test_huge_logits(self) -> None:
        logits = np.array([-400.0, 300.0, 200.0, -100.0] * 20)
        found = fit(Answers(logits, np.array([False, True, False, True] * 20)), with_offset=True)
        assert 0 < found.scale < 0.1

    @pytest.mark.parametrize("outcome", [True, False])
    def test_one_kind_of_outcome_only(self, outcome: bool) -> None:
        with pytest.raises(DataError, match="a fit needs some of both"):
            fit(Answers(np.arange(4.0), np.full(4, outcome)), with_offset=True)

    def test_the_wrong_way_round(self) -> None:
        right = drawn(Scaling(1.0), 1000)
        with pytest.raises(DataError, match="less often so"):
            fit(Answers(-right.logits, right.outcomes), with_offset=True)


class TestReliability:
    def test_by_hand(self) -> None:
        said = np.array([0.1, 0.9, 0.2, 0.8])
        was = np.array([0.0, 1.0, 1.0, 1.0])
        low, high = reliability(said, was, 2)
        assert (low.said, low.was, low.count) == (pytest.approx(0.15), 0.5, 2)
        assert (high.said, high.was, high.count) == (pytest.approx(0.85), 1.0, 2)
        assert error_of([low, high]) == pytest.approx((0.35 + 0.15) / 2)

    @given(
        st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60),
        st.integers(1, 20),
        st.booleans(),
    )
    def test_every_answer_is_in_one_bin(
        self, pairs: list[tuple[float, bool]], bins: int, equal_mass: bool
    ) -> None:
        said, was = np.array([p for p, _ in pairs]), np.array([float(o) for _, o in pairs])
        found = reliability(said, was, bins, equal_mass=equal_mass)
        assert len(found) <= bins
        assert all(each.count for each in found)
        assert sum(each.count for each in found) == len(pairs)
        means = [each.said for each in found]
        assert all(a <= b + 1e-9 for a, b in pairwise(means))
        assert sum(each.said * each.count for each in found) == pytest.approx(said.sum())
        assert 0 <= error_of(found) <= 1

    def test_too_sure_answers_are_mended_by_the_fit(self) -> None:
        answers = drawn(Scaling(0.2))
        before = judge(answers, Scaling(1.0), 15)
        after = judge(answers, fit(answers, with_offset=False), 15)
        assert after.error_by_mass < before.error_by_mass / 5
        assert after.error_by_width < before.error_by_width / 5
        assert after.brier < before.brier
        assert after.log_loss < before.log_loss
        # What is left is what chance makes of so many answers.
        assert after.error_by_mass < 3 * after.error_by_chance

    def test_nothing_to_judge(self) -> None:
        with pytest.raises(DataError, match="not one object was found"):
            judge(Answers(np.zeros(0), np.zeros(0, bool)), Scaling(1.0), 10)


class TestObjects:
    def test_right_by_overlap(self) -> None:
        probability = np.zeros((60, 60), np.float32)
        probability[5:15, 5:15] = 0.9  # on the truth
        probability[30:40, 5:15] = 0.7  # a fifth on the truth
        probability[30:40, 40:50] = 0.6  # nowhere near
        inside = np.zeros((60, 60), bool)
        inside[5:15, 5:13] = True
        inside[38:50, 5:15] = True
        found = answers_of_objects(probability, inside)
        order = np.argsort(-found.logits)
        assert found.outcomes[order].tolist() == [True, False, False]
        assert found.logits[order] == pytest.approx(to_logit(np.array([0.9, 0.7, 0.6])), abs=1e-5)

    def test_they_are_those_that_the_engine_finds(self) -> None:
        rng = np.random.default_rng(1)
        noise = cv2.GaussianBlur(rng.random((96, 96)).astype(np.float32), (0, 0), 4)
        probability = np.asarray((noise - 0.5) * 6 + 0.4, np.float32).clip(0, 1)
        found = find_objects(Segmentation(probability, View(0, 0, 96, 96), 0.5))
        answers = answers_of_objects(probability, np.zeros((96, 96), bool))
        assert len(found) > 3
        means = Scaling(1.0).of_logit(answers.logits)
        assert sorted(means) == pytest.approx(
            sorted(each.mean_probability for each in found), abs=1e-4
        )
        assert not answers.outcomes.any()

    def test_none(self) -> None:
        assert len(answers_of_objects(np.zeros((8, 8)), np.ones((8, 8), bool)).logits) == 0


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with a bright patch, which is the polyp in two of three."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for number in range(30):
        image = rng.integers(0, 60, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
        mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
        image[20:40, 20:44] += np.uint8(150)
        if number % 3:
            mask[20:40, 20:44] = 255
        cv2.imwrite(str(folder / "images" / f"{number}.png"), image)
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask)
    return folder


@pytest.fixture
def brightness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkpoint whose network, for a test, is far too sure that what is bright is a polyp."""
    path = tmp_path / "bright.safetensors"
    save_model(build_model("pranet_v2_lite0", input_size=SIZE_PX).eval(), path)

    def forward(self: Any, image: torch.Tensor) -> torch.Tensor:
        return 30 * image.mean(dim=1, keepdim=True)

    monkeypatch.setattr("pranet.model.PraNetV2.forward", forward)
    return path


class TestCommand:
    def run(self, monkeypatch: pytest.MonkeyPatch, *arguments: Any) -> int:
        line = ["pranet-calibrate", "probability", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", line)
        with pytest.raises(SystemExit) as caught:
            command.main()
        return int(caught.value.code or 0)

    def test_figures_diagram_and_checkpoint(
        self, labelled: Path, brightness: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytest.importorskip("matplotlib")
        report, plot = tmp_path / "out" / "report.json", tmp_path / "out" / "diagram.png"
        written = tmp_path / "calibrated.safetensors"
        given = ("--data", labelled, "--validation", labelled, "--model", brightness)
        tests = ("--test", labelled, "--test", labelled.parent / labelled.name)
        outputs = ("--report", report, "--plot", plot, "--write", written)
        assert self.run(monkeypatch, *given, *tests, *outputs) == 0

        figures = json.loads(report.read_text())
        pixels = -(-(SIZE_PX**2) // PIXEL_STEP)
        calibration = Calibration.from_dict(read_info(written).probability)
        assert calibration is not None
        assert figures["calibration"] == read_info(written).probability
        assert figures["calibration"]["fitted_on"]["images"] == 30
        assert figures["checkpoint_sha256"] == read_info(brightness).sha256
        objects = figures["sets"]["validation"]["object"]
        assert objects["before"]["count"] == 30
        assert objects["before"]["said"] > 0.9
        # Two of three patches are polyps.
        assert objects["after"]["said"] == pytest.approx(2 / 3, abs=0.05)
        assert objects["after"]["error_by_mass"] < objects["before"]["error_by_mass"]
        assert calibration.pixel.offset == 0
        assert figures["sets"]["validation"]["pixel"]["before"]["count"] == 30 * pixels
        assert cv2.imread(str(plot)) is not None

    def test_without_masks(
        self,
        labelled: Path,
        brightness: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        given = ("--data", labelled / "images", "--model", brightness)
        assert self.run(monkeypatch, *given) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("pranet-calibrate: ")
        assert "has no masks/" in line
