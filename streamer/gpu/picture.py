"""A 4:2:0 picture as tensors, on a GPU or not, in place and in its own layout."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from streamer.frame import View

#: What can be read and drawn upon as tensors: 8-bit 4:2:0, planar or with its chroma interleaved.
LAYOUTS = frozenset({"nv12", "yuv420p", "yuvj420p"})


@dataclass(frozen=True, slots=True)
class YuvPicture:
    """Three planes of uint8 code values; windows into the memory that holds the picture.

    Attributes:
        luma: (h, w).
        blue, red: (⌈h/2⌉, ⌈w/2⌉); in NV12 every other sample of one interleaved plane.
    """

    luma: Tensor
    blue: Tensor
    red: Tensor

    @classmethod
    def of_nv12(cls, luma: Tensor, chroma: Tensor) -> "YuvPicture":
        """From NV12's two planes: (h, w) and (⌈h/2⌉, ⌈w/2⌉, 2)."""
        return cls(luma, chroma[..., 0], chroma[..., 1])

    def part(self, view: View) -> "YuvPicture":
        """A part of it, whose left and top edge are even."""
        top, left = view.y // 2, view.x // 2
        bottom, right = top + (view.height + 1) // 2, left + (view.width + 1) // 2
        return YuvPicture(
            self.luma[view.y : view.y + view.height, view.x : view.x + view.width],
            self.blue[top:bottom, left:right],
            self.red[top:bottom, left:right],
        )


def empty_picture(
    layout: str, height: int, width: int, allocate: Callable[..., Tensor]
) -> tuple[list[Tensor], YuvPicture]:
    """New memory for a picture of one of `LAYOUTS`: its planes as they are stored, and the picture.

    Args:
        allocate: makes a uint8 tensor of a shape.
    """
    down, across = (height + 1) // 2, (width + 1) // 2
    luma = allocate(height, width)
    if layout == "nv12":
        chroma = allocate(down, across, 2)
        return [luma, chroma], YuvPicture.of_nv12(luma, chroma)
    blue, red = allocate(down, across), allocate(down, across)
    return [luma, blue, red], YuvPicture(luma, blue, red)


class Allocate:
    """Makes uint8 tensors on one device."""

    def __init__(self, place: torch.device) -> None:
        self._place = place

    def __call__(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.uint8, device=self._place)
