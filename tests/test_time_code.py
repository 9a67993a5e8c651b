"""The time code of the glass-to-glass benchmark."""

import cv2
import numpy as np
import pytest

from demos import time_code

TIMES_NS = [0, 1, 123_456_789, 987_654_321_000, time_code.PERIOD_NS - 1, 5 * time_code.PERIOD_NS]


@pytest.mark.parametrize("at_ns", TIMES_NS)
@pytest.mark.parametrize("size", [(320, 180), (640, 360), (501, 333)])
def test_what_was_drawn_is_read(at_ns: int, size: tuple[int, int]) -> None:
    told = time_code.read(time_code.draw(at_ns, *size))

    assert told is not None
    assert time_code.since(told, at_ns) < time_code.UNIT_NS


@pytest.mark.parametrize("at_ns", TIMES_NS)
def test_code_is_read_scaled_shifted_blurred_and_grayish(at_ns: int) -> None:
    image = cv2.resize(time_code.draw(at_ns, 640, 360), (417, 238), interpolation=cv2.INTER_AREA)
    image = cv2.copyMakeBorder(image, 31, 7, 12, 55, cv2.BORDER_CONSTANT, value=30)
    image = cv2.GaussianBlur(image, (0, 0), 1.2) // 2 + 60

    told = time_code.read(np.asarray(image, np.uint8))

    assert told is not None
    assert time_code.since(told, at_ns) < time_code.UNIT_NS


def test_torn_code_is_not_read() -> None:
    torn = wrong = 0
    for number in range(200):
        early_ns, late_ns = number * 16_683_000, (number + 1) * 16_683_000
        image = time_code.draw(late_ns, 640, 360)
        image[200:] = time_code.draw(early_ns, 640, 360)[200:]
        told = time_code.read(image)
        torn += told is None
        wrong += (
            told is not None
            and min(time_code.since(told, late_ns), time_code.since(told, early_ns))
            > time_code.UNIT_NS
        )
    assert torn > 150
    assert wrong <= 4


@pytest.mark.parametrize("value", [0, 255])
def test_there_is_nothing_to_read_in_an_even_picture(value: int) -> None:
    assert time_code.read(np.full((90, 160), value, np.uint8)) is None
