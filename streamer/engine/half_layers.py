"""Operations put in a form that TensorRT converts, and keeps in the network's number format."""

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn

#: Strides of the encoders: a size divisible by it stays whole at each of their poolings.
LARGEST_STRIDE = 32


def floor_pools(network: nn.Module, size_px: int) -> int:
    """Let average poolings round sizes down instead of up, in place; TensorRT has no other.

    Where an input is divided without rest it is the same, and then only.

    Args:
        network: any; poolings without padding whose stride is their kernel are changed.
        size_px: height and width of its input.

    Returns:
        How many poolings were changed.

    Raises:
        ValueError: the size is no multiple of 32, so the result would change.
    """
    changed = [
        module
        for module in network.modules()
        if isinstance(module, nn.AvgPool2d)
        and module.ceil_mode
        and module.stride == module.kernel_size
        and module.padding in (0, (0, 0))
    ]
    if changed and size_px % LARGEST_STRIDE:
        raise ValueError(f"the size must be a multiple of {LARGEST_STRIDE} px, not {size_px}")
    for module in changed:
        module.ceil_mode = False
    return len(changed)


class FloatLayerNorm(nn.Module):
    """A layer norm that computes in float32, whatever its input; the output is as the input."""

    def __init__(self, norm: nn.LayerNorm) -> None:
        super().__init__()
        self.norm = copy.deepcopy(norm).float()

    def forward(self, feature: Tensor) -> Tensor:
        """See the class."""
        normed: Tensor = self.norm(feature.float())
        return normed.to(feature.dtype)


def float_layer_norms(network: nn.Module) -> int:
    """Replace each layer norm by a `FloatLayerNorm`, in place; returns how many there were.

    To be called when the network is in half precision already: it would take these along.
    """
    found = [
        (parent, name, child)
        for parent in network.modules()
        for name, child in parent.named_children()
        if isinstance(child, nn.LayerNorm)
    ]
    for parent, name, child in found:
        setattr(parent, name, FloatLayerNorm(child))
    return len(found)


def clip_in_one_layer(graph: fx.GraphModule) -> int:
    """Turn each clamp between two numbers, such as a ReLU6, into a hardtanh, in place.

    They compute the same. Torch-TensorRT's decomposition clamps half activations in float32, with
    a cast before and one behind, and of a clamp TensorRT makes two layers that compare with
    constants. Of a hardtanh it makes one "clip" in the activation's own format, which it can also
    merge into the convolution before. As nothing is rounded by a clamp, the casts can go.

    Args:
        graph: of ATen operators, decomposed already: decomposing would undo it.

    Returns:
        How many were changed.
    """
    changed = 0
    for node in list(graph.graph.nodes):
        bounds = _bounds(node)
        if bounds is None:
            continue
        before, casts = _without_casts(node)
        with graph.graph.inserting_before(node):
            clip = graph.graph.call_function(
                torch.ops.aten.hardtanh.default, (before, *bounds), name=f"{node.name}_clip"
            )
        clip.meta = dict((casts or [node])[0].meta)
        for replaced in casts or [node]:
            replaced.replace_all_uses_with(clip)
        changed += 1
    graph.graph.eliminate_dead_code()
    graph.recompile()
    return changed


def _bounds(node: fx.Node) -> tuple[float, float] | None:
    if node.op != "call_function" or node.target != torch.ops.aten.clamp.default:
        return None
    given: list[Any] = [*node.args[1:], None, None]
    low = node.kwargs.get("min", given[0])
    high = node.kwargs.get("max", given[1])
    if not isinstance(low, int | float) or not isinstance(high, int | float):
        return None
    return float(low), float(high)


def _without_casts(clamp: fx.Node) -> tuple[Any, list[fx.Node]]:
    """What a clamp reads, and casts that can go with it: before the one to float, and those back.

    Where there are no such casts, its own input and none.
    """
    before: Any = clamp.args[0]
    users = list(clamp.users)
    if _casts_to(before, torch.float32):
        source: Any = before.args[0]
        dtype = source.meta["val"].dtype
        if dtype == torch.float16 and all(_casts_to(user, dtype) for user in users):
            return source, users
    return before, []


def _casts_to(node: Any, dtype: torch.dtype) -> bool:
    return (
        isinstance(node, fx.Node)
        and node.target == torch.ops.aten._to_copy.default
        and dict(node.kwargs) == {"dtype": dtype}
    )
