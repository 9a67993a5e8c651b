"""Flat and repeated pictures."""

import itertools
from collections.abc import Callable

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.live.signal import Look, SignalWatch, is_flat, sample_luma

MakePicture = Callable[..., av.VideoFrame]
SHAPE = (90, 160)


def scene(seed: int = 0, noise: float = 1.0) -> NDArray[np.uint8]:
    """Luma of a still scene with a camera's noise."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    still = 90 + 60 * np.sin(columns / 20) * np.cos(rows / 15)
    noisy = still + np.random.default_rng(seed).normal(0, noise, SHAPE)
    return noisy.round().clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("pixel_format", "size"),
    [
        *itertools.product(
            ("yuv420p", "nv12", "gray", "yuv422p10le"), ((64, 48), (161, 91), (16, 16))
        ),
        ("yuv420p", (1920, 1080)),
        ("yuv422p10le", (720, 576)),
    ],
)
def test_samples_are_those_of_the_luma_plane(
    make_picture: MakePicture,
    read_planes: Callable[[av.VideoFrame], list[NDArray[np.int64]]],
    size: tuple[int, int],
    pixel_format: str,
) -> None:
    width, height = size
    picture = make_picture(pixel_format, width, height)

    samples = sample_luma(picture)

    luma = read_planes(picture)[0][..., 0] >> (2 if pixel_format.endswith("10le") else 0)
    rows, columns = samples.shape
    step = round(height / rows)
    assert samples.dtype == np.uint8
    assert min(height, 45) <= rows <= 180
    assert min(width, 80) <= columns <= 320
    assert np.array_equal(samples, luma[:: step | 1, :: round(width / columns) | 1])
    # Both fields of an interlaced picture are looked at.
    assert step % 2 == 1


@pytest.mark.parametrize("tone", [0, 16, 41, 128, 255])
def test_one_tone_is_flat(tone: int) -> None:
    noise = np.random.default_rng(0).normal(0, 1.2, SHAPE)

    assert is_flat(np.full(SHAPE, tone, np.uint8))
    assert is_flat((tone + noise).round().clip(0, 255).astype(np.uint8))


def test_one_tone_with_a_short_text_is_flat() -> None:
    blue = np.full(SHAPE, 41, np.uint8)
    blue[40:48, 60:100:2] = 235

    assert is_flat(blue)


@pytest.mark.parametrize("view", [30, 60, 120])
def test_a_scene_is_not_flat_however_small_its_part_of_the_picture(view: int) -> None:
    picture = np.full(SHAPE, 16, np.uint8)
    picture[:, 80 - view // 2 : 80 + view // 2] = scene()[:, :view]

    assert not is_flat(picture)


def test_exact_repeats() -> None:
    watch = SignalWatch()

    looks = [watch.look(scene(seed)) for seed in (0, 0, 0, 1, 1, 2)]

    assert [look.repeated for look in looks] == [False, True, True, False, True, False]
    assert not any(look.flat for look in looks)


@pytest.mark.parametrize("noise", [0.5, 1.0, 3.0])
def test_a_still_scene_seen_by_a_camera_is_not_repeated(noise: float) -> None:
    watch = SignalWatch()

    assert not any(watch.look(scene(seed, noise)).repeated for seed in range(20))


def test_a_repeat_that_was_encoded_anew_is_one() -> None:
    watch = SignalWatch()
    first = scene()
    again = first.copy()
    again.ravel()[::100] += 1
    watch.look(first)

    assert watch.look(again) == Look(flat=False, repeated=True)


def test_a_slow_change_is_not_a_repeat_for_ever() -> None:
    watch = SignalWatch()
    samples = scene()
    repeated = []
    for step in range(40):
        samples = samples.copy()
        samples.ravel()[step::100] += 1
        repeated.append(watch.look(samples).repeated)

    assert repeated.count(False) > 3


def test_another_size_is_another_picture() -> None:
    watch = SignalWatch()
    watch.look(scene())

    assert not watch.look(scene()[:, ::2]).repeated
