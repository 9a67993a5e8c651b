"""Pictures with known masks for `mask_motion.py`: bundled, made up, and recorded."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from demos.benchmarks.flow_methods import METHODS, Gray
from streamer.frame import View
from streamer.motion import small_luma
from streamer.planes import Samples, planes
from streamer.sources.scene import FADE_S, Scene
from streamer.sources.tissue import make_stills

SAMPLES = Path(__file__).parents[1] / "samples"
MAP_PX = 352
FINER = 2  # boundaries are compared on a grid so many times finer than the map
RATE = 30
SIZE_PX = (1280, 720)

#: Where the shots of the bundled sample end, in seconds: its scene has this plan by its seed.
SAMPLE_ENDS_S = (2.625, 4.5, 6.975, 9.0, 11.4, 13.8, 16.575, 18.9, 21.825, 24.0)
MADE_UP_SHOT_S = 2.4
#: Boundaries nearer to the rim of the endoscope's picture are the rim's, in px of the map.
RIM_PX = 3

Map = NDArray[np.float32]
#: Decoded pictures with their masks of 0 or 255 in the same size.
Frames = Iterator[tuple[av.VideoFrame, NDArray[np.uint8]]]


@dataclass
class Clip:
    """What is needed of every frame.

    luma: small images (h, w) by the 16:9 size with as many px, such as "160x90".
    chosen: those of `streamer.motion`.
    truth: map (MAP_PX, MAP_PX), 0…1.
    shot: number of the shot, or None in a cross-fade.
    inner: (FINER * MAP_PX,) * 2, what is not the rim of the endoscope's picture.
    """

    luma: dict[str, list[Gray]]
    chosen: list[Gray]
    truth: list[Map]
    shot: list[int | None]
    inner: NDArray[np.bool_]


def sample_clip(*, whole: bool = False) -> Clip:
    """The bundled video. The view is the box around the endoscope's picture, or the whole."""

    def frames() -> Frames:
        with (
            av.open(str(SAMPLES / "colonoscopy.mp4")) as video,
            av.open(str(SAMPLES / "colonoscopy_masks.mkv")) as masks,
        ):
            for picture, mask in zip(video.decode(video=0), masks.decode(video=0), strict=True):
                yield picture, np.asarray(mask.to_ndarray(), np.uint8)

    return _take(frames(), lambda time_s: _shot(time_s, SAMPLE_ENDS_S), whole=whole)


def made_up_clip(seed: int) -> Clip:
    """Two shots of each of the made-up stills that have a polyp."""
    stills = [still for still in make_stills(seed) if still.mask.any()]
    ends_s = (MADE_UP_SHOT_S, 2 * MADE_UP_SHOT_S)

    def frames() -> Frames:
        for number, still in enumerate(stills):
            # With one still and nothing else, every shot has exactly the mean length.
            scene = Scene(
                [still],
                width=SIZE_PX[0],
                height=SIZE_PX[1],
                rate=RATE,
                seed=10 * seed + number,
                shot_s=MADE_UP_SHOT_S,
                polyp_free_s=0,
            )
            for index in range(round(ends_s[-1] * RATE)):
                image, mask = scene.render(index)
                picture = av.VideoFrame.from_ndarray(image, format="rgb24")
                yield picture.reformat(format="yuv420p"), mask

    def shot(time_s: float) -> int | None:
        number, rest_s = divmod(time_s + 1e-6, ends_s[-1])
        found = _shot(rest_s, ends_s)
        return None if found is None else found + 10 * int(number)

    return _take(frames(), shot)


def _shot(time_s: float, ends_s: tuple[float, ...]) -> int | None:
    """Number of the shot at a time; None in the cross-fades between them."""
    if any(abs(time_s - end_s) < FADE_S / 2 for end_s in ends_s[:-1]):
        return None
    return sum(time_s >= end_s for end_s in ends_s)


def _take(frames: Frames, shot: Callable[[float], int | None], *, whole: bool = False) -> Clip:
    width, height = SIZE_PX
    # All scenes of a size have the same field of view.
    field = Scene(make_stills(count=1), width=width, height=height).view
    x, y, across, down = cv2.boundingRect(field)
    view = View(0, 0, width, height) if whole else View(x, y, across, down)
    part = np.s_[view.y : view.y + view.height, view.x : view.x + view.width]
    fine = (FINER * MAP_PX, FINER * MAP_PX)
    inside = np.asarray(cv2.resize(field[part], fine, interpolation=cv2.INTER_AREA)) > 127
    framed = cv2.copyMakeBorder(inside.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    depth = np.asarray(cv2.distanceTransform(framed, cv2.DIST_L2, 5))
    sizes = sorted({size for _, size in METHODS})
    clip = Clip({size: [] for size in sizes}, [], [], [], depth[1:-1, 1:-1] > RIM_PX * FINER)
    for index, (picture, mask) in enumerate(frames):
        luma = planes(picture)[0].pixels[..., 0][part]
        for size in sizes:
            clip.luma[size].append(_shrink(luma, size))
        clip.chosen.append(small_luma(picture, view))
        clip.truth.append(_as_map(mask[part]))
        clip.shot.append(shot(index / RATE))
    return clip


def _shrink(luma: Samples, size: str) -> Gray:
    """Area means; as many px as the size has, in the shape that the picture has."""
    area = math.prod(map(int, size.split("x")))
    rows = round((area * luma.shape[0] / luma.shape[1]) ** 0.5)
    small = cv2.resize(luma, (round(area / rows), rows), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def _as_map(mask: NDArray[np.uint8]) -> Map:
    small = cv2.resize(mask, (MAP_PX, MAP_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)


@dataclass(frozen=True)
class Pair:
    """Two stills of one recorded sequence: `small_luma`, maps."""

    then: Gray
    now: Gray
    truth_then: Map
    truth_now: Map


def recorded_pairs(data: Path, sequences: Path) -> Iterator[Pair]:
    """Stills of CVC-ClinicDB, 1 to 3 numbers apart, where both are there.

    data: folder with images/ and masks/ of numbered PNG files.
    sequences: JSON of first and last number of each sequence.
    """
    for first, last in json.loads(sequences.read_text(encoding="utf-8")).values():
        stills = {number: _read_still(data, number) for number in range(first, last + 1)}
        for number in range(first, last):
            for later in range(number + 1, min(number + 3, last) + 1):
                then, now = stills[number], stills[later]
                if then is not None and now is not None:
                    yield Pair(then[0], now[0], then[1], now[1])


def _read_still(data: Path, number: int) -> tuple[Gray, Map] | None:
    image = cv2.imread(str(data / "images" / f"{number}.png"))
    mask = cv2.imread(str(data / "masks" / f"{number}.png"), cv2.IMREAD_GRAYSCALE)
    if image is None or mask is None:
        return None
    height, width = (side & ~1 for side in mask.shape)
    rgb = np.ascontiguousarray(image[:height, :width, ::-1], np.uint8)
    picture = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")
    luma = small_luma(picture, View(0, 0, width, height))
    return luma, _as_map(np.asarray(mask[:height, :width], np.uint8))
