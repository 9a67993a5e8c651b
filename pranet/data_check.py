"""What may be wrong with a data set, found out before training on it."""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pranet.data import Image, Pair, read_image
from pranet.errors import DataError

#: Levels from 0 and 255 that a mask may differ, for JPEG does not keep them exactly.
MASK_TOLERANCE = 32
#: Greatest share of a mask's pixels that may differ more, for boundaries may be smoothed.
MAX_UNCLEAR_SHARE = 0.01
#: Side of the gradient signs that stand for a picture, and how many may differ in the same one.
HASH_SIDE = 16
MAX_DIFFERING_BITS = 6


@dataclass(frozen=True)
class Report:
    """What was found; every entry names a file or two.

    Attributes:
        counts: of pairs to train on, held out, and without polyp.
        images_without_mask, masks_without_image, unreadable, mismatched: stop the training.
        unclear_masks: masks with many pixels that are neither 0 nor 255.
        empty_masks: all 0.
        copies, alike: the same pixels twice, and nearly the same picture twice, among the
            training images.
        leaked_copies, leaked_alike: the same, of a training image and a validation image.
    """

    counts: tuple[int, int, int]
    images_without_mask: list[str] = field(default_factory=list)
    masks_without_image: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    mismatched: list[str] = field(default_factory=list)
    unclear_masks: list[str] = field(default_factory=list)
    empty_masks: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    alike: list[str] = field(default_factory=list)
    leaked_copies: list[str] = field(default_factory=list)
    leaked_alike: list[str] = field(default_factory=list)

    @property
    def errors(self) -> list[str]:
        """What stops the training, one line for each kind."""
        return _listed(
            {
                "images without mask": self.images_without_mask,
                "masks without image": self.masks_without_image,
                "unreadable files": self.unreadable,
                "masks of another size than their image": self.mismatched,
            }
        )

    @property
    def warnings(self) -> list[str]:
        """What should be looked at, one line for each kind."""
        return _listed(
            {
                "images both trained on and held out": self.leaked_copies,
                "nearly the same image both trained on and held out": self.leaked_alike,
                "images twice in the training part": self.copies,
                "nearly the same image twice in the training part": self.alike,
                "masks with other levels than 0 and 255": self.unclear_masks,
                "empty masks": self.empty_masks,
            }
        )

    def __str__(self) -> str:
        training, validation, empty = self.counts
        lines = [
            f"data: {training} pairs to train on, {validation} held out, {empty} without polyp"
        ]
        lines += [f"  error: {line}" for line in self.errors]
        lines += [f"  warning: {line}" for line in self.warnings]
        return "\n".join(lines if len(lines) > 1 else [*lines, "  nothing is wrong"])

    def refuse_errors(self) -> None:
        """Stop if there are errors.

        Raises:
            DataError: counts and first names of all that stops the training.
        """
        if self.errors:
            raise DataError("; ".join(self.errors))


@dataclass(frozen=True)
class _Finding:
    """What one pair showed: at most one complaint, and two fingerprints of the image."""

    name: str
    kind: str = ""
    complaint: str = ""
    digest: bytes = b""
    signs: NDArray[np.uint64] = field(default_factory=lambda: np.zeros(4, np.uint64))


def check(
    training: Sequence[Pair],
    validation: Sequence[Pair] = (),
    empty: Sequence[Pair] = (),
    *,
    images_without_mask: Iterable[Path] = (),
    masks_without_image: Iterable[Path] = (),
    num_classes: int = 1,
) -> Report:
    """Read every file once and report what is wrong.

    Args:
        training, validation: pairs with masks.
        empty: images without polyp, which are trained on too.
        images_without_mask, masks_without_image: as `pranet.data.Folder` has them.
        num_classes: 1 for masks of 0 and 255, else that of the label maps.
    """
    pairs = [*training, *validation, *empty]
    # OpenCV decodes without holding Python's lock, so threads share the work.
    with ThreadPoolExecutor() as pool:
        findings = list(pool.map(lambda pair: _inspect(pair, num_classes), pairs))
    complaints: dict[str, list[str]] = {}
    for finding in findings:
        if finding.kind:
            complaints.setdefault(finding.kind, []).append(finding.complaint)
    held_out = slice(len(training), len(training) + len(validation))
    trained = findings[: held_out.start] + findings[held_out.stop :]
    copies, alike = _duplicates(trained, None)
    leaked_copies, leaked_alike = _duplicates(trained, findings[held_out])
    return Report(
        (len(training), len(validation), len(empty)),
        images_without_mask=[path.name for path in images_without_mask],
        masks_without_image=[path.name for path in masks_without_image],
        copies=copies,
        alike=alike,
        leaked_copies=leaked_copies,
        leaked_alike=leaked_alike,
        **complaints,
    )


def _inspect(pair: Pair, num_classes: int) -> _Finding:
    name = pair.image.name
    try:
        image = read_image(pair.image, cv2.IMREAD_COLOR_RGB)
        kind, complaint = "", ""
        if pair.mask is not None:
            if num_classes > 1:
                mask = pair.read_labels(num_classes)
            else:
                mask = read_image(pair.mask, cv2.IMREAD_GRAYSCALE)
            kind, complaint = _complaint(pair.mask.name, image, mask, num_classes)
    except DataError as error:
        return _Finding(name, "unreadable", str(error))
    digest = hashlib.sha256(f"{image.shape}".encode() + image.tobytes()).digest()
    return _Finding(name, kind, complaint, digest, _signs(image))


def _complaint(name: str, image: Image, mask: Image, num_classes: int) -> tuple[str, str]:
    if mask.shape != image.shape[:2]:
        sizes = (f"{shape[1]}x{shape[0]}" for shape in (mask.shape, image.shape))
        return "mismatched", f"{name} ({', image '.join(sizes)})"
    clean = np.minimum(mask, 255 - mask) <= MASK_TOLERANCE
    unclear = 0.0 if num_classes > 1 else 1 - float(clean.mean())
    if unclear > MAX_UNCLEAR_SHARE:
        return "unclear_masks", f"{name} ({100 * unclear:.1f} % of its pixels)"
    if not (mask > (0 if num_classes > 1 else 127)).any():
        return "empty_masks", name
    return "", ""


def _signs(image: Image) -> NDArray[np.uint64]:
    """Where the picture gets brighter to the right, on a coarse grid (a difference hash)."""
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    coarse = np.asarray(cv2.resize(gray, (HASH_SIDE + 1, HASH_SIDE), interpolation=cv2.INTER_AREA))
    return np.packbits(coarse[:, 1:] > coarse[:, :-1]).view(np.uint64)


def _duplicates(
    trained: Sequence[_Finding], held_out: Sequence[_Finding] | None
) -> tuple[list[str], list[str]]:
    """Pairs of the same and of nearly the same pictures.

    Args:
        held_out: compare with these; None compares the trained ones among themselves.
    """
    left = [found for found in trained if found.digest]
    right = left if held_out is None else [found for found in held_out if found.digest]
    copies: list[str] = []
    alike: list[str] = []
    if not left or not right:
        return copies, alike
    signs = np.stack([found.signs for found in right])
    for index, one in enumerate(left):
        first = index + 1 if held_out is None else 0
        differing = np.bitwise_count(signs[first:] ^ one.signs).sum(axis=1)
        for near in first + np.flatnonzero(differing <= MAX_DIFFERING_BITS):
            other = right[near]
            found = copies if other.digest == one.digest else alike
            found.append(f"{one.name} and {other.name}")
    return copies, alike


def _listed(found: dict[str, list[str]]) -> list[str]:
    return [
        f"{len(names)} {what}, e.g. {', '.join(names[:3])}"
        for what, names in found.items()
        if names
    ]
