"""The markers of `streamer.overlay` for pictures on the GPU."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import av
import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.corners import Bar
from streamer.frame import Segmentation
from streamer.gpu.drawing import Marking, directions_on, draw, drawn_width
from streamer.gpu.picture import YuvPicture
from streamer.planes import planes

Code = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Lines:
    """How the boundary is drawn; see `Marking`."""

    code: Code
    width_px: int
    thin_width_px: int
    opacity: float


@dataclass(frozen=True, slots=True)
class Badge:
    """The status badge.

    Attributes:
        text: (h, w) coverage 0…255 of its text, as large as its plate.
        margin_px: of the picture, above and left of it; even.
        plate: coverage of its plate, 0…255.
        black, white: code values of plate and text.
    """

    text: NDArray[np.uint8]
    margin_px: int
    plate: int
    black: Code
    white: Code


def draw_boundary(picture: YuvPicture, segmentation: Segmentation, lines: Lines) -> Marking | None:
    """Draw what was found; pixels away from it are not written.

    Returns:
        What was drawn; None if nothing was found.
    """
    probability = segmentation.probability
    x, y, width, height = segmentation.extent
    if width == 0:
        return None
    place = picture.luma.device
    thin = _thin(segmentation, lines.width_px)
    marking = Marking(
        torch.from_numpy(probability).to(place),
        _nothing(probability.shape, place) if thin is None else torch.from_numpy(thin).to(place),
        segmentation.threshold,
        (x, y, x + width, y + height),
        segmentation.view,
        lines.code,
        lines.width_px,
        lines.thin_width_px,
        lines.opacity,
        _directions(place),
    )
    draw(picture, marking)
    return marking


def draw_into(
    picture: av.VideoFrame, on_gpu: YuvPicture, segmentation: Segmentation, lines: Lines
) -> None:
    """Draw into a picture of the host by way of its copy on the GPU.

    Only the window around the markers comes back.

    Args:
        picture: in one of `LAYOUTS`, writable.
        on_gpu: its samples; drawn upon.
    """
    marking = draw_boundary(on_gpu, segmentation, lines)
    if marking is None:
        return
    samples = {
        component: plane.pixels[..., place]
        for plane in planes(picture)
        for place, component in enumerate(plane.components)
    }
    parts, drawn = [], []
    for plane, _, step in marking.planes(on_gpu):
        left, top, right, bottom = marking.window(step, plane.shape)
        parts.append(np.s_[top:bottom, left:right])
        drawn.append(plane[parts[-1]])
    # All at once: each transfer of its own would be waited for.
    brought = torch.cat([window.flatten() for window in drawn]).cpu().numpy()
    for component, (part, window) in enumerate(zip(parts, drawn, strict=True)):
        mine, brought = np.split(brought, [window.numel()])
        samples[component][part] = mine.reshape(window.shape)


def _thin(segmentation: Segmentation, width_px: int) -> NDArray[np.uint8] | None:
    """Not 0 on what is tentative, and as far around it as a line of this width would reach.

    None where nothing is, which is so for most pictures.
    """
    tracks = segmentation.tracks
    if tracks is None or all(track.confirmed for track in tracks.all):
        return None
    tentative = np.array([0, *(not track.confirmed for track in tracks.all)], np.uint8)
    rows, columns = tracks.labels.shape
    view, reach_px = segmentation.view, drawn_width(width_px) / 2 + 1
    across, down = (
        2 * math.ceil(reach_px * cells / side) + 3
        for cells, side in ((columns, view.width), (rows, view.height))
    )
    around = np.ones((down, across), np.uint8)
    return np.asarray(cv2.dilate(tentative[tracks.labels], around), np.uint8)


def draw_bars(picture: YuvPicture, bars: Sequence[Bar], code: tuple[int, int, int]) -> None:
    """Fill rectangles whose edges lie on whole chroma samples."""
    for part, plane in enumerate((picture.luma, picture.blue, picture.red)):
        step = 1 if part == 0 else 2
        for left, top, right, bottom in bars:
            plane[top // step : bottom // step, left // step : right // step] = code[part]


def draw_badge(picture: YuvPicture, badge: Badge) -> None:
    """Draw the badge, with the same values as on a picture of the host."""
    text = _on_device(badge.text.tobytes(), badge.text.shape, picture.luma.device)
    for part, plane in enumerate((picture.luma, picture.blue, picture.red)):
        step = 1 if part == 0 else 2
        small = text[::step, ::step]
        at = badge.margin_px // step
        window = plane[at : at + small.shape[0], at : at + small.shape[1]]
        small = small[: window.shape[0], : window.shape[1]]
        with_plate = _mixed(window.int(), badge.plate, badge.black[part])
        window.copy_(_mixed(with_plate, small.int(), badge.white[part]))


def _mixed(old: Tensor, share: Tensor | int, code: int) -> Tensor:
    return old + torch.div((code - old) * share + 127, 255, rounding_mode="floor")


@lru_cache(maxsize=8)
def _directions(place: torch.device) -> Tensor:
    return directions_on(place)


@lru_cache(maxsize=8)
def _nothing(shape: tuple[int, ...], place: torch.device) -> Tensor:
    """Zeros that are there for good; not to be written to."""
    return torch.zeros(shape, dtype=torch.uint8, device=place)


@lru_cache(maxsize=16)
def _on_device(coverage: bytes, shape: tuple[int, ...], place: torch.device) -> Tensor:
    """The text's coverage, brought there once for each status."""
    return torch.frombuffer(bytearray(coverage), dtype=torch.uint8).reshape(shape).to(place)
