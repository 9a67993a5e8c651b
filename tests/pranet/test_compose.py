"""Pictures made out of others: polyps pasted in and taken out."""

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pranet.compose import (
    DARK_LEVEL,
    exchange_colours,
    largest_crop_beside,
    paste_polyp,
    without_polyp,
)

Image = NDArray[np.uint8]


def scene(
    size: tuple[int, int] = (120, 160), centre: tuple[int, int] = (80, 60), radius_px: int = 25
) -> tuple[Image, Image]:
    """A green disc (the polyp) on red ground with a little texture, and its mask."""
    rng = np.random.default_rng(3)
    image = np.empty((*size, 3), np.uint8)
    image[:] = (150, 70, 60)
    image += rng.integers(0, 9, image.shape, dtype=np.uint8)
    mask = np.zeros(size, np.uint8)
    cv2.circle(image, centre, radius_px, (60, 170, 60), -1)
    cv2.circle(mask, centre, radius_px, 255, -1)
    return image, mask


def ground(size: tuple[int, int] = (100, 140)) -> tuple[Image, Image]:
    """The same ground without a polyp."""
    image, mask = scene(size, radius_px=25)
    image[mask > 0] = (150, 70, 60)
    return image, np.zeros_like(mask)


def green(image: Image) -> NDArray[np.bool_]:
    return image[..., 1].astype(int) > image[..., 0]


@pytest.mark.parametrize("seed", range(12))
def test_pasted_mask_lies_upon_the_pasted_polyp(seed: int) -> None:
    picture, mask = paste_polyp(*ground(), *scene(), np.random.default_rng(seed))

    assert (picture.shape, mask.shape) == ((100, 140, 3), (100, 140))
    assert picture.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 255}
    assert (green(picture) == (mask > 0)).mean() > 0.98
    covered = green(picture) & (mask > 0)
    assert covered.sum() > 0.9 * (mask > 0).sum()


def test_pasting_keeps_the_polyps_that_are_there_and_the_sources() -> None:
    image, mask = scene(centre=(30, 30), radius_px=20)
    donor_image, donor_mask = scene()
    copies = [part.copy() for part in (image, mask, donor_image, donor_mask)]

    _, truth = paste_polyp(image, mask, donor_image, donor_mask, np.random.default_rng(1))

    assert (truth[mask > 0] == 255).all()
    assert truth.sum() > mask.sum()
    for part, copy in zip((image, mask, donor_image, donor_mask), copies, strict=True):
        assert np.array_equal(part, copy)


def test_pasting_depends_on_the_seed_alone() -> None:
    results = [paste_polyp(*ground(), *scene(), np.random.default_rng(seed)) for seed in (1, 1, 2)]

    assert np.array_equal(results[0][0], results[1][0])
    assert np.array_equal(results[0][1], results[1][1])
    assert not np.array_equal(results[0][1], results[2][1])


def test_pasted_labels_keep_their_values() -> None:
    donor_image, donor_mask = scene()
    labels = np.where(donor_mask > 0, np.uint8(2), np.uint8(0))
    labels[:60][labels[:60] > 0] = 3
    _, base = ground()
    base[:10] = 1

    _, truth = paste_polyp(ground()[0], base, donor_image, labels, np.random.default_rng(1))

    assert set(np.unique(truth)) == {0, 1, 2, 3}


@pytest.mark.parametrize("seed", range(30))
def test_nothing_is_pasted_into_the_dark_margin(seed: int) -> None:
    image, empty = ground((160, 160))
    dark = np.ones((160, 160), bool)
    dark[40:120, 40:120] = False
    image[dark] = 3

    picture, mask = paste_polyp(image, empty, *scene(), np.random.default_rng(seed))

    assert (mask > 0)[dark].sum() <= 0.05 * (mask > 0).sum()
    assert mask.any() or np.array_equal(picture, image)


def test_something_is_pasted_beside_a_dark_margin() -> None:
    image, empty = ground((160, 160))
    image[:, :30] = 3

    masks = [
        paste_polyp(image, empty, *scene(), np.random.default_rng(seed))[1] for seed in range(20)
    ]

    assert any(mask.any() for mask in masks)
    assert not all(mask.any() for mask in masks)


def test_donor_without_polyp_changes_nothing() -> None:
    image, mask = scene()

    picture, truth = paste_polyp(image, mask, *ground(), np.random.default_rng(1))

    assert np.array_equal(picture, image)
    assert np.array_equal(truth, mask)


@pytest.mark.parametrize(
    ("rows", "columns"),
    [(slice(5, 6), slice(7, 8)), (slice(0, 120), slice(9, 10)), (slice(None), slice(None))],
    ids=["one pixel", "a line", "everything"],
)
@pytest.mark.parametrize("size", [(100, 140), (5, 200), (1, 1)])
def test_polyps_and_pictures_of_any_shape_are_taken(
    rows: slice, columns: slice, size: tuple[int, int]
) -> None:
    donor_image, donor_mask = scene()
    donor_mask[:] = 0
    donor_mask[rows, columns] = 255
    image = np.full((*size, 3), 120, np.uint8)

    for seed in range(5):
        picture, truth = paste_polyp(
            image,
            np.zeros(size, np.uint8),
            donor_image,
            donor_mask,
            np.random.default_rng(seed),
        )
        assert (picture.shape, truth.shape) == ((*size, 3), size)


def test_pasted_polyp_takes_on_the_light_of_its_place() -> None:
    image, empty = ground()
    dim = np.asarray(image * 0.7, np.uint8)

    bright, mask = paste_polyp(image, empty, *scene(), np.random.default_rng(1))
    darker, _ = paste_polyp(dim, empty, *scene(), np.random.default_rng(1))

    inside = cv2.erode(mask, np.ones((7, 7), np.uint8)) > 0
    assert darker[inside].mean() == pytest.approx(0.7 * bright[inside].mean(), rel=0.05)


@pytest.mark.parametrize("seed", range(8))
def test_crop_beside_the_polyps_holds_none(seed: int) -> None:
    image, mask = scene(centre=(130, 60))

    crop = without_polyp(image, mask, np.random.default_rng(seed))

    assert crop is not None
    assert not green(crop).any()
    assert min(crop.shape[:2]) >= 0.3 * 120
    assert crop.size < image.size


def test_largest_crop_is_the_largest_and_dark_ones_do_not_count() -> None:
    image, mask = scene(centre=(130, 60))
    dark = np.asarray(image // 10, np.uint8)

    crop = largest_crop_beside(image, mask)

    assert crop is not None
    left, polyp_px = 160 - 30 - 25, 51
    assert crop.shape == (120, left - round(0.03 * 160 + 0.15 * polyp_px), 3)
    assert dark.mean() < DARK_LEVEL
    assert largest_crop_beside(dark, mask) is None


@pytest.mark.parametrize("value", [255, 2])
def test_polyp_with_no_room_beside_it_is_filled_from_around_it(value: int) -> None:
    image, mask = scene(radius_px=45)
    labels = np.where(mask > 0, np.uint8(value), np.uint8(0))

    filled = without_polyp(image, labels, np.random.default_rng(1))

    assert filled is not None
    assert filled.shape == image.shape
    assert green(image).mean() > 0.3
    assert green(filled).mean() < 0.01
    far = cv2.dilate(mask, np.ones((45, 45), np.uint8)) == 0
    assert far.sum() > 500
    assert np.array_equal(filled[far], image[far])


def test_picture_that_is_nothing_but_polyp_has_no_version_without() -> None:
    image, mask = scene(radius_px=200)

    assert without_polyp(image, mask, np.random.default_rng(1)) is None


def lit_and_dark(colour: tuple[int, int, int], seed: int) -> Image:
    """Noise around a colour, with a dark margin at its left."""
    rng = np.random.default_rng(seed)
    image = np.clip(np.array(colour) + rng.normal(0, 12, (80, 100, 3)), 0, 255).astype(np.uint8)
    image[:, :30] = 4
    return image


@pytest.mark.parametrize("seed", range(6))
def test_exchanged_colours_are_nearer_to_the_donors_and_margins_stay_dark(seed: int) -> None:
    image, donor = lit_and_dark((200, 120, 60), 1), lit_and_dark((150, 60, 80), 2)

    changed = exchange_colours(image, donor, np.random.default_rng(seed))

    assert changed.shape == image.shape
    before, after = (
        np.abs(part[:, 30:].mean(axis=(0, 1)) - donor[:, 30:].mean(axis=(0, 1))).sum()
        for part in (image, changed)
    )
    assert after < 0.55 * before
    assert np.abs(changed[:, :30].astype(int) - image[:, :30]).max() <= 12


def test_colours_of_the_same_picture_change_nothing_and_dark_ones_are_left_alone() -> None:
    image = lit_and_dark((200, 120, 60), 1)
    night = np.full_like(image, 3)
    rng = np.random.default_rng(1)

    assert np.abs(exchange_colours(image, image, rng).astype(int) - image).mean() < 2
    assert np.array_equal(exchange_colours(image, night, rng), image)
    assert np.array_equal(exchange_colours(night, image, rng), night)
