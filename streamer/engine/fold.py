"""Batch norms folded into the convolutions before them: fewer steps, and none that stays float."""

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

#: Greatest difference of logits, as a share of the greatest of them, that folding may make.
TOLERANCE = 1e-3


def fold_batch_norms(model: nn.Module, example: Tensor) -> nn.Module:
    """A copy of a network in eval mode, without the batch norms that follow a convolution.

    Which norm follows which convolution is seen by running the network: it does not show in the
    order of the modules. What a norm does besides (timm's have an activation in them) stays.

    Args:
        model: in float32 and in eval mode; not changed.
        example: an input of it.

    Raises:
        RuntimeError: the copy does not compute the same, such as when a convolution's output is
            read by something else as well.
    """
    lean = copy.deepcopy(model)
    # Not in inference mode: a network made there can be run nowhere else.
    with torch.no_grad():
        for convolution, norm in _find_pairs(lean, example):
            _replace(lean, norm, _without_norm(lean.get_submodule(norm)))
            _replace(lean, convolution, _fused(model, convolution, norm))
        expected, got = model(example), lean(example)
    off = float((got - expected).abs().max() / expected.abs().max().clamp_min(1e-6))
    # Written so that what is not a number fails too.
    if not off <= TOLERANCE:
        raise RuntimeError(f"folding the batch norms changes the network by {off:.2g}")
    return lean


def _find_pairs(model: nn.Module, example: Tensor) -> list[tuple[str, str]]:
    """(convolution, norm), by name, where the norm reads what the convolution wrote."""
    written: dict[int, tuple[str, Tensor]] = {}
    pairs: list[tuple[str, str]] = []
    hooks = []

    def note(name: str) -> Any:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            # The tensor is kept, or another one could come to have its identity.
            written[id(output)] = (name, output)

        return hook

    def look(name: str) -> Any:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            if id(inputs[0]) in written:
                pairs.append((written[id(inputs[0])][0], name))

        return hook

    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d):
            hooks.append(module.register_forward_hook(note(name)))
        elif isinstance(module, nn.BatchNorm2d):
            hooks.append(module.register_forward_pre_hook(look(name)))
    try:
        model(example)
    finally:
        for hook in hooks:
            hook.remove()
    return pairs


def _fused(model: nn.Module, convolution: str, norm: str) -> nn.Module:
    before: Any = model.get_submodule(convolution)
    after: Any = model.get_submodule(norm)
    # Of the same class as before: timm's convolutions pad in a way of their own.
    fused: nn.Module = fuse_conv_bn_eval(before, after)
    return fused


def _without_norm(norm: nn.Module) -> nn.Module:
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()


def _replace(model: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, module)
