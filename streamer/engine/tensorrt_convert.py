"""A network turned into one serialised TensorRT engine, by Torch-TensorRT's converters."""

import io
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, fx, nn

from streamer.engine import cache, tensorrt_here
from streamer.engine.half_layers import clip_in_one_layer
from streamer.engine.layer_types import LayerTypes, types_of_network
from streamer.errors import EngineError


@dataclass(frozen=True)
class Conversion:
    """What came of a network.

    Attributes:
        plan: the serialised engine.
        operators: of the network; all of them are in the engine.
        layers: formats of the layers handed to TensorRT.
        inputs, outputs: (name, shape, format), such as ``("image", (1, 3, 352, 352), "HALF")``.
    """

    plan: bytes
    operators: int
    layers: LayerTypes
    inputs: tuple[tuple[str, tuple[int, ...], str], ...]
    outputs: tuple[tuple[str, tuple[int, ...], str], ...]


def convert(network: nn.Module, example: Tensor, *, careful: bool = False) -> Conversion:
    """Convert a network as a whole.

    Args:
        network: in eval mode, one tensor in and one out, on the example's device.
        example: an input; its shape and format become those of the engine.
        careful: attention in float32 inside a half network.

    Raises:
        EngineError: Torch-TensorRT cannot be loaded, an operator has no converter, the network
            falls into several parts, or TensorRT does not build the engine.
    """
    with quiet():
        torch_tensorrt = tensorrt_here.import_module("torch_tensorrt", "torch-tensorrt")
    options = {
        "require_full_compilation": True,
        "min_block_size": 1,
        # In fp32 there is nothing to gain from a reference that rounds to ten bits.
        "disable_tf32": example.dtype == torch.float32,
        "use_fp32_acc": careful,
        "decompose_attention": careful,
        # The default is a folder that all users of a machine share.
        "timing_cache_path": str(_timing_cache()),
    }
    with torch.no_grad(), quiet():
        program = torch.export.export(network, (example,))
        try:
            lowered = torch_tensorrt.dynamo.compile(
                program, arg_inputs=[example], dryrun=True, **options
            )
        except Exception as error:  # of whatever kind the converters raise
            raise EngineError(f"Torch-TensorRT does not take the network ({error})") from error
        block = _only_block(lowered)
        # After lowering, which would take it apart again.
        clip_in_one_layer(block)
        return _build(block, example, options)


def _timing_cache() -> Path:
    """Which kernels were fastest, for the next build; other versions cannot read it."""
    version = tensorrt_here.versions()["tensorrt"]
    return cache.cache_folder() / "tensorrt" / f"timing-{version}.cache"


def _only_block(lowered: fx.GraphModule) -> fx.GraphModule:
    """The one part that a dry run found for TensorRT; nothing may be left beside it."""
    blocks = [name for name, _ in lowered.named_children() if "_run_on_acc" in name]
    called = [node for node in lowered.graph.nodes if node.op not in ("placeholder", "output")]
    beside = [
        str(node.target)
        for node in called
        if node.target not in blocks and "getitem" not in str(node.target)
    ]
    if len(blocks) != 1 or beside:
        raise EngineError(
            f"the network does not convert as a whole: {len(blocks)} blocks for TensorRT, "
            f"left to torch: {', '.join(beside) or 'nothing'}"
        )
    block = lowered.get_submodule(blocks[0])
    assert isinstance(block, fx.GraphModule)
    return block


def _build(block: fx.GraphModule, example: Tensor, options: dict[str, Any]) -> Conversion:
    torch_tensorrt = tensorrt_here.import_module("torch_tensorrt", "torch-tensorrt")
    dynamo = torch_tensorrt.dynamo
    trt = tensorrt_here.import_module("tensorrt", "TensorRT")
    settings = dynamo.CompilationSettings(**options)
    operators = sum(node.op == "call_function" for node in block.graph.nodes)
    # Its steps one by one, and not its `run`: that one keeps the network to itself, so that the
    # formats of its layers could not be read, and loads the engine, which needs the GPU.
    try:
        interpreter = dynamo.conversion.TRTInterpreter(
            block,
            [torch_tensorrt.Input(example.shape, dtype=example.dtype)],
            output_dtypes=dynamo.conversion._conversion.infer_module_output_dtypes(block),
            compilation_settings=settings,
        )
        interpreter._construct_trt_network_def()
        network = interpreter.ctx.net
        config = interpreter._populate_trt_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED
        _open_timing_cache(interpreter, config, Path(settings.timing_cache_path))
        plan = interpreter.builder.build_serialized_network(network, config)
    except Exception as error:  # of whatever kind the converters raise
        raise EngineError(f"TensorRT does not take the network ({error})") from error
    if plan is None:
        raise EngineError("TensorRT does not build the engine; its own words are above")
    with suppress(OSError):
        # It only makes the next build faster.
        interpreter._save_timing_cache(config, settings.timing_cache_path)
    return Conversion(
        bytes(plan),
        operators,
        types_of_network(network),
        tuple(_signature(network.get_input(index)) for index in range(network.num_inputs)),
        tuple(_signature(network.get_output(index)) for index in range(network.num_outputs)),
    )


def _open_timing_cache(interpreter: Any, config: Any, path: Path) -> None:
    try:
        interpreter._create_timing_cache(config, str(path))
    except Exception:  # of whatever kind: cut short, or of a version that it does not tell
        # It is no more than a memory, and must not stand in the way of this build and all others.
        path.unlink(missing_ok=True)
        interpreter._create_timing_cache(config, str(path))


def _signature(tensor: Any) -> tuple[str, tuple[int, ...], str]:
    return tensor.name, tuple(tensor.shape), str(tensor.dtype).rpartition(".")[2]


@contextmanager
def quiet() -> Iterator[None]:
    """Without the table of a dry run, and warnings of deprecated calls that are not ours."""
    logger = logging.getLogger("torch_tensorrt")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
