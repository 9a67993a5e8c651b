"""The network as GPU engines run it: folded, in one number format, normalised image in."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from streamer.engine.fold import fold_batch_norms


class NormalisedToProbability(nn.Module):
    """A folded network with its sigmoid behind it.

    Normalised RGB (B, 3, H, W) in the network's number format → probability of the first class
    (B, H, W), float32, 0…1. The image is normalised where it is read (`streamer.gpu.reader`),
    in the same pass that scales it.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return torch.sigmoid(self.model(image)[:, 0].float())


#: Side of the image that folding is checked on: any multiple of 32 will do, and this one is quick.
_EXAMPLE_PX = 64


def dtype_of(precision: str) -> torch.dtype:
    """What a network of a precision takes; what is not in 8 bits of an 8-bit one is in half."""
    return torch.float32 if precision == "fp32" else torch.float16


def lean_network(model: nn.Module, dtype: torch.dtype) -> NormalisedToProbability:
    """What a GPU engine compiles; on the CPU still.

    Args:
        model: a trained network in eval mode, in float32, on the CPU.
        dtype: float16, or float32 for comparison.
    """
    example = torch.randn(
        1, 3, _EXAMPLE_PX, _EXAMPLE_PX, generator=torch.Generator().manual_seed(0)
    )
    folded = fold_batch_norms(model, example)
    return NormalisedToProbability(folded).eval().to(dtype)


def cuda_network(model: Any, dtype: torch.dtype, *, compiled: bool) -> Callable[[Tensor], Tensor]:
    """The network as it is put into a graph; see `GpuSegmenter`.

    cuDNN and PyTorch's compiler choose their kernels by rule and not by trial: a trial may end
    otherwise the next time, and the same picture would have another mask. In float32 it computes in
    float32, and not in the ten bits of TF32. Both are settings of the whole process.
    """
    torch.backends.cudnn.benchmark = False
    if dtype == torch.float32:
        torch.backends.cudnn.allow_tf32 = False
    lean = lean_network(model, dtype)
    network = lean.cuda().to(memory_format=torch.channels_last)
    if not compiled:
        return network
    from torch._inductor import config

    # PyTorch 2.9 does not know it yet.
    by_rule: dict[str, Any] = {"deterministic": True} if hasattr(config, "deterministic") else {}
    return torch.compile(network, dynamic=False, options=by_rule)
