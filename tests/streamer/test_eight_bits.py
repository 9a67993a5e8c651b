"""Convolutions in 8 bits, in PyTorch."""

import pytest
import torch
from torch import Tensor, nn

from streamer.engine.eight_bits import (
    EightBitConv,
    convolutions,
    put_in_8_bits,
    round_to_8_bits,
)


def rounded(numbers: list[float], largest: float, exponent_bits: int) -> list[float]:
    found: Tensor = round_to_8_bits(torch.tensor(numbers), torch.tensor(largest), exponent_bits)
    return found.tolist()


class TestRounding:
    def test_int8_has_equal_steps_and_cuts_off(self) -> None:
        found = rounded([0.0, 0.4, 0.6, -1.2, 126.6, 500, -500], largest=127, exponent_bits=0)
        assert found == [0, 0, 1, -1, 127, 127, -127]

    def test_fp8_has_steps_that_grow_and_cuts_off(self) -> None:
        found = rounded([1.0, 1.06, 1.07, 440, 1000, -1000], largest=448, exponent_bits=4)
        # Three bits behind the point: eighths between 1 and 2, thirty-twos between 256 and 448.
        assert found == [1, 1, 1.125, 448, 448, -448]

    def test_each_channel_by_its_own_range(self) -> None:
        weights = torch.tensor([1.0, 100.0]).reshape(2, 1, 1, 1)
        assert torch.equal(round_to_8_bits(weights, weights, 0), weights)
        assert rounded([1.0, 100.0], largest=100, exponent_bits=0)[0] != 1

    def test_its_form_is_known_without_its_numbers(self) -> None:
        torch.library.opcheck(
            round_to_8_bits, (torch.randn(2, 3), torch.tensor(1.0), 0), raise_exception=True
        )


@pytest.fixture
def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU6(),
        nn.Conv2d(8, 8, 3, padding=1, groups=8),
        nn.Conv2d(8, 1, 1),
    ).eval()


class TestNetwork:
    def test_single_channels_are_left_out(self, network: nn.Sequential) -> None:
        assert list(convolutions(network, "int8")) == ["0", "3"]

    @pytest.mark.parametrize("precision", ["int8", "fp8"])
    def test_it_computes_nearly_the_same(self, network: nn.Sequential, precision: str) -> None:
        image = torch.rand(1, 3, 16, 16)
        with torch.inference_mode():
            expected = network(image)
            put_in_8_bits(network, {"0": 1.0, "3": 6.0}, precision)
            off = (network(image) - expected).abs().max() / expected.abs().max()
        assert isinstance(network[0], EightBitConv)
        assert isinstance(network[2], nn.Conv2d)
        assert 0 < off < 0.1

    def test_ranges_stay_exact_in_a_half_network(self, network: nn.Sequential) -> None:
        put_in_8_bits(network, {"0": 0.1, "3": 6.0}, "int8")
        first: EightBitConv = network.half()[0]  # type: ignore[assignment]
        assert first.conv.weight.dtype == torch.float16
        assert first.largest_weight.shape == (8, 1, 1, 1)
        assert (first.largest_weight.dtype, first.largest_input.dtype) == (torch.float32,) * 2
        assert first.largest_input == torch.tensor(0.1)
        with torch.inference_mode():
            assert network(torch.rand(1, 3, 16, 16).half()).dtype == torch.float16

    def test_one_range_without_dimensions_where_tensorrt_wants_it(
        self, network: nn.Sequential
    ) -> None:
        # Of a single channel, and of all weights in fp8.
        put_in_8_bits(network, {"3": 6.0}, "int8")
        assert network[3].largest_weight.shape == ()
        put_in_8_bits(network, {"0": 1.0}, "fp8")
        assert network[0].largest_weight.shape == ()

    @pytest.mark.parametrize("precision", ["int8", "fp8"])
    def test_a_channel_of_zeros_has_a_range(self, network: nn.Sequential, precision: str) -> None:
        """TensorRT wants scales above zero, and training empties channels now and then."""
        weights = network[0].weight
        with torch.inference_mode():
            weights[3 if precision == "int8" else slice(None)] = 0
            put_in_8_bits(network, {"0": 0.0, "3": 6.0}, precision)
            found = network(torch.rand(1, 3, 16, 16))
        first: EightBitConv = network[0]  # type: ignore[assignment]
        assert (first.largest_weight > 0).all()
        assert first.largest_input > 0
        assert found.isfinite().all()

    def test_large_kernels_are_left_out_of_fp8(self) -> None:
        network = nn.Sequential(nn.Conv2d(3, 8, 7), nn.Conv2d(8, 8, 5))
        assert list(convolutions(network, "int8")) == ["0", "1"]
        assert list(convolutions(network, "fp8")) == ["1"]

    def test_what_cannot_be_in_8_bits_is_left(self, network: nn.Sequential) -> None:
        """Ranges may have been found when it still was."""
        assert put_in_8_bits(network, {"0": 1.0, "2": 6.0}, "int8") == 1
        assert isinstance(network[0], EightBitConv)
        assert isinstance(network[2], nn.Conv2d)

    def test_ranges_of_another_network(self, network: nn.Sequential) -> None:
        with pytest.raises(AttributeError):
            put_in_8_bits(network, {"encoder": 1.0}, "int8")
