"""Label maps: 0 is everything else, any other value is a class; a binary mask has one, 255."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def cover_of(labels: Image) -> Image:
    """Where any class is: (H, W) of 0 or 255."""
    return np.where(labels > 0, np.uint8(255), np.uint8(0))


def resample(labels: Image, by: Callable[[Image], Any]) -> Image:
    """A label map after a resize or a warp.

    Each class is resampled as a smooth cover of its own, for values of classes must not be mixed.
    A pixel belongs to some class where all covers together reach over half, and then to the one
    that covers most of it.

    Args:
        labels: (H, W).
        by: takes (H, W) of 0 or 255 and gives the cover (h, w), 0…255.
    """
    classes = [value for value in np.flatnonzero(np.bincount(labels.ravel())) if value]
    if not classes:
        return np.zeros_like(np.asarray(by(labels), np.uint8))
    covers = [
        np.asarray(by(np.where(labels == value, np.uint8(255), np.uint8(0))), np.uint8)
        for value in classes
    ]
    if len(covers) == 1:
        return np.where(covers[0] > 127, np.uint8(classes[0]), np.uint8(0))
    stacked = np.stack(covers)
    most = np.asarray(classes, np.uint8)[stacked.argmax(axis=0)]
    return np.where(stacked.sum(axis=0, dtype=np.int32) > 127, most, np.uint8(0))
