"""Eight-bit forms: made, accepted or not, and found again by the engine."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import openvino as ov
import pytest
import torch

from calibration import command, precision
from calibration.precision import parts_of, quantise, read_layers
from pranet.checkpoint import read_info, save_model
from pranet.data import Pair, find_pairs
from pranet.model import build_model
from streamer.engine import load_segmenter
from streamer.engine.openvino import convert
from streamer.engine.quantised import find_quantised
from streamer.errors import EngineError


class TestParts:
    def test_the_encoder_by_blocks_and_the_decoder_by_parts(self, small: Path) -> None:
        parts = parts_of(convert(read_info(small), folded=True))
        blocks = {f"encoder.backbone.blocks.{number}" for number in range(7)}
        decoder = {"receptive_field", "decoder", "attention"}
        assert set(parts) == {"encoder.backbone.conv_stem"} | blocks | decoder
        assert len(parts) == len(set(parts))

    def test_nothing_is_in_8_bits_before(self, small: Path) -> None:
        layers = read_layers(convert(read_info(small), folded=True))
        assert layers.quantised == []
        assert len(layers.kept) > 100
        assert layers.ranges == {}


@pytest.fixture(scope="module")
def made(small: Path, labelled: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command's output: a folder with the checkpoint and its 8-bit form.

    In a process of its own: NNCF changes things for all of the process that it is loaded into.
    """
    if importlib.util.find_spec("nncf") is None:
        pytest.skip("the extra calibrate is not installed")
    folder = tmp_path_factory.mktemp("made")
    beside = folder / small.name
    beside.write_bytes(small.read_bytes())
    arguments = ["precision", "--data", labelled, "--validation", labelled, "--model", beside]
    more = ["--pictures", 12, "--tolerance", 100, "--output", folder]
    done = subprocess.run(
        [sys.executable, "-m", "calibration.command", *map(str, arguments), *map(str, more)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def own_copy(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder again, to do with as a test likes, and a cache of its own."""
    monkeypatch.setenv("PRANET_STREAM_CACHE", str(tmp_path / "cache"))
    return Path(shutil.copytree(made, tmp_path / "made"))


class TestQuantising:
    def test_most_layers_are_in_8_bits(self, own_copy: Path) -> None:
        found = find_quantised(read_info(own_copy / "small.safetensors"))
        assert found is not None
        layers = read_layers(ov.Core().read_model(found.xml))
        assert len(layers.quantised) > 5 * len(layers.kept)
        assert all(low <= 0 <= high for low, high in layers.ranges.values())
        facts = found.facts
        assert (facts["pictures"], facts["validation_images"]) == (12, 24)
        assert facts["parts_kept"] == []
        assert facts["layers_quantised"] == len(layers.quantised)

    def test_no_sum_of_two_products_overflows_16_bits(self, own_copy: Path) -> None:
        # A CPU without VNNI multiplies pairs of 8-bit numbers and adds them in 16 bits.
        found = find_quantised(read_info(own_copy / "small.safetensors"))
        assert found is not None
        network = ov.Core().read_model(found.xml)
        checked = 0
        for node in network.get_ordered_ops():
            # Of one channel by itself nothing is added in pairs.
            if node.get_type_name() not in ("Convolution", "MatMul"):
                continue
            weights = _stored_weights(node)
            if weights.dtype == np.int8:
                assert 2 * 255 * int(np.abs(weights.astype(int)).max()) < 2**15
                checked += 1
        assert checked > 50

    def test_it_is_found_beside_its_checkpoint_and_runs(
        self, own_copy: Path, labelled: Path
    ) -> None:
        checkpoint = str(own_copy / "small.safetensors")
        picture = find_pairs(labelled)[0].read()[0]
        exact = load_segmenter(checkpoint, precision="fp32", threads=1)
        eight_bits = load_segmenter(checkpoint, threads=1)
        assert eight_bits.info.precision == "int8"
        answers = [each.submit(picture).result() for each in (exact, eight_bits, eight_bits)]
        np.testing.assert_array_equal(answers[1], answers[2])
        assert 0 < np.abs(answers[0] - answers[1]).mean() < 0.1
        for each in (exact, eight_bits):
            each.close()

    def test_one_that_was_damaged_or_is_of_another_checkpoint_is_not_taken(
        self, own_copy: Path
    ) -> None:
        path = own_copy / "small.safetensors"
        checkpoint = read_info(path)
        found = find_quantised(checkpoint)
        assert found is not None
        weights = found.xml.with_suffix(".bin")
        whole = weights.read_bytes()
        weights.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        assert find_quantised(checkpoint) is None
        weights.write_bytes(whole)
        assert find_quantised(checkpoint) == found
        torch.manual_seed(1)
        save_model(
            build_model("pranet_v2_lite0", input_size=int(checkpoint.config["input_size"])).eval(),
            path,
        )
        assert find_quantised(read_info(path)) is None
        found.xml.with_suffix(".json").write_text("{}")
        assert find_quantised(checkpoint) is None


def _stored_weights(layer: Any) -> np.ndarray[Any, Any]:
    """As they are in the file, before they are scaled."""
    node = layer.input_value(1).get_node()
    while node.get_type_name() != "Constant":
        node = node.input_value(0).get_node()
    return np.asarray(node.get_data())


class TestTolerance:
    """With scores made up, so that each way of the search is gone."""

    @pytest.fixture
    def kept_parts(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, float]], None]:
        """Lets each part cost so many points where it is in 8 bits."""

        def cost(points: dict[str, float]) -> None:
            parts = list(points)
            monkeypatch.setattr(precision, "convert", lambda *_, **__: ())
            monkeypatch.setattr(precision, "parts_of", lambda _: parts)
            monkeypatch.setattr(
                precision, "_quantised", lambda _, __, kept: tuple(set(parts) - set(kept))
            )
            monkeypatch.setattr(precision, "_asking", lambda network: network)
            monkeypatch.setattr(
                precision,
                "mean_dice",
                lambda network, _: 90 - sum(points[part] for part in network),
            )
            monkeypatch.setattr(precision, "_median_ms", lambda *_: 1.0)
            monkeypatch.setattr(precision, "read_layers", lambda _: precision.Layers(["a"], [], {}))

        return cost

    def run(self, tolerance: float) -> precision.Outcome:
        checkpoint: Any = None
        picture = np.zeros((8, 8, 3), np.uint8)
        return quantise(checkpoint, [picture], [], tolerance=tolerance)

    def test_all_of_it_where_that_is_enough(self, kept_parts: Any) -> None:
        kept_parts({"stem": 0.1, "decoder": 0.1})
        outcome = self.run(0.3)
        assert outcome.kept == []
        assert outcome.loss == pytest.approx(0.2)

    def test_the_part_that_hurts_most_is_kept_first(self, kept_parts: Any) -> None:
        kept_parts({"stem": 0.5, "blocks": 0.1, "decoder": 1.5})
        outcome = self.run(0.3)
        assert outcome.kept == ["decoder", "stem"]
        assert outcome.loss == pytest.approx(0.1)

    def test_what_loses_too_much_in_any_form_is_not_accepted(self, kept_parts: Any) -> None:
        kept_parts({"stem": 1.0})
        with pytest.raises(EngineError, match=r"not accepted: .* more than -0.1"):
            self.run(-0.1)


class TestCommand:
    def refused(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *arguments: Any
    ) -> str:
        monkeypatch.setattr(sys, "argv", ["pranet-calibrate", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            command.main()
        assert caught.value.code == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    def test_fp8_is_for_tensorrt_only(
        self, capsys: Any, monkeypatch: pytest.MonkeyPatch, labelled: Path
    ) -> None:
        line = self.refused(
            capsys, monkeypatch, "precision", "--data", labelled, "--precision", "fp8"
        )
        assert line == "pranet-calibrate: OpenVINO has no fp8 on a CPU; use --precision int8"

    def test_without_labels_there_is_no_loss_to_see(
        self, capsys: Any, monkeypatch: pytest.MonkeyPatch, labelled: Path
    ) -> None:
        data = labelled / "images"
        line = self.refused(capsys, monkeypatch, "precision", "--data", data)
        assert line.endswith("has no masks/, so a loss cannot be seen; name --validation FOLDER")

    def test_without_nncf(
        self, capsys: Any, monkeypatch: pytest.MonkeyPatch, labelled: Path, small: Path
    ) -> None:
        monkeypatch.setitem(sys.modules, "nncf", None)
        line = self.refused(capsys, monkeypatch, "precision", "--data", labelled, "--model", small)
        assert 'pip install "pranet-stream[calibrate]"' in line


def test_mean_dice_is_at_the_pictures_own_size(tmp_path: Path) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[:, 30:] = 255
    for name, content in (("a.png", image), ("m.png", image[..., 0])):
        cv2.imwrite(str(tmp_path / name), content)
    pair = Pair(tmp_path / "a.png", tmp_path / "m.png")

    def right_half(seen: Any) -> Any:
        assert seen.shape == (40, 60, 3)
        answer = np.zeros((20, 20), np.float32)
        answer[:, 10:] = 1
        return answer

    assert precision.mean_dice(right_half, [pair, pair]) == pytest.approx(100, abs=2)
