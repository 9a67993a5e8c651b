"""A moving-camera scene made of still colonoscopy pictures, with an exact mask of the polyps.

Each still is one *shot* of a virtual endoscope: the camera glides along a smooth path over the
tissue, so that the polyp comes into the octagonal view, stays in it or leaves it. One stretch of
every cycle through the stills shows mucosa alone. Nothing here reads or writes anything.

The mask is exact because it goes through the same geometric warp as the picture. During a
cross-fade (`FADE_S`, centred on the boundary of two shots) the mask is that of the shot with the
greater share of the picture. Blur is symmetric about the middle of the exposure, which is the
moment that the mask shows.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
import numpy.typing as npt
from cv2.typing import MatLike

Pixels = npt.NDArray[np.uint8]
Doubles = npt.NDArray[np.float64]

FADE_S = 0.24
"""Length of the cross-fade between two shots, in seconds."""

_SWISH_S = 0.45  # length of the fast pan on either side of a boundary between shots
_SWISH_REACH = 0.4  # share of the window's size that a fast pan gives up for its shift
_BLACK = 28  # a still's own border is darker than this (of 255)
_PARALLAX = 0.2  # extra motion of the nearest tissue, as a share of the camera's motion
_PATHS_TRIED = 600

# How much of the polyp is in view in the course of a shot, for each way of filming it.
_COURSES = np.array(
    [
        [0, 0, 0.3, 0.8, 1, 1, 1],  # it enters
        [1, 1, 1, 0.8, 0.3, 0, 0],  # it leaves
        [0, 0.4, 1, 1, 1, 0.4, 0],  # it passes through
        [1, 1, 1, 1, 1, 1, 1],  # it stays
    ]
)


@dataclass(frozen=True, eq=False)
class Still:
    """A still picture and where its polyps are.

    image: uint8 (H, W, 3), RGB. Black borders are recognised where they reach a corner.
    mask: uint8 (H, W), 0 or 255 = polyp. An empty mask makes it a still of mucosa only.
    name: what the picture is called where it comes from.
    """

    image: Pixels
    mask: Pixels
    name: str

    def __post_init__(self) -> None:
        if self.image.dtype != np.uint8 or self.image.shape != (*self.mask.shape, 3):
            raise ValueError(f"{self.name}: image must be uint8 (H, W, 3) with a mask (H, W)")
        if self.mask.dtype != np.uint8:
            raise ValueError(f"{self.name}: mask must be uint8")

    def crop(self, left_px: int, top_px: int, right_px: int, bottom_px: int) -> Still:
        """The part between two corners, right and bottom excluded."""
        part = np.s_[top_px:bottom_px, left_px:right_px]
        return Still(self.image[part], self.mask[part], self.name)


def without_polyp(still: Still) -> Still:
    """The widest full-height or full-width part of a still that holds no polyp pixel."""
    height, width = still.mask.shape
    x, y, polyp_width, polyp_height = cv2.boundingRect(still.mask)
    sides = (
        (0, 0, x, height),
        (x + polyp_width, 0, width, height),
        (0, 0, width, y),
        (0, y + polyp_height, width, height),
    )
    return still.crop(*max(sides, key=lambda side: min(side[2] - side[0], side[3] - side[1])))


class Tissue:
    """A still prepared for filming.

    usable: bool (H, W), False in the black border. image, mask: the still's own.
    relief: float (H, W), about -1.5 (far from the lens) to 1.5 (near).
    """

    def __init__(self, still: Still) -> None:
        self.image = still.image
        self.mask = still.mask
        brightness = still.image.max(axis=2)
        _, labels = cv2.connectedComponents((brightness < _BLACK).astype(np.uint8))
        border = np.setdiff1d(labels[[0, 0, -1, -1], [0, -1, 0, -1]], 0)
        usable: MatLike = np.isin(labels, border, invert=True).astype(np.uint8)
        # Opening drops what is printed into the border, erosion the soft edge beside it.
        usable = cv2.morphologyEx(usable, cv2.MORPH_OPEN, np.ones((25, 25), np.uint8))
        usable = cv2.erode(usable, np.ones((9, 9), np.uint8))
        self.usable = usable > 0 if usable.any() else np.ones(usable.shape, bool)

        # The light sits beside the lens: bright tissue is near (positive), dark tissue far.
        size_px = min(usable.shape)
        smooth = cv2.GaussianBlur(brightness.astype(np.float32), (0, 0), 0.06 * size_px)
        relief = np.clip((smooth - smooth.mean()) / (smooth.std() + 1), -1.5, 1.5)
        # Flat towards the border, so that parallax does not pull black into the view.
        depth_px = cv2.distanceTransform(self.usable.astype(np.uint8), cv2.DIST_L2, 3)
        self.relief = relief * np.minimum(depth_px / (0.08 * size_px), 1)


@dataclass(frozen=True)
class Pose:
    """Where the camera looks: centre and height of its window in still pixels, roll in radians."""

    x: float
    y: float
    height: float
    roll: float


@dataclass(frozen=True, eq=False)
class _Take:
    """A shot as it is filmed; times are seconds from the start of the scene."""

    tissue: Tissue
    start_s: float
    end_s: float
    path: Doubles  # (4, 3): Bézier points of the window's centre x, y and height
    phases: Doubles  # (6,): of the unsteadiness, in radians
    pans: Doubles  # (2,): directions of the fast pans in and out, in radians
    focus_s: float  # when the focus hunts

    def swish(self, time_s: float) -> tuple[float, float]:
        """How strong the fast pans at the start and at the end are, each 0 to 1."""
        length_s = _SWISH_S + FADE_S / 2
        into = 1 - (time_s - self.start_s + FADE_S / 2) / length_s
        out = 1 - (self.end_s - time_s + FADE_S / 2) / length_s
        return float(np.clip(into, 0, 1)) ** 2, float(np.clip(out, 0, 1)) ** 2

    def pose(self, time_s: float) -> Pose:
        """The camera at a time."""
        progress = (time_s - self.start_s) / (self.end_s - self.start_s)
        x, y, height = _bezier(self.path, np.clip([progress], 0, 1))[0]
        a, b, c, d, e, f = self.phases
        # An unsteady hand, and the patient's breathing.
        x += height * (0.016 * np.sin(2.3 * time_s + a) + 0.009 * np.sin(5.1 * time_s + b))
        y += height * (0.016 * np.sin(1.9 * time_s + c) + 0.009 * np.sin(4.3 * time_s + d))
        roll = 0.08 * np.sin(0.9 * time_s + e) + 0.02 * np.sin(2.1 * time_s + f)
        # A fast pan keeps within the planned window: it shifts by what the window shrinks.
        into, out = self.swish(time_s)
        shift = 0.5 * _SWISH_REACH * height * np.array([-into, out])
        x += shift @ np.cos(self.pans)
        y += shift @ np.sin(self.pans)
        height *= 1 - _SWISH_REACH * max(into, out)
        return Pose(float(x), float(y), float(height), float(roll))

    def defocus(self, time_s: float) -> float:
        """Width of the focus blur, as a share of the view's height."""
        hunting = np.exp(-(((time_s - self.focus_s) / 0.15) ** 2))
        return float(0.003 * hunting + 0.012 * max(self.swish(time_s)))


def parallax(
    relief: MatLike, pose: Pose, middle: Sequence[float], x: MatLike, y: MatLike
) -> tuple[MatLike, MatLike]:
    """By how much near tissue moves and grows more than far tissue, in still pixels.

    middle: x, y and height of the window at which nothing is moved.
    x, y, relief: where in the still each pixel looks, and the tissue's relief there.
    """
    middle_x, middle_y, middle_height = middle
    zoom = middle_height / pose.height
    return (
        _PARALLAX * relief * (x - middle_x - zoom * (x - pose.x)),
        _PARALLAX * relief * (y - middle_y - zoom * (y - pose.y)),
    )


def smear(image: MatLike, dx: float, dy: float) -> MatLike:
    """Blur by a motion of so many pixels, symmetric about the middle of the exposure."""
    reach = int(max(abs(dx), abs(dy)) / 2 + 0.5)
    if reach == 0:
        return image
    kernel = np.zeros((2 * reach + 1, 2 * reach + 1), np.float32)
    tip = np.array((dx, dy)) / 2
    ends = [tuple((reach + sign * tip).round().astype(int).tolist()) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0)
    return cv2.filter2D(image, -1, kernel / kernel.sum())


def _bezier(points: Doubles, progress: Doubles) -> Doubles:
    """Positions (..., m, n) on cubic curves of points (..., 4, n) at each progress (m,), 0 to 1."""
    u = progress
    weights = np.stack([(1 - u) ** 3, 3 * u * (1 - u) ** 2, 3 * u**2 * (1 - u), u**3], axis=-1)
    return np.asarray(weights @ points)


def _octagon(aspect: float) -> Doubles:
    """Corners (8, 2) of a view of height 1 and width `aspect` around (0, 0)."""
    x, y, cut = aspect / 2, 0.5, 0.22
    quarter = np.array([(x, y - cut), (x - cut, y)])
    half = np.concatenate([quarter, quarter[::-1] * (-1, 1)])
    return np.concatenate([half, -half])


class Scene:
    """An endless scene, in which a frame depends on the arguments and its index only.

    stills: one shot each, in this order, then again along other camera paths. Those with an empty
        mask make the polyp-free stretch; if there are none, polyp-free parts of the others do.
    width, height: size of the frame in pixels; the view is an octagon right of its middle.
    rate: frames per second.
    seed: chooses camera paths, transitions, light and noise.
    shot_s: mean length of a shot that shows a polyp.
    polyp_free_s: length of the polyp-free stretch in the middle of each cycle, 0 for none.
    optics: blur, uneven light and sensor noise; False leaves the geometry alone.
    """

    def __init__(
        self,
        stills: Sequence[Still],
        *,
        width: int = 1280,
        height: int = 720,
        rate: float = 30.0,
        seed: int = 0,
        shot_s: float = 2.4,
        polyp_free_s: float = 4.8,
        optics: bool = True,
    ) -> None:
        self.width, self.height, self.rate, self.seed = width, height, rate, seed
        self._optics = optics
        rng = np.random.default_rng(seed)

        shown = [still for still in stills if still.mask.any()]
        bare = [still for still in stills if not still.mask.any()] or sorted(
            map(without_polyp, shown), key=lambda still: min(still.mask.shape), reverse=True
        )
        bare = bare[: max(1, round(polyp_free_s / shot_s)) if polyp_free_s > 0 else 0]
        if not shown + bare or any(min(still.mask.shape) < 32 for still in shown + bare):
            raise ValueError("a scene needs stills of 32 pixels or more, also beside the polyps")
        half = len(shown) // 2
        shown_s = shot_s * (0.75 + 0.5 * (rng.permutation(len(shown)) + 0.5) / len(shown))
        bare_s = np.full(len(bare), polyp_free_s / max(len(bare), 1))
        self._tissues = [Tissue(still) for still in shown[:half] + bare + shown[half:]]
        self._ends_s = np.cumsum([*shown_s[:half], *bare_s, *shown_s[half:]]).tolist()

        self._view_height = round(0.97 * height)
        self._view_width = min(round(1.12 * self._view_height), width)
        self._aspect = self._view_width / self._view_height
        corners_px = np.add(_octagon(self._aspect), (self._aspect / 2, 0.5)) * self._view_height
        self._octagon = np.zeros((self._view_height, self._view_width), np.uint8)
        cv2.fillConvexPoly(self._octagon, corners_px.round().astype(np.int32), 255)
        self._phases = rng.uniform(0, 2 * np.pi, 4)
        self._take = lru_cache(maxsize=4)(self._plan)
        shape = (self._view_height + 64, self._view_width + 64, 3)
        grain = rng.standard_normal(shape, np.float32)
        self._grain = 3.5 * cv2.GaussianBlur(grain, (0, 0), 0.7)

    @property
    def view(self) -> Pixels:
        """The field of view: uint8 (height, width), 255 inside the octagon, 0 outside."""
        return self._framed(self._octagon)

    def render(self, index: int) -> tuple[Pixels, Pixels]:
        """Frame number `index` (0, 1, …), which is shown at index / rate seconds.

        Returns the image, uint8 (height, width, 3) RGB, and the mask, uint8 (height, width),
        0 or 255 = polyp; both are 0 outside the view.
        """
        time_s = index / self.rate
        number = self._shot_at(time_s)
        take = self._take(number)
        image, mask = self._film(take, time_s)
        to_end_s, from_start_s = take.end_s - time_s, time_s - take.start_s
        share = 0.5 - min(to_end_s, from_start_s) / FADE_S
        if share > 0:
            other = self._take(number + (1 if to_end_s < from_start_s else -1))
            image = cv2.addWeighted(image, 1 - share, self._film(other, time_s)[0], share, 0)
        if self._optics:
            image = self._expose(image, index)
        image = cv2.bitwise_and(image, image, mask=self._octagon)
        return self._framed(image), self._framed(cv2.bitwise_and(mask, self._octagon))

    def _shot_at(self, time_s: float) -> int:
        cycles, rest_s = divmod(time_s, self._ends_s[-1])
        return int(cycles) * len(self._ends_s) + bisect_right(self._ends_s[:-1], rest_s)

    def _plan(self, number: int) -> _Take:
        """How shot `number` is filmed."""
        cycle, slot = divmod(number, len(self._ends_s))
        start_s, end_s = (
            cycle * self._ends_s[-1] + offset_s for offset_s in (0.0, *self._ends_s)[slot:][:2]
        )
        if number == 0:
            start_s = -_SWISH_S  # the scene does not begin within a fast pan
        rng = np.random.default_rng([self.seed, number])
        # The camera comes into a shot in the direction in which it left the one before; steps of
        # the golden angle keep neighbouring directions apart.
        pans = 2.4 * np.array([number, number + 1]) + self._phases[0]
        tissue = self._tissues[slot]
        path = self._best_path(tissue, rng.choice(_COURSES), rng)
        phases = rng.uniform(0, 2 * np.pi, 6)
        focus_s = rng.uniform(start_s, 2 * end_s - start_s)
        return _Take(tissue, start_s, end_s, path, phases, pans, focus_s)

    def _best_path(self, tissue: Tissue, course: Doubles, rng: np.random.Generator) -> Doubles:
        """Of many random camera paths, the one that best keeps to the tissue and to the course.

        Returns (4, 3): Bézier points of the window's centre x, y and height in still pixels.
        """
        height, width = tissue.mask.shape
        largest = min(height, width / self._aspect)
        ends = rng.uniform((0, 0, 0.45), (1, 1, 0.97), (_PATHS_TRIED, 2, 3))
        points = np.linspace(ends[:, 0], ends[:, 1], 4, axis=1)
        points[:, 1:3] += rng.normal(0, (0.08, 0.08, 0.03), (_PATHS_TRIED, 2, 3))
        points *= (width, height, largest)
        windows = _bezier(points, np.linspace(0, 1, course.size))[:, :, None]
        centres, heights = windows[..., :2], windows[..., 2:]

        corners = _octagon(self._aspect)
        outline = np.linspace(corners, np.roll(corners, 1, axis=0), 4, endpoint=False)
        # The margin is for unsteadiness and roll.
        rim = centres + 1.1 * heights * outline.reshape(-1, 2)
        x, y = np.moveaxis(rim, -1, 0).astype(int)
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        inside &= tissue.usable[y.clip(0, height - 1), x.clip(0, width - 1)]
        badness = 12 * (1 - inside.mean(axis=2)).max(axis=1)

        polyp = np.argwhere(tissue.mask > 127)[:, ::-1]
        if len(polyp):
            offsets = np.abs(rng.choice(polyp, 64) - centres) / heights
            seen = (offsets <= corners.max(axis=0)).all(axis=3)
            seen &= offsets.sum(axis=3) <= np.abs(corners).sum(axis=1).max()
            badness += 2 * np.abs(seen.mean(axis=2) - course).mean(axis=1)
        # Wide enough to be sharp, and neither hasty nor at rest.
        mean_height = heights.mean(axis=(1, 2, 3))
        travel = np.linalg.norm(centres[:, -1, 0] - centres[:, 0, 0], axis=1) / mean_height
        badness += 0.4 * (1 - mean_height / largest) + 0.3 * np.abs(travel - 0.6)
        return np.asarray(points[badness.argmin()])

    def _film(self, take: _Take, time_s: float) -> tuple[MatLike, MatLike]:
        """What the camera of one shot sees: image and mask of the view, before light and frame."""
        tissue, pose = take.tissue, take.pose(time_s)
        scale = pose.height / self._view_height
        columns = np.arange(self._view_width, dtype=np.float32)[None]
        rows = np.arange(self._view_height, dtype=np.float32)[:, None]
        u = scale * (columns - (self._view_width - 1) / 2)
        v = scale * (rows - (self._view_height - 1) / 2)
        x = pose.x + math.cos(pose.roll) * u - math.sin(pose.roll) * v
        y = pose.y + math.sin(pose.roll) * u + math.cos(pose.roll) * v
        # Near tissue moves and grows more than far tissue, and all of it breathes.
        relief = cv2.remap(tissue.relief, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        dx, dy = parallax(relief, pose, take.path.mean(axis=0).tolist(), x, y)
        sway = 0.004 * pose.height * np.sin(1.7 * time_s + 9 * (pose.y + v) / pose.height)
        x += dx + sway
        y += dy
        image = cv2.remap(tissue.image, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101)
        soft = cv2.remap(tissue.mask, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
        if self._optics:
            image = self._blur(image, take, time_s)
        return image, cv2.threshold(soft, 127, 255, cv2.THRESH_BINARY)[1]

    def _blur(self, image: MatLike, take: _Take, time_s: float) -> MatLike:
        """Defocus, and motion for as long as the shutter is open: half a frame."""
        sigma_px = take.defocus(time_s) * self._view_height
        if sigma_px > 0.4:
            image = cv2.GaussianBlur(image, (0, 0), sigma_px)
        before, now, after = (take.pose(time_s + shift / self.rate) for shift in (-0.25, 0, 0.25))
        scale = self._view_height / now.height
        return smear(image, scale * (after.x - before.x), scale * (after.y - before.y))

    def _expose(self, image: MatLike, index: int) -> MatLike:
        """Automatic exposure, light that falls off from a wandering centre, and sensor noise."""
        time_s = index / self.rate
        a, b, c, d = self._phases.tolist()
        x, y = np.linspace(-1, 1, self._view_width), np.linspace(-1, 1, self._view_height)
        x = (x - 0.3 * np.sin(0.7 * time_s + a)) ** 2
        y = (y - 0.3 * np.sin(0.5 * time_s + b)) ** 2
        metered = (115 / (float(image[::8, ::8].mean()) + 10)) ** 0.4
        drift = 0.07 * math.sin(0.8 * time_s + c) + 0.04 * math.sin(2.9 * time_s + d)
        gain = metered * (1.1 + drift) - 0.25 * np.add.outer(y, x).astype(np.float32)
        # White stays white: highlights are far above what the sensor can show.
        white = image / np.float32(255)
        lit = image * (white + gain[..., None] * (1 - white))
        top, left = np.random.default_rng([self.seed, index]).integers(64, size=2)
        grain = self._grain[top:, left:][: self._view_height, : self._view_width]
        return np.asarray(np.clip(lit + grain, 0, 255), np.uint8)

    def _framed(self, view: MatLike) -> Pixels:
        """Place the view in the black frame."""
        frame = np.zeros((self.height, self.width, *view.shape[2:]), np.uint8)
        top = (self.height - self._view_height) // 2
        left = round(0.65 * (self.width - self._view_width))
        frame[top : top + self._view_height, left : left + self._view_width] = view
        return frame
