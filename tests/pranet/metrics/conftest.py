"""What the tests of the metrics share: answers on uint8 maps, with the masks they answer to."""

from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

Answer = tuple[NDArray[np.uint8], NDArray[np.bool_]]


def _disc(x: int, y: int, radius_px: int, shape: tuple[int, int] = (48, 60)) -> NDArray[np.bool_]:
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return np.asarray(np.hypot(columns - x, rows - y) <= radius_px)


def _blurred(mask: NDArray[np.bool_], sigma_px: float) -> NDArray[np.uint8]:
    return np.asarray(cv2.GaussianBlur(255 * mask.astype(np.uint8), (0, 0), sigma_px), np.uint8)


def _spread(levels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same with a 0 and a 255 in it, so that a min-max stretch changes nothing."""
    levels = levels.copy()
    levels[0, 0], levels[-1, -1] = 0, 255
    return levels


def _answers() -> Iterator[Answer]:
    disc, beside = _disc(30, 22, 12), _disc(36, 25, 10)
    two = _disc(14, 12, 7) | _disc(44, 33, 9)
    yield _spread(_blurred(disc, 4)), disc
    yield _spread(_blurred(beside, 2)), disc
    yield _spread(_blurred(_disc(14, 12, 8), 3)), two
    yield _spread(np.full(disc.shape, 90, np.uint8)), disc
    yield _spread(255 * (~disc).astype(np.uint8)), disc
    yield 255 * disc.astype(np.uint8), disc
    # Of the whole picture, and of one pixel.
    yield _spread(_blurred(disc, 6)), np.ones_like(disc)
    rng = np.random.default_rng(5)
    for _ in range(6):
        shape = tuple(rng.integers(8, 40, 2).tolist())
        levels = rng.integers(0, 256, shape, dtype=np.uint8)
        yield _spread(levels), rng.random(shape) < rng.uniform(0.1, 0.9)


@pytest.fixture(scope="session")
def answers() -> list[Answer]:
    """Answers in levels 0…255, each with a 0 and a 255, and masks that are not empty."""
    return list(_answers())


@pytest.fixture(scope="session")
def faint_answers(answers: list[Answer]) -> list[Answer]:
    """The same in levels 13…115: far from certain anywhere."""
    return [((13 + levels * 0.4).astype(np.uint8), inside) for levels, inside in answers]
