"""Boundary and fill drawn into a picture's planes where they are, on a GPU or not.

A sample is on the line if the boundary of the mask passes within half the line's width of it: if it
is inside and something so far from it is not, or the other way round. That holds for any map, steep
or flat, where a distance by the map's slope would not. Three rings, a third of a sample apart, make
the line's edge smooth.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from streamer.frame import View
from streamer.gpu.picture import YuvPicture

#: Places that are looked at around each sample on each ring, and the rings.
DIRECTIONS = 12
RINGS = 3


@dataclass(frozen=True, slots=True)
class Marking:
    """What to draw, and how.

    Attributes:
        level: (h, w) float32 on the picture's device, the probability map.
        thin: (h, w) uint8, not 0 on and around what is tentative.
        threshold: from which on a place is inside.
        extent: (left, top, right, bottom) in px of the map of all that is inside.
        view: the part of the picture that the map covers.
        code: Y, U, V of the colour.
        width_px, thin_width_px: of the lines.
        opacity: of the fill, 0…1.
        directions: (DIRECTIONS, 2) float32; see `directions_on`.
    """

    level: Tensor
    thin: Tensor
    threshold: float
    extent: tuple[int, int, int, int]
    view: View
    code: tuple[int, int, int]
    width_px: int
    thin_width_px: int
    opacity: float
    directions: Tensor

    def planes(self, picture: YuvPicture) -> Iterator[tuple[Tensor, int, int]]:
        """Each plane with its code value and how many px of the picture a sample spans."""
        yield picture.luma, self.code[0], 1
        yield picture.blue, self.code[1], 2
        yield picture.red, self.code[2], 2

    def widths_px(self, step: int) -> tuple[float, float]:
        """Of the two lines, in px of the picture, as OpenCV would draw them on a plane."""
        return tuple(
            step * drawn_width(max(1, round(width / step)))
            for width in (self.width_px, self.thin_width_px)
        )  # type: ignore[return-value]

    def window(self, step: int, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
        """(left, top, right, bottom) in samples of a plane (h, w) of all that is drawn."""
        left, top, right, bottom = self.extent
        if right <= left:
            return 0, 0, 0, 0
        rows, columns = self.level.shape
        across, down = self.view.width / columns, self.view.height / rows
        # Bilinear, the boundary can lie up to half a cell outside what is inside.
        x = (self.view.x + (left - 1) * across, self.view.x + (right + 1) * across)
        y = (self.view.y + (top - 1) * down, self.view.y + (bottom + 1) * down)
        margin = max(self.widths_px(step)) / 2 + step
        edges = [
            (
                max(math.floor((low - margin) / step), first),
                min(math.ceil((high + margin) / step), last),
            )
            for (low, high), first, last in (
                (
                    x,
                    self.view.x // step,
                    min(shape[1], -(-(self.view.x + self.view.width) // step)),
                ),
                (
                    y,
                    self.view.y // step,
                    min(shape[0], -(-(self.view.y + self.view.height) // step)),
                ),
            )
        ]
        return edges[0][0], edges[1][0], edges[0][1], edges[1][1]


def drawn_width(thickness: int) -> float:
    """How wide OpenCV draws a smooth line of a thickness, in samples: as measured, not as told."""
    return 1.27 if thickness == 1 else 2 * math.ceil(thickness / 2) + 1.65


def directions_on(place: torch.device) -> Tensor:
    """Unit vectors (x, y) around the circle, (DIRECTIONS, 2) float32."""
    angles = torch.arange(DIRECTIONS, device=place) * (2 * math.pi / DIRECTIONS)
    return torch.stack((angles.cos(), angles.sin()), dim=1)


def draw(picture: YuvPicture, marking: Marking) -> None:
    """Draw into a picture; what no marker covers is not written."""
    if picture.luma.is_cuda:
        from streamer.gpu.kernels import launch_draw

        launch_draw(picture, marking)
    else:
        draw_plain(picture, marking)


def draw_plain(picture: YuvPicture, marking: Marking) -> None:
    """See `draw`; in plain torch, on any device."""
    for plane, code, step in marking.planes(picture):
        left, top, right, bottom = marking.window(step, plane.shape)
        if right <= left or bottom <= top:
            continue
        coverage = _coverage(marking, step, (left, top, right, bottom))
        window = plane[top:bottom, left:right]
        old = window.float()
        mixed = (old + (code - old) * coverage + 0.5).floor().to(torch.uint8)
        window.copy_(torch.where(coverage > 0, mixed, window))


def _coverage(marking: Marking, step: int, window: tuple[int, int, int, int]) -> Tensor:
    """How much of each sample in the window the markers cover, 0…1."""
    left, top, right, bottom = window
    rows, columns = marking.level.shape
    per_column, per_row = columns / marking.view.width, rows / marking.view.height
    place = marking.level.device
    x = (torch.arange(left, right, device=place) + 0.5) * step - marking.view.x
    y = (torch.arange(top, bottom, device=place) + 0.5) * step - marking.view.y
    map_y, map_x = torch.meshgrid(y * per_row - 0.5, x * per_column - 0.5, indexing="ij")
    here = _sampled(marking.level, map_x, map_y) >= marking.threshold
    nearest = (
        (map_y + 0.5).clamp(0, rows - 1).long(),
        (map_x + 0.5).clamp(0, columns - 1).long(),
    )
    thin = marking.thin[nearest] != 0
    wide_px, thin_px = marking.widths_px(step)
    radius = torch.where(thin, thin_px / 2, wide_px / 2)
    rings = torch.zeros_like(map_x)
    for ring in range(RINGS):
        reach = radius + (ring + 0.5) / RINGS - 0.5
        crosses = torch.zeros_like(here)
        for dx, dy in marking.directions.tolist():
            there = _sampled(
                marking.level, map_x + dx * reach * per_column, map_y + dy * reach * per_row
            )
            crosses |= (there >= marking.threshold) != here
        rings += crosses
    coverage = rings / RINGS
    if marking.opacity:
        coverage = coverage.maximum(torch.where(here & ~thin, marking.opacity, 0.0))
    return coverage


def _sampled(level: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The map between its pixels, bilinear; beyond its edge it goes on as it is there."""
    rows, columns = level.shape
    x, y = x.clamp(0, columns - 1), y.clamp(0, rows - 1)
    left, top = x.floor().long(), y.floor().long()
    share_x, share_y = x - left, y - top
    right, bottom = (left + 1).clamp_max(columns - 1), (top + 1).clamp_max(rows - 1)
    above = level[top, left] * (1 - share_x) + level[top, right] * share_x
    below = level[bottom, left] * (1 - share_x) + level[bottom, right] * share_x
    return above * (1 - share_y) + below * share_y
