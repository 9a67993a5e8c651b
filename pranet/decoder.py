"""The coarse half of PraNet: receptive-field blocks and the parallel partial decoder."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ConvNorm(nn.Sequential):
    """Convolution and batch norm, "same" padding, no activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int],
        *,
        dilation: int = 1,
    ) -> None:
        height, width = (
            kernel_size if isinstance(kernel_size, tuple) else (kernel_size, kernel_size)
        )
        padding = (dilation * (height // 2), dilation * (width // 2))
        super().__init__()
        self.conv = nn.Conv2d(
            in_channels,
            out_channels,
            (height, width),
            padding=padding,
            dilation=dilation,
            bias=False,
        )
        self.norm = nn.BatchNorm2d(out_channels)


class ReceptiveFieldBlock(nn.Module):
    """Four parallel branches of growing receptive field (PraNet's RFB), merged to `channels`."""

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        branches = [nn.Sequential(ConvNorm(in_channels, channels, 1))]
        branches += [
            nn.Sequential(
                ConvNorm(in_channels, channels, 1),
                ConvNorm(channels, channels, (1, size)),
                ConvNorm(channels, channels, (size, 1)),
                ConvNorm(channels, channels, 3, dilation=size),
            )
            for size in (3, 5, 7)
        ]
        self.branches = nn.ModuleList(branches)
        self.merge = ConvNorm(4 * channels, channels, 3)
        self.shortcut = ConvNorm(in_channels, channels, 1)

    def forward(self, feature: Tensor) -> Tensor:
        """(B, in_channels, h, w) → (B, channels, h, w)."""
        merged = self.merge(torch.cat([branch(feature) for branch in self.branches], dim=1))
        return F.relu(merged + self.shortcut(feature))


class PartialDecoder(nn.Module):
    """Parallel partial decoder: three features to one coarse map per class at stride 8.

    Args:
        channels: channels of each of the three inputs.
        num_classes: foreground classes; the background head, if any, has as many.
        background: whether there is a background head (PraNet-V2) or not (V1).

    Attributes:
        fused_channels: channels of the fused feature.
    """

    def __init__(self, channels: int, num_classes: int, *, background: bool) -> None:
        super().__init__()
        self.deep_to_middle = ConvNorm(channels, channels, 3)
        self.deep_to_shallow = ConvNorm(channels, channels, 3)
        self.middle_to_shallow = ConvNorm(channels, channels, 3)
        self.deep_beside_middle = ConvNorm(channels, channels, 3)
        self.middle_beside_shallow = ConvNorm(2 * channels, 2 * channels, 3)
        self.merge_middle = ConvNorm(2 * channels, 2 * channels, 3)
        self.merge_shallow = ConvNorm(3 * channels, 3 * channels, 3)
        self.refine = ConvNorm(3 * channels, 3 * channels, 3)
        self.fused_channels = 3 * channels
        self.head_fg = nn.Conv2d(self.fused_channels, num_classes, 1)
        self.head_bg = nn.Conv2d(self.fused_channels, num_classes, 1) if background else None

    def forward(self, shallow: Tensor, middle: Tensor, deep: Tensor) -> Tensor:
        """Features at strides 8, 16, 32, each of `channels` → fused feature at stride 8."""
        deep_at_middle = _double(deep)
        middle_gated = self.deep_to_middle(deep_at_middle) * middle
        shallow_gated = (
            self.deep_to_shallow(_double(deep_at_middle))
            * self.middle_to_shallow(_double(middle))
            * shallow
        )
        fused = self.merge_middle(
            torch.cat([middle_gated, self.deep_beside_middle(deep_at_middle)], dim=1)
        )
        fused = self.merge_shallow(
            torch.cat([shallow_gated, self.middle_beside_shallow(_double(fused))], dim=1)
        )
        return self.refine(fused)  # type: ignore[no-any-return]


def _double(feature: Tensor) -> Tensor:
    # The published decoder aligns corners here, unlike every other resize of the network.
    return F.interpolate(feature, scale_factor=2, mode="bilinear", align_corners=True)
