"""The steps of `pixels`, and the warp of `streamer.motion`, for maps that live on a GPU.

Maps are (h, w) float tensors on any device; results stay there, and nothing waits for the GPU.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d


def smooth(
    new: Tensor, memory: Tensor, share: Tensor | float, least: Tensor | float = 0.0
) -> Tensor:
    """See `pixels.smooth`."""
    weight = 2 * (new * (1 - new)).clamp_min(0).sqrt() * share
    return new + (memory - new) * torch.maximum(weight, torch.as_tensor(least).to(weight))


def far_from_boundary(shown: Tensor, threshold: float, reach_px: int) -> Tensor:
    """See `pixels.far_from_boundary`."""
    inside = (shown >= threshold).to(shown)[None, None]

    def grown(mask: Tensor) -> Tensor:
        return max_pool2d(mask, 2 * reach_px + 1, stride=1, padding=reach_px)

    return (grown(inside) + grown(1 - inside) < 2).to(shown)[0, 0]


def keep(probability: Tensor, shown: Tensor, *, bonus: float, threshold: float) -> Tensor:
    """See `pixels.keep`."""
    return probability + bonus * (shown >= threshold)


def warp(values: Tensor, places: Tensor) -> Tensor:
    """See `streamer.motion.warp`; `places` is (h, w, 2) on the same device."""
    height, width = values.shape
    size = torch.tensor((width, height), dtype=places.dtype, device=places.device)
    grid = (2 * places + 1) / size - 1
    warped = grid_sample(
        values[None, None], grid[None], mode="bilinear", padding_mode="border", align_corners=False
    )
    return warped[0, 0]
