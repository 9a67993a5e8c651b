"""The connected regions of a map: which are there, which are too small, and their holes."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.frame import Labels, Mask, Probability

#: More regions than this at once are noise; the largest are kept. Labels are 8-bit numbers.
MOST_REGIONS = 200
#: A region has to be larger than this share of its squared distance, both in px, from the nearest
#: one that is larger. A speck beside a polyp may be part of it, one far away is none.
SPECK = 0.05
#: The distance that counts for a region that is alone or further away, as a share of the map's
#: width: at 352 px such a region needs 50 px, 7 by 7.
FAR = 0.09


@dataclass(frozen=True, slots=True)
class Region:
    """One connected region (8 neighbours).

    Attributes:
        label: its number in the label map, from 1.
        area_px: of the map.
        x, y: its centroid in px of the map.
        peak, mean: probability over its pixels, after smoothing.
        seen: the highest that the network itself says there now.
    """

    label: int
    area_px: int
    x: float
    y: float
    peak: float
    mean: float
    seen: float


@dataclass(frozen=True, slots=True)
class Regions:
    """All regions of a window of a map.

    Attributes:
        labels: (h, w) of the window; 0 where there is none.
        all: in the order of their labels, largest first.
        origin: x and y of the window in the map.
    """

    labels: Labels
    all: list[Region]
    origin: tuple[int, int] = (0, 0)


def find_regions(
    inside: Mask, smoothed: Probability, now: Probability, origin: tuple[int, int] = (0, 0)
) -> Regions:
    """Find the connected regions.

    Args:
        inside: (h, w), not 0 where something is; may be empty.
        smoothed: the map after smoothing.
        now: what the network says itself.
        origin: see `Regions`.
    """
    labels = np.zeros(inside.shape, np.uint8)
    left, top, across, down = cv2.boundingRect(inside)
    if across == 0:
        return Regions(labels, [], origin)
    # The rest costs nothing.
    window = np.s_[top : top + down, left : left + across]
    count, found, stats, centroids = cv2.connectedComponentsWithStats(
        np.ascontiguousarray(inside[window])
    )
    order = 1 + np.argsort(-stats[1:, cv2.CC_STAT_AREA], kind="stable")[:MOST_REGIONS]
    numbers = np.zeros(count, np.uint8)
    numbers[order] = np.arange(1, len(order) + 1)
    labels[window] = numbers[found]
    regions = []
    for label, number in enumerate(order.tolist(), start=1):
        x, y, width, height, area_px = (int(value) for value in stats[number])
        part = np.s_[top + y : top + y + height, left + x : left + x + width]
        own = labels[part] == label
        values = smoothed[part][own]
        centre_x, centre_y = centroids[number].tolist()
        regions.append(
            Region(
                label,
                area_px,
                x=left + origin[0] + centre_x,
                y=top + origin[1] + centre_y,
                peak=float(values.max()),
                mean=float(values.mean()),
                seen=float(now[part][own].max()),
            )
        )
    return Regions(labels, regions, origin)


def specks(regions: Regions, width_px: int) -> set[int]:
    """Labels of the regions that are tiny for their distance from the nearest larger one.

    Args:
        width_px: of the whole map.
    """
    far_px = FAR * width_px
    small = [region for region in regions.all if region.area_px <= SPECK * far_px**2]
    return {
        region.label
        for region in small
        if region.area_px <= SPECK * _distance_px(regions, region, far_px) ** 2
    }


def _distance_px(regions: Regions, region: Region, reach_px: float) -> float:
    """From a region's centroid to the nearest pixel of a larger one, at most the reach."""
    x, y = region.x - regions.origin[0], region.y - regions.origin[1]
    top, left = (max(0, int(centre - reach_px)) for centre in (y, x))
    bottom, right = (int(centre + reach_px) + 1 for centre in (y, x))
    window = regions.labels[top:bottom, left:right]
    # Largest first: what is larger has a smaller number.
    rows, columns = np.nonzero((window > 0) & (window < region.label))
    if not rows.size:
        return reach_px
    away = np.hypot(rows + top - y, columns + left - x)
    return min(reach_px, float(away.min()))


def fill_holes(inside: Mask) -> NDArray[np.bool_]:
    """True where a mask (h, w) has a hole: outside of it, but enclosed by it."""
    if not inside.any():
        return np.zeros(inside.shape, bool)
    # With a rim of one pixel all that is outside and not enclosed hangs together.
    rimmed = cv2.copyMakeBorder(inside, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    outside = (np.asarray(rimmed) == 0).view(np.uint8)
    cv2.floodFill(outside, None, (0, 0), 0, flags=4)
    return np.asarray(outside[1:-1, 1:-1] > 0)
