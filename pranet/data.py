"""Image–mask pairs on disk, and how they are split for training and validation."""

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
        image = _read(self.image, cv2.IMREAD_COLOR_RGB)
        if self.mask is None:
            return image, np.zeros(image.shape[:2], np.uint8)
        mask = _read(self.mask, cv2.IMREAD_GRAYSCALE)
        if mask.shape != image.shape[:2]:
            raise DataError(
                f"{self.mask}: mask is {mask.shape[1]}x{mask.shape[0]}, "
                f"its image {image.shape[1]}x{image.shape[0]}"
            )
        return image, np.where(mask > 127, np.uint8(255), np.uint8(0))


def _read(path: Path, mode: int) -> Image:
    try:
        image = cv2.imread(str(path), mode)
    except cv2.error as error:
        raise DataError(f"{path}: refused as an image ({error.err})") from error
    if image is None:
        raise DataError(f"{path}: cannot be read as an image")
    return np.asarray(image, dtype=np.uint8)


def find_pairs(folder: Path) -> list[Pair]:
    """All pairs of a folder with `images/` and `masks/` (or no masks at all), sorted by name.

    Raises:
        DataError: no images, or some images have a mask and others have none.
    """
    images = sorted(
        path for path in (folder / "images").glob("*") if path.suffix.lower() in IMAGE_SUFFIXES
    )
    if not images:
        raise DataError(f"{folder}: no images found in {folder / 'images'}")
    masks = {path.stem: path for path in (folder / "masks").glob("*")}
    if not masks:
        return [Pair(image, None) for image in images]
    without = [image.name for image in images if image.stem not in masks]
    if without:
        raise DataError(f"{folder}: {len(without)} images have no mask, e.g. {without[0]}")
    return [Pair(image, masks[image.stem]) for image in images]


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
