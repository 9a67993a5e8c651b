"""Made-up instruments: sheaths and forceps that reach into a picture, and are no polyps.

Pictures of the training sets hardly show any, and a network that never saw a snare takes its sheath
for a long polyp. Only the look of a smooth, lit rod is copied here, not any particular device.
"""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Image = NDArray[np.uint8]
Plane = NDArray[np.float32]

#: Thickness where it comes in, as a share of the picture's shorter side.
_THICKNESS = (0.05, 0.2)
#: Points of its middle line.
_POINTS = 96
#: How far it reaches, as a share of the picture's shorter side.
_REACH = (0.3, 1.0)
#: Colours (RGB) of sheaths: yellow, white, gray, blue, green, orange, black.
_SHEATHS = (
    (225, 190, 90),
    (225, 220, 205),
    (150, 150, 155),
    (70, 110, 190),
    (90, 150, 110),
    (215, 130, 60),
    (40, 40, 45),
)
_METAL = (165, 165, 170)
#: Level below which a place counts as the dark margin, in which nothing is seen.
_UNLIT = 14
#: A polyp that would be hidden by more than this share is left in view.
_MOST_HIDDEN = 0.6


def lay_instrument(image: Image, mask: Image, rng: Generator) -> tuple[Image, Image]:
    """Lay an instrument over a picture.

    Args:
        image: RGB (H, W, 3).
        mask: (H, W), of 0 or 255 or a label map.

    Returns:
        Picture and mask of the same size; what the instrument hides is no polyp any more.
        Unchanged if it would hide most of the polyps.
    """
    across, along, half_px = rod(mask.shape, *_course(mask.shape, rng))
    lit = np.asarray(image.max(axis=2) > _UNLIT, np.uint8)
    lit = np.asarray(cv2.morphologyEx(lit, cv2.MORPH_CLOSE, np.ones((15, 15), np.uint8)), np.uint8)
    cover = covered(across, half_px) * lit
    hidden = cover > 0.5
    if np.count_nonzero(mask[hidden]) > _MOST_HIDDEN * (np.count_nonzero(mask) or 1):
        return image, mask
    ground = image.astype(np.float32) * (1 - shadow(cover, rng))[..., None]
    light = image[lit > 0].mean() / 128 if lit.any() else 1.0
    colours = painted(across, along, rng) * np.float32(np.clip(light, 0.5, 1.5))
    picture = ground + (colours - ground) * cover[..., None]
    truth = mask.copy()
    truth[hidden] = 0
    return picture.clip(0, 255).astype(np.uint8), truth


def _course(
    shape: tuple[int, ...], rng: Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where a bent rod runs from the edge inwards: its middle line and half its thickness, px."""
    height, width = shape[:2]
    side = min(height, width)
    angle = rng.uniform(0, 2 * np.pi)
    outward = np.array((np.cos(angle), np.sin(angle)))
    middle = np.array((width, height)) / 2
    start = middle + outward * 0.75 * max(height, width) + rng.normal(0, 0.15 * side, 2)
    tip = middle + rng.uniform(-0.5, 0.5, 2) * (0.7 * width, 0.7 * height)
    tip = tip + (start - tip) * (1 - rng.uniform(*_REACH)) * 0.5
    bend = (start + tip) / 2 + rng.normal(0, 0.08 * side, 2)
    steps = np.linspace(0, 1, _POINTS)[:, None]
    line = (1 - steps) ** 2 * start + 2 * steps * (1 - steps) * bend + steps**2 * tip
    half = side * np.exp(rng.uniform(*np.log(_THICKNESS))) / 2
    return line, half * np.linspace(1, rng.uniform(0.5, 1), _POINTS)


def rod(
    shape: tuple[int, ...], line: NDArray[np.float64], half: NDArray[np.float64]
) -> tuple[Plane, Plane, Plane]:
    """A rod along a line.

    Args:
        shape: height and width of the picture.
        line: points (n, 2) of its middle line, x and y in px, from the edge to the tip.
        half: half its thickness at each point (n,), px.

    Returns:
        For each pixel where it lies across the rod (−1…1 inside), along it (0 at the edge, 1 at the
        tip), and half the rod's thickness there in px.
    """
    height, width = shape[:2]
    # At a quarter of the size: all of this is smooth.
    y, x = np.mgrid[0:height:4, 0:width:4].astype(np.float32)
    offsets = np.stack((x, y), -1)[:, :, None] - line.astype(np.float32)
    nearest = np.argmin((offsets**2).sum(-1), axis=2)
    offset = np.take_along_axis(offsets, nearest[..., None, None], axis=2)[:, :, 0]
    direction = np.gradient(line, axis=0)
    direction = (direction / np.linalg.norm(direction, axis=1, keepdims=True))[nearest]
    sideways = direction[..., 0] * offset[..., 1] - direction[..., 1] * offset[..., 0]
    away, side, along, half_px = (
        np.asarray(cv2.resize(plane.astype(np.float32), (width, height)), np.float32)
        for plane in (
            np.linalg.norm(offset, axis=2) / half[nearest],
            sideways,
            nearest / (len(line) - 1),
            half[nearest],
        )
    )
    # Signed only now: beyond the tip the two sides meet far from the rod.
    return np.copysign(away, side), along, half_px


def covered(across: Plane, half_px: Plane) -> Plane:
    """How much of each pixel a rod covers, 0…1: its edge is soft over one px."""
    return ((1 - np.abs(across)) * half_px + 0.5).clip(0, 1).astype(np.float32)


def painted(across: Plane, along: Plane, rng: Generator) -> NDArray[np.float32]:
    """The rod's colours (H, W, 3), 0…255, for light of a usual strength."""
    sheath = np.array(_SHEATHS[rng.integers(len(_SHEATHS))]) * rng.uniform(0.8, 1.15, 3)
    colour = np.broadcast_to(sheath.astype(np.float32), (*across.shape, 3))
    if rng.random() < 0.5:
        # What comes out of the sheath: forceps, the knob of a snare.
        end = along > rng.uniform(0.75, 0.95)
        colour = np.where(end[..., None], np.array(_METAL, np.float32), colour)
    if rng.random() < 0.25:
        stripes = np.sin(along * rng.uniform(30, 90)) > 0.4
        colour = colour * np.where(stripes, rng.uniform(0.4, 0.8), 1)[..., None]
    # Round, and lit from one side.
    from_side = rng.uniform(-0.5, 0.5)
    shade = 0.3 + 0.75 * np.sqrt((1 - (across - from_side) ** 2 / 2.25).clip(0, 1))
    streak = np.exp(-(((across - from_side) / rng.uniform(0.08, 0.25)) ** 2))
    breaks = np.sin(along * rng.uniform(10, 60) + rng.uniform(0, 6)) - rng.uniform(-1, 0.8)
    streak = streak * (4 * breaks).clip(0, 1)
    # Brighter where it is nearer to the lamp.
    near = 1 + rng.uniform(-0.2, 0.5) * (0.5 - along)
    painted = colour * (shade * near)[..., None] + 255 * rng.uniform(0.2, 1) * streak[..., None]
    return np.asarray(painted, np.float32)


def shadow(cover: Plane, rng: Generator) -> Plane:
    """How much darker the ground is beside the rod, 0…1."""
    side = min(cover.shape)
    shift = rng.normal(0, 0.03 * side, 2)
    matrix = np.array(((1, 0, shift[0]), (0, 1, shift[1])))
    moved = cv2.warpAffine(cover, matrix, cover.shape[::-1])
    soft = cv2.GaussianBlur(moved, (0, 0), 0.02 * side + 1)
    return np.asarray(soft, np.float32) * np.float32(rng.uniform(0, 0.6))
