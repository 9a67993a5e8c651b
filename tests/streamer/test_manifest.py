"""What is kept beside an engine: read back as written, and compared with what is there."""

import json
from dataclasses import fields, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from streamer.engine.layer_types import (
    LayerTypes,
    check_precision,
    types_of_engine,
    types_of_network,
)
from streamer.engine.manifest import Facts, Manifest, check_facts, differences, read_manifest
from streamer.engine.parity import LIMITS, Limits, Parity, compare
from streamer.errors import EngineError

FACTS = Facts(
    weights_sha256="a1" * 32,
    model="pranet_v2_lite0",
    shape=(1, 3, 352, 352),
    precision="fp16",
    ranges="c3" * 32,
    pranet_stream="0.1.0",
    torch="2.14.1",
    torch_tensorrt="2.14.0",
    tensorrt="11.1.0.106",
    gpu="NVIDIA H100",
    compute_capability="9.0",
    driver="580.65.06",
)
LAYERS = LayerTypes(200, 2, 1, ("a cast", "[SIGMOID]-[…]"), "engine")
MANIFEST = Manifest(FACTS, 209, LAYERS, False, Parity(8, 0.003, 0.09, 0.9998, 91234))


class TestFile:
    def write(self, tmp_path: Path, **changes: Any) -> Path:
        values = json.loads(MANIFEST.to_json())
        for name, value in changes.items():
            target = values["facts"] if name in values["facts"] else values
            target[name] = value
        path = tmp_path / "manifest.json"
        path.write_text(json.dumps(values))
        return path

    def test_round_trip(self, tmp_path: Path) -> None:
        assert read_manifest(self.write(tmp_path)) == MANIFEST
        assert MANIFEST.input_size_px == 352

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"{",
            b"[]",
            b"null",
            b"\xff\xfe",
            b'{"format": "pranet-stream-engine/1"}',
            b"[" * 99999,
        ],
        ids=["empty", "cut off", "list", "null", "no text", "hollow", "deep"],
    )
    def test_damaged(self, content: bytes, tmp_path: Path) -> None:
        path = tmp_path / "manifest.json"
        path.write_bytes(content)
        with pytest.raises(EngineError, match="no manifest of an engine"):
            read_manifest(path)

    @pytest.mark.parametrize(
        "changes",
        [
            {"format": "pranet-stream-engine/9"},
            {"shape": [1, 3, 352]},
            {"shape": [1, 4, 352, 352]},
            {"shape": [1, 3, 352, 320]},
            {"shape": "1x3x352x352"},
            {"operators": "many"},
            {"layers": {"half": 3}},
            {"parity": None},
            {"facts": {"gpu": "any"}},
        ],
        ids=str,
    )
    def test_of_another_form(self, changes: dict[str, Any], tmp_path: Path) -> None:
        with pytest.raises(EngineError, match="no manifest of an engine"):
            read_manifest(self.write(tmp_path, **changes))

    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(EngineError, match="cannot be read"):
            read_manifest(tmp_path / "manifest.json")


class TestDifferences:
    def test_none(self) -> None:
        assert differences(FACTS, replace(FACTS)) == []
        check_facts(FACTS, replace(FACTS), "pranet-build")

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"weights_sha256": "b2" * 32}, "weights: built for a1a1a1a1a1a1, here b2b2b2b2b2b2"),
            ({"model": "mine"}, "model: built for pranet_v2_lite0, here mine"),
            ({"shape": (1, 3, 64, 64)}, "input shape: built for 1x3x352x352, here 1x3x64x64"),
            ({"precision": "fp32"}, "precision: built for fp16, here fp32"),
            ({"ranges": "b2" * 32}, "ranges: built for c3c3c3c3c3c3, here b2b2b2b2b2b2"),
            ({"torch": "2.15.0"}, "torch: built for 2.14.1, here 2.15.0"),
            ({"torch_tensorrt": ""}, "torch-tensorrt: built for 2.14.0, here none"),
            ({"tensorrt": "11.2.0"}, "TensorRT: built for 11.1.0.106, here 11.2.0"),
            ({"gpu": "NVIDIA L4"}, "GPU: built for NVIDIA H100, here NVIDIA L4"),
            ({"compute_capability": "8.9"}, "compute capability: built for 9.0, here 8.9"),
            ({"driver": "590.1"}, "driver: built for 580.65.06, here 590.1"),
        ],
        ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
    )
    def test_each_fact(self, changes: dict[str, Any], expected: str) -> None:
        here = replace(FACTS, **changes)

        assert differences(FACTS, here) == [expected]
        with pytest.raises(EngineError) as caught:
            check_facts(FACTS, here, "pranet-build --model M")
        assert (
            str(caught.value)
            == f"the engine does not fit ({expected}); run: pranet-build --model M"
        )

    def test_every_fact_is_compared(self) -> None:
        other = Facts("", "", (0, 0, 0, 0), *9 * ("",))

        assert len(differences(FACTS, other)) == len(fields(Facts))


def network(*layers: tuple[str, str, str]) -> Any:
    """A stand-in for TensorRT's network of layers (name, kind, format of the output)."""
    made = [
        SimpleNamespace(
            name=name,
            type=f"LayerType.{kind}",
            num_outputs=bool(written),
            get_output=lambda _, written=written: SimpleNamespace(dtype=f"DataType.{written}"),
        )
        for name, kind, written in layers
    ]
    return SimpleNamespace(num_layers=len(made), get_layer=made.__getitem__)


class TestLayerTypes:
    def test_of_a_network(self) -> None:
        found = types_of_network(
            network(
                ("stem", "CONVOLUTION", "HALF"),
                ("weights", "CONSTANT", "FLOAT"),
                ("length", "SHAPE", "INT64"),
                ("wide", "CAST", "BF16"),
                ("end", "ACTIVATION", "FLOAT"),
                ("nothing", "ASSERTION", ""),
            )
        )

        assert found == LayerTypes(1, 1, 3, ("end",), "network")
        assert str(found) == "1 half, 1 float layers (3 others), read from the network"

    def test_of_a_network_in_8_bits(self) -> None:
        def tensor(name: str, written: str) -> Any:
            return SimpleNamespace(name=name, dtype=f"DataType.{written}")

        def layer(kind: str, result: Any, *read: Any) -> Any:
            return SimpleNamespace(
                name=result.name,
                type=f"LayerType.{kind}",
                num_outputs=1,
                get_output=lambda _: result,
                get_input=read.__getitem__,
            )

        half = [tensor(f"half {number}", "HALF") for number in range(6)]
        eight = [tensor(f"eight {number}", "INT8") for number in range(2)]
        layers = [
            layer("QUANTIZE", eight[0], half[0]),
            layer("DEQUANTIZE", half[1], eight[0]),
            layer("QUANTIZE", eight[1], half[0]),
            layer("DEQUANTIZE", half[2], eight[1]),
            layer("CONVOLUTION", half[3], half[1], half[2]),
            # Its weights were rounded ahead of the build: it computes in half.
            layer("CONVOLUTION", half[4], half[1], half[0]),
            layer("CONVOLUTION", half[5], half[0], half[0]),
        ]
        found = types_of_network(
            SimpleNamespace(num_layers=len(layers), get_layer=layers.__getitem__)
        )

        assert found == LayerTypes(5, 0, 2, (), "network", eight=1)
        assert str(found).startswith("1 convolutions of 8-bit numbers; 5 half, 0 float")
        check_precision(found, "int8")

    @pytest.mark.parametrize("written", ["Int8", "FP8", "Channel major INT8 format"])
    def test_of_an_engine_in_8_bits(self, written: str) -> None:
        layer = {
            "Name": "a",
            "LayerType": "CaskConvolution",
            "Inputs": [{"Name": "x", "Format/Datatype": written}],
            "Outputs": [{"Name": "y", "Format/Datatype": "Half"}],
            # As TensorRT separates origins.
            "Metadata": "one\x1etwo",
        }
        kernel = {"LayerType": "kgen", "ParameterType": "Convolution"}
        # One that reads nothing, and one that only dequantises.
        others = [layer | {"Inputs": []}, layer | {"LayerType": "Convert"}]
        described = json.dumps({"Layers": [layer, layer | kernel, *others]})
        found = types_of_engine(described.replace("\\u001e", "\x1e"))

        assert found == LayerTypes(4, 0, 0, (), "engine", eight=2)

    @pytest.mark.parametrize("precision", ["int8", "fp8"])
    def test_8_bits_that_are_none_are_refused(self, precision: str) -> None:
        with pytest.raises(EngineError, match=f"asked for {precision}, but no convolution"):
            check_precision(LayerTypes(416, 2, 0, (), "network"), precision)

    @pytest.mark.parametrize(
        ("half", "single"),
        [
            ({"Format/Datatype": "Half"}, {"Format/Datatype": "Float"}),
            (
                {"Format/Datatype": "Channel major FP16 format where channel % 8 == 0"},
                {"Format/Datatype": "Row major linear FP32"},
            ),
            ({"Format": "Row major", "Datatype": "FP16"}, {"Format": "any", "Datatype": "FP32"}),
        ],
    )
    def test_of_an_engine(self, half: dict[str, str], single: dict[str, str]) -> None:
        layers = [
            {"Name": "a", "Outputs": [{"Name": "x", **half}]},
            {"Name": "b", "Outputs": [{"Name": "y", **single}]},
            {"Name": "c", "Outputs": [{"Name": "z", "Format/Datatype": "Int32"}]},
            {"Name": "d", "Outputs": []},
        ]
        described = json.dumps({"Layers": layers, "Bindings": ["x"]})

        assert types_of_engine(described) == LayerTypes(1, 1, 2, ("b",), "engine")

    @pytest.mark.parametrize(
        "described",
        ["", "no JSON", "[]", '{"Layers": ["conv1", "conv2"]}', '{"Layers": [{"Name": "a"}]}'],
    )
    def test_of_an_engine_that_tells_names_only(self, described: str) -> None:
        assert types_of_engine(described) is None

    def test_half_that_is_float_is_refused(self) -> None:
        """What the reported engine of lite0 was: 288 of 609."""
        check_precision(LayerTypes(321, 288, 0, (), "engine"), "fp16")
        with pytest.raises(EngineError, match="asked for fp16, but 320 of 609 layers"):
            check_precision(LayerTypes(289, 320, 0, (), "engine"), "fp16")
        check_precision(LayerTypes(289, 320, 0, (), "engine"), "fp16", careful=True)
        with pytest.raises(EngineError, match="use --precision fp32"):
            check_precision(LayerTypes(0, 609, 0, (), "engine"), "fp16", careful=True)
        with pytest.raises(EngineError, match="asked for fp16"):
            check_precision(LayerTypes(0, 0, 5, (), "engine"), "fp16")

    def test_float_that_is_half_is_refused(self) -> None:
        check_precision(LayerTypes(0, 609, 3, (), "engine"), "fp32")
        with pytest.raises(EngineError, match="asked for fp32, but 1 layers"):
            check_precision(LayerTypes(1, 608, 0, (), "engine"), "fp32")


class TestParity:
    frames = tuple(np.full((4, 4, 3), level, np.uint8) for level in (0, 200))

    @staticmethod
    def network(frame: Any) -> Any:
        """Half of the pixels follow the picture, the others show nothing."""
        probability = np.full((4, 4), 1e-4, np.float32)
        probability[:2] = frame[:2, :, 0] / 255
        return probability

    def test_same(self) -> None:
        found = compare(self.frames, self.network, self.network)

        assert found == Parity(2, 0.0, 0.0, 1.0, 8)
        assert found.fits(LIMITS["fp32"])

    def test_mask_that_is_half_of_it(self) -> None:
        def low(frame: Any) -> Any:
            probability = self.network(frame)
            probability[0] -= np.float32(0.5)
            return probability

        found = compare(self.frames[1:], low, self.network)

        assert found.mask_px == 8
        assert found.dice == pytest.approx(2 * 4 / (4 + 8))
        assert found.largest_error == pytest.approx(0.5)
        assert found.relative_error == pytest.approx(0.5 / 0.784 / 2**0.5, rel=1e-2)
        assert not found.fits(LIMITS["fp16"])

    def test_frame_with_nothing_on_it_has_little_weight(self) -> None:
        def twice_nothing(frame: Any) -> Any:
            return np.maximum(self.network(frame), np.float32(2e-4))

        found = compare(self.frames, twice_nothing, self.network)

        assert found.relative_error < 1e-3

    def test_no_number_never_fits(self) -> None:
        def broken(frame: Any) -> Any:
            return np.full((4, 4), np.nan, np.float32)

        found = compare(self.frames, broken, self.network)

        assert not found.fits(Limits(1e9, 0.0))

    def test_no_masks_are_said_to_be_none(self) -> None:
        found = compare(self.frames[:1], self.network, self.network)

        assert (found.dice, found.mask_px) == (1.0, 0)
        assert "no masks to compare" in str(found)

    def test_no_frames(self) -> None:
        with pytest.raises(ValueError, match="no frames"):
            compare([], self.network, self.network)
