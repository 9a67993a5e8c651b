"""From a probability map to shapes: connected objects and the sub-pixel boundary."""

from dataclasses import dataclass

import contourpy
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.frame import Mask, Segmentation

Points = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class DetectedObject:
    """One connected region, in px of the picture.

    Attributes:
        box: (x, y, width, height).
        area_px: its area.
        mean_probability: mean over its pixels, threshold…1.
    """

    box: tuple[int, int, int, int]
    area_px: int
    mean_probability: float


def find_objects(segmentation: Segmentation) -> list[DetectedObject]:
    """The connected regions at or above the threshold, largest first."""
    probability, view = segmentation.probability, segmentation.view
    x0, y0, width, height = _extent(segmentation)
    if width == 0:
        return []
    window = probability[y0 : y0 + height, x0 : x0 + width]
    inside = (window >= segmentation.threshold).view(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(inside)
    sums = np.bincount(labels.ravel(), weights=window.ravel(), minlength=count)
    across = view.width / probability.shape[1]
    down = view.height / probability.shape[0]
    found = []
    for label in range(1, count):
        x, y, width, height, area = (int(value) for value in stats[label])
        left, top = view.x + (x0 + x) * across, view.y + (y0 + y) * down
        box = (
            round(left),
            round(top),
            round(left + width * across) - round(left),
            round(top + height * down) - round(top),
        )
        mean = float(sums[label] / area)
        found.append(DetectedObject(box, round(area * across * down), round(mean, 4)))
    return sorted(found, key=lambda region: -region.area_px)


def _extent(segmentation: Segmentation) -> tuple[int, int, int, int]:
    """(x, y, width, height) in px of the map of all that is inside; the rest costs nothing."""
    inside = (segmentation.probability >= segmentation.threshold).view(np.uint8)
    x, y, width, height = cv2.boundingRect(inside)
    return x, y, width, height


@dataclass(frozen=True, slots=True)
class Outline:
    """The boundary of everything at or above the threshold.

    Attributes:
        lines: polylines of (x, y) in px of the picture; a pixel's centre has whole coordinates.
        regions: the same closed along the border of the view, for filling; each is one outer
            ring followed by its holes.
    """

    lines: list[Points]
    regions: list[list[Points]]


def find_outline(segmentation: Segmentation, *, regions: bool) -> Outline:
    """Follow the threshold through the bilinearly interpolated map, to a fraction of a pixel.

    The lines are those of the up-scaled map at its threshold, without up-scaling it.

    Args:
        regions: also make the regions.
    """
    probability, view = segmentation.probability, segmentation.view
    x, y, width, height = _extent(segmentation)
    if width == 0:
        return Outline([], [])
    # One pixel around is enough for the interpolation; the rest of the map is not looked at.
    # From the outermost pixel centres to the map's edge, half a pixel on, it stays the same.
    padded = cv2.copyMakeBorder(probability, 1, 1, 1, 1, cv2.BORDER_REPLICATE)
    window = padded[y : y + height + 2, x : x + width + 2]
    across = np.arange(x - 1, x + width + 1).clip(-0.5, probability.shape[1] - 0.5)
    down = np.arange(y - 1, y + height + 1).clip(-0.5, probability.shape[0] - 0.5)
    generator = contourpy.contour_generator(across, down, window)
    # What is exactly at the threshold is inside; for contourpy it would be outside.
    level = float(np.nextafter(np.float32(segmentation.threshold), np.float32(-1)))
    scale = np.array((view.width / probability.shape[1], view.height / probability.shape[0]))
    # Pixel centres of the map sit half a cell from its edge, those of the picture half a pixel.
    shift = np.array((view.x, view.y)) - 0.5

    def to_picture(points: Points) -> Points:
        return np.asarray((points + 0.5) * scale + shift, np.float64)

    lines = [to_picture(np.asarray(line)) for line in generator.lines(level)]
    filled: list[list[Points]] = []
    if regions:
        # The default fill type: per outer ring, its points with those of its holes and where
        # each ring begins.
        points, offsets = generator.filled(level, np.inf)[:2]
        filled = [
            [to_picture(ring) for ring in np.split(np.asarray(outer), np.asarray(ends)[1:-1])]
            for outer, ends in zip(points, offsets, strict=True)
        ]
    return Outline(lines, filled)


def full_size_mask(segmentation: Segmentation | None, width_px: int, height_px: int) -> Mask:
    """The mask (height_px, width_px) of 0 or 255 at the picture's size, 0 outside the view."""
    mask = np.zeros((height_px, width_px), np.uint8)
    if segmentation is None:
        return mask
    view = segmentation.view
    scaled = cv2.resize(
        segmentation.probability, (view.width, view.height), interpolation=cv2.INTER_LINEAR
    )
    inside = (scaled >= segmentation.threshold).view(np.uint8) * np.uint8(255)
    mask[view.y : view.y + view.height, view.x : view.x + view.width] = inside
    return mask
