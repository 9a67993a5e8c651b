"""What an epoch draws, and the views that the loader makes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pranet.augment import Augmentation
from pranet.data import Pair
from pranet.distributed import Group
from pranet.errors import DataError
from pranet.loader import CACHE_SIZE_PX, EpochSampler, PairDataset
from pranet.losses import boundary_weight
from pranet.recipe import Recipe

RECIPE = Recipe(epochs=2, batch_size=4, sizes_px=((64,), (64, 96)), empty_share=0.25)
PLAIN = Augmentation(
    plain_chance=1, exchange_chance=0, paste_chance=0, removal_chance=0, instrument_chance=0
)

MakePairs = Callable[..., list[Pair]]


def test_epoch_draws_each_polyp_once_and_a_share_of_the_empty_images() -> None:
    sampler = EpochSampler(RECIPE, polyps=8, empty=9)

    drawn = []
    for sampler.epoch in range(2):
        batches = list(sampler)
        assert [len(batch) for batch in batches] == [4] * len(sampler)
        drawn.append([index for batch in batches for _, index, _ in batch])

    # Eight polyps and a quarter as many empty images are ten; two are left over from two batches.
    for indices in drawn:
        assert len(set(indices)) == len(indices) == 8
        assert set(indices) <= set(range(17))
        assert sum(index >= 8 for index in indices) <= 2
    assert drawn[0] != drawn[1]


def test_batches_have_one_size_each_and_of_their_phase() -> None:
    recipe = replace(RECIPE, epochs=4, sizes_px=((64,), (96, 128)))
    sampler = EpochSampler(recipe, polyps=200, empty=0)

    seen = []
    for sampler.epoch in range(recipe.epochs):
        batches = list(sampler)
        assert all(len({size_px for _, _, size_px in batch}) == 1 for batch in batches)
        assert {epoch for batch in batches for epoch, _, _ in batch} == {sampler.epoch}
        seen.append({batch[0][2] for batch in batches})

    assert seen == [{64}, {64}, {96, 128}, {96, 128}]


def test_same_epoch_draws_the_same_batches_again() -> None:
    first, second = (list(EpochSampler(RECIPE, polyps=40, empty=9)) for _ in range(2))
    other_seed = list(EpochSampler(replace(RECIPE, seed=1), polyps=40, empty=9))

    assert first == second
    assert first != other_seed


def test_processes_share_each_batch_of_a_single_one() -> None:
    whole = EpochSampler(RECIPE, polyps=40, empty=9)
    shares = [EpochSampler(RECIPE, 40, 9, Group(rank, 2)) for rank in range(2)]

    for batch, first, second in zip(whole, *shares, strict=True):
        assert len(first) == len(second) == 2
        assert sorted(first + second) == sorted(batch)
    assert {len(sampler) for sampler in shares} == {len(whole)}


def test_item_is_image_mask_and_boundary_weight_by_its_address_alone(
    tmp_path: Path, make_pairs: MakePairs
) -> None:
    pairs = make_pairs(tmp_path / "data", 2)
    augmentation = Augmentation(removal_chance=0)
    first, second = (PairDataset(pairs, augmentation=augmentation, seed=4) for _ in range(2))
    second[0, 1, 64]

    image, mask, weight = first[1, 0, 96]

    assert len(first) == 2
    assert (image.shape, mask.shape, weight.shape) == ((3, 96, 96), (1, 96, 96), (1, 96, 96))
    assert (image.dtype, mask.dtype, weight.dtype) == (torch.uint8, torch.float32, torch.float32)
    assert set(mask.flatten().tolist()) == {0.0, 1.0}
    assert np.array_equal(weight[0].numpy(), boundary_weight(mask[0].numpy()))
    assert all(
        torch.equal(mine, theirs)
        for mine, theirs in zip((image, mask, weight), second[1, 0, 96], strict=True)
    )
    assert not torch.equal(image, first[2, 0, 96][0])


def test_item_of_several_classes_is_image_and_labels_that_lie_upon_their_colours(
    tmp_path: Path, make_label_pairs: MakePairs
) -> None:
    pairs = make_label_pairs(tmp_path / "data", 2)

    image, labels = PairDataset(pairs, augmentation=PLAIN, seed=4, num_classes=3)[0, 0, 96]

    assert labels.shape == (96, 96)
    assert labels.dtype == torch.int64
    assert set(labels.flatten().tolist()) == {0, 1, 2}
    red, green, _ = image.int()
    assert ((red > 150) == (labels == 1)).float().mean() > 0.97
    assert ((green > 150) == (labels == 2)).float().mean() > 0.97


def test_composition_of_several_classes_keeps_colours_and_labels_together(
    tmp_path: Path, make_label_pairs: MakePairs
) -> None:
    pairs = make_label_pairs(tmp_path / "data", 3)
    augmentation = replace(PLAIN, paste_chance=1)
    dataset = PairDataset(pairs, augmentation=augmentation, seed=4, num_classes=3)

    for index in range(3):
        image, labels = dataset[0, index, 96]
        red, green, _ = image.int()
        # Feathered rims belong to either; what is certain must agree.
        assert (labels[(red - green > 60)] == 1).float().mean() > 0.95
        assert (labels[(green - red > 60)] == 2).float().mean() > 0.95


def test_polyps_are_removed_and_added_by_their_chances(
    tmp_path: Path, make_pairs: MakePairs
) -> None:
    pairs = make_pairs(tmp_path / "polyps", 3) + make_pairs(tmp_path / "none", 1, empty=True)
    removing = PairDataset(pairs, augmentation=replace(PLAIN, removal_chance=1), seed=4)
    pasting = PairDataset(pairs, augmentation=replace(PLAIN, paste_chance=1), seed=4)
    neither = PairDataset(pairs, augmentation=PLAIN, seed=4)

    assert not any(removing[0, index, 64][1].any() for index in range(4))
    assert any(pasting[epoch, 3, 64][1].any() for epoch in range(5))
    assert not any(neither[epoch, 3, 64][1].any() for epoch in range(5))


def test_instruments_are_laid_over_pictures_by_their_chance(
    tmp_path: Path, make_pairs: MakePairs
) -> None:
    pairs = make_pairs(tmp_path / "data", 2)
    laying = PairDataset(pairs, augmentation=replace(PLAIN, instrument_chance=1), seed=4)
    plain = PairDataset(pairs, augmentation=PLAIN, seed=4)

    for index in range(2):
        shown, bare = laying[0, index, 64], plain[0, index, 64]
        # Mirrored and turned differently, so only what is in them compares.
        assert not torch.equal(*(part[0].flatten().sort().values for part in (shown, bare)))
        assert shown[1].sum() <= bare[1].sum()


def test_colours_are_exchanged_by_their_chance_and_masks_stay(
    tmp_path: Path, make_pairs: MakePairs
) -> None:
    pairs = make_pairs(tmp_path / "data", 3)
    for pair, gain in zip(pairs, (0.6, 0.8, 1.0), strict=True):
        cv2.imwrite(str(pair.image), np.asarray(cv2.imread(str(pair.image)) * gain, np.uint8))
    exchanging = PairDataset(pairs, augmentation=replace(PLAIN, exchange_chance=1), seed=4)
    plain = PairDataset(pairs, augmentation=PLAIN, seed=4)

    changed = sum(
        not torch.equal(exchanging[epoch, 0, 64][0], plain[epoch, 0, 64][0]) for epoch in range(6)
    )

    assert changed >= 3
    assert exchanging[0, 0, 64][1].sum() == plain[0, 0, 64][1].sum()


def test_large_image_is_kept_in_memory_reduced_and_a_small_one_as_it_is(tmp_path: Path) -> None:
    pairs = []
    for name, size in (("large", (300, 2 * CACHE_SIZE_PX)), ("small", (50, 80))):
        pair = Pair(tmp_path / f"{name}.png", None)
        cv2.imwrite(str(pair.image), np.zeros((*size, 3), np.uint8))
        pairs.append(pair)

    dataset = PairDataset(pairs, augmentation=PLAIN, seed=1)

    shapes = [(image.shape, mask.shape) for image, mask in dataset._items]
    assert shapes == [
        ((150, CACHE_SIZE_PX, 3), (150, CACHE_SIZE_PX)),
        ((50, 80, 3), (50, 80)),
    ]


def test_label_that_is_too_great_names_its_file(
    tmp_path: Path, make_label_pairs: MakePairs
) -> None:
    pairs = make_label_pairs(tmp_path / "data", 1)

    with pytest.raises(DataError, match=r"0\.png: holds the label 2, the greatest is 1"):
        PairDataset(pairs, augmentation=PLAIN, seed=1, num_classes=2)
