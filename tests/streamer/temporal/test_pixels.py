"""The pixel steps, and that both of their forms say the same."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from streamer import motion
from streamer.temporal import pixels, pixels_torch

Luma = NDArray[np.uint8]
Tissue = Callable[..., Luma]


def noise(seed: int) -> NDArray[np.float32]:
    return np.random.default_rng(seed).random((64, 96), np.float32)


def test_certain_pixels_pass_and_uncertain_ones_blend() -> None:
    new = np.array([[0, 1, 0.5, 0.5, 0.9]], np.float32)
    memory = np.array([[1, 0, 1, 0, 0.1]], np.float32)
    share = np.full_like(new, 0.5)

    found = pixels.smooth(new, memory, share)

    np.testing.assert_allclose(found, [[0, 1, 0.75, 0.25, 0.9 - 0.8 * 0.6 * 0.5]], atol=1e-6)


def test_the_least_share_holds_for_certain_pixels_too() -> None:
    new, memory = np.array([[1, 0, 0.5]], np.float32), np.array([[0, 1, 0]], np.float32)
    share, least = np.full_like(new, 0.5), np.array([[0.25, 0.25, 0.1]], np.float32)

    np.testing.assert_allclose(pixels.smooth(new, memory, share, least), [[0.75, 0.25, 0.25]])


def test_far_from_the_boundary_is_deep_inside_and_well_outside() -> None:
    shown = np.zeros((40, 40), np.float32)
    shown[10:30, 10:30] = 0.5

    far = pixels.far_from_boundary(shown, 0.5, 4)

    assert far[20, 20] == far[3, 20] == far[20, 36] == 1
    assert not far[6:14, 6:34].any()
    assert set(np.unique(far)) == {0, 1}


def test_without_a_share_nothing_is_remembered() -> None:
    np.testing.assert_array_equal(
        pixels.smooth(noise(0), noise(1), np.zeros_like(noise(0))), noise(0)
    )


@pytest.mark.parametrize(("passed_ms", "share"), [(0, 1.0), (90, np.exp(-1)), (1e6, 0.0)])
def test_memory_fades_with_time(passed_ms: float, share: float) -> None:
    assert pixels.memory_share(passed_ms, 90) == pytest.approx(share)
    assert pixels.memory_share(passed_ms, 0) == 0


def test_two_half_steps_fade_like_a_whole_one() -> None:
    half = pixels.memory_share(16.7, 90)
    assert half * half == pytest.approx(pixels.memory_share(33.4, 90))


def test_keep_raises_what_was_inside_only() -> None:
    now = np.array([[0.4, 0.4, 0.95]], np.float32)
    shown = np.array([[0.5, 0.4999, 0.9]], np.float32)

    found = pixels.keep(now, shown, bonus=0.15, threshold=0.5)

    np.testing.assert_allclose(found, [[0.55, 0.4, 1.1]], atol=1e-6)
    assert now[0, 0] == np.float32(0.4)


def test_torch_agrees(tissue: Tissue) -> None:
    new, memory, share = noise(0), noise(1), noise(2)
    tensors = [torch.from_numpy(each) for each in (new, memory, share)]

    np.testing.assert_allclose(
        pixels_torch.smooth(*tensors).numpy(), pixels.smooth(new, memory, share), atol=1e-6
    )
    np.testing.assert_allclose(
        pixels_torch.smooth(*tensors, tensors[2] / 3).numpy(),
        pixels.smooth(new, memory, share, share / 3),
        atol=1e-6,
    )
    np.testing.assert_array_equal(
        pixels_torch.far_from_boundary(tensors[0], 0.9, 2).numpy(),
        pixels.far_from_boundary(new, 0.9, 2),
    )
    np.testing.assert_allclose(
        pixels_torch.keep(tensors[0], tensors[1], bonus=0.15, threshold=0.5).numpy(),
        pixels.keep(new, memory, bonus=0.15, threshold=0.5),
        atol=1e-6,
    )
    places = motion.find_places(motion.find_flow(tissue(0.0), tissue(3.0)), new.shape)
    np.testing.assert_allclose(
        pixels_torch.warp(tensors[0], torch.from_numpy(places)).numpy(),
        motion.warp(new, places),
        # OpenCV knows 32 places between two px.
        atol=0.04,
    )
