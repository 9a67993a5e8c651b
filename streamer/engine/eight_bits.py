"""A network whose convolutions compute in 8 bits, in PyTorch: what TensorRT builds its engine from.

Weights and inputs are rounded to what 8 bits can hold and stay numbers of the format before, so
the network runs anywhere and shows what the rounding costs. Of each rounding TensorRT is given a
pair of layers, quantise and dequantise, and merges them into an 8-bit convolution. NVIDIA's
ModelOpt does the same, but what it makes in int8 cannot be exported without a GPU (0.47).
"""

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from streamer.engine import tensorrt_here

#: The greatest number of each format; that of fp8 is E4M3's.
BOUNDS = {"int8": 127.0, "fp8": 448.0}
#: Bits of the exponent, which is how Torch-TensorRT tells the formats apart.
_EXPONENT_BITS = {"int8": 0, "fp8": 4}
#: The least that a range reaches: channels that training has emptied have none, and TensorRT wants
#: scales above zero.
_LEAST = 1e-6
#: With more weights a channel, TensorRT has no fp8 kernel (its notes on 10.13) and would go back to
#: half, but only after rounding.
_MOST_FP8_TAPS = 32


@torch.library.custom_op("pranet::round_to_8_bits", mutates_args=())
def round_to_8_bits(numbers: Tensor, largest: Tensor, exponent_bits: int) -> Tensor:
    """Numbers as 8 bits can hold them, in their own format.

    Args:
        largest: what the greatest number of 8 bits stands for, in float32, above 0: a scalar, or
            one for each output channel of weights, (n, 1, 1, 1). What is larger is cut off.
        exponent_bits: 0 for int8, 4 for fp8.
    """
    bound = BOUNDS["fp8" if exponent_bits else "int8"]
    scale = largest / bound
    scaled = (numbers.float() / scale).clamp(-bound, bound)
    rounded = scaled.to(torch.float8_e4m3fn).float() if exponent_bits else scaled.round()
    return (rounded * scale).to(numbers.dtype)


@round_to_8_bits.register_fake
def _(numbers: Tensor, largest: Tensor, exponent_bits: int) -> Tensor:
    return torch.empty_like(numbers)


class EightBitConv(nn.Module):
    """A convolution whose input and weights are rounded to 8 bits."""

    largest_weight: Tensor
    largest_input: Tensor

    def __init__(self, conv: nn.Conv2d, largest_input: float, precision: str) -> None:
        super().__init__()
        self.conv = conv
        self._exponent_bits = _EXPONENT_BITS[precision]
        weight = conv.weight.detach().float().abs()
        # fp8 takes one range for all weights. So must a single channel, and one without
        # dimensions: TensorRT takes (1, 1, 1, 1) for something else.
        by_channel = precision == "int8" and len(weight) > 1
        largest = weight.amax((1, 2, 3), keepdim=True) if by_channel else weight.amax()
        largest_inputs = torch.tensor(largest_input)
        self.register_buffer("largest_weight", largest.clamp_min(_LEAST), persistent=False)
        self.register_buffer("largest_input", largest_inputs.clamp_min(_LEAST), persistent=False)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "EightBitConv":
        ranges = self.largest_weight, self.largest_input
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        # They stay in float32 in a half network.
        place = self.conv.weight.device
        self.largest_weight, self.largest_input = (each.to(place) for each in ranges)
        return self

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        weight = round_to_8_bits(self.conv.weight, self.largest_weight, self._exponent_bits)
        feature = round_to_8_bits(feature, self.largest_input, self._exponent_bits)
        # Whatever class the convolution is of: timm has one that pads by itself.
        result: Tensor = torch.func.functional_call(self.conv, {"weight": weight}, (feature,))
        return result


def convolutions(network: nn.Module, precision: str) -> dict[str, nn.Conv2d]:
    """Those that can be put in 8 bits, by name.

    Not those of one channel by itself: there 8 bits lose most, and TensorRT pads their channels
    fourfold, so that they gain nothing. In fp8 not those with large kernels.
    """
    return {
        name: module
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d)
        and module.groups == 1
        and not (precision == "fp8" and math.prod(module.kernel_size) > _MOST_FP8_TAPS)
    }


def put_in_8_bits(network: nn.Module, largest_inputs: Mapping[str, float], precision: str) -> int:
    """Replace convolutions by `EightBitConv`, in place; those that cannot be stay as they are.

    Args:
        largest_inputs: by the convolution's name, what its input is cut off at.
        precision: ``int8`` or ``fp8``.

    Returns:
        How many were replaced.

    Raises:
        AttributeError: a name is not one of the network.
    """
    possible = convolutions(network, precision)
    replaced = 0
    for name, largest in largest_inputs.items():
        conv: Any = network.get_submodule(name)
        if name not in possible:
            continue
        replaced += 1
        parent, _, own = name.rpartition(".")
        setattr(network.get_submodule(parent), own, EightBitConv(conv, largest, precision))
    return replaced


@cache
def register_converter() -> None:
    """Tell Torch-TensorRT what to make of `round_to_8_bits`, once.

    Raises:
        EngineError: Torch-TensorRT cannot be loaded.
    """
    dynamo = "torch_tensorrt.dynamo"
    conversion = tensorrt_here.import_module(f"{dynamo}.conversion", "torch-tensorrt")
    lowering = f"{dynamo}.lowering.constant_fold_exclusions"
    exclusions = tensorrt_here.import_module(lowering, "torch-tensorrt")
    source = tensorrt_here.import_module(f"{dynamo}._SourceIR", "torch-tensorrt").SourceIR.ATEN
    operator = torch.ops.pranet.round_to_8_bits.default

    def make_pair(context: Any, target: Any, arguments: Any, _: Any, name: str) -> Any:
        numbers, largest, exponent_bits = arguments
        largest = torch.as_tensor(largest)
        return conversion.impl.quantize.quantize(
            context, target, source, name, numbers, largest, 8, exponent_bits
        )

    conversion.dynamo_tensorrt_converter(operator)(make_pair)
    # Or weights are rounded ahead of the build, and TensorRT sees none in 8 bits.
    exclusions.register_constant_fold_exclusion_rule("pranet_round_to_8_bits")(
        lambda node: [node] if node.target is operator else []
    )
