"""The losses, against the papers' code written out."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from pranet.losses import (
    BACKGROUND_WEIGHT,
    GeneralWeights,
    boundary_weight,
    deep_supervision_loss,
    general_loss,
    soft_dice_loss,
    structure_loss,
    weighted_bce,
)


def disc(size_px: int = 64, radius_px: int = 15) -> NDArray[np.float32]:
    rows, columns = np.mgrid[:size_px, :size_px] - size_px // 2
    return np.asarray(rows**2 + columns**2 <= radius_px**2, np.float32)


def weight_of(mask: Tensor) -> Tensor:
    """The weight as PraNet's training code computes it."""
    pooled = functional.avg_pool2d(mask, kernel_size=31, stride=1, padding=15)
    return 1 + 5 * torch.abs(pooled - mask)


def published_structure_loss(pred: Tensor, mask: Tensor) -> Tensor:
    """PraNet's training code, with the unreduced cross-entropy that the paper describes."""
    weit = weight_of(mask)
    wbce = functional.binary_cross_entropy_with_logits(pred, mask, reduction="none")
    wbce = (weit * wbce).sum(dim=(2, 3)) / weit.sum(dim=(2, 3))
    pred = torch.sigmoid(pred)
    inter = ((pred * mask) * weit).sum(dim=(2, 3))
    union = ((pred + mask) * weit).sum(dim=(2, 3))
    wiou = 1 - (inter + 1) / (union - inter + 1)
    return (wbce + wiou).mean()


@pytest.fixture
def batch() -> tuple[Tensor, Tensor, Tensor]:
    """Logits, masks and weights of three images with discs of different size, one without."""
    masks = torch.from_numpy(np.stack([disc(radius_px=r) for r in (5, 12, 25)]))[:, None]
    masks[0] = 0
    logits = 3 * torch.randn(masks.shape, generator=torch.Generator().manual_seed(4))
    return logits, masks, weight_of(masks)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    height=st.integers(1, 70), width=st.integers(1, 70), share=st.floats(0, 1), seed=st.integers(0)
)
def test_boundary_weight_is_that_of_the_paper(
    height: int, width: int, share: float, seed: int
) -> None:
    mask = (np.random.default_rng(seed).random((height, width)) < share).astype(np.float32)

    weight = boundary_weight(mask)

    assert weight.dtype == np.float32
    expected = weight_of(torch.from_numpy(mask)[None, None])[0, 0].numpy()
    np.testing.assert_allclose(weight, expected, atol=1e-4)


def test_boundary_weighs_most_and_what_is_far_from_it_one() -> None:
    weight = boundary_weight(disc(128, 30))

    assert weight[0, 0] == 1
    assert weight[64, 64] == pytest.approx(1, abs=1e-5)
    assert weight[64, 64 + 30] > 3
    assert weight.max() <= 6


def test_structure_loss_is_that_of_the_paper(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, mask, weight = batch

    loss = structure_loss(logits, mask, weight)

    torch.testing.assert_close(loss, published_structure_loss(logits, mask))


def test_structure_loss_falls_as_the_logits_move_to_the_truth(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    _, mask, weight = batch
    losses = [
        float(structure_loss(scale * (2 * mask - 1), mask, weight)) for scale in range(-20, 21, 4)
    ]

    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < 0.02
    assert losses[0] > 5


@pytest.mark.parametrize("inside", [0.0, 1.0])
@pytest.mark.parametrize("logit", [-1e4, 0.0, 1e4])
def test_losses_and_their_gradients_are_finite_on_masks_of_one_value(
    inside: float, logit: float
) -> None:
    mask = torch.full((2, 1, 40, 40), inside)
    logits = torch.full_like(mask, logit, requires_grad=True)

    loss = structure_loss(logits, mask, weight_of(mask))
    loss.backward()  # type: ignore[no-untyped-call]

    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_empty_answer_to_an_empty_mask_costs_nothing() -> None:
    mask = torch.zeros(1, 1, 40, 40)

    assert structure_loss(mask - 50, mask, weight_of(mask)) == pytest.approx(0, abs=1e-6)


def test_weighted_bce_counts_each_image_once_whatever_its_weights(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    logits, mask, weight = batch
    factors = torch.tensor([1.0, 10.0, 100.0])[:, None, None, None]

    torch.testing.assert_close(
        weighted_bce(logits, mask, weight * factors), weighted_bce(logits, mask, weight)
    )


def test_deep_supervision_of_v2_is_every_foreground_their_sum_and_every_background(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    logits, mask, weight = batch
    fg = {f"r{number}_fg": logits / number for number in (1, 2, 3, 4)}
    bg = {f"r{number}_bg": 1 - logits / number for number in (1, 2, 3, 4)}

    loss = deep_supervision_loss(fg | bg, ("r1", "r3"), mask, weight)

    expected = published_structure_loss(logits + logits / 3, mask)
    for maps in fg.values():
        expected = expected + published_structure_loss(maps, mask)
    for maps in bg.values():
        expected = expected + BACKGROUND_WEIGHT * weighted_bce(maps, 1 - mask, weight)
    torch.testing.assert_close(loss, expected)


def test_deep_supervision_of_v1_is_every_map_once(batch: tuple[Tensor, Tensor, Tensor]) -> None:
    logits, mask, weight = batch
    stages = {f"r{number}": logits / number for number in (1, 2, 3, 4)}

    loss = deep_supervision_loss(stages, ("r1",), mask, weight)

    expected = sum(published_structure_loss(maps, mask) for maps in stages.values())
    torch.testing.assert_close(loss, expected)


def test_background_weight_of_zero_leaves_the_background_out(
    batch: tuple[Tensor, Tensor, Tensor],
) -> None:
    logits, mask, weight = batch

    with_background = deep_supervision_loss(
        {"r1_fg": logits, "r1_bg": logits}, ("r1",), mask, weight, background_weight=0
    )

    assert with_background == deep_supervision_loss({"r1_fg": logits}, ("r1",), mask, weight)


@pytest.fixture
def labelled() -> tuple[Tensor, Tensor]:
    """Logits of three classes, and label maps of two images; the second one lacks a class."""
    generator = torch.Generator().manual_seed(6)
    labels = torch.randint(0, 3, (2, 20, 24), generator=generator)
    labels[1][labels[1] == 2] = 0
    return 2 * torch.randn((2, 3, 20, 24), generator=generator), labels


def published_dice(logits: Tensor, labels: Tensor) -> Tensor:
    """The Dice loss of PraNet-V2's multi-class training, class by class."""
    probability = logits.softmax(dim=1)
    loss = torch.zeros(())
    for index in range(3):
        score, target = probability[:, index], (labels == index).float()
        hit = (score * target).sum()
        total = (score * score).sum() + (target * target).sum()
        loss = loss + 1 - (2 * hit + 1e-5) / (total + 1e-5)
    return loss / 3


def test_general_loss_is_that_of_the_paper_on_every_map_and_the_sum(
    labelled: tuple[Tensor, Tensor],
) -> None:
    logits, labels = labelled
    fg = {f"r{number}_fg": logits / number for number in (1, 2, 3, 4)}
    bg = {f"r{number}_bg": 1 - logits / number for number in (1, 2, 3, 4)}

    loss = general_loss(fg | bg, ("r1", "r3"), labels)

    expected = torch.zeros(())
    for maps in [*fg.values(), logits + logits / 3]:
        expected = expected + 0.7 * published_dice(maps, labels)
        expected = expected + 0.5 * functional.cross_entropy(maps, labels)
    for maps in bg.values():
        for index in range(3):
            outside = (labels != index).float()
            bce = functional.binary_cross_entropy_with_logits(maps[:, index], outside)
            expected = expected + 0.3 * bce / 3
    torch.testing.assert_close(loss, expected)


@pytest.mark.parametrize("name", ["w_dice", "w_ce", "w_bce"])
def test_each_weight_of_the_general_loss_weighs_its_own_part(
    name: str, labelled: tuple[Tensor, Tensor]
) -> None:
    logits, labels = labelled
    stages = {"r1_fg": logits, "r1_bg": logits}
    parts = {
        "w_dice": soft_dice_loss(logits, functional.one_hot(labels).permute(0, 3, 1, 2).float()),
        "w_ce": functional.cross_entropy(logits, labels),
        "w_bce": functional.binary_cross_entropy_with_logits(
            logits, 1 - functional.one_hot(labels).permute(0, 3, 1, 2).float()
        ),
    }
    weights = dict.fromkeys(parts, 0.0) | {name: 2.0}

    loss = general_loss(stages, ("r1",), labels, GeneralWeights(**weights))

    torch.testing.assert_close(loss, 2 * parts[name])


def test_general_loss_of_the_truth_is_next_to_nothing_and_far_from_it_is_not(
    labelled: tuple[Tensor, Tensor],
) -> None:
    _, labels = labelled
    truth = functional.one_hot(labels).permute(0, 3, 1, 2).float()
    stages = {"r1_fg": 40 * truth, "r1_bg": 40 - 80 * truth}
    opposite = {"r1_fg": -40 * truth, "r1_bg": 80 * truth - 40}

    assert general_loss(stages, ("r1",), labels) < 1e-3
    assert general_loss(opposite, ("r1",), labels) > 5


def test_class_that_is_nowhere_costs_nothing_and_its_gradient_is_finite() -> None:
    labels = torch.zeros((1, 8, 8), dtype=torch.int64)
    logits = torch.zeros((1, 3, 8, 8))
    logits[:, 0] = 60
    logits.requires_grad_()

    loss = general_loss({"r1_fg": logits, "r1_bg": -logits}, ("r1",), labels)
    loss.backward()  # type: ignore[no-untyped-call]

    dice = soft_dice_loss(logits, functional.one_hot(labels, 3).permute(0, 3, 1, 2).float())
    assert dice.item() == pytest.approx(0, abs=1e-6)
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
