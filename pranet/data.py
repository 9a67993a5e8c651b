"""Image–mask pairs on disk, and how they are split for training and validation."""

import hashlib
import json
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pranet.errors import DataError

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")

Image = NDArray[np.uint8]


@dataclass(frozen=True)
class Pair:
    """One image and its mask; an image without a mask file shows no polyp."""

    image: Path
    mask: Path | None

    def read(self) -> tuple[Image, Image]:
        """RGB (H, W, 3) and mask (H, W) of 0 or 255, both uint8.

        Raises:
            DataError: a file cannot be read, or the sizes differ.
        """
        image = read_image(self.image, cv2.IMREAD_COLOR_RGB)
        if self.mask is None:
            return image, np.zeros(image.shape[:2], np.uint8)
        mask = read_image(self.mask, cv2.IMREAD_GRAYSCALE)
        if mask.shape != image.shape[:2]:
            raise DataError(
                f"{self.mask}: mask is {mask.shape[1]}x{mask.shape[0]}, "
                f"its image {image.shape[1]}x{image.shape[0]}"
            )
        return image, np.where(mask > 127, np.uint8(255), np.uint8(0))

    def read_labels(self, num_classes: int) -> Image:
        """The mask file as a label map (H, W) uint8 of raw values 0…`num_classes` − 1.

        Raises:
            DataError: the file cannot be read, is no plain gray image, or holds a greater value.
        """
        if self.mask is None:
            return np.zeros(read_image(self.image, cv2.IMREAD_GRAYSCALE).shape, np.uint8)
        # Unchanged: OpenCV would turn a palette, which has no values of its own, into grays.
        labels = read_image(self.mask, cv2.IMREAD_UNCHANGED)
        if labels.ndim != 2:
            raise DataError(f"{self.mask}: label maps must be plain gray, without a palette")
        if labels.max() >= num_classes:
            raise DataError(
                f"{self.mask}: holds the label {labels.max()}, the greatest is {num_classes - 1}"
            )
        return labels


@dataclass(frozen=True)
class Folder:
    """What a folder with `images/` and `masks/` holds, sorted by name.

    Attributes:
        pairs: images with their masks; if there are no masks at all, images without polyps.
        images_without_mask, masks_without_image: what is left over.
    """

    pairs: list[Pair]
    images_without_mask: list[Path]
    masks_without_image: list[Path]


def read_image(path: Path, mode: int) -> Image:
    """An image file as OpenCV decodes it, uint8.

    Args:
        mode: one of OpenCV's ``IMREAD_`` constants.

    Raises:
        DataError: no image, or more than 8 bits per channel.
    """
    try:
        image = cv2.imread(str(path), mode)
    except cv2.error as error:
        raise DataError(f"{path}: refused as an image ({error.err})") from error
    if image is None:
        raise DataError(f"{path}: cannot be read as an image")
    if image.dtype != np.uint8:
        raise DataError(f"{path}: 8 bits per channel are needed, not {image.dtype}")
    return np.asarray(image, np.uint8)


def list_folder(folder: Path) -> Folder:
    """All pairs of a folder with `images/` and `masks/`, and what has no partner.

    Raises:
        DataError: no images.
    """
    images = sorted(
        path for path in (folder / "images").glob("*") if path.suffix.lower() in IMAGE_SUFFIXES
    )
    if not images:
        raise DataError(f"{folder}: no images found in {folder / 'images'}")
    masks = {path.stem: path for path in sorted((folder / "masks").glob("[!.]*"))}
    if not masks:
        return Folder([Pair(image, None) for image in images], [], [])
    stems = {image.stem for image in images}
    return Folder(
        [Pair(image, masks[image.stem]) for image in images if image.stem in masks],
        [image for image in images if image.stem not in masks],
        [mask for stem, mask in masks.items() if stem not in stems],
    )


def find_pairs(folder: Path) -> list[Pair]:
    """All pairs of a folder with `images/` and `masks/` (or no masks at all), sorted by name.

    Raises:
        DataError: no images, or some images have a mask and others have none.
    """
    found = list_folder(folder)
    without = found.images_without_mask
    if without:
        raise DataError(f"{folder}: {len(without)} images have no mask, e.g. {without[0].name}")
    return found.pairs


def names_sha256(*parts: Sequence[Pair]) -> str:
    """A fingerprint of which images are in each part, by their names without the folders."""
    names = ["\n".join(pair.image.name for pair in part) for part in parts]
    return hashlib.sha256("\n\n".join(names).encode(errors="surrogateescape")).hexdigest()


def load_sequences(path: Path) -> dict[str, tuple[int, int]]:
    """Sequence name → first and last frame number, from a JSON file ``{"1": [1, 25], …}``."""
    try:
        entries = json.loads(path.read_text())
        return {str(name): (int(first), int(last)) for name, (first, last) in entries.items()}
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: not a list of frame sequences ({error})") from error


def split(
    pairs: Sequence[Pair],
    sequences: Mapping[str, tuple[int, int]],
    *,
    share: float,
    seed: int,
) -> tuple[list[Pair], list[Pair]]:
    """Hold out a validation part without cutting through a video sequence.

    Frames whose stem is a number belong to the sequence that contains the number and go to one
    side together; every other image is its own group. The same share is taken of both kinds.

    Args:
        share: of the groups that go to validation, 0…1.

    Returns:
        Training pairs, validation pairs.
    """
    alone: dict[str, list[Pair]] = {}
    together: dict[str, list[Pair]] = {}
    for pair in pairs:
        sequence = _sequence_of(pair.image.stem, sequences)
        groups, name = (alone, pair.image.stem) if sequence is None else (together, sequence)
        groups.setdefault(name, []).append(pair)
    rng = random.Random(seed)
    held_out = {
        name
        for groups in (alone, together)
        for name in rng.sample(sorted(groups), round(share * len(groups)))
    }
    return (
        _flatten(members for name, members in (alone | together).items() if name not in held_out),
        _flatten(members for name, members in (alone | together).items() if name in held_out),
    )


def _sequence_of(stem: str, sequences: Mapping[str, tuple[int, int]]) -> str | None:
    if not stem.isdecimal():
        return None
    for name, (first, last) in sequences.items():
        if first <= int(stem) <= last:
            return f"sequence/{name}"  # no file name can be the same
    return None


def _flatten(groups: Iterable[list[Pair]]) -> list[Pair]:
    return [pair for group in groups for pair in group]
