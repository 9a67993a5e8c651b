"""The steps of the chain that look at each pixel by itself, in OpenCV on the CPU.

`pixels_torch` holds the same for maps on a GPU, and a test holds both against each other.
"""

import math

import cv2
import numpy as np

from streamer.frame import Probability


def memory_share(passed_ms: float, time_constant_ms: float) -> float:
    """What is left of a memory after some time, 0…1."""
    return math.exp(-passed_ms / time_constant_ms) if time_constant_ms > 0 else 0.0


def smooth(
    new: Probability,
    memory: Probability,
    share: Probability | float,
    least: Probability | float = 0.0,
) -> Probability:
    """Blend uncertain pixels with what is remembered; certain ones pass as they are.

    The weight of the memory is `share` where the network is undecided (0.5) and falls to 0 where it
    is sure (0 or 1), by the standard deviation of a coin with that probability: 2·√(p·(1 − p)). An
    uncertainty weight of this kind steadies boundaries without lag inside; MediaPipe's
    SegmentationSmoothing uses entropy in its place.

    Args:
        new: what the network says now (h, w), 0…1.
        memory: what is remembered of the same places.
        share: how much of the memory an undecided pixel takes, 0…1; see `memory_share`.
        least: how much of it every pixel takes at least.
    """
    change = 1 - new
    change *= new
    np.sqrt(change, out=change)
    change *= 2 * share
    np.maximum(change, least, out=change)
    change *= memory - new
    change += new
    return change


def far_from_boundary(shown: Probability, threshold: float, reach_px: int) -> Probability:
    """1 where no boundary of a mask was within reach in the frame before, else 0.

    Args:
        shown: the map of before (h, w).
        reach_px: across and down.
    """
    inside = (shown >= threshold).view(np.uint8)
    kernel = np.ones((2 * reach_px + 1, 2 * reach_px + 1), np.uint8)
    near = cv2.subtract(cv2.dilate(inside, kernel), cv2.erode(inside, kernel))
    return np.asarray(near == 0, np.float32)


def keep(
    probability: Probability, shown: Probability, *, bonus: float, threshold: float
) -> Probability:
    """Raise what was inside before: it stays inside down to `threshold - bonus`.

    Args:
        probability: the map of now (h, w), 0…1.
        shown: the map of before; what is at or above the threshold in it was inside.
        bonus: 0…1.

    Returns:
        A map of the caller's own; it may exceed 1.
    """
    # OpenCV takes what is above a level; what is exactly at the threshold is inside, too.
    level = float(np.nextafter(np.float32(threshold), np.float32(-1)))
    inside = cv2.threshold(shown, level, bonus, cv2.THRESH_BINARY)[1]
    return np.asarray(cv2.add(probability, inside), np.float32)
