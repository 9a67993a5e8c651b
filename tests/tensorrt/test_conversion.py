"""Every bundled network becomes one TensorRT engine, whose layers are of the format asked for.

`make test-tensorrt` runs it, in an environment of its own, and writes `docs/gpu/tensorrt_*`.
"""

import json
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from calibration.ranges import look
from pranet import build_model
from pranet.model import CONFIGS, PraNet
from streamer.engine.eight_bits import BOUNDS
from streamer.engine.network import lean_network
from streamer.engine.quantised import Ranges
from streamer.engine.tensorrt_build import convert_model
from streamer.engine.tensorrt_convert import Conversion

pytestmark = [
    pytest.mark.skipif(
        os.environ.get("PRANET_TENSORRT_TESTS") != "1",
        reason="needs TensorRT's builder in an environment of its own: make test-tensorrt",
    ),
    pytest.mark.timeout(900),
]

FOLDER = Path(__file__).parents[2] / "docs" / "gpu"
SIZE_PX = 352
CAREFUL = "fp16, careful"
#: Each network in each precision, and the one with attention also in the form that is kept for
#: where half is too far off.
CASES = [(name, precision) for name in CONFIGS for precision in ("fp16", "fp32")]
CASES += [("pranet_v2_pvt_v2_b2", CAREFUL)]
CASES += [(name, precision) for name in CONFIGS for precision in BOUNDS]

#: The sigmoid at the end is in float on purpose, and so is the cast before it.
FLOAT_AT_THE_END = 2
#: Scale of each attention: a number that TensorRT works out from the shape, not an activation.
FLOAT_OF_ATTENTION = 2 * 16


@pytest.fixture(scope="module")
def rows(builder: dict[str, str]) -> Iterator[list[dict[str, Any]]]:
    """What was measured; written to the documentation if every case was."""
    rows: list[dict[str, Any]] = []
    yield rows
    if len(rows) == len(CASES):
        _write(rows, builder)


@pytest.mark.parametrize(("name", "precision"), CASES)
def test_network_is_one_engine(
    name: str,
    precision: str,
    rows: list[dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PRANET_STREAM_CACHE", str(tmp_path))
    torch.manual_seed(0)
    model = build_model(name).eval()
    start_s = time.monotonic()

    ranges = some_ranges(model, precision) if precision in BOUNDS else None
    # That there is one block and nothing beside it is checked in there.
    conversion = convert_model(
        model, precision[:4], SIZE_PX, ranges, careful=precision == CAREFUL, device="cpu"
    )

    layers = conversion.layers
    in_the_engine = eight_bit_convolutions(conversion.plan)
    rows.append(
        {
            "network": name,
            "precision": precision,
            "operators": conversion.operators,
            "eight_bit_convolutions": layers.eight,
            "of_them_in_the_engine": in_the_engine,
            "half_layers": layers.half,
            "float_layers": layers.single,
            "other_layers": layers.other,
            "engine_mb": round(len(conversion.plan) / 1e6, 1),
            "seconds": round(time.monotonic() - start_s, 1),
        }
    )
    check_ends(conversion, "FLOAT" if precision == "fp32" else "HALF")
    # More than the half of the weights must be in there.
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert len(conversion.plan) > weights
    if precision == "fp32":
        assert layers.half == 0
    elif precision == "fp16":
        attention = FLOAT_OF_ATTENTION if "pvt" in name else 0
        assert layers.single == FLOAT_AT_THE_END + attention, layers.single_names
        assert layers.half > 150
    elif ranges is not None:
        # What TensorRT is told is not always what it does: with ranges of another shape the engine
        # is built without a word, and all of it computes in half.
        assert in_the_engine == layers.eight > 50
    else:
        assert any("NORMALIZATION" in layer for layer in layers.single_names)
        assert layers.half > layers.single


def some_ranges(model: PraNet, precision: str) -> Ranges:
    """Of noise: the form of the engine does not depend on them."""
    network = lean_network(model, torch.float32)
    return Ranges(precision, look(network, [torch.rand(1, 3, SIZE_PX, SIZE_PX)], precision), {})


def eight_bit_convolutions(plan: bytes) -> int:
    """How many convolutions of a TensorRT-RTX engine read images and weights in 8 bits.

    An engine can be loaded only on a GPU, but tells of its tensors and kernels in plain text.
    """
    text = "\n".join(found.decode() for found in re.findall(rb"[\x20-\x7e\t]{5,}", plan))
    tensors = re.findall(r'tensor=\{[^\n]*? name="([^"]*)"[^\n]*? type=(\w+)', text)
    # Later ones of a name are of the engine's inside.
    formats = dict(reversed(tensors))
    read = re.findall(r"corrltn=\{[^\n]*? input=\{([^}]*)\}", text)
    both = [[formats.get(name, "") for name in re.findall(r'"([^"]*)"', names)] for names in read]
    return sum(
        all(kind.startswith(("int8", "fp8")) for kind in kinds[:2]) for kinds in both if kinds[1:]
    )


def check_ends(conversion: Conversion, taken: str) -> None:
    (image,) = conversion.inputs
    (probability,) = conversion.outputs
    assert image[1:] == ((1, 3, SIZE_PX, SIZE_PX), taken)
    assert probability[1:] == ((1, SIZE_PX, SIZE_PX), "FLOAT")


def _write(rows: list[dict[str, Any]], versions: dict[str, str]) -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = {"versions": versions, "compute_capability": "8.9", "size_px": SIZE_PX, "rows": rows}
    (FOLDER / "tensorrt_conversion.json").write_text(json.dumps(found, indent=2) + "\n")
    lines = [
        "# TensorRT conversion without a GPU",
        "",
        "Written by `make test-tensorrt`: every bundled network through the converters of "
        "Torch-TensorRT and TensorRT's builder, "
        f"{SIZE_PX}x{SIZE_PX} px, batch 1, for compute capability 8.9, with untrained weights. "
        "Each is one block, with no operator left to torch. Layers are those of the network that "
        "TensorRT is given; constants are not counted. `docs/gpu.md` says what this does not show.",
        "",
        ", ".join(f"{name} {version}" for name, version in versions.items()),
        "",
        "| network | precision | operators | 8-bit convolutions | in the engine | half layers "
        "| float layers | others | engine MB | seconds |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {row['network']} | {row['precision']} | {row['operators']} "
        f"| {row['eight_bit_convolutions']} | {row['of_them_in_the_engine']} "
        f"| {row['half_layers']} | {row['float_layers']} | {row['other_layers']} "
        f"| {row['engine_mb']} | {row['seconds']} |"
        for row in rows
    ]
    lines += [
        "",
        "The two float layers of each fp16 network are the sigmoid at its end and the cast before "
        "it. The 32 more of pvt_v2_b2, and its 48 others, work out the scale of each of its 16 "
        "attentions from a shape. `fp16, careful` is what `pranet-build` falls back to where half "
        "is too far from eager fp32: layer norms and matrix products in float.",
        "",
        "In int8 and fp8, all convolutions but those of single channels read 8-bit images and "
        "weights in the network, and as many as the column says in the serialised engine, which "
        "tells so of itself; ranges are of noise. They count among the half layers too, as they "
        "write half; the others are those that round.",
    ]
    (FOLDER / "tensorrt_conversion.md").write_text("\n".join(lines) + "\n")
