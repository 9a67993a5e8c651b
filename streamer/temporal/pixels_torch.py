"""The steps of `pixels`, and the warp of `streamer.motion`, for maps that live on a GPU.

Maps are (h, w) float tensors on any device; results stay there, and nothing waits for the GPU.
"""

import torch
from torch import Tensor
from torch.nn.functional import grid_sample


def smooth(new: Tensor, memory: Tensor, share: Tensor | float) -> Tensor:
    """See `pixels.smooth`."""
    undecided = 2 * (new * (1 - new)).clamp_min(0).sqrt()
    return new + (memory - new) * undecided * share


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
