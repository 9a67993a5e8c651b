"""The endoscope's field of view: an octagon, a circle or a rectangle on dark ground."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.frame import Mask, View

Points = NDArray[np.float64]
Kind = Literal["rectangle", "octagon-like", "circle-like", "fills the picture"]

#: Two views are the same if they agree so well (intersection over union).
AGREEMENT = 0.9
#: The view fills the picture when less than this share is outside.
_NO_MARGIN = 0.005
#: A view that has so much of its box is a rectangle.
_RECTANGLE = 0.985
#: What lies off the sides of the box is round if it is so near to one circle, as a share of the
#: radius (root of the mean square).
_ROUND = 0.015
#: As a share of the box: what is so near to its sides belongs to them.
_SIDE = 0.02


@dataclass(frozen=True, eq=False)
class FieldOfView:
    """Where the picture shows what the endoscope sees.

    Attributes:
        outline: (n, 2) px of the picture, x and y; convex; a pixel's centre has whole coordinates.
        width, height: px of the picture.
    """

    outline: Points
    width: int
    height: int

    def mask(self) -> Mask:
        """(height, width), 255 where a pixel's centre lies inside, 0 outside."""
        rows = np.arange(self.height)
        left, right = np.full(self.height, np.inf), np.full(self.height, -np.inf)
        for (x, y), (next_x, next_y) in zip(
            self.outline, np.roll(self.outline, -1, axis=0), strict=True
        ):
            if y == next_y:
                continue
            crossed = (rows >= min(y, next_y)) & (rows <= max(y, next_y))
            at = x + (rows[crossed] - y) * ((next_x - x) / (next_y - y))
            left[crossed] = np.minimum(left[crossed], at)
            right[crossed] = np.maximum(right[crossed], at)
        columns = np.arange(self.width)
        inside = (columns >= left[:, None]) & (columns <= right[:, None])
        return inside.astype(np.uint8) * np.uint8(255)

    @property
    def share(self) -> float:
        """Of the picture, 0…1."""
        area = cv2.contourArea(self.outline.astype(np.float32))
        return area / (self.width * self.height)

    @cached_property
    def fills_picture(self) -> bool:
        """Whether there is no margin to speak of."""
        return self.share > 1 - _NO_MARGIN

    @property
    def box(self) -> View:
        """The smallest part of the picture, in whole px, that holds it."""
        low = np.floor(self.outline.min(axis=0) + 0.5).astype(int)
        high = np.ceil(self.outline.max(axis=0) + 0.5).astype(int)
        low, high = np.maximum(low, 0), np.minimum(high, (self.width, self.height))
        return View(int(low[0]), int(low[1]), *(int(side) for side in high - low))

    @property
    def kind(self) -> Kind:
        """What shape it has."""
        if self.fills_picture:
            return "fills the picture"
        low, high = self.outline.min(axis=0), self.outline.max(axis=0)
        if self.share * self.width * self.height >= _RECTANGLE * np.prod(high - low):
            return "rectangle"
        points = evenly_spaced(self.outline, 256)
        near = _SIDE * (high - low)
        points = points[((points > low + near) & (points < high - near)).all(axis=1)]
        return "circle-like" if len(points) > 3 and _is_round(points) else "octagon-like"

    def agrees_with(self, other: "FieldOfView") -> bool:
        """Whether both are the same but for what was dark."""
        shared, _ = cv2.intersectConvexConvex(
            self.outline.astype(np.float32), other.outline.astype(np.float32)
        )
        areas = (self.share + other.share) * self.width * self.height
        return shared >= AGREEMENT * (areas - shared)

    def joined_with(self, other: "FieldOfView") -> "FieldOfView":
        """The smallest convex view that holds both."""
        points = np.concatenate([self.outline, other.outline]).astype(np.float32)
        hull = cv2.convexHull(points)[:, 0].astype(np.float64)
        return FieldOfView(hull, self.width, self.height)


def whole_picture(width: int, height: int) -> FieldOfView:
    """A view that fills the picture."""
    corners = np.array([(0, 0), (width, 0), (width, height), (0, height)]) - 0.5
    return FieldOfView(corners, width, height)


def evenly_spaced(outline: Points, count: int) -> Points:
    """(count, 2): points along a closed line, each as far from the one before as all others."""
    closed = np.concatenate([outline, outline[:1]])
    way = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(closed, axis=0).T))])
    places = np.linspace(0, way[-1], count, endpoint=False)
    return np.stack([np.interp(places, way, closed[:, axis]) for axis in (0, 1)], axis=1)


def _is_round(points: Points) -> bool:
    """Whether points lie on one circle, nearer to it than to a straight line in each quarter."""
    quarters = (points > points.mean(axis=0)) @ (1, 2)
    straight = np.concatenate([_off_line(points[quarters == each]) for each in range(4)])
    # By least squares (Kåsa 1976).
    matrix = np.column_stack([2 * points, np.ones(len(points))])
    (x, y, rest), *_ = np.linalg.lstsq(matrix, (points**2).sum(axis=1), rcond=None)
    radius = np.sqrt(rest + x**2 + y**2)
    away = np.hypot(*(points - (x, y)).T) - radius
    return bool(_rms(away) < min(_ROUND * radius, _rms(straight)))


def _off_line(points: Points) -> Points:
    """How far points are from the straight line through the middle of them."""
    if len(points) < 3:
        return np.zeros(len(points))
    moved = points - points.mean(axis=0)
    return np.asarray(moved @ np.linalg.svd(moved, full_matrices=False)[2][1])


def _rms(values: Points) -> float:
    return float(np.sqrt(np.mean(values**2)))
