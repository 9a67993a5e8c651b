"""Augmentation: image and mask change together, by the seed, and nothing else changes."""

from dataclasses import fields, replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pranet.augment import Augmentation

Image = NDArray[np.uint8]

CHANCES = tuple(entry.name for entry in fields(Augmentation) if entry.name.endswith("_chance"))
LIGHT = ("colour_gain", "exposure", "contrast", "gamma", "saturation")
#: Geometry alone.
GEOMETRY = Augmentation(**dict.fromkeys((*CHANCES, *LIGHT), 0.0))
#: Everything at once, at full chance.
EVERYTHING = Augmentation(**dict.fromkeys(CHANCES, 1.0) | {"plain_chance": 0.0})
#: The picture as it is, in the network's square.
NOTHING = replace(GEOMETRY, zoom=(1, 1), aspect=1, rotation_deg=0, shift=0)


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
    # Text, highlights and the comb hide some of the shape, all the more so all at once.
    assert (seen == (mask > 0)).mean() > 0.85


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
    augmentation = replace(GEOMETRY, zoom=(3, 3), shift=0, border_chance=1)

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


def test_plain_views_are_turned_or_mirrored_pictures_too() -> None:
    image, mask = colour_coded(96, 96)
    plain, bare = replace(EVERYTHING, plain_chance=1), replace(NOTHING, plain_chance=1)

    for seed in range(10):
        ours, theirs = (
            augmentation(image, mask, 96, np.random.default_rng(seed))
            for augmentation in (plain, bare)
        )
        assert np.array_equal(ours[0], theirs[0])
        assert np.array_equal(ours[1], theirs[1])


def test_chance_of_zero_does_nothing_and_of_one_always_something() -> None:
    image, mask = colour_coded(96, 96)
    chances = set(CHANCES) - {
        *("plain_chance", "exchange_chance", "paste_chance", "removal_chance", "instrument_chance")
    }
    assert len(chances) == 8

    for name in chances:
        always = replace(NOTHING, **{name: 1.0})
        changed = [
            not np.array_equal(
                always(image, mask, 96, np.random.default_rng(seed))[0],
                NOTHING(image, mask, 96, np.random.default_rng(seed))[0],
            )
            for seed in range(4)
        ]
        assert any(changed), name


@pytest.mark.parametrize("seed", range(10))
def test_labels_keep_their_values_and_stay_upon_their_colours(seed: int) -> None:
    image, mask = colour_coded()
    labels = np.where(mask > 0, np.uint8(1), np.uint8(0))
    labels[:, 80:][labels[:, 80:] > 0] = 4
    image[labels == 4] = (30, 200, 30)

    picture, truth = GEOMETRY(image, labels, 96, np.random.default_rng(seed))

    assert set(np.unique(truth)) <= {0, 1, 4}
    seen = np.array([1, 4, 0])[picture.argmax(axis=2)]
    certain = np.sort(picture, axis=2)[..., 2] - np.sort(picture, axis=2)[..., 1] > 100
    assert certain.mean() > 0.4
    assert (seen == truth)[certain].mean() > 0.99


def framed_views(augmentation: Augmentation, count: int = 40) -> list[tuple[Image, Image]]:
    """Views of a white picture with a small polyp in it."""
    mask = np.zeros((120, 160), np.uint8)
    mask[50:70, 60:90] = 255
    white = np.full((120, 160, 3), 255, np.uint8)
    return [augmentation(white, mask, 96, np.random.default_rng(seed)) for seed in range(count)]


def test_windows_are_mostly_cut_around_a_polyp_and_often_through_it() -> None:
    views = framed_views(replace(GEOMETRY, frame_chance=1, window_zoom=(2, 3)))

    with_polyp = [(image, mask) for image, mask in views if mask.any()]
    assert len(with_polyp) > 0.6 * len(views)
    cut = 0
    for image, mask in with_polyp:
        assert image[mask > 0].min() > 0
        rim = cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0
        at_edge = np.zeros_like(rim)
        at_edge[[0, -1]] = at_edge[:, [0, -1]] = True
        cut += bool((rim & ((image == 0).all(axis=2) | at_edge)).any())
    assert 0.2 < cut / len(with_polyp) < 0.9


def test_windows_lie_in_dark_frames_of_several_widths_or_fill_the_picture() -> None:
    views = framed_views(replace(GEOMETRY, frame_chance=1, rotation_deg=0))

    widths = np.array([(image > 0).any(axis=(0, 2)).mean() for image, _ in views])
    assert widths.min() < 0.65
    assert (widths == 1).any()


def test_windows_smaller_than_the_source_do_not_look_beyond_it() -> None:
    augmentation = replace(GEOMETRY, frame_chance=1, rotation_deg=0, window_zoom=(1.5, 2))

    for image, _ in framed_views(augmentation):
        # A view is convex: whatever is dark between two places of a row would be a hole.
        for row in (image > 0).all(axis=2):
            lit = np.flatnonzero(row)
            assert len(lit) == 0 or len(lit) >= lit[-1] - lit[0]
