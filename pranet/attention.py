"""Reverse attention, stand-alone: usable in any U-shaped decoder, for any number of classes.

`DSRA` is the dual-supervised reverse attention of PraNet-V2 (Hu, Ji, Shao, Fan 2026);
`ReverseAttention` that of PraNet-V1 (Fan et al., MICCAI 2020).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from pranet.decoder import ConvNorm

Gain = Literal["sigmoid", "softmax"]


@dataclass(frozen=True)
class StageConfig:
    """Shape of the small network φ of one reverse-attention stage.

    Attributes:
        width: channels inside φ.
        kernel_size: of each refining convolution.
        depth: number of refining convolutions.
        head_kernel_size: of the convolution that makes the map.
        head_norm: batch norm behind that convolution, as published. On a map of one channel
            it makes training far slower; a plain convolution with bias does better.
    """

    width: int
    kernel_size: int = 3
    depth: int = 2
    head_kernel_size: int = 1
    head_norm: bool = False

    def __post_init__(self) -> None:
        for name in ("width", "kernel_size", "depth", "head_kernel_size"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{name} must be a positive whole number, not {value!r}")
        for name in ("kernel_size", "head_kernel_size"):
            if getattr(self, name) % 2 == 0:
                raise ValueError(f"{name} must be odd, not {getattr(self, name)}")

    def head(self, num_classes: int) -> nn.Module:
        """The convolution from `width` channels to one map per class."""
        if self.head_norm:
            return ConvNorm(self.width, num_classes, self.head_kernel_size)
        padding = self.head_kernel_size // 2
        return nn.Conv2d(self.width, num_classes, self.head_kernel_size, padding=padding)


class _Trunk(nn.Module):
    """The part of φ that both heads share; `context_channels` more join the feature's own."""

    def __init__(self, in_channels: int, stage: StageConfig, context_channels: int = 0) -> None:
        super().__init__()
        self.reduce = ConvNorm(in_channels + context_channels, stage.width, 1)
        self.refine = nn.ModuleList(
            ConvNorm(stage.width, stage.width, stage.kernel_size) for _ in range(stage.depth)
        )

    def forward(self, feature: Tensor, context: Tensor | None = None) -> Tensor:
        if context is not None:
            feature = torch.cat([feature, resize(context, feature.shape[-2:])], dim=1)
        feature = self.reduce(feature)
        for layer in self.refine:
            feature = F.relu(layer(feature))
        return feature


class ReverseAttention(nn.Module):
    """PraNet-V1: look where the deeper map saw nothing, and add what is found there to it.

    ``A = 1 − σ(I(R_deeper))``, ``R = φ(A ∘ F) + I(R_deeper)``. With several classes, A is taken
    from the most certain class at each pixel.
    """

    def __init__(self, in_channels: int, num_classes: int, stage: StageConfig) -> None:
        super().__init__()
        self.trunk = _Trunk(in_channels, stage)
        self.head = stage.head(num_classes)

    def forward(self, feature: Tensor, deeper: Tensor) -> Tensor:
        """(B, in_channels, h, w) and the deeper logits (B, C, ·, ·) → logits (B, C, h, w)."""
        deeper = resize(deeper, feature.shape[-2:])
        attention = 1 - torch.sigmoid(deeper.amax(dim=1, keepdim=True))
        return self.head(self.trunk(attention * feature)) + deeper  # type: ignore[no-any-return]


class DSRA(nn.Module):
    """PraNet-V2: foreground and background maps, the foreground raised by a dual gain.

    ``{Pf, Pb} = φ(F)``, ``γ = Softmax(I(R_deeper_fg) − I(R_deeper_bg))``,
    ``R_fg = Pf + Pf ∘ γ``, ``R_bg = Pb``.

    The softmax runs over the classes. For one class it is 1 everywhere, which is what the
    published binary network computes; ``gain="sigmoid"`` is the form that works for one class.

    The gain only multiplies: the sign of R_fg is that of φ, which as published sees one feature
    of the encoder. With `context_channels`, φ sees the decoder's fused feature as well.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        stage: StageConfig,
        *,
        gain: Gain = "sigmoid",
        context_channels: int = 0,
    ) -> None:
        super().__init__()
        self.gain = gain
        self.trunk = _Trunk(in_channels, stage, context_channels)
        self.head_fg = stage.head(num_classes)
        self.head_bg = stage.head(num_classes)
        #: Whether R_fg depends on the deeper maps at all.
        self.uses_deeper = gain == "sigmoid" or num_classes > 1

    def forward(
        self,
        feature: Tensor,
        deeper_fg: Tensor | None,
        deeper_bg: Tensor | None,
        context: Tensor | None = None,
        *,
        background: bool = True,
    ) -> tuple[Tensor, Tensor | None]:
        """One stage.

        Args:
            feature: (B, in_channels, h, w).
            deeper_fg, deeper_bg: logits (B, C, ·, ·) of the next deeper stage, of any size;
                not read, and may be None, where `uses_deeper` is false.
            context: (B, context_channels, ·, ·) of any size; None if there are no such channels.
            background: compute R_bg; without it the second result is None.

        Returns:
            R_fg and R_bg, logits (B, C, h, w).
        """
        shared = self.trunk(feature, context)
        foreground = self.head_fg(shared)
        if self.uses_deeper:
            if deeper_fg is None or deeper_bg is None:
                raise ValueError(f"a {self.gain} gain needs both maps of the deeper stage")
            difference = resize(deeper_fg - deeper_bg, feature.shape[-2:])
            gain = difference.softmax(dim=1) if self.gain == "softmax" else difference.sigmoid()
            foreground = foreground + foreground * gain
        else:
            foreground = 2 * foreground
        return foreground, self.head_bg(shared) if background else None


def resize(maps: Tensor, size: tuple[int, int] | torch.Size) -> Tensor:
    """Bilinear resize, half-pixel centres, to (height, width); the I(·) of the papers."""
    if maps.shape[-2:] == torch.Size(size):
        return maps
    return F.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)
