"""Finding the field of view in made-up processor pictures, and finding none where there is none."""

from collections.abc import Iterable
from dataclasses import replace

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from demos.benchmarks.view_scenes import (
    SHAPES,
    Scene,
    luma_of,
    make_scene,
    margin_of,
    pictures_of,
    view_of,
)
from streamer.field_of_view import FieldOfView
from streamer.frame import View
from streamer.view_finder import Stretch, find_field_of_view

PICTURES = 12
PLAIN = replace(
    make_scene(0),
    size=(480, 270),
    ground=16,
    light=1.0,
    rim=0.7,
    noise=1.5,
    soft_px=0.5,
    crf=None,
    written=True,
    logo=True,
    second=False,
    interlaced=False,
)


def gray(luma: NDArray[np.uint8]) -> av.VideoFrame:
    return av.VideoFrame.from_ndarray(luma, format="gray")


def look_at(scene: Scene) -> tuple[FieldOfView | None, NDArray[np.bool_]]:
    exact = view_of(scene)
    return find_field_of_view(pictures_of(scene, exact, PICTURES)), exact >= 128


def overlap(found: FieldOfView | None, inside: NDArray[np.bool_]) -> float:
    assert found is not None
    mask = found.mask() > 0
    return float((mask & inside).sum() / (mask | inside).sum())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("seed", [1, 2])
def test_view_to_parts_of_a_pixel(shape: str, seed: int) -> None:
    found, inside = look_at(replace(PLAIN, seed=seed, shape=shape))

    assert overlap(found, inside) >= 0.98


@pytest.mark.parametrize(
    "hard",
    [
        {"noise": 5.0},
        {"crf": 30},
        {"interlaced": True},
        {"second": True},
        {"soft_px": 1.0},
        {"light": 0.45, "rim": 0.5},
        {"ground": 36},
        {"size": (1280, 720)},
        {"size": (352, 288)},
    ],
    ids=str,
)
def test_view_where_it_is_hard_to_see(hard: dict[str, object]) -> None:
    found, inside = look_at(replace(PLAIN, shape="octagon", **hard))  # type: ignore[arg-type]

    assert overlap(found, inside) >= 0.97


@pytest.mark.parametrize("shape", ["octagon", "circle"])
@pytest.mark.parametrize("size", [(480, 270), (1280, 720)])
def test_no_letter_lies_in_the_view(shape: str, size: tuple[int, int]) -> None:
    scene = replace(PLAIN, shape=shape, size=size)
    exact = view_of(scene)
    found, _ = look_at(scene)
    ink = margin_of(scene, exact, 0) > 0

    assert found is not None
    assert ink.any()
    assert not (found.mask() > 0)[ink].any()


def test_one_damaged_picture_does_not_count() -> None:
    scene = replace(PLAIN, shape="octagon")
    exact = view_of(scene)
    lumas = [luma_of(scene, exact, index) for index in range(PICTURES)]
    lumas[5][:] = 200

    assert overlap(find_field_of_view(map(gray, lumas)), exact >= 128) >= 0.98


def test_picture_without_margin_is_never_cropped() -> None:
    for seed in range(4):
        scene = replace(PLAIN, seed=seed, shape="whole picture", written=False, logo=False)
        for light in (1.0, 0.4):
            found, _ = look_at(replace(scene, light=light))
            assert found is None or found.fills_picture


@given(st.integers(0, 255), st.sampled_from([0.0, 2.0, 10.0, 60.0]), st.integers(0, 1000))
def test_no_view_in_what_is_flat_or_noise(level: int, deviation: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = (
        gray(np.clip(level + deviation * rng.standard_normal((120, 160)), 0, 255).astype(np.uint8))
        for _ in range(6)
    )
    found = find_field_of_view(pictures)

    assert found is None or found.fills_picture


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 100))
def test_pictures_may_be_of_any_size(width: int, height: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    pictures = (
        gray(rng.integers(0, 256, (height, width)).astype(np.uint8) * np.uint8(number % 2))
        for number in range(6)
    )
    found = find_field_of_view(pictures)

    assert found is None or found.mask().shape == (height, width)


def test_no_view_in_what_stands_still() -> None:
    scene = replace(PLAIN, shape="circle", noise=0.0)
    still = gray(luma_of(scene, view_of(scene), 0))

    assert find_field_of_view([still] * PICTURES) is None


def test_no_view_where_the_light_ends_softly() -> None:
    """A dark picture without margin: what is lit is no view."""
    rows, columns = np.mgrid[:270, :480]

    def picture(index: int) -> av.VideoFrame:
        away = np.hypot(columns - 240, rows - 135) / 150
        tissue = 90 + 40 * np.sin(columns / 15 + index) * np.cos(rows / 11 - index)
        return gray((16 + tissue * np.clip(1.3 - away, 0, 1)).astype(np.uint8))

    assert find_field_of_view(picture(index) for index in range(PICTURES)) is None


@pytest.mark.parametrize("pictures", [[], [gray(np.zeros((90, 160), np.uint8))]])
def test_too_little_to_see(pictures: Iterable[av.VideoFrame]) -> None:
    assert find_field_of_view(pictures) is None


def test_what_moves_beside_a_part_is_noticed() -> None:
    scene = replace(PLAIN, shape="whole picture", written=False, logo=False)
    exact = view_of(scene)
    stretch = Stretch()
    for picture in pictures_of(scene, exact, PICTURES):
        stretch.add(picture)

    assert stretch.is_lively_beyond(View(120, 20, 240, 220))
    assert not stretch.is_lively_beyond(View(0, 0, 480, 270))


def test_letters_beside_a_part_are_not_taken_for_that() -> None:
    scene = replace(PLAIN, shape="octagon")
    exact = view_of(scene)
    stretch = Stretch()
    for picture in pictures_of(scene, exact, PICTURES):
        stretch.add(picture)
    found = stretch.view()

    assert found is not None
    assert not stretch.is_lively_beyond(found.box)
