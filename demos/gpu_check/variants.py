"""The ways in which PyTorch and TensorRT can run a network on a GPU, ready to be timed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from pranet.checkpoint import WEIGHTS_FOLDER, load_model, read_info
from pranet.model import build_model
from streamer.engine.network import NormalisedToProbability, cuda_network, dtype_of
from streamer.gpu.device import CudaDevice

#: The one that all others are held against, in time and in what they compute.
REFERENCE = "eager fp32"
VARIANTS = (
    REFERENCE,
    "eager fp16",
    "graph fp16",
    "compiled fp16",
    "tensorrt fp16",
    "tensorrt int8",
    "tensorrt fp8",
)

Run = Callable[[], object]


def trained(name: str) -> Any:
    """A network in eval mode on the CPU: the bundled weights, or made ones, which cost the same."""
    if (WEIGHTS_FOLDER / f"{name}.safetensors").is_file():
        return load_model(name)
    torch.manual_seed(0)
    return build_model(name).eval()


@contextmanager
def variant(name: str, model_name: str, example: Tensor) -> Iterator[tuple[Run, Tensor, Tensor]]:
    """A network in one of the ways of `VARIANTS`.

    Args:
        example: normalised float32 images (B, 3, H, W) on the GPU.

    Yields:
        What runs it once; the input that it reads, and the probability (B, H, W) that it wrote.
        The work is on a stream of its own.
    """
    device = CudaDevice()
    stream = device.stream()
    how, precision = name.split()
    dtype = dtype_of(precision)
    given = example.to(dtype)
    network: Callable[[Tensor], Tensor]
    if how == "tensorrt":
        from streamer.engine.tensorrt import load_engine

        network, _ = load_engine(read_info(model_name), precision)
    elif how == "eager":
        plain = NormalisedToProbability(trained(model_name)).eval().to("cuda", dtype)
        network = plain
        if precision == "fp16":
            network = plain.to(memory_format=torch.channels_last)
            given = given.to(memory_format=torch.channels_last)
    else:
        given = given.to(memory_format=torch.channels_last)
        network = cuda_network(trained(model_name), dtype, compiled=how == "compiled")
    answer = torch.empty((len(given), *given.shape[2:]), device=given.device)

    def infer() -> None:
        with torch.inference_mode():
            answer.copy_(network(given))

    torch.cuda.synchronize()
    if how == "eager":

        def run() -> None:
            stream.run(infer)
    else:
        replay = device.repeatable(infer, stream)

        def run() -> None:
            stream.run(replay)

    yield run, given, answer
    torch.cuda.synchronize()
