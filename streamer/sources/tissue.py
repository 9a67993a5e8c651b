"""Stills of made-up mucosa with polyps, so that a scene needs no pictures of anybody.

They have what matters to a camera and to optical flow (shading of folds, vessels, a fine grain,
highlights) and a mask that is exact because the polyp is drawn from it. They are not meant to
pass for real tissue, and nothing that is measured on them says how well a network does.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from streamer.sources.scene import Pixels, Still

Floats = npt.NDArray[np.float32]

#: Every third still shows mucosa alone.
_BARE_EVERY = 3
_MUCOSA = np.array((206, 122, 104), np.float32)  # RGB
_POLYP = np.array((218, 98, 84), np.float32)
_VESSEL = np.array((-42, -62, -50), np.float32)  # what a vessel adds


def make_stills(
    seed: int = 0, *, count: int = 6, width: int = 640, height: int = 560
) -> list[Still]:
    """Different stills, two of three with one polyp; the same for the same arguments.

    Args:
        count: how many.
        width, height: px of each, 64 or more.
    """
    return [
        _still(np.random.default_rng([seed, number]), number, width, height)
        for number in range(count)
    ]


def _still(rng: np.random.Generator, number: int, width: int, height: int) -> Still:
    folds = _clouds(rng, width, height, 0.22)
    light = 0.86 + 0.16 * folds + 0.05 * _clouds(rng, width, height, 0.08)
    redness = _clouds(rng, width, height, 0.12)[..., None]
    color = _MUCOSA + redness * np.array((3, -6, -5), np.float32)
    color += _vessels(rng, width, height)[..., None] * _VESSEL
    mask: Pixels = np.zeros((height, width), np.uint8)
    if number % _BARE_EVERY != _BARE_EVERY - 1:
        outline = _outline(rng, width, height)
        cv2.fillPoly(mask, [outline], 255)
        color, light = _raise_polyp(rng, mask, color, light)
    # Glands: a pattern just wide enough to survive the camera's blur.
    light += 0.035 * _clouds(rng, width, height, 0.006)
    image = color * light[..., None]
    shine = _highlights(rng, light)[..., None]
    image += shine * (250 - image)
    return Still(image.clip(0, 255).astype(np.uint8), mask, f"made-up tissue {number}")


def _clouds(rng: np.random.Generator, width: int, height: int, size: float) -> Floats:
    """Smooth noise (height, width) of mean 0 and deviation 1.

    size: of its patches, as a share of the picture's height.
    """
    sigma = max(1.0, size * height / 2)
    shrink = max(1, int(sigma / 2))
    shape = (height // shrink + 8, width // shrink + 8)
    noise = rng.standard_normal(shape, np.float32)
    noise = np.asarray(cv2.GaussianBlur(noise, (0, 0), sigma / shrink), np.float32)
    large = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.asarray((large - large.mean()) / (large.std() + 1e-6), np.float32)


def _vessels(rng: np.random.Generator, width: int, height: int) -> Floats:
    """How much of a vessel there is, 0…1: the zero lines of smooth noise branch like vessels."""
    found = np.zeros((height, width), np.float32)
    for size, thickness, strength in ((0.16, 0.035, 0.9), (0.07, 0.05, 0.5)):
        lines = np.exp(-((_clouds(rng, width, height, size) / thickness) ** 2))
        # Some run deeper and are pale there.
        depth = 0.5 + 0.5 * np.tanh(_clouds(rng, width, height, 0.2))
        found = np.maximum(found, strength * lines * depth)
    return np.asarray(found, np.float32)


def _outline(rng: np.random.Generator, width: int, height: int) -> npt.NDArray[np.int32]:
    """Corners (n, 1, 2) of a lobed blob that lies within the middle of the picture."""
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    radius = np.ones_like(angles)
    for lobes in range(2, 6):
        radius += rng.normal(0, 0.11 / lobes) * np.cos(lobes * angles + rng.uniform(0, 2 * np.pi))
    size = min(width, height) * rng.uniform(0.12, 0.2)
    stretch, turn = rng.uniform(0.75, 1.0), rng.uniform(0, np.pi)
    x, y = size * radius * np.cos(angles), stretch * size * radius * np.sin(angles)
    middle_x, middle_y = rng.uniform(0.38, 0.62, 2) * (width, height)
    corners = np.stack(
        [
            middle_x + np.cos(turn) * x - np.sin(turn) * y,
            middle_y + np.sin(turn) * x + np.cos(turn) * y,
        ],
        axis=-1,
    )
    return corners.round().astype(np.int32)[:, None]


def _raise_polyp(
    rng: np.random.Generator, mask: Pixels, color: Floats, light: Floats
) -> tuple[Floats, Floats]:
    """Colour and light of tissue with a dome where the mask is, and its shadow beside it."""
    height, width = mask.shape
    inside = cv2.GaussianBlur(mask, (0, 0), 1.2).astype(np.float32)[..., None] / 255
    depth = cv2.distanceTransform(mask, cv2.DIST_L2, 5)
    dome = np.sqrt(np.clip(depth / max(depth.max(), 1), 0, 1))
    dome = cv2.GaussianBlur(dome, (0, 0), 0.012 * height)
    # Lit from the upper left, like all endoscopes' pictures that have their light there.
    slope = cv2.Sobel(dome, cv2.CV_32F, 1, 0, ksize=5) + cv2.Sobel(dome, cv2.CV_32F, 0, 1, ksize=5)
    slope = slope / (np.abs(slope).max() + 1e-6)
    shadow = cv2.GaussianBlur(mask, (0, 0), 0.02 * height).astype(np.float32) / 255
    pits = _clouds(rng, width, height, 0.016)
    skin = _POLYP + pits[..., None] * np.array((9, 10, 9), np.float32)
    lit = 0.78 + 0.3 * dome + 0.22 * slope
    color = color + inside * (skin - color)
    share = inside[..., 0]
    light = light * (1 - 0.35 * shadow * (1 - share)) * (1 - share) + lit * share
    return np.asarray(color, np.float32), np.asarray(light, np.float32)


def _highlights(rng: np.random.Generator, light: Floats) -> Floats:
    """Where wet tissue mirrors the lamp, 0…1: small spots on what is bright."""
    height, width = light.shape
    spots = _clouds(rng, width, height, 0.03) + 1.2 * (light - light.mean()) / light.std()
    shine = 0.5 + 0.5 * np.tanh(6 * (spots - np.quantile(spots, 0.993)))
    return np.asarray(shine, np.float32)
