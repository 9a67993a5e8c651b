"""Augmentation: image and mask change together, by the seed, and nothing else changes."""

import numpy as np
import pytest
from numpy.typing import NDArray

from pranet.augment import Augmentation

Image = NDArray[np.uint8]

#: Geometry alone.
GEOMETRY = Augmentation(
    colour_gain=0,
    exposure=0,
    contrast=0,
    gamma=0,
    saturation=0,
    blur_chance=0,
    noise_chance=0,
    compression_chance=0,
    border_chance=0,
)
#: Everything at once, at full chance.
EVERYTHING = Augmentation(blur_chance=1, noise_chance=1, compression_chance=1, border_chance=1)
#: The picture as it is, in the network's square.
NOTHING = Augmentation(
    zoom=(1, 1),
    aspect=1,
    rotation_deg=0,
    shift=0,
    colour_gain=0,
    exposure=0,
    contrast=0,
    gamma=0,
    saturation=0,
    blur_chance=0,
    noise_chance=0,
    compression_chance=0,
    border_chance=0,
)


def colour_coded(height_px: int = 120, width_px: int = 160) -> tuple[Image, Image]:
    """A lopsided shape, red upon blue, and its mask."""
    mask = np.zeros((height_px, width_px), np.uint8)
    mask[20:100, 30:70] = 255
    mask[70:100, 30:140] = 255
    image = np.zeros((height_px, width_px, 3), np.uint8)
    image[..., 0] = np.where(mask > 0, 200, 30)
    image[..., 2] = np.where(mask > 0, 30, 200)
    return image, mask


@pytest.mark.parametrize("seed", range(20))
def test_mask_stays_upon_its_shape_under_geometry_alone(seed: int) -> None:
    image, mask = GEOMETRY(*colour_coded(), 96, np.random.default_rng(seed))

    red, blue = image[..., 0].astype(int), image[..., 2].astype(int)
    certain = abs(red - blue) > 20
    assert certain.mean() > 0.5
    assert (red > blue)[certain].tolist() == (mask > 0)[certain].tolist()


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("augmentation", [Augmentation(), EVERYTHING], ids=["default", "all"])
def test_mask_stays_upon_its_shape_under_all_changes(augmentation: Augmentation, seed: int) -> None:
    image, mask = augmentation(*colour_coded(), 96, np.random.default_rng(seed))

    seen = image[..., 0].astype(int) > image[..., 2].astype(int) + 20
    assert (seen == (mask > 0)).mean() > 0.93


@pytest.mark.parametrize("size_px", [64, 97, 352])
@pytest.mark.parametrize("source_px", [(40, 300), (300, 40), (64, 64)])
@pytest.mark.parametrize("augmentation", [Augmentation(), EVERYTHING], ids=["default", "all"])
def test_view_is_a_square_of_the_size_asked_for_with_a_mask_of_two_values(
    augmentation: Augmentation, source_px: tuple[int, int], size_px: int
) -> None:
    rng = np.random.default_rng(3)
    source = rng.integers(0, 256, (*source_px, 3), dtype=np.uint8)
    truth = np.where(rng.random(source_px) < 0.5, 255, 0).astype(np.uint8)

    image, mask = augmentation(source, truth, size_px, rng)

    assert (image.shape, mask.shape) == ((size_px, size_px, 3), (size_px, size_px))
    assert image.dtype == mask.dtype == np.uint8
    assert image.flags.c_contiguous
    assert set(np.unique(mask)) <= {0, 255}


def test_view_depends_on_the_seed_alone() -> None:
    views = [EVERYTHING(*colour_coded(), 96, np.random.default_rng(seed)) for seed in (1, 1, 2)]

    assert np.array_equal(views[0][0], views[1][0])
    assert np.array_equal(views[0][1], views[1][1])
    assert not np.array_equal(views[0][0], views[2][0])


def test_source_is_left_as_it_is() -> None:
    image, mask = colour_coded()

    EVERYTHING(image, mask, 96, np.random.default_rng(1))

    assert np.array_equal(image, colour_coded()[0])
    assert np.array_equal(mask, colour_coded()[1])


def test_image_without_polyp_gets_an_empty_mask() -> None:
    image, mask = colour_coded()

    views = [
        Augmentation()(image, np.zeros_like(mask), 96, np.random.default_rng(seed))
        for seed in range(10)
    ]

    assert not any(truth.any() for _, truth in views)


def test_dark_border_hides_picture_and_mask_alike() -> None:
    white = np.full((100, 100, 3), 255, np.uint8)
    everywhere = np.full((100, 100), 255, np.uint8)
    augmentation = Augmentation(
        zoom=(3, 3), shift=0, exposure=0, blur_chance=0, noise_chance=0, compression_chance=0,
        border_chance=1,
    )  # fmt: skip

    image, mask = augmentation(white, everywhere, 96, np.random.default_rng(1))

    hidden = (image == 0).all(axis=2)
    assert hidden[0, 0]
    assert not hidden[48, 48]
    assert np.array_equal(hidden, mask == 0)


def test_views_without_any_change_are_turned_or_mirrored_pictures() -> None:
    image, mask = colour_coded(96, 96)
    turned = [np.rot90(side, quarter) for side in (mask, mask[:, ::-1]) for quarter in range(4)]

    seen = set()
    for seed in range(60):
        _, view = NOTHING(image, mask, 96, np.random.default_rng(seed))
        # A shift by one pixel is within the warp's half-pixel convention.
        agreement = [(view == picture).mean() for picture in turned]
        assert max(agreement) > 0.95
        seen.add(int(np.argmax(agreement)))

    assert seen == set(range(8))
