"""Folding batch norms: the same network with fewer steps."""

import pytest
import torch
from torch import Tensor, nn

from pranet.model import CONFIGS, build_model
from streamer.engine.fold import TOLERANCE, fold_batch_norms
from streamer.engine.network import lean_network


def unsettled(model: nn.Module) -> nn.Module:
    """Statistics as training leaves them; fresh ones would do nothing."""
    torch.manual_seed(0)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.eval()


@pytest.mark.parametrize("name", ["pranet_v1_res2net50", "pranet_v2_pvt_v2_b2", "pranet_v2_lite0"])
def test_every_norm_that_is_used_is_folded(name: str) -> None:
    model = unsettled(build_model(name))
    image = torch.randn(1, 3, 64, 64)
    folded = fold_batch_norms(model, image)
    with torch.no_grad():
        expected = model(image)
        assert (folded(image) - expected).abs().max() <= TOLERANCE * expected.abs().max()
        assert expected.std() > 0
    seen: list[str] = []
    for module in folded.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda *_: seen.append("norm"))
    folded(image)
    assert seen == []


def test_the_model_itself_stays() -> None:
    model = unsettled(build_model("pranet_v2_lite0"))
    before = {key: value.clone() for key, value in model.state_dict().items()}
    fold_batch_norms(model, torch.randn(1, 3, 64, 64))
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_an_output_that_is_read_twice_is_noticed() -> None:
    class Forked(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)
            self.norm = nn.BatchNorm2d(4)

        def forward(self, image: Tensor) -> Tensor:
            found: Tensor = self.conv(image)
            return found + self.norm(found)

    with pytest.raises(RuntimeError, match="folding the batch norms changes the network"):
        fold_batch_norms(unsettled(Forked()), torch.randn(1, 3, 8, 8))


def test_half_precision_gives_float_probabilities() -> None:
    lean = lean_network(build_model(CONFIGS["pranet_v2_lite0"]).eval(), torch.float16)
    with torch.no_grad():
        probability = lean(torch.randn(1, 3, 64, 64, dtype=torch.float16))
    assert probability.shape == (1, 64, 64)
    assert probability.dtype == torch.float32
    assert 0 <= probability.min() <= probability.max() <= 1
