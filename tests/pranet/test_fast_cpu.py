"""The gradients of depthwise convolutions on the CPU, against the plain ones."""

import sys
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pranet.fast_cpu import FastDepthwiseGradients, _DepthwiseConvolution, keep_freed_memory

CHANNELS = 6
GEOMETRIES = [
    {"kernel_size": 3, "padding": 1},
    {"kernel_size": 3, "padding": 0},
    {"kernel_size": 5, "stride": 2, "padding": 2},
    {"kernel_size": 3, "stride": (1, 2), "padding": (0, 1)},
    {"kernel_size": 3, "padding": 2, "dilation": 2},
]


def draw(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def depthwise(**geometry: Any) -> nn.Conv2d:
    torch.manual_seed(0)
    return nn.Conv2d(CHANNELS, CHANNELS, groups=CHANNELS, bias=False, **geometry)


def gradients(layer: nn.Module, feature: Tensor, *, fast: bool) -> tuple[Tensor, ...]:
    """Output and gradients by input and weight, in bf16 autocast, for a fixed random direction."""
    feature = feature.clone().requires_grad_()
    (weight,) = layer.parameters()
    with torch.autocast("cpu", torch.bfloat16):
        if fast:
            with FastDepthwiseGradients():
                output = layer(feature)
        else:
            output = layer(feature)
    toward = draw(*output.shape, seed=2).to(output.dtype)
    return output, *torch.autograd.grad(output, (feature, weight), toward)


def kind(output: Tensor) -> str:
    assert output.grad_fn is not None
    return output.grad_fn.name()


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_float32_gradients_are_the_plain_ones(geometry: dict[str, Any]) -> None:
    layer = depthwise(**geometry)
    feature = draw(2, CHANNELS, 11, 14).requires_grad_()
    plain = layer(feature)
    fast = _DepthwiseConvolution.apply(
        feature, layer.weight, layer.stride, layer.padding, layer.dilation
    )

    toward = draw(*plain.shape, seed=2)
    torch.testing.assert_close(fast, plain)
    for ours, theirs in zip(
        torch.autograd.grad(fast, (feature, layer.weight), toward),
        torch.autograd.grad(plain, (feature, layer.weight), toward),
        strict=True,
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=str)
def test_bfloat16_gradients_are_no_worse_than_the_plain_ones(geometry: dict[str, Any]) -> None:
    layer = depthwise(**geometry)
    feature = draw(2, CHANNELS, 11, 14)
    exact = depthwise(**geometry).double()
    exact.weight.data = layer.weight.data.bfloat16().double()
    rounded = feature.bfloat16().double().requires_grad_()
    output = exact(rounded)
    toward = draw(*output.shape, seed=2).bfloat16().double()
    reference = (output, *torch.autograd.grad(output, (rounded, exact.weight), toward))

    fast, plain = (gradients(layer, feature, fast=fast) for fast in (True, False))

    assert kind(fast[0]) != kind(plain[0])
    for ours, theirs, truth in zip(fast, plain, reference, strict=True):
        assert ours.dtype == theirs.dtype
        error, plain_error = ((part.double() - truth).abs().max() for part in (ours, theirs))
        assert error <= plain_error + 1e-6
        torch.testing.assert_close(ours.double(), truth, rtol=2**-7, atol=2**-7)


def test_same_convolutions_of_timm_get_fast_gradients_too() -> None:
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False, features_only=True)
    layer = next(
        module
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and module.groups > 1 and module.stride == (2, 2)
    )
    channels = layer.in_channels
    assert type(layer) is not nn.Conv2d
    feature = draw(1, channels, 15, 15)

    fast, plain = (gradients(layer, feature, fast=fast) for fast in (True, False))

    assert kind(fast[0]) != kind(plain[0])
    assert fast[0].shape == (1, channels, 8, 8)
    for ours, theirs in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=2**-5, atol=2**-5)


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(CHANNELS, CHANNELS, 3),
        nn.Conv2d(CHANNELS, CHANNELS, 3, groups=2),
        nn.Conv2d(CHANNELS, 2 * CHANNELS, 3, groups=CHANNELS),
        nn.Conv2d(CHANNELS, CHANNELS, 3, groups=CHANNELS, bias=True),
        nn.Conv2d(CHANNELS, CHANNELS, 3, groups=CHANNELS, bias=False, padding="same"),
    ],
    ids=["dense", "grouped", "two per channel", "bias", "padding by name"],
)
def test_other_convolutions_are_left_alone(layer: nn.Conv2d) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        plain = layer(draw(1, CHANNELS, 9, 9))
        with FastDepthwiseGradients():
            inside = layer(draw(1, CHANNELS, 9, 9))

    assert kind(inside) == kind(plain)
    assert torch.equal(inside, plain)


def test_without_autocast_nothing_is_changed() -> None:
    layer = depthwise(kernel_size=3)
    plain = layer(draw(1, CHANNELS, 9, 9))
    with FastDepthwiseGradients():
        inside = layer(draw(1, CHANNELS, 9, 9))

    assert kind(inside) == kind(plain)
    assert torch.equal(inside, plain)


def test_gradient_of_the_input_is_not_computed_where_nobody_wants_it() -> None:
    layer = depthwise(kernel_size=3)
    with torch.autocast("cpu", torch.bfloat16), FastDepthwiseGradients():
        output = layer(draw(1, CHANNELS, 9, 9))

    output.float().sum().backward()

    assert layer.weight.grad is not None
    assert layer.weight.grad.dtype == torch.float32


def test_other_functions_pass_through() -> None:
    with FastDepthwiseGradients():
        assert torch.equal(F.relu(torch.tensor([-1.0, 2.0])), torch.tensor([0.0, 2.0]))


def test_other_systems_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr("ctypes.CDLL", lambda _: pytest.fail("looked for glibc"))

    keep_freed_memory()
