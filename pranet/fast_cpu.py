"""What makes training on a CPU fast: gradients of depthwise convolutions, and kept memory."""

import ctypes
import sys
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

# glibc's malloc.h
_M_TRIM_THRESHOLD = -1
_M_TOP_PAD = -2
_M_MMAP_MAX = -4


class _DepthwiseConvolution(torch.autograd.Function):
    """A depthwise convolution whose gradients are computed in float32."""

    @staticmethod
    def forward(
        ctx: Any,
        feature: Tensor,
        weight: Tensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
        dilation: tuple[int, int],
    ) -> Tensor:
        ctx.save_for_backward(feature, weight)
        ctx.geometry = (stride, padding, dilation)
        return torch.nn.functional.conv2d(
            feature, weight, None, stride, padding, dilation, feature.shape[1]
        )

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        feature, weight = ctx.saved_tensors
        stride, padding, dilation = ctx.geometry
        by_feature, by_weight, _ = torch.ops.aten.convolution_backward(
            gradients[0].float(),
            feature.float(),
            weight.float(),
            None,
            stride,
            padding,
            dilation,
            False,
            (0, 0),
            feature.shape[1],
            (ctx.needs_input_grad[0], ctx.needs_input_grad[1], False),
        )
        return (
            by_feature.to(feature.dtype) if by_feature is not None else None,
            by_weight.to(weight.dtype) if by_weight is not None else None,
            None,
            None,
            None,
        )


class FastDepthwiseGradients(TorchFunctionMode):
    """Inside this context, bfloat16 depthwise convolutions on the CPU get float32 gradients.

    oneDNN has no good kernel for the bfloat16 ones: at 352 px half of a training step of
    EfficientNet-Lite0 goes there, four fifths of which this saves.
    """

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.conv2d and not kwargs and len(args) == 7:
            feature, weight, bias, stride, padding, dilation, groups = args
            if (
                bias is None
                and feature.dim() == 4
                and not isinstance(padding, str)
                and groups == feature.shape[1] == weight.shape[0] > 1
                and feature.device.type == "cpu"
                and torch.is_autocast_enabled("cpu")
            ):
                kind = torch.get_autocast_dtype("cpu")
                pair, pads, spread = (
                    (value, value) if isinstance(value, int) else tuple(value)
                    for value in (stride, padding, dilation)
                )
                return _DepthwiseConvolution.apply(
                    feature.to(kind), weight.to(kind), pair, pads, spread
                )
        return func(*args, **kwargs)


def keep_freed_memory() -> None:
    """Let glibc keep what torch frees; nothing happens on other systems.

    Else each large tensor is given back to the kernel and faulted in anew, page by page, which
    costs a fifth of a training step. The process stays at its peak memory in return.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_MAX, 0)
        mallopt(_M_TRIM_THRESHOLD, 2**31 - 1)
        mallopt(_M_TOP_PAD, 2**28)
