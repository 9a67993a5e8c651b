"""Reverse attention on its own: any channels, any number of classes, the papers' equations."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from pranet import DSRA, ReverseAttention
from pranet.attention import StageConfig, resize

STAGE = StageConfig(6, kernel_size=5, depth=1)


def random(*shape: int, seed: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def interpolate(maps: Tensor, height: int, width: int) -> Tensor:
    return functional.interpolate(maps, (height, width), mode="bilinear", align_corners=False)


@pytest.fixture(autouse=True)
def _seeded() -> None:
    torch.manual_seed(1)


@pytest.mark.parametrize("num_classes", [1, 2, 5])
@pytest.mark.parametrize("in_channels", [1, 7, 40])
def test_dsra_raises_the_foreground_by_the_dual_gain_of_the_paper(
    in_channels: int, num_classes: int
) -> None:
    module = DSRA(in_channels, num_classes, STAGE, gain="softmax").eval()
    feature = random(2, in_channels, 12, 10, seed=2)
    deeper_fg, deeper_bg = (random(2, num_classes, 6, 5, seed=seed) for seed in (3, 4))

    fg, bg = module(feature, deeper_fg, deeper_bg)

    p_f, p_b = (head(module.trunk(feature)) for head in (module.head_fg, module.head_bg))
    difference = interpolate(deeper_fg, 12, 10) - interpolate(deeper_bg, 12, 10)
    gamma = difference.exp() / difference.exp().sum(dim=1, keepdim=True)
    torch.testing.assert_close(fg, p_f + p_f * gamma)
    torch.testing.assert_close(bg, p_b)


@pytest.mark.parametrize("num_classes", [1, 5])
def test_dsra_with_sigmoid_gain_raises_each_class_by_itself(num_classes: int) -> None:
    module = DSRA(7, num_classes, STAGE, gain="sigmoid").eval()
    feature = random(2, 7, 12, 10, seed=2)
    deeper_fg, deeper_bg = (random(2, num_classes, 6, 5, seed=seed) for seed in (3, 4))

    fg, bg = module(feature, deeper_fg, deeper_bg)

    p_f, p_b = (head(module.trunk(feature)) for head in (module.head_fg, module.head_bg))
    difference = interpolate(deeper_fg, 12, 10) - interpolate(deeper_bg, 12, 10)
    torch.testing.assert_close(fg, p_f + p_f / (1 + (-difference).exp()))
    torch.testing.assert_close(bg, p_b)


def test_dsra_reads_no_deeper_map_where_its_softmax_is_constant() -> None:
    module = DSRA(7, 1, STAGE, gain="softmax").eval()
    feature = random(1, 7, 4, 4, seed=2)

    fg, bg = module(feature, None, None)

    assert not module.uses_deeper
    torch.testing.assert_close(fg, 2 * module.head_fg(module.trunk(feature)))
    assert bg is not None


@pytest.mark.parametrize(("gain", "num_classes"), [("sigmoid", 1), ("softmax", 2)])
def test_dsra_without_the_deeper_maps_that_it_needs_is_refused(gain: str, num_classes: int) -> None:
    module = DSRA(7, num_classes, STAGE, gain=gain).eval()  # type: ignore[arg-type]
    maps = random(1, num_classes, 2, 2, seed=3)

    for deeper in ((None, maps), (maps, None)):
        with pytest.raises(ValueError, match=f"a {gain} gain needs both maps"):
            module(random(1, 7, 4, 4, seed=2), *deeper)


def test_dsra_without_background_gives_the_same_foreground_alone() -> None:
    module = DSRA(7, 3, STAGE).eval()
    feature, deeper = random(1, 7, 4, 4, seed=2), random(1, 3, 2, 2, seed=3)

    fg, bg = module(feature, deeper, -deeper, background=False)

    assert bg is None
    assert fg.equal(module(feature, deeper, -deeper)[0])


@pytest.mark.parametrize("num_classes", [1, 2, 5])
@pytest.mark.parametrize("in_channels", [1, 7, 40])
def test_reverse_attention_adds_what_it_finds_beside_the_deeper_map(
    in_channels: int, num_classes: int
) -> None:
    module = ReverseAttention(in_channels, num_classes, STAGE).eval()
    feature = random(2, in_channels, 12, 10, seed=2)
    deeper = random(2, num_classes, 6, 5, seed=3)

    logits = module(feature, deeper)

    raised = interpolate(deeper, 12, 10)
    attention = 1 - 1 / (1 + (-raised.max(dim=1, keepdim=True).values).exp())
    expected = module.head(module.trunk(attention.expand_as(feature) * feature)) + raised
    torch.testing.assert_close(logits, expected)
    assert logits.shape == (2, num_classes, 12, 10)


def test_reverse_attention_is_blind_where_the_deeper_map_is_certain() -> None:
    module = ReverseAttention(3, 1, STAGE).eval()
    certain = torch.full((1, 1, 8, 8), 1000.0)

    seen = [module(random(1, 3, 8, 8, seed=seed), certain) for seed in (1, 2)]

    assert seen[0].equal(seen[1])


@pytest.mark.parametrize("stage", [STAGE, StageConfig(4, head_kernel_size=3, head_norm=True)])
def test_stage_keeps_the_size_and_makes_one_map_per_class(stage: StageConfig) -> None:
    fg, bg = DSRA(5, 3, stage).eval()(
        random(1, 5, 9, 11, seed=1), *(random(1, 3, 4, 4, seed=seed) for seed in (2, 3))
    )

    assert fg.shape == (1, 3, 9, 11)
    assert bg is not None
    assert bg.shape == (1, 3, 9, 11)


def test_resize_to_its_own_size_returns_the_map_itself() -> None:
    maps = random(1, 2, 5, 6, seed=1)

    assert resize(maps, (5, 6)) is maps


def test_resize_takes_pixel_centres_at_half() -> None:
    maps = torch.tensor([[[[0.0, 1.0]]]])

    resized = resize(maps, (1, 4))

    torch.testing.assert_close(resized, torch.tensor([[[[0.0, 0.25, 0.75, 1.0]]]]))


def test_dsra_with_context_sees_it_beside_the_feature_at_the_feature_s_size() -> None:
    module = DSRA(7, 1, STAGE, context_channels=3).eval()
    feature, context = random(2, 7, 12, 10, seed=2), random(2, 3, 24, 20, seed=5)
    deeper_fg, deeper_bg = (random(2, 1, 6, 5, seed=seed) for seed in (3, 4))

    fg, bg = module(feature, deeper_fg, deeper_bg, context)

    plain = DSRA(10, 1, STAGE).eval()
    plain.load_state_dict(module.state_dict())
    joined = torch.cat((feature, interpolate(context, 12, 10)), dim=1)
    expected_fg, expected_bg = plain(joined, deeper_fg, deeper_bg)
    torch.testing.assert_close(fg, expected_fg)
    torch.testing.assert_close(bg, expected_bg)
