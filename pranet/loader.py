"""Training views: read once, composed and augmented anew in every epoch."""

from collections.abc import Iterator
from functools import partial

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from pranet.augment import Augmentation, Image
from pranet.compose import exchange_colours, paste_polyp, without_polyp
from pranet.data import Pair
from pranet.distributed import ALONE, Group
from pranet.instrument import lay_instrument
from pranet.labels import resample
from pranet.losses import boundary_weight
from pranet.recipe import Recipe

#: Side in px to which stored images are reduced before training; above the largest input size.
CACHE_SIZE_PX = 448

#: (epoch, index, size in px).
Address = tuple[int, int, int]


class PairDataset(Dataset[tuple[Tensor, ...]]):
    """Augmented training views.

    Args:
        num_classes: 1 for masks; else the mask files are label maps of so many values.

    Raises:
        DataError: a file cannot be read, or does not fit its image.
    """

    def __init__(
        self, pairs: list[Pair], *, augmentation: Augmentation, seed: int, num_classes: int = 1
    ) -> None:
        self._items = [_shrunk(*_read(pair, num_classes)) for pair in pairs]
        self._donors = [index for index, (_, mask) in enumerate(self._items) if mask.any()]
        self._augmentation = augmentation
        self._seed = seed
        self._num_classes = num_classes

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, address: Address) -> tuple[Tensor, ...]:
        """The view of an address.

        Returns:
            Image (3, S, S) uint8; and mask (1, S, S) float 0/1 with its boundary weight
            (1, S, S), or labels (S, S) int64.
        """
        epoch, index, size_px = address
        # Seeded by its address, so a resumed run sees exactly what an unbroken one would.
        rng = np.random.default_rng((self._seed, epoch, index))
        image, mask = self._augmentation(*self._composed(index, rng), size_px, rng)
        pixels = torch.from_numpy(image).permute(2, 0, 1)
        if self._num_classes > 1:
            return pixels, torch.from_numpy(mask.astype(np.int64))
        truth = (mask > 0).astype(np.float32)
        return (
            pixels,
            torch.from_numpy(truth)[None],
            torch.from_numpy(boundary_weight(truth))[None],
        )

    def _composed(self, index: int, rng: np.random.Generator) -> tuple[Image, Image]:
        image, mask = self._items[index]
        if mask.any() and rng.random() < self._augmentation.removal_chance:
            bare = without_polyp(image, mask, rng)
            if bare is not None:
                image, mask = bare, np.zeros(bare.shape[:2], np.uint8)
        if rng.random() < self._augmentation.exchange_chance:
            image = exchange_colours(image, self._items[rng.integers(len(self._items))][0], rng)
        if self._donors and rng.random() < self._augmentation.paste_chance:
            donor = self._items[self._donors[rng.integers(len(self._donors))]]
            image, mask = paste_polyp(image, mask, *donor, rng)
        if rng.random() < self._augmentation.instrument_chance:
            image, mask = lay_instrument(image, mask, rng)
        return image, mask


def _read(pair: Pair, num_classes: int) -> tuple[Image, Image]:
    image, mask = pair.read()
    return image, pair.read_labels(num_classes) if num_classes > 1 else mask


def _shrunk(image: Image, mask: Image) -> tuple[Image, Image]:
    scale = CACHE_SIZE_PX / max(mask.shape)
    if scale >= 1:
        return image, mask
    height_px, width_px = (max(round(side * scale), 1) for side in mask.shape)
    resize = partial(cv2.resize, dsize=(width_px, height_px), interpolation=cv2.INTER_AREA)
    return np.asarray(resize(image), np.uint8), resample(mask, resize)


class EpochSampler(Sampler[list[Address]]):
    """Batches of one epoch, each of one input size; polyp-free images are drawn anew.

    Args:
        polyps: number of images that are shown in each epoch.
        empty: number of polyp-free images that follow them in the data set.
        group: each process of it gets its share of every batch.
    """

    def __init__(self, recipe: Recipe, polyps: int, empty: int, group: Group = ALONE) -> None:
        self._recipe = recipe
        self._polyps = polyps
        self._empty = empty
        self._group = group
        self.epoch = 0

    def __len__(self) -> int:
        return (self._polyps + self._drawn_empty) // self._recipe.batch_size

    @property
    def _drawn_empty(self) -> int:
        return min(self._empty, round(self._polyps * self._recipe.empty_share))

    def __iter__(self) -> Iterator[list[Address]]:
        recipe = self._recipe
        rng = np.random.default_rng((recipe.seed, self.epoch))
        empty = self._polyps + rng.permutation(self._empty)[: self._drawn_empty]
        order = rng.permutation(np.concatenate((np.arange(self._polyps), empty)))
        phase = self.epoch * len(recipe.sizes_px) // recipe.epochs
        for start in range(0, len(self) * recipe.batch_size, recipe.batch_size):
            size_px = int(rng.choice(recipe.sizes_px[phase]))
            batch = order[start : start + recipe.batch_size]
            mine = batch[self._group.rank :: self._group.size]
            yield [(self.epoch, int(index), size_px) for index in mine]
