"""What the tests of the chain share: made-up pictures that move, and maps to go with them."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Luma = NDArray[np.uint8]
Probability = NDArray[np.float32]

SIZE_PX = 96


@pytest.fixture(scope="session")
def tissue() -> Callable[[float], Luma]:
    """A textured small image (90, 160), shifted to the right by so many px."""
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 256, (90, 400), dtype=np.uint8)
    large = cv2.normalize(
        cv2.GaussianBlur(noise, (0, 0), 3),
        None,
        60,
        220,
        cv2.NORM_MINMAX,  # type: ignore[call-overload]
    )

    def show(shift_px: float = 0.0) -> Luma:
        matrix = np.array([[1, 0, shift_px - 120], [0, 1, 0]], np.float32)
        return np.asarray(cv2.warpAffine(large, matrix, (160, 90)), np.uint8)

    return show


@pytest.fixture(scope="session")
def disc() -> Callable[..., Probability]:
    """A map with a disc whose probability falls from its level to 0 over some px of its rim."""

    def make(
        x: float = SIZE_PX / 2,
        y: float = SIZE_PX / 2,
        radius: float = 14,
        *,
        level: float = 0.95,
        softness: float = 4.0,
    ) -> Probability:
        rows, columns = np.mgrid[:SIZE_PX, :SIZE_PX]
        inside = (radius - np.hypot(columns - x, rows - y)) / softness + 0.5
        return (level * inside.clip(0, 1)).astype(np.float32)

    return make


@pytest.fixture(scope="session")
def nothing() -> Probability:
    """What the network says where there is nothing."""
    return np.full((SIZE_PX, SIZE_PX), 0.01, np.float32)
