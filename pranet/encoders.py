"""Encoders: an image in, features at strides 8, 16 and 32 out."""

from typing import Any

import timm
from torch import Tensor, nn

STRIDES = (8, 16, 32)


class Encoder(nn.Module):
    """A timm backbone cut down to the three features that PraNet reads.

    Args:
        name: timm model name, e.g. ``tf_efficientnet_lite0``, ``res2net50d``, ``pvt_v2_b2``.

    Attributes:
        channels: channels of the features at strides 8, 16 and 32.

    Raises:
        ValueError: timm has no such model, or it has no feature at one of those strides.
    """

    def __init__(self, name: str) -> None:
        super().__init__()
        # Names may come out of a file, and timm would look for some of them on the network.
        if not timm.is_model(name):
            raise ValueError(f"no encoder {name!r} in timm")
        probe: Any = timm.create_model(name, pretrained=False, features_only=True)
        reductions = probe.feature_info.reduction()
        missing = [stride for stride in STRIDES if stride not in reductions]
        if missing:
            raise ValueError(f"encoder {name} has no feature at stride {missing}")
        indices = tuple(reductions.index(stride) for stride in STRIDES)
        backbone: Any = timm.create_model(
            name, pretrained=False, features_only=True, out_indices=indices
        )
        self.backbone = backbone
        self.channels: tuple[int, ...] = tuple(backbone.feature_info.channels())

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, 3, H, W), normalised → F2, F3, F4 at strides 8, 16, 32."""
        stride_8, stride_16, stride_32 = self.backbone(image)
        return stride_8, stride_16, stride_32
