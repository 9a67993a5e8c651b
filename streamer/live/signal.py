"""Whether a picture is one: flat pictures carry nothing, repeated ones stand still.

Both are told from single samples of the luma plane rather than from its mean over areas. Noise,
which every running camera has, stays in single samples and is what tells a still scene from a
picture that has stopped.
"""

from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from streamer.planes import bit_depth, planes

Luma = NDArray[np.uint8]

#: About so many samples across and down.
_GRID = (160, 90)
#: A picture is flat when this share of its samples lies as close to their median. The rest leaves
#: room for a short text such as "no signal".
FLAT_SHARE = 0.95
FLAT_DISTANCE = 4
#: Mean absolute difference of two pictures up to which the second one repeats the first. A capture
#: card repeats its buffer exactly and an encoder nearly so; noise of half a code value is above it.
SAME_DIFFERENCE = 0.05


def sample_luma(picture: av.VideoFrame) -> Luma:
    """Single luma samples of the whole picture on a grid, (about 90, about 160), 0…255."""
    across, down = _GRID
    # Odd steps: samples of both fields of an interlaced picture.
    step_x, step_y = max(1, picture.width // across) | 1, max(1, picture.height // down) | 1
    samples = planes(picture)[0].pixels[::step_y, ::step_x, 0]
    return (samples >> (bit_depth(picture) - 8)).astype(np.uint8)


def is_flat(samples: Luma) -> bool:
    """Whether nearly all samples have one value."""
    counts = np.bincount(samples.ravel(), minlength=256)
    median = int(np.searchsorted(counts.cumsum(), (samples.size + 1) // 2))
    close = counts[max(0, median - FLAT_DISTANCE) : median + FLAT_DISTANCE + 1].sum()
    return bool(close >= FLAT_SHARE * samples.size)


@dataclass(frozen=True, slots=True)
class Look:
    """What a picture looks like.

    Attributes:
        flat: of one tone, as a device without a signal sends it.
        repeated: the same as the one before.
    """

    flat: bool
    repeated: bool


class SignalWatch:
    """Looks at one picture after the other."""

    def __init__(self) -> None:
        self._first: Luma | None = None

    def look(self, samples: Luma) -> Look:
        """Look at the next picture's `sample_luma`."""
        # Compared with the first of a row of equal pictures: a slow change adds up against it.
        first = self._first
        repeated = first is not None and first.shape == samples.shape
        if first is not None and repeated:
            difference = np.abs(first.astype(np.int16) - samples)
            repeated = bool(difference.mean() <= SAME_DIFFERENCE)
        if not repeated:
            self._first = samples
        return Look(is_flat(samples), repeated)
