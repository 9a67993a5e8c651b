"""Made-up processor pictures whose field of view is known exactly, each by its seed."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.sources.tissue import make_stills

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

#: Pictures a second: as many as are looked at.
RATE = 10
SHAPES = ("octagon", "circle", "cut circle", "rectangle", "rounded")
SIZES = ((1920, 1080), (1280, 720), (720, 576), (640, 480), (352, 288))
#: What is drawn finer than the pictures, by so much: rims between two px.
_FINER = 4
_STILLS = 6


@dataclass(frozen=True)
class Scene:
    """What one seed stands for.

    Attributes:
        size: (width, height) px.
        shape: one of `SHAPES`, or "whole picture" where there is no margin.
        ground: luma of the margin.
        light: of the scene; 1 is as bright as usual.
        rim: how much of the light is left at the rim of the view.
        noise: deviation of luma codes.
        soft_px: blur of the picture.
        crf: of H.264; None leaves the pictures as they are.
        written, logo, second, interlaced: letters, a logo, a second picture in the margin; fields
            that lie half a picture apart.
    """

    seed: int
    size: tuple[int, int]
    shape: str
    ground: int
    light: float
    rim: float
    noise: float
    soft_px: float
    crf: int | None
    written: bool
    logo: bool
    second: bool
    interlaced: bool

    @property
    def dark(self) -> bool:
        """Whether little light falls on the rim."""
        return self.light * self.rim < 0.25


def make_scene(seed: int) -> Scene:
    """The scene of a seed: each shape in turn, a quarter dark, every tenth without a margin."""
    rng = np.random.default_rng([41, seed])
    shape = "whole picture" if seed % 10 == 9 else SHAPES[seed % len(SHAPES)]
    dark = seed // len(SHAPES) % 4 == 3
    return Scene(
        seed=seed,
        size=SIZES[int(rng.integers(len(SIZES)))],
        shape=shape,
        ground=16 if dark else int(rng.choice([16, 16, 16, 17, 22, 36])),
        light=float(rng.uniform(0.3, 0.55) if dark else rng.uniform(0.7, 1.1)),
        rim=float(rng.uniform(0.35, 0.6) if dark else rng.uniform(0.5, 0.9)),
        noise=float(rng.choice([0, 1.5, 3, 5])),
        soft_px=float(rng.uniform(0.3, 1.0)),
        crf=None if rng.random() < 0.3 else int(rng.integers(18, 34)),
        written=bool(rng.random() < 0.8),
        logo=bool(rng.random() < 0.5),
        second=bool(rng.random() < 0.3),
        interlaced=bool(rng.random() < 0.2),
    )


def view_of(scene: Scene) -> Pixels:
    """(height, width): how much of each pixel the view covers, 0…255; inside from 128 on."""
    width, height = scene.size
    if scene.shape == "whole picture":
        return np.full((height, width), 255, np.uint8)
    rng = np.random.default_rng([42, scene.seed])
    tall = height * rng.uniform(0.88, 1.0)
    wide = min(tall * rng.uniform(1.0, 1.25), 0.9 * width)
    x = width / 2 + rng.uniform(-0.1, 1) * (0.98 * width - wide) / 2
    y = height / 2 + rng.uniform(-0.5, 0.5) * (height - tall)
    angles = np.linspace(0, 2 * np.pi, 1440, endpoint=False)
    across, down = np.cos(angles), np.sin(angles)
    half_x, half_y = wide / 2, tall / 2
    box = np.maximum(np.abs(across) / half_x, np.abs(down) / half_y)
    if scene.shape == "octagon":
        cut = rng.uniform(0.1, 0.3) * tall
        away = np.maximum(box, (np.abs(across) + np.abs(down)) / (half_x + half_y - cut))
    elif scene.shape == "circle":
        away = np.full_like(angles, 1 / min(half_x, half_y))
    elif scene.shape == "cut circle":
        away = np.maximum(box, 1 / (rng.uniform(1.05, 1.2) * half_y))
    elif scene.shape == "rounded":
        power = rng.uniform(4, 9)
        away = (np.abs(across / half_x) ** power + np.abs(down / half_y) ** power) ** (1 / power)
    else:
        away = box
    points = np.stack([x + across / away, y + down / away], axis=1)
    fine = np.zeros((height * _FINER, width * _FINER), np.uint8)
    cv2.fillConvexPoly(fine, np.rint(points * _FINER).astype(np.int32), 255)
    return np.asarray(cv2.resize(fine, scene.size, interpolation=cv2.INTER_AREA), np.uint8)


def margin_of(scene: Scene, view: Pixels, index: int) -> Pixels:
    """(height, width): what is written beside the view in a picture, 255 where there is ink."""
    width, height = scene.size
    ink = np.zeros((height, width), np.uint8)
    rng = np.random.default_rng([43, scene.seed])
    left, _, wide, _ = cv2.boundingRect((view >= 128).astype(np.uint8))
    scale, thickness = height / rng.uniform(450, 900), 1 + height // 500
    if scene.written:
        clock = f"2026-11-24 10:31:{index // RATE:02d}"
        lines = ("DOE, JANE", "F 1950-01-31", "ID 4711-0815", clock, "Dr. Mabuse", "Eh:B3 Cm:1")
        # Some end right beside the view.
        reach = int(rng.integers(3, 9))
        for number, text in enumerate(lines):
            (long, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, thickness)
            at = round((0.12 + 0.11 * number) * height)
            edge = int(np.flatnonzero(view[at] >= 128)[0]) if (view[at] >= 128).any() else left
            place = (4 if number % 2 else max(2, edge - reach - long), at)
            cv2.putText(ink, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, thickness)
    if scene.logo:
        room = width - left - wide
        cv2.circle(ink, (width - room // 2, height // 8), max(4, room // 4), 255, cv2.FILLED)
        cv2.circle(ink, (max(6, left // 3), height - height // 12), height // 20, 255, cv2.FILLED)
    # Even the closest leave two px.
    ink[cv2.dilate(view, np.ones((5, 5), np.uint8)) > 0] = 0
    return ink


@lru_cache(maxsize=2)
def _stills(seed: int) -> list[Floats]:
    return [
        still.image.astype(np.float32).mean(axis=2)
        for still in make_stills(seed % 4, count=_STILLS)
    ]


def _tissue(scene: Scene, time_s: float, width: int, height: int, number: int = 0) -> Floats:
    """Luma of tissue that the camera glides over."""
    rng = np.random.default_rng([44, scene.seed, number])
    still = _stills(scene.seed)[int(rng.integers(_STILLS))]
    rows, columns = still.shape
    phases = rng.uniform(0, 2 * np.pi, 4)
    zoom = 1.45 + 0.25 * np.sin(0.7 * time_s + phases[0])
    scale = max(width / columns, height / rows) * zoom
    angle = 0.15 * np.sin(0.8 * time_s + phases[1])
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    shift_x = width / 2 + 0.1 * width * np.sin(0.9 * time_s + phases[2])
    shift_y = height / 2 + 0.1 * height * np.sin(1.3 * time_s + phases[3])
    matrix = np.array(
        [
            [cos, -sin, shift_x - cos * columns / 2 + sin * rows / 2],
            [sin, cos, shift_y - sin * columns / 2 - cos * rows / 2],
        ]
    )
    image = cv2.warpAffine(
        still, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT
    )
    return np.asarray(image, np.float32)


def _lit(scene: Scene, image: Floats, view: Pixels, time_s: float) -> Floats:
    """The same with the light of the endoscope, and the dark way ahead."""
    x, y, width, height = cv2.boundingRect((view >= 128).astype(np.uint8))
    # Light is smooth: every eighth px of it will do.
    columns = np.linspace(0, image.shape[1], image.shape[1] // 8, dtype=np.float32)
    rows = np.linspace(0, image.shape[0], image.shape[0] // 8, dtype=np.float32)
    columns = (columns - x - width / 2) / (width / 2)
    rows = (rows - y - height / 2) / (height / 2)
    away = np.minimum(np.hypot(columns[None], rows[:, None]), 1)
    rng = np.random.default_rng([45, scene.seed])
    way, turn = rng.uniform(0.1, 0.9), rng.uniform(0, 2 * np.pi)
    at = turn + 0.6 * time_s
    ahead = np.hypot(columns[None] - way * np.cos(at), rows[:, None] - way * np.sin(at))
    light = scene.light * (1 - (1 - scene.rim) * away**2)
    light *= np.clip(ahead / rng.uniform(0.3, 0.6), 0.12, 1)
    return np.asarray(image * cv2.resize(light, image.shape[::-1]), np.float32)


def luma_of(scene: Scene, view: Pixels, index: int) -> Pixels:
    """(height, width): one picture, before it is coded."""
    width, height = scene.size

    def shown(time_s: float) -> Floats:
        return _lit(scene, _tissue(scene, time_s, width, height), view, time_s)

    tissue = shown(index / RATE)
    if scene.interlaced:
        tissue[1::2] = shown(index / RATE + 0.02)[1::2]
    cover = view.astype(np.float32) / 255
    ground = np.full((height, width), scene.ground, np.float32)
    ground[margin_of(scene, view, index) > 0] = 225
    left = cv2.boundingRect((view >= 128).astype(np.uint8))[0]
    if scene.second and left > 60:
        side = min(round(0.8 * left), height // 3)
        rows = np.s_[height - side - 8 : height - 8, 8 : 8 + side]
        ground[rows] = 0.9 * _tissue(scene, index / RATE, side, side, number=1)
    sharp = cover * (16 + tissue * 0.85) + (1 - cover) * ground
    luma = np.asarray(cv2.GaussianBlur(sharp, (0, 0), scene.soft_px), np.float32)
    if scene.noise:
        rng = np.random.default_rng([46, scene.seed, index])
        luma += np.float32(scene.noise) * rng.standard_normal(luma.shape, np.float32)
    return np.clip(luma, 0, 255).astype(np.uint8)


def pictures_of(scene: Scene, view: Pixels, count: int) -> Iterator[av.VideoFrame]:
    """The pictures, coded and decoded where the scene says so."""
    pictures = (_as_picture(luma_of(scene, view, index)) for index in range(count))
    yield from pictures if scene.crf is None else _coded(pictures, scene.size, scene.crf)


def _as_picture(luma: Pixels) -> av.VideoFrame:
    height, width = luma.shape
    planes = np.full((height + height // 2, width), 128, np.uint8)
    planes[:height] = luma
    return av.VideoFrame.from_ndarray(planes, format="yuv420p")


def _coded(
    pictures: Iterator[av.VideoFrame], size: tuple[int, int], crf: int
) -> Iterator[av.VideoFrame]:
    memory = io.BytesIO()
    with av.open(memory, "w", format="matroska") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = Fraction(1, RATE)
        stream.options = {"crf": str(crf), "preset": "ultrafast"}
        for index, picture in enumerate(pictures):
            picture.pts, picture.time_base = index, Fraction(1, RATE)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())
    memory.seek(0)
    with av.open(memory, "r") as coded:
        yield from coded.decode(video=0)
