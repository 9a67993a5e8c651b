"""A picture that says when it was drawn, for reading back from a screen."""

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

#: One unit of the code: 0.1 ms.
UNIT_NS = 100_000
_TIME_BITS = 24
_CHECK_BITS = 8
#: Squares across and down; each is a bit, in reading order, the time first.
_GRID = (8, 4)
#: After so many ns the code begins anew: about 28 minutes.
PERIOD_NS = UNIT_NS << _TIME_BITS


def draw(at_ns: int, width_px: int, height_px: int) -> Image:
    """A time as white and black squares in a white frame on black, (height_px, width_px) 0 or 255.

    Args:
        at_ns: a reading of a clock; kept to `UNIT_NS` and modulo `PERIOD_NS`.
    """
    image = np.zeros((height_px, width_px), np.uint8)
    left, top = width_px // 8, height_px // 4
    right, bottom = width_px - left, height_px - height_px // 8
    line_px = max(4, height_px // 40)
    cv2.rectangle(image, (left, top), (right, bottom), 255, line_px)
    bits = _bits(at_ns // UNIT_NS % (1 << _TIME_BITS)).reshape(_GRID[::-1])
    inside = (left + 2 * line_px, top + 2 * line_px, right - 2 * line_px, bottom - 2 * line_px)
    squares = cv2.resize(
        255 * bits,
        (inside[2] - inside[0], inside[3] - inside[1]),
        interpolation=cv2.INTER_NEAREST,
    )
    image[inside[1] : inside[3], inside[0] : inside[2]] = squares
    return image


def read(image: Image) -> int | None:
    """The time of a code that is seen upright anywhere in a gray picture, at any size.

    Returns:
        ns modulo `PERIOD_NS`; None if there is no code, or one that is torn or does not add up.
    """
    bright = cv2.threshold(image, 127, 255, cv2.THRESH_BINARY)[1]
    outlines, _ = cv2.findContours(bright, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not outlines:
        return None
    x, y, width, height = cv2.boundingRect(max(outlines, key=cv2.contourArea))
    frame = bright[y : y + height, x : x + width]
    # The frame is as thick as its left side is white in the middle row.
    line_px = int(np.argmin(frame[height // 2] > 0))
    inside = frame[2 * line_px : height - 2 * line_px, 2 * line_px : width - 2 * line_px]
    if min(inside.shape, default=0) < 4 * max(_GRID):
        return None
    rows, columns = (
        ((np.arange(count) + 0.5) * side / count).astype(int)
        for count, side in zip(_GRID[::-1], inside.shape, strict=True)
    )
    bits = (inside[np.ix_(rows, columns)] > 127).astype(np.uint8).ravel()
    value = int(bits[:_TIME_BITS] @ (1 << np.arange(_TIME_BITS, dtype=np.int64)))
    return value * UNIT_NS if np.array_equal(bits, _bits(value)) else None


def since(then_ns: int, now_ns: int) -> int:
    """ns from a time that was read until a reading of the same clock."""
    return (now_ns - then_ns) % PERIOD_NS


def _bits(value: int) -> NDArray[np.uint8]:
    """A value and its check sum, lowest bits first."""
    check = sum((value >> shift) * 37 for shift in (0, 5, 11, 17)) % (1 << _CHECK_BITS) ^ 0xA5
    numbers = ((value, _TIME_BITS), (check, _CHECK_BITS))
    return np.array(
        [number >> bit & 1 for number, count in numbers for bit in range(count)], np.uint8
    )
