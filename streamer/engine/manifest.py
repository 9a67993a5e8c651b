"""What a compiled engine was built from and for; an engine is used where all of it holds."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from streamer.engine.layer_types import LayerTypes
from streamer.engine.parity import Parity
from streamer.errors import EngineError

FORMAT = "pranet-stream-engine/1"

#: The facts as a user knows them.
_NAMES = {
    "weights_sha256": "weights",
    "model": "model",
    "shape": "input shape",
    "precision": "precision",
    "ranges": "ranges",
    "pranet_stream": "pranet-stream",
    "torch": "torch",
    "torch_tensorrt": "torch-tensorrt",
    "tensorrt": "TensorRT",
    "gpu": "GPU",
    "compute_capability": "compute capability",
    "driver": "driver",
}


@dataclass(frozen=True)
class Facts:
    """Everything that an engine depends on.

    Attributes:
        weights_sha256: of the checkpoint's file.
        model: the configuration's name.
        shape: of the input, (batch, 3, height, width).
        precision: ``fp32``, ``fp16``, ``int8`` or ``fp8``.
        ranges: SHA-256 of those that 8 bits need; empty without.
        pranet_stream, torch, torch_tensorrt, tensorrt: versions; empty where not installed. The
            first one is what made the network's graph.
        gpu: its name.
        compute_capability: such as ``8.9``.
        driver: its version.
    """

    weights_sha256: str
    model: str
    shape: tuple[int, int, int, int]
    precision: str
    ranges: str
    pranet_stream: str
    torch: str
    torch_tensorrt: str
    tensorrt: str
    gpu: str
    compute_capability: str
    driver: str


@dataclass(frozen=True)
class Manifest:
    """What is kept beside an engine.

    Attributes:
        facts: what it was built from and for.
        operators: of the network, all of them in the one engine.
        layers: formats of its layers, as read back.
        careful: built with layer norms and attention in float32, after the plain form failed.
        parity: how it compares with eager fp32.
    """

    facts: Facts
    operators: int
    layers: LayerTypes
    careful: bool
    parity: Parity

    @property
    def input_size_px(self) -> int:
        """Height and width of the input."""
        return self.facts.shape[-1]

    def to_json(self) -> str:
        """The manifest as a text for `read_manifest`."""
        values = {
            "format": FORMAT,
            "facts": asdict(self.facts),
            "operators": self.operators,
            "layers": self.layers.to_dict(),
            "careful": self.careful,
            "parity": self.parity.to_dict(),
        }
        return json.dumps(values, indent=2) + "\n"


def read_manifest(path: Path) -> Manifest:
    """The manifest in a file.

    Raises:
        EngineError: missing, damaged or of another format.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["format"] != FORMAT:
            raise ValueError(f"its format is {values['format']!r}")
        return Manifest(
            _facts(values["facts"]),
            int(values["operators"]),
            LayerTypes.from_dict(values["layers"]),
            bool(values["careful"]),
            Parity.from_dict(values["parity"]),
        )
    except OSError as error:
        raise EngineError(f"{path}: cannot be read ({error.strerror})") from error
    except KeyError as error:
        raise EngineError(f"{path}: no manifest of an engine ({error} is missing)") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise EngineError(f"{path}: no manifest of an engine ({error})") from error


def differences(built: Facts, here: Facts) -> list[str]:
    """What is not the same, one readable text each, such as ``GPU: built for A, here B``."""
    found = []
    for field in fields(Facts):
        before, now = getattr(built, field.name), getattr(here, field.name)
        if before != now:
            told_before, told_now = _readable(before), _readable(now)
            found.append(f"{_NAMES[field.name]}: built for {told_before}, here {told_now}")
    return found


def check_facts(built: Facts, here: Facts, rebuild: str) -> None:
    """That an engine was built for what there is here.

    Args:
        rebuild: the command that builds it anew.

    Raises:
        EngineError: which facts differ, and the command.
    """
    found = differences(built, here)
    if found:
        raise EngineError(f"the engine does not fit ({'; '.join(found)}); run: {rebuild}")


def _facts(values: Mapping[str, Any]) -> Facts:
    unknown = values.keys() ^ {field.name for field in fields(Facts)}
    if unknown:
        raise ValueError(f"of other facts: {', '.join(sorted(unknown))}")
    batch, channels, height, width = (int(length) for length in values["shape"])
    if channels != 3 or height != width or min(batch, height) < 1:
        raise ValueError(f"no shape of an image: {values['shape']}")
    texts = {name: str(value) for name, value in values.items() if name != "shape"}
    return Facts(shape=(batch, channels, height, width), **texts)


def _readable(value: object) -> str:
    if isinstance(value, tuple):
        return "x".join(str(length) for length in value)
    text = str(value)
    # A hash tells nothing more by its other digits.
    return (text[:12] if len(text) == 64 else text) or "none"
