"""A sheet of pictures with true and found boundaries, to look at what went wrong."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.sinks.base import prepare_path, reporting_errors

Image = NDArray[np.uint8]

TILE_PX = 288
COLUMNS = 4
#: RGB
TRUE_COLOUR = (60, 220, 60)
FOUND_COLOUR = (255, 210, 0)


def tile(
    image: Image,
    mask: Image,
    probability: NDArray[np.float32],
    title: str,
    *,
    true_colour: tuple[int, int, int] = TRUE_COLOUR,
) -> Image:
    """One picture of the sheet, (TILE_PX, TILE_PX, 3): the truth, and the answer in yellow upon it.

    Args:
        image: RGB (H, W, 3).
        mask: of the same view in any size, zero is background.
        probability: likewise, 0…1; its boundary is drawn at 0.5.
        true_colour: RGB of the true boundary; green if not given.
    """
    scale = TILE_PX / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    small = np.array(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    for plane, colour in ((mask > 0, true_colour), (probability >= 0.5, FOUND_COLOUR)):
        shrunk = cv2.resize(plane.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)
        contours, _ = cv2.findContours(shrunk, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(small, contours, -1, colour, 1)
    canvas = np.zeros((TILE_PX, TILE_PX, 3), np.uint8)
    canvas[: small.shape[0], : small.shape[1]] = small
    place = (4, TILE_PX - 6)
    for width_px, colour in ((3, (0, 0, 0)), (1, (255, 255, 255))):
        cv2.putText(
            canvas, title, place, cv2.FONT_HERSHEY_SIMPLEX, 0.42, colour, width_px, cv2.LINE_AA
        )
    return canvas


def write_sheet(path: Path, tiles: list[Image], *, columns: int = COLUMNS) -> None:
    """Write the tiles row by row as one PNG.

    Args:
        columns: tiles in a row.

    Raises:
        OutputError: it cannot be written.
    """
    missing = -len(tiles) % columns
    padded = [*tiles, *[np.zeros((TILE_PX, TILE_PX, 3), np.uint8)] * missing]
    rows = [np.hstack(padded[start : start + columns]) for start in range(0, len(padded), columns)]
    prepare_path(path)
    with reporting_errors(path):
        _, packed = cv2.imencode(".png", np.ascontiguousarray(np.vstack(rows)[..., ::-1]))
        path.write_bytes(packed.tobytes())
