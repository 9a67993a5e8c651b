"""New training pictures out of two others, or out of a part of one: more polyps, and none."""

from functools import partial

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from pranet.labels import cover_of, resample

Image = NDArray[np.uint8]

#: Least side of a polyp-free crop, as a share of the picture's side.
MIN_CROP_SHARE = 0.3
#: Mean level below which a place counts as the dark margin around the view, not as mucosa.
DARK_LEVEL = 40
#: Greatest share of a pasted polyp that may lie upon dark places.
MAX_DARK_SHARE = 0.05
#: Greatest share of the picture that can be inpainted from the rest.
MAX_HOLE_SHARE = 0.75


def paste_polyp(
    image: Image, mask: Image, donor_image: Image, donor_mask: Image, rng: Generator
) -> tuple[Image, Image]:
    """Copy the polyps of a donor into a picture, in the light of their new place.

    Args:
        image, donor_image: RGB (H, W, 3); each of its own size.
        mask, donor_mask: (H, W), of 0 or 255 or label maps; the donor's holds some polyp.

    Returns:
        Picture and mask of the first size. Unchanged if the place drawn is in the dark margin.
    """
    left, top, width, height = cv2.boundingRect(donor_mask)
    if not width:
        return image, mask
    margin = max(width, height) // 6
    rows = slice(max(top - margin, 0), top + height + margin)
    columns = slice(max(left - margin, 0), left + width + margin)
    donor_height, donor_width = donor_mask[rows, columns].shape
    scale = rng.uniform(0.5, 1.2) * min(image.shape[:2]) / max(donor_mask.shape)
    scale = min(scale, 0.9 * min(image.shape[:2]) / max(donor_height, donor_width))
    width, height = (max(round(scale * side), 1) for side in (donor_width, donor_height))
    turn = partial(_turned, size=(width, height), flip=int(rng.integers(-1, 3)))
    patch = turn(donor_image[rows, columns])
    labels = resample(donor_mask[rows, columns], turn)
    y = int(rng.integers(image.shape[0] - height + 1))
    x = int(rng.integers(image.shape[1] - width + 1))
    place = image[y : y + height, x : x + width]
    inside = labels > 0
    if not inside.any() or (place.mean(axis=2) < DARK_LEVEL)[inside].mean() > MAX_DARK_SHARE:
        return image, mask
    # The mucosa around the polyp tells the donor's light; the polyp takes on that of its place.
    around = patch[~inside].mean(axis=0) if not inside.all() else patch.mean(axis=(0, 1))
    gain = np.clip(place.mean(axis=(0, 1)) / np.maximum(around, 1), 0.5, 2.0)
    alpha = _softened(cover_of(labels), max(1.0, min(height, width) / 40))
    picture, truth = image.copy(), mask.copy()
    picture[y : y + height, x : x + width] = (place + (patch * gain - place) * alpha).clip(0, 255)
    truth[y : y + height, x : x + width][inside] = labels[inside]
    return picture, truth


def _turned(part: Image, size: tuple[int, int], flip: int) -> Image:
    """Resized to (width, height), mirrored by OpenCV's code −1, 0 or 1; not mirrored for 2."""
    resized = cv2.resize(part, size)
    return np.asarray(resized if flip == 2 else cv2.flip(resized, flip), np.uint8)


def _softened(cover: Image, sigma_px: float) -> NDArray[np.float32]:
    """How much of the new is seen at each pixel, (H, W, 1) of 0…1."""
    soft = np.asarray(cv2.GaussianBlur(cover, (0, 0), sigma_px), np.float32)
    return soft[..., None] / np.float32(255)


def exchange_colours(image: Image, donor_image: Image, rng: Generator) -> Image:
    """Give a picture the colours of another one: mean and spread of what is lit, in CIELAB.

    So that a colour of mucosa, lamp or camera tells nothing of whether a polyp is there
    (Wei et al., Shallow Attention Network for Polyp Segmentation, MICCAI 2021).

    Args:
        image, donor_image: RGB (H, W, 3); each of its own size.

    Returns:
        RGB of the first size, half to wholly changed; dark margins stay dark.
    """
    lab, donor_lab = (cv2.cvtColor(part, cv2.COLOR_RGB2LAB) for part in (image, donor_image))
    lit, donor_lit = (lab[..., 0] > DARK_LEVEL), (donor_lab[..., 0] > DARK_LEVEL)
    if not lit.any() or not donor_lit.any():
        return image
    values, donor_values = lab[lit].astype(np.float32), donor_lab[donor_lit].astype(np.float32)
    spread = donor_values.std(axis=0) / np.maximum(values.std(axis=0), 1)
    centre, donor_centre = values.mean(axis=0), donor_values.mean(axis=0)
    changed = (lab - centre) * spread.clip(0.6, 1.6) + donor_centre
    # In full from twice the level that counts as dark on, so that no seam shows.
    share = (lab[..., :1].astype(np.float32) / (2 * DARK_LEVEL)).clip(0, 1) * rng.uniform(0.5, 1)
    mixed = (lab + (changed - lab) * share).clip(0, 255).astype(np.uint8)
    return np.asarray(cv2.cvtColor(mixed, cv2.COLOR_LAB2RGB), np.uint8)


def without_polyp(image: Image, mask: Image, rng: Generator) -> Image | None:
    """A polyp-free picture out of one with polyps: a crop beside them, else inpainted mucosa.

    Args:
        image: RGB (H, W, 3).
        mask: (H, W), of 0 or 255 or a label map.

    Returns:
        RGB of the size of the crop, or of the picture; None if hardly anything but polyps is seen.
    """
    crops = _crops_beside(image, mask)
    if crops:
        return crops[rng.integers(len(crops))]
    return _inpainted(image, mask)


def largest_crop_beside(image: Image, mask: Image) -> Image | None:
    """The largest polyp-free crop of a picture, RGB; None if none is large and bright enough."""
    return max(_crops_beside(image, mask), key=lambda crop: crop.size, default=None)


def _crops_beside(image: Image, mask: Image) -> list[Image]:
    """What lies to the left, right, above and below of all polyps together, if it is usable."""
    left, top, width, height = cv2.boundingRect(mask)
    # Annotators leave a rim of the polyp outside, and its slope looks like a polyp at the edge.
    margin = round(0.03 * max(mask.shape) + 0.15 * max(width, height))
    crops = (
        image[:, : max(left - margin, 0)],
        image[:, left + width + margin :],
        image[: max(top - margin, 0)],
        image[top + height + margin :],
    )
    return [
        crop
        for crop in crops
        if crop.shape[0] >= MIN_CROP_SHARE * image.shape[0]
        and crop.shape[1] >= MIN_CROP_SHARE * image.shape[1]
        and crop.mean() >= DARK_LEVEL
    ]


def _inpainted(image: Image, mask: Image) -> Image | None:
    """The polyps filled from around them, at a small size: only a smooth ground is wanted."""
    side_px = 96
    grown = cv2.dilate(cover_of(mask), np.ones((5, 5), np.uint8), iterations=3)
    if (grown > 0).mean() > MAX_HOLE_SHARE:
        return None
    small = cv2.resize(image, (side_px, side_px), interpolation=cv2.INTER_AREA)
    hole = cv2.resize(grown, (side_px, side_px), interpolation=cv2.INTER_NEAREST)
    filled = cv2.inpaint(small, hole, 3, cv2.INPAINT_TELEA)
    size = (image.shape[1], image.shape[0])
    ground = np.asarray(cv2.resize(filled, size, interpolation=cv2.INTER_CUBIC), np.float32)
    alpha = _softened(np.asarray(grown, np.uint8), 5)
    return np.asarray((image + (ground - image) * alpha).clip(0, 255), np.uint8)
