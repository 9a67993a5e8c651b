"""What of a still can be filmed: tissue without border, print and boxes, also without polyps."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from pranet.data import Pair
from streamer.sources.scene import Pixels, Still, Tissue, without_polyp

Bools = npt.NDArray[np.bool_]

LEAST_PX = 64
"""A part with a shorter side shows too little."""

_SHARE_OF_SIDE = 0.42  # that a polyp-free part keeps of its still's shorter side, at least
_RIM = 0.05  # around a polyp that is no polyp-free tissue, as a share of the shorter side
_PRINT_WIDTH = 0.38  # of the still, from the left
_PRINT_LEVEL = 130  # of the weakest channel of a letter, of 255
_PRINT_CONTRAST = 36  # to what is around it
_BOX_FILLS = 0.8  # share of the box around it that a printed box fills
_LEAST_BOX = 0.004  # of the still's area


@dataclass(frozen=True, eq=False)
class Ground:
    """Tissue to film.

    image: uint8 (H, W, 3), RGB. What is no tissue is filled with its neighbours, mirrored.
    mask: uint8 (H, W), 0 or 255 = polyp, filled in the same way.
    usable: bool (H, W), False where it was filled.
    """

    image: Pixels
    mask: Pixels
    usable: Bools

    @property
    def shows_enough(self) -> bool:
        """Large enough, and not too much of it filled."""
        return min(self.mask.shape) >= LEAST_PX and float(self.usable.mean()) > 0.7


def prepare(pair: Pair, *, polyp_free: bool = False) -> Ground | None:
    """The tissue of a still, cropped and filled, or its polyp-free part; None if it is too small.

    Raises:
        DataError: it cannot be read, or its mask is of another size.
    """
    image, mask = pair.read()
    ground = _cleared(Still(image, mask, pair.image.name))
    return _without_polyp(ground) if polyp_free and ground is not None else ground


def _cleared(still: Still) -> Ground | None:
    usable = _tissue_area(still)
    still = Still(_without_print(still.image), still.mask, still.name)
    if not usable.any():
        return None
    x, y, width, height = cv2.boundingRect(usable.astype(np.uint8))
    part, usable = (
        still.crop(x, y, x + width, y + height),
        usable[y : y + height, x : x + width],
    )
    source = _mirrored(usable)
    ground = Ground(part.image[source], part.mask[source], usable)
    return ground if ground.shows_enough else None


def _without_polyp(ground: Ground) -> Ground | None:
    """The widest part without polyps and what surrounds them, lying."""
    side = min(ground.mask.shape)
    reach = 2 * round(_RIM * side) + 1
    near = np.asarray(cv2.dilate(ground.mask, np.ones((reach, reach), np.uint8)), np.uint8)
    # The same cut through each plane: it depends on the mask alone.
    usable = np.repeat(ground.usable[..., None], 3, axis=2).astype(np.uint8)
    image, keep = (
        without_polyp(Still(plane, near, "ground")).image for plane in (ground.image, usable)
    )
    if image.shape[0] > image.shape[1]:
        # A standing part is filmed by a camera that is turned.
        image, keep = np.rot90(image), np.rot90(keep)
    empty = np.zeros(image.shape[:2], np.uint8)
    part = Ground(np.ascontiguousarray(image), empty, keep[..., 0] > 0)
    large = min(empty.shape) >= _SHARE_OF_SIDE * side
    return part if large and part.shows_enough else None


def _tissue_area(still: Still) -> Bools:
    """Where a still shows tissue and nothing that is printed upon it: one connected region."""
    usable = Tissue(still).usable & ~_printed_boxes(still.image)
    count, labels, statistics, _ = cv2.connectedComponentsWithStats(usable.astype(np.uint8))
    if count < 2:
        return usable
    largest = 1 + int(statistics[1:, cv2.CC_STAT_AREA].argmax())
    return np.asarray(labels == largest, np.bool_)


def _without_print(image: Pixels) -> Pixels:
    """The picture without the white letters that some processors print over its left part.

    Small highlights go with them, which does not matter: the camera adds its own.
    """
    height, width = image.shape[:2]
    left = np.ascontiguousarray(image[:, : round(_PRINT_WIDTH * width)])
    # Tissue is never as blue as it is red; letters are.
    whiteness = left.min(axis=2)
    size = 2 * round(0.012 * height) + 1
    thin = cv2.morphologyEx(whiteness, cv2.MORPH_TOPHAT, np.ones((size, size), np.uint8))
    letters = (thin > _PRINT_CONTRAST) & (whiteness > _PRINT_LEVEL)
    # With their dark outlines, and softly.
    wide = cv2.dilate(letters.astype(np.float32), np.ones((9, 9), np.uint8))
    share = cv2.GaussianBlur(wide, (0, 0), 1.5)
    # The median of a wider place is that of the tissue around the letters.
    plain = cv2.medianBlur(left, 2 * size + 1)
    cleaned = image.copy()
    cleaned[:, : left.shape[1]] = cv2.blendLinear(plain, left, share, 1 - share)
    return cleaned


def _printed_boxes(image: Pixels) -> Bools:
    """The picture of the endoscope's shape that some processors print at the lower left, on green.

    Tissue is redder than green, or, under blue light, green in much more than a box.
    """
    height, width = image.shape[:2]
    red, green, blue = (image[..., channel].astype(np.int16) for channel in range(3))
    colored = (np.maximum(green, blue) > red + 15) & (green > 40)
    solid = cv2.morphologyEx(colored.astype(np.uint8), cv2.MORPH_CLOSE, np.ones((9, 9), np.uint8))
    solid = cv2.morphologyEx(solid, cv2.MORPH_OPEN, np.ones((9, 9), np.uint8))
    found = np.zeros((height, width), np.bool_)
    for left, top, box_width, box_height, area in cv2.connectedComponentsWithStats(solid)[2][1:]:
        low = top > 0.45 * height and left + box_width < 0.55 * width
        large = area > _LEAST_BOX * height * width
        if low and large and area > _BOX_FILLS * box_width * box_height:
            # Its frame and the soft edge around it.
            found[max(top - 9, 0) : top + box_height + 9, max(left - 9, 0) :][
                :, : box_width + 18
            ] = True
    return found


def _mirrored(usable: Bools) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """For each pixel the row and column to take it from: its own, or mirrored at the border."""
    _, labels = cv2.distanceTransformWithLabels(
        (~usable).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    places = np.zeros(int(labels.max()) + 1, np.intp)
    places[labels[usable]] = np.flatnonzero(usable)
    height, width = usable.shape
    nearest_row, nearest_column = np.divmod(places[labels], width)
    rows, columns = np.mgrid[:height, :width]
    row = (2 * nearest_row - rows).clip(0, height - 1)
    column = (2 * nearest_column - columns).clip(0, width - 1)
    lands = usable[row, column]
    return np.where(lands, row, nearest_row), np.where(lands, column, nearest_column)
