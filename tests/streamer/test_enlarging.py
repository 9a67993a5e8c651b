"""Maps enlarged by matrix products are those of a bilinear resize."""

from typing import Any

import numpy as np
import openvino as ov
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import interpolate

from streamer.engine.enlarging import bilinear_weights, enlarge_by_products
from streamer.engine.openvino import CORE

# PyTorch's own, of what OpenVINO traces with.
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")


class Resizing(torch.nn.Module):
    """Resizes in one way."""

    def __init__(self, size: tuple[int, int], align_corners: bool, mode: str) -> None:
        super().__init__()
        self.size, self.align_corners, self.mode = size, align_corners, mode

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        more: Any = {} if self.mode == "nearest" else {"align_corners": self.align_corners}
        return interpolate(maps, size=self.size, mode=self.mode, **more)


def converted(maps: torch.Tensor, size: tuple[int, int], **how: Any) -> ov.Model:
    resizing = Resizing(size, how.get("align_corners", False), how.get("mode", "bilinear"))
    return ov.convert_model(resizing, example_input=maps, input=list(maps.shape))


@given(count=st.integers(1, 40), factor=st.integers(1, 8), more=st.integers(0, 7))
def test_weights_are_those_of_torch(count: int, factor: int, more: int) -> None:
    size = count * factor + more
    expected = interpolate(
        torch.eye(count)[None, None], size=(size, count), mode="bilinear", align_corners=False
    )[0, 0]
    np.testing.assert_allclose(bilinear_weights(count, size), expected, atol=1e-5)


def test_the_result_is_the_same() -> None:
    maps = torch.randn(1, 1, 11, 7, generator=torch.Generator().manual_seed(0))
    network = converted(maps, (88, 35))
    assert enlarge_by_products(network) == 1
    assert not any(each.get_type_name() == "Interpolate" for each in network.get_ops())
    compiled = CORE.compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    expected = interpolate(maps, size=(88, 35), mode="bilinear", align_corners=False)
    np.testing.assert_allclose(compiled(maps.numpy())[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("channels", "size", "how"),
    [
        (2, (22, 14), {}),
        (1, (5, 14), {}),
        (1, (22, 14), {"align_corners": True}),
        (1, (22, 14), {"mode": "nearest"}),
    ],
    ids=["several maps", "made smaller", "corners aligned", "nearest"],
)
def test_all_else_stays(channels: int, size: tuple[int, int], how: dict[str, Any]) -> None:
    network = converted(torch.zeros(1, channels, 11, 7), size, **how)
    assert enlarge_by_products(network) == 0
