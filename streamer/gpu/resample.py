"""How many samples of a plane make one sample of the network's input, and with what weights.

The weights are those of swscale's area scaler, which reads pictures on the CPU (`RgbReader`): the
share of each sample that lies in the cell of the output, and bilinear ones where it enlarges.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Taps:
    """One axis of a resize.

    Attributes:
        first: (n,) int32, for each sample of the output the first one of the input that it reads.
        weights: (n, k) float32, of that one and the k - 1 after it; each row's sum is 1.
    """

    first: NDArray[np.int32]
    weights: NDArray[np.float32]


@lru_cache(maxsize=32)
def area_taps(count: int, size: int) -> Taps:
    """From `count` samples to `size`; both at least 1."""
    ratio = count / size
    edges = np.arange(size) * ratio
    # Bilinear is the share in a cell as wide as one sample.
    extent = max(ratio, 1.0)
    low = (edges + (ratio - extent) / 2).clip(0, count - extent)[:, None]
    width = min(int(np.ceil(extent)) + 1, count)
    first = np.floor(low[:, 0] + 1e-9).astype(int).clip(0, count - width)
    samples = first[:, None] + np.arange(width)
    weights = np.minimum(samples + 1, low + extent) - np.maximum(samples, low)
    weights = weights.clip(0, None)
    weights /= weights.sum(axis=1, keepdims=True)
    return Taps(first.astype(np.int32), weights.astype(np.float32))
