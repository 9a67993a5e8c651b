"""What is rewritten for TensorRT computes the same as before."""

from collections.abc import Iterator

import pytest
import torch
from torch import fx, nn

from pranet import build_model
from streamer.engine.half_layers import clip_in_one_layer, float_layer_norms, floor_pools
from streamer.engine.network import lean_network

ATEN = torch.ops.aten


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


class TestPools:
    def test_of_res2net(self) -> None:
        torch.manual_seed(0)
        network = lean_network(build_model("pranet_v2_res2net50").eval(), torch.float32)
        image = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            before = network(image)

            assert floor_pools(network, 64) == 3
            assert floor_pools(network, 64) == 0
            torch.testing.assert_close(network(image), before, rtol=0, atol=0)

    def test_one_that_counts_what_is_not_there_is_left(self) -> None:
        padded = nn.Sequential(
            nn.AvgPool2d(2, 2, padding=1, ceil_mode=True), nn.AvgPool2d(3, 2, ceil_mode=True)
        )

        assert floor_pools(padded, 64) == 0

    def test_size_with_a_rest_is_refused(self) -> None:
        with pytest.raises(ValueError, match="multiple of 32 px, not 100"):
            floor_pools(nn.Sequential(nn.AvgPool2d(2, 2, ceil_mode=True)), 100)


class TestLayerNorms:
    def test_half_input_that_overflows_in_half(self) -> None:
        """The sum of squares of such a row is far above what half can hold."""
        row = torch.linspace(-3000, 3000, 64).half()[None]
        network = nn.Sequential(nn.LayerNorm(64)).eval().half()
        expected = torch.nn.functional.layer_norm(row.float(), (64,))

        assert float_layer_norms(network) == 1
        found = network(row)

        assert found.dtype == torch.float16
        torch.testing.assert_close(found.float(), expected, rtol=2e-3, atol=2e-3)

    def test_all_of_pvt(self) -> None:
        network = build_model("pranet_v2_pvt_v2_b2").eval()
        count = sum(isinstance(module, nn.LayerNorm) for module in network.modules())

        assert float_layer_norms(network) == count > 30
        assert all(
            parameter.dtype == torch.float32
            for name, parameter in network.named_parameters()
            if ".norm.norm." in name
        )


def clamped_in_float(low: float | None = 0.0, high: float | None = 6.0) -> fx.GraphModule:
    """A ReLU6 of a half activation, as Torch-TensorRT's decomposition leaves it."""
    graph = fx.Graph()
    image = graph.placeholder("image")
    image.meta["val"] = torch.zeros(4, dtype=torch.float16)
    wide = graph.call_function(ATEN._to_copy.default, (image,), {"dtype": torch.float32})
    wide.meta["val"] = torch.zeros(4)
    clamp = graph.call_function(ATEN.clamp.default, (wide, low, high))
    clamp.meta["val"] = torch.zeros(4)
    back = graph.call_function(ATEN._to_copy.default, (clamp,), {"dtype": torch.float16})
    back.meta["val"] = torch.zeros(4, dtype=torch.float16)
    graph.output(graph.call_function(ATEN.add.Tensor, (back, back)))
    return fx.GraphModule(nn.Module(), graph)


def targets(module: fx.GraphModule) -> list[object]:
    return [node.target for node in module.graph.nodes if node.op == "call_function"]


class TestClips:
    image = torch.tensor([-70000.0, -0.3, 5.999, 8.0]).half()

    def test_casts_around_one_go(self) -> None:
        module = clamped_in_float()
        before = module(self.image)

        assert clip_in_one_layer(module) == 1
        assert targets(module) == [ATEN.hardtanh.default, ATEN.add.Tensor]
        torch.testing.assert_close(module(self.image), before, rtol=0, atol=0)
        (clip, _) = (node for node in module.graph.nodes if node.op == "call_function")
        assert clip.meta["val"].dtype == torch.float16

    def test_cast_that_is_read_elsewhere_stays(self) -> None:
        """Where the clamp's float output is an answer of its own, it stays float."""
        module = clamped_in_float()
        (clamp,) = (n for n in module.graph.nodes if n.target == ATEN.clamp.default)
        (output,) = (n for n in module.graph.nodes if n.op == "output")
        output.args = ((output.args[0], clamp),)
        module.recompile()
        before = module(self.image)

        assert clip_in_one_layer(module) == 1
        after = module(self.image)
        assert [value.dtype for value in after] == [torch.float16, torch.float32]
        torch.testing.assert_close(after, before, rtol=0, atol=0)

    @pytest.mark.parametrize(("low", "high"), [(0.0, None), (None, 6.0)])
    def test_one_bound_is_left(self, low: float | None, high: float | None) -> None:
        module = clamped_in_float(low, high)

        assert clip_in_one_layer(module) == 0
        assert ATEN.clamp.default in targets(module)

    def test_every_activation_of_lite0(self) -> None:
        """Exported and taken apart as Torch-TensorRT does it, the network computes the same."""
        torch.manual_seed(0)
        network = lean_network(build_model("pranet_v2_lite0").eval(), torch.float32)
        network.requires_grad_(False)
        image = torch.randn(1, 3, 64, 64)
        with torch.no_grad():
            program = torch.export.export(network, (image,))
            program = program.run_decompositions(
                {ATEN.hardtanh.default: lambda x, low, high: ATEN.clamp.default(x, low, high)}
            )
            module = program.module()
            assert isinstance(module, fx.GraphModule)
            clamps = targets(module).count(ATEN.clamp.default)

            assert clip_in_one_layer(module) == clamps > 30
            assert ATEN.clamp.default not in targets(module)
            torch.testing.assert_close(module(image), network(image), rtol=0, atol=1e-5)
