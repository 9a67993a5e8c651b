"""The small luma image that motion is found in, made on the GPU: only that comes back."""

from functools import lru_cache

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.frame import View
from streamer.gpu.reading import Axis
from streamer.gpu.resample import area_taps
from streamer.gpu.surface import as_tensors


def small_luma_on_gpu(
    picture: av.VideoFrame, view: View, size: tuple[int, int], step: int
) -> NDArray[np.uint8]:
    """See `streamer.motion.small_luma`.

    Args:
        size: width and height of the small image.
        step: rows of the picture for one that is read.
    """
    whole = as_tensors(picture).luma
    rows = whole[view.y + step // 2 : view.y + view.height : step, view.x : view.x + view.width]
    down, across = (
        _matrix(count, wanted, rows.device)
        for count, wanted in zip(rows.shape, reversed(size), strict=True)
    )
    small = (down @ rows.float() @ across.T + 0.5).to(torch.uint8)
    return np.asarray(small.cpu().numpy(), np.uint8)


@lru_cache(maxsize=16)
def _matrix(count: int, wanted: int, place: torch.device) -> Tensor:
    """Makes of so many samples as many as are wanted.

    Remembered: it is the same for each picture, and to bring it there waits for the default stream.
    """
    return Axis.of(area_taps(count, wanted), place).matrix(count)
