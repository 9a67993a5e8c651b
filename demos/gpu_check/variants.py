"""The ways in which PyTorch and TensorRT can run a network on a GPU, ready to be timed."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from demos.gpu_check.measuring import Run
from pranet.checkpoint import WEIGHTS_FOLDER, load_model, read_info
from pranet.model import build_model
from streamer.engine.network import NormalisedToProbability, cuda_network, dtype_of
from streamer.gpu.device import CudaDevice

#: The one that all others are held against, in time and in what they compute.
REFERENCE = "eager fp32"
#: What needs no compilation, what does, and what `pranet-build` has compiled before.
PLAIN = (REFERENCE, "eager fp16", "graph fp16")
COMPILED = ("compiled fp16",)
ENGINES = ("tensorrt fp16", "tensorrt int8", "tensorrt fp8")

Network = Callable[[Tensor], Tensor]


def trained(name: str) -> Any:
    """A network in eval mode on the CPU: the bundled weights, or made ones, which cost the same."""
    if (WEIGHTS_FOLDER / f"{name}.safetensors").is_file():
        return load_model(name)
    torch.manual_seed(0)
    return build_model(name).eval()


def network_of(name: str, model_name: str) -> Network:
    """A network on the GPU in one of the ways above; compiled when it first runs."""
    how, precision = name.split()
    dtype = dtype_of(precision)
    if how == "tensorrt":
        from streamer.engine.tensorrt import load_engine

        engine, _ = load_engine(read_info(model_name), precision)
        return engine
    if how == "eager":
        plain = NormalisedToProbability(trained(model_name)).eval().to("cuda", dtype)
        return plain.to(memory_format=torch.channels_last) if precision == "fp16" else plain
    return cuda_network(trained(model_name), dtype, compiled=how == "compiled")


def ready(name: str, network: Network, example: Tensor) -> tuple[Run, Tensor, Tensor]:
    """A network of `network_of`, ready to run.

    Args:
        example: normalised float32 images (B, 3, H, W) on the GPU.

    Returns:
        What runs it once; the input that it reads, and the probability (B, H, W) that it writes.
        The work is on a stream of its own.
    """
    device = CudaDevice()
    stream = device.stream()
    how, precision = name.split()
    given = example.to(dtype_of(precision))
    if how != "tensorrt" and precision == "fp16":
        given = given.to(memory_format=torch.channels_last)
    answer = torch.empty((len(given), *given.shape[2:]), device=given.device)

    def infer() -> None:
        with torch.inference_mode():
            answer.copy_(network(given))

    torch.cuda.synchronize()
    work = infer if how == "eager" else device.repeatable(infer, stream)
    return lambda: stream.run(work), given, answer
