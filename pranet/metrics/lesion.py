"""Polyps counted one by one: how many were found, and how many finds were polyps."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

#: Share of a region that the other mask must cover.
COVERED_SHARE = 0.5
#: Regions below this share of the picture are specks of the annotation or of the threshold.
MIN_AREA_SHARE = 0.0005


@dataclass(frozen=True)
class LesionCounts:
    """Regions of one picture, or of many added up."""

    lesions: int = 0
    found: int = 0
    finds: int = 0
    right: int = 0

    def __add__(self, other: "LesionCounts") -> "LesionCounts":
        return LesionCounts(
            self.lesions + other.lesions,
            self.found + other.found,
            self.finds + other.finds,
            self.right + other.right,
        )

    @property
    def sensitivity(self) -> float:
        """Share of lesions that were found, 0…1; NaN without lesions."""
        return self.found / self.lesions if self.lesions else float("nan")

    @property
    def precision(self) -> float:
        """Share of finds that are lesions, 0…1; NaN without finds."""
        return self.right / self.finds if self.finds else float("nan")


def count_lesions(predicted: Mask, inside: Mask) -> LesionCounts:
    """Compare the regions (8-connected) of a predicted mask with those of the true one.

    A lesion is found where at least half of it is covered; a find is right where at least half
    of it lies on lesions.

    Args:
        predicted, inside: (H, W).
    """
    lesions, found = _covered(inside, predicted)
    finds, right = _covered(predicted, inside)
    return LesionCounts(lesions, found, finds, right)


def _covered(mask: Mask, other: Mask) -> tuple[int, int]:
    """Number of regions of a mask, and of those that the other covers."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    areas = stats[1:, cv2.CC_STAT_AREA]
    hit = np.bincount(np.asarray(labels)[other], minlength=count)[1:]
    large = areas >= MIN_AREA_SHARE * mask.size
    return int(large.sum()), int((large & (hit >= COVERED_SHARE * areas)).sum())
