"""What spoils a picture: size and kind stay, and each change is the one that it says."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from pranet import degrade

Image = NDArray[np.uint8]
Change = Callable[[Image, Generator], Image]

CHANGES = (
    degrade.defocus,
    degrade.motion_blur,
    degrade.sensor_noise,
    degrade.specular_highlights,
    degrade.interlacing_comb,
    degrade.jpeg_artefacts,
    degrade.h264_artefacts,
    degrade.burnt_in_text,
)


def textured(height_px: int = 96, width_px: int = 128) -> Image:
    """A smooth coloured scene of middle levels."""
    coarse = np.random.default_rng(5).integers(60, 180, (8, 8, 3), dtype=np.uint8)
    return np.asarray(
        cv2.resize(coarse, (width_px, height_px), interpolation=cv2.INTER_LINEAR), np.uint8
    )


@pytest.mark.parametrize("size", [(96, 128), (97, 63)])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_size_and_kind_stay_and_the_source_is_left_alone(
    change: Change, size: tuple[int, int]
) -> None:
    image = textured(*size)

    for seed in range(4):
        spoilt = change(image, np.random.default_rng(seed))
        assert spoilt.shape == image.shape
        assert spoilt.dtype == np.uint8
        assert not np.array_equal(spoilt, image)
        assert np.array_equal(image, textured(*size))


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_change_depends_on_the_seed_alone(change: Change) -> None:
    first, again, *others = (
        change(textured(), np.random.default_rng(seed)) for seed in (1, 1, 2, 3, 4)
    )

    assert np.array_equal(first, again)
    assert any(not np.array_equal(first, other) for other in others)


@pytest.mark.parametrize("change", [degrade.defocus, degrade.motion_blur])
def test_blur_takes_detail_and_keeps_the_mean(change: Change) -> None:
    noise = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)

    blurred = change(noise, np.random.default_rng(2))

    assert blurred.std() < 0.9 * noise.std()
    assert blurred.mean() == pytest.approx(noise.mean(), abs=3)


def test_noise_is_of_a_few_levels_around_the_picture() -> None:
    flat = np.full((200, 200, 3), 120, np.uint8)

    for seed in range(5):
        noisy = degrade.sensor_noise(flat, np.random.default_rng(seed))
        assert 1.9 < noisy.std() < 10.5
        assert noisy.mean() == pytest.approx(120, abs=0.7)


@pytest.mark.parametrize("seed", range(6))
def test_highlights_are_small_and_nearly_white(seed: int) -> None:
    image = textured()

    spoilt = degrade.specular_highlights(image, np.random.default_rng(seed))

    changed = (spoilt != image).any(axis=2)
    assert 0 < changed.mean() < 0.25
    assert (spoilt.astype(int) >= image).all()


def test_comb_shifts_odd_rows_against_even_ones() -> None:
    image = textured()
    image[::2] = image[1::2]

    combed = degrade.interlacing_comb(image, np.random.default_rng(1))

    moved_px = [
        [
            shift
            for shift in range(-8, 9)
            if np.array_equal(np.roll(image[field::2], shift, axis=1), combed[field::2])
        ]
        for field in range(2)
    ]
    assert moved_px[0] == [-shift for shift in moved_px[1]]
    assert moved_px[0][0] > 0


@pytest.mark.parametrize("change", [degrade.jpeg_artefacts, degrade.h264_artefacts])
def test_compression_changes_a_picture_only_a_little(change: Change) -> None:
    image = textured()

    for seed in range(4):
        coded = change(image, np.random.default_rng(seed))
        assert np.abs(coded.astype(int) - image).mean() < 8
        assert np.abs(coded.mean(axis=(0, 1)) - image.mean(axis=(0, 1))).max() < 4


@pytest.mark.parametrize("seed", range(6))
def test_text_covers_little_and_lies_at_one_side(seed: int) -> None:
    image = np.zeros((240, 320, 3), np.uint8)

    spoilt = degrade.burnt_in_text(image, np.random.default_rng(seed))

    written = spoilt.any(axis=2)
    assert written.mean() < 0.1
    columns = np.flatnonzero(written.any(axis=0)) / 320
    assert columns.min() > 0.65 or columns.min() < 0.1


def test_view_is_one_filled_shape_with_dark_corners_of_several_kinds() -> None:
    shapes = []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        shapes.append(degrade.view_shape(degrade.view_box(96, rng), 96, rng))

    for view in shapes:
        assert view.shape == (96, 96)
        assert set(np.unique(view)) <= {0, 1}
        assert view[48, 48] == 1
        assert 0.5 < view.mean() <= 1
        assert cv2.connectedComponents(view)[0] == 2
    fills = [view.mean() / (view.any(axis=0).mean() * view.any(axis=1).mean()) for view in shapes]
    assert min(fills) < 0.9
    assert max(fills) == pytest.approx(1)


def test_view_in_a_frame_is_as_high_as_the_frame_but_narrower() -> None:
    rng = np.random.default_rng(1)
    boxes = np.array([degrade.frame_box(96, rng) for _ in range(100)])

    left, top, right, bottom = boxes.T
    assert (boxes >= 0).all()
    assert (boxes <= 96).all()
    assert (bottom - top > 0.85 * 96).all()
    assert (right - left).min() < 0.6 * 96
    assert np.unique(np.rint(left)).size > 20
