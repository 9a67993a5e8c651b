"""In which number format the layers of a TensorRT engine compute: read back, not believed."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from streamer.errors import EngineError

#: Largest share of float layers that an engine may have and still be called half.
MAX_FLOAT_SHARE = 0.5
#: The same where layer norms and matrix products are in float on purpose.
MAX_CAREFUL_FLOAT_SHARE = 0.75

_FLOAT = ("fp32", "float")
_HALF = ("fp16", "half")
_EIGHT = ("int8", "fp8", "float8")
#: Inputs of a convolution.
_IMAGE, _WEIGHTS = 0, 1


@dataclass(frozen=True)
class LayerTypes:
    """How many layers write which format.

    Attributes:
        half: layers that write float16.
        single: layers that write float32.
        other: those of whole numbers, and those that write nothing.
        single_names: the float32 layers, by name, in the network's order.
        read_from: ``engine`` (after TensorRT merged layers) or ``network`` (before).
        eight: convolutions that read 8-bit numbers; of a network, those all of whose inputs come
            from such. They count by what they write, too.
    """

    half: int
    single: int
    other: int
    single_names: tuple[str, ...]
    read_from: str
    eight: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self) | {"single_names": list(self.single_names)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "LayerTypes":
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: entries are missing or of another form.
        """
        return cls(
            int(values["half"]),
            int(values["single"]),
            int(values["other"]),
            tuple(str(name) for name in values["single_names"]),
            str(values["read_from"]),
            int(values["eight"]),
        )

    def __str__(self) -> str:
        text = f"{self.half} half, {self.single} float layers"
        if self.eight:
            text = f"{self.eight} convolutions of 8-bit numbers; {text}"
        return f"{text} ({self.other} others), read from the {self.read_from}"


def types_of_network(network: Any) -> LayerTypes:
    """The formats in an `INetworkDefinition`, which is strongly typed: TensorRT keeps to them.

    Constants are left out: they are data, and merged into the layers that read them.
    """
    layers = [network.get_layer(index) for index in range(network.num_layers)]
    types = _count(
        (
            (layer.name, str(layer.get_output(0).dtype) if layer.num_outputs else "")
            for layer in layers
            if "CONSTANT" not in str(layer.type)
        ),
        "network",
    )
    dequantised = {
        layer.get_output(0).name: str(layer.get_input(0).dtype)
        for layer in layers
        if "DEQUANTIZE" in str(layer.type)
    }
    eight = sum(
        all(
            _is_of(dequantised.get(layer.get_input(place).name, ""), _EIGHT)
            for place in (_IMAGE, _WEIGHTS)
        )
        for layer in layers
        if dequantised and str(layer.type).endswith(".CONVOLUTION")
    )
    return replace(types, eight=eight)


def types_of_engine(described: str) -> LayerTypes | None:
    """The formats in what an `IEngineInspector` says, as JSON; None if it tells no formats."""
    try:
        # Not strict: TensorRT separates what it keeps of a layer's origin by control characters.
        listed = json.loads(described, strict=False)["Layers"]
        layers = [layer for layer in listed if isinstance(layer, dict)]
        named = [(str(layer["Name"]), _format(layer["Outputs"])) for layer in layers]
        read = [_format(layer.get("Inputs", ())) for layer in layers if _is_convolution(layer)]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    types = _count(named, "engine")
    if not types.half and not types.single:
        return None
    return replace(types, eight=sum(_is_of(each, _EIGHT) for each in read))


def check_precision(types: LayerTypes, precision: str, *, careful: bool = False) -> None:
    """That an engine is what its name says.

    Args:
        careful: it was built with layer norms and attention in float32.

    Raises:
        EngineError: asked to be fp16 and mostly float, asked to be fp32 and part half, or asked to
            be of 8 bits and not.
    """
    if precision in ("int8", "fp8") and not types.eight:
        raise EngineError(f"asked for {precision}, but no convolution reads 8-bit numbers")
    if precision == "fp32" and types.half:
        raise EngineError(f"asked for fp32, but {types.half} layers compute in half")
    allowed = MAX_CAREFUL_FLOAT_SHARE if careful else MAX_FLOAT_SHARE
    total = types.half + types.single
    if precision == "fp16" and types.single >= allowed * total:
        raise EngineError(
            f"asked for fp16, but {types.single} of {total} layers compute in "
            "float32; this network needs another form before it converts, use --precision fp32"
        )


def _count(layers: Iterable[tuple[str, str]], read_from: str) -> LayerTypes:
    half = other = 0
    single: list[str] = []
    for name, written in layers:
        if _is_of(written, _HALF):
            half += 1
        elif _is_of(written, _FLOAT) and not _is_of(written, ("bfloat", *_EIGHT)):
            single.append(name)
        else:
            other += 1
    return LayerTypes(half, len(single), other, tuple(single), read_from)


def _is_convolution(layer: Mapping[str, Any]) -> bool:
    # Merged with what follows it, or as a product of matrices, as which TensorRT runs those of
    # single pixels. What only rounds or lays numbers out anew is none.
    kind = f"{layer.get('LayerType', '')} {layer.get('ParameterType', '')}".lower()
    return any(word in kind for word in ("convolution", "gemm"))


def _is_of(written: str, words: tuple[str, ...]) -> bool:
    return any(word in written.lower() for word in words)


def _format(tensors: Any) -> str:
    # The key has been "Format/Datatype" and "Datatype", the value "Half" as well as a sentence
    # such as "Channel major FP16 format where channel % 8 == 0".
    return next(
        (
            str(value)
            for tensor in tensors
            for key, value in tensor.items()
            if "datatype" in key.lower()
        ),
        "",
    )
