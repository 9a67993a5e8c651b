"""The scaling of probabilities that a checkpoint brings along."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pranet.checkpoint import read_info, save_calibrated, save_model
from pranet.errors import CheckpointError
from pranet.model import build_model
from streamer.confidence import Calibration, Scaling, to_logit
from streamer.engine import load_segmenter

CALIBRATION = Calibration(Scaling(0.2), Scaling(2.0, -6.0))
probabilities = st.floats(0, 1, width=32)


class TestScaling:
    @given(probabilities)
    def test_one_and_no_offset_change_nothing(self, probability: float) -> None:
        assert Scaling(1.0)(probability) == pytest.approx(probability, abs=2e-7)

    @given(probabilities, probabilities, st.floats(0.05, 5), st.floats(-8, 8))
    def test_what_is_more_probable_stays_so(
        self, one: float, other: float, scale: float, offset: float
    ) -> None:
        scaling = Scaling(scale, offset)
        low, high = sorted((one, other))
        assert 0 <= scaling(low) <= scaling(high) <= 1

    @given(st.floats(0.05, 5))
    def test_a_temperature_leaves_a_half_where_it_is(self, scale: float) -> None:
        assert Scaling(scale)(0.5) == 0.5

    def test_by_hand(self) -> None:
        # A probability of 0.9 has odds of 9 to 1; half the logit is the root of the odds.
        assert Scaling(0.5)(0.9) == pytest.approx(3 / 4)
        assert Scaling(1.0, float(np.log(2)))(0.9) == pytest.approx(18 / 19)

    def test_logits_are_of_any_shape_and_finite(self) -> None:
        assert to_logit(np.array([[0.0, 0.5, 1.0]])).tolist() == [[-16.0, 0.0, 16.0]]


class TestCalibration:
    def test_round_trip_by_json(self) -> None:
        stored = json.loads(json.dumps(CALIBRATION.to_dict() | {"fitted_on": {"images": 3}}))
        assert Calibration.from_dict(stored) == CALIBRATION

    def test_nothing_is_none(self) -> None:
        assert Calibration.from_dict({}) is None

    @pytest.mark.parametrize(
        "stored",
        [
            {"pixel": {"scale": 1, "offset": 0}},
            {"pixel": 3, "object": 4},
            {"pixel": {"scale": 1, "offset": 0}, "object": {"scale": "much", "offset": 0}},
            {"pixel": {"scale": 0, "offset": 0}, "object": {"scale": 1, "offset": 0}},
            {"pixel": {"scale": 1, "offset": 0}, "object": {"scale": 1, "offset": float("inf")}},
        ],
    )
    def test_what_is_of_another_form_is_refused(self, stored: dict[str, Any]) -> None:
        with pytest.raises(CheckpointError, match="the checkpoint's calibration is"):
            Calibration.from_dict(stored)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A checkpoint that says nothing of its probabilities."""
    path = tmp_path / "small.safetensors"
    save_model(build_model("pranet_v2_lite0", input_size=64).eval(), path, training={"epochs": 3})
    return path


class TestCheckpoint:
    def test_weights_and_all_else_stay(self, small: Path, tmp_path: Path) -> None:
        from safetensors.numpy import load_file

        written = tmp_path / "calibrated.safetensors"
        save_calibrated(small, written, CALIBRATION.to_dict())
        before, after = read_info(small), read_info(written)
        assert before.probability == {}
        assert after.probability == CALIBRATION.to_dict()
        assert (before.config, before.training) == (after.config, after.training)
        assert before.sha256 != after.sha256
        old, new = load_file(small), load_file(written)
        assert old.keys() == new.keys()
        assert all(np.array_equal(old[key], new[key]) for key in old)

    def test_a_second_one_takes_the_place_of_the_first(self, small: Path) -> None:
        save_calibrated(small, small, {"pixel": 1})
        save_calibrated(small, small, CALIBRATION.to_dict())
        assert read_info(small).probability == CALIBRATION.to_dict()

    def test_a_published_file_is_refused(self, tmp_path: Path) -> None:
        published = tmp_path / "published.pth"
        published.write_bytes(b"anything")
        with pytest.raises(CheckpointError, match="has no place for a calibration"):
            save_calibrated(published, tmp_path / "out.safetensors", CALIBRATION.to_dict())

    def test_a_folder_that_is_not_there(self, small: Path, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="cannot be written"):
            save_calibrated(small, tmp_path / "none" / "out.safetensors", {})

    @pytest.mark.parametrize("backend", ["openvino", "eager"])
    def test_the_engine_says_it_and_its_map_stays(
        self,
        backend: Any,
        small: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("PRANET_STREAM_CACHE", str(tmp_path / "cache"))
        written = tmp_path / "calibrated.safetensors"
        save_calibrated(small, written, CALIBRATION.to_dict())
        image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
        answers = []
        for path, expected in ((small, None), (written, CALIBRATION)):
            segmenter = load_segmenter(str(path), backend=backend, precision="fp32", threads=1)
            assert segmenter.info.calibration == expected
            answers.append(segmenter.submit(image).result())
            segmenter.close()
        np.testing.assert_array_equal(*answers)
