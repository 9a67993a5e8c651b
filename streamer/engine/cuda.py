"""Networks on an NVIDIA GPU: PyTorch in one CUDA graph, or an engine that TensorRT built."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
from torch import Tensor

from pranet.checkpoint import CheckpointInfo, load_model
from pranet.errors import PranetError
from pranet.model import ModelConfig
from streamer.confidence import Calibration
from streamer.engine import tensorrt
from streamer.engine.base import EngineInfo, Precision
from streamer.engine.choice import PRECISIONS
from streamer.engine.gpu import STREAMS, GpuSegmenter
from streamer.engine.network import cuda_network, dtype_of
from streamer.errors import EngineError, first_line
from streamer.gpu.device import CudaDevice


def load_cuda(
    checkpoint: CheckpointInfo, *, precision: Precision = "auto", compiled: bool = True
) -> GpuSegmenter:
    """The network in half precision, channels last, in one CUDA graph.

    Args:
        precision: ``auto`` takes fp16.
        compiled: let torch.compile merge small steps, which takes a minute or two at the first
            start; without it, the kernels are those of eager PyTorch.

    Raises:
        EngineError: there is no GPU, or the network does not run on it.
    """
    chosen = _choose(precision, "cuda")
    device = CudaDevice()
    model = load_model(checkpoint.path)
    with _telling():
        network = cuda_network(model, dtype_of(chosen), compiled=compiled)
        return _segmenter(
            (checkpoint, model.config, "cuda", chosen), network, device, torch.channels_last
        )


def load_tensorrt(checkpoint: CheckpointInfo, *, precision: Precision = "auto") -> GpuSegmenter:
    """The engine that `pranet-build` made of a checkpoint for this machine.

    Raises:
        EngineError: there is none, or it does not fit; the message says what to run.
    """
    chosen = _choose(precision, "tensorrt")
    device = CudaDevice()
    engine, manifest = tensorrt.load_engine(checkpoint, chosen)
    if checkpoint.config:
        config = ModelConfig.from_dict(checkpoint.config)
    else:
        # A published file says nothing of itself.
        config = load_model(checkpoint.path).config
    config = replace(config, input_size=manifest.input_size_px)
    with _telling():
        return _segmenter(
            (checkpoint, config, "tensorrt", chosen), engine, device, torch.contiguous_format
        )


@contextmanager
def _telling() -> Iterator[None]:
    """Whatever goes wrong as an error that says so in one line.

    Compilers raise errors of many kinds: for want of a C compiler, of memory, of a GPU that this
    PyTorch has kernels for.
    """
    try:
        yield
    except PranetError:
        raise
    except Exception as error:
        raise EngineError(
            f"the network cannot be prepared on this GPU ({first_line(error)})"
        ) from error


def _choose(precision: Precision, backend: str) -> str:
    chosen = "fp16" if precision == "auto" else precision
    if chosen not in PRECISIONS[backend]:
        known = ", ".join(PRECISIONS[backend])
        raise EngineError(
            f"unknown precision {precision!r} for the {backend} backend; known: auto, {known}"
        )
    return chosen


def _segmenter(
    what: tuple[CheckpointInfo, ModelConfig, str, str],
    network: Callable[[Tensor], Tensor],
    device: CudaDevice,
    memory_format: torch.memory_format,
) -> GpuSegmenter:
    checkpoint, config, backend, precision = what
    info = EngineInfo(
        model=config.name,
        checkpoint_sha256=checkpoint.sha256,
        backend=backend,
        precision=precision,
        device=torch.cuda.get_device_name(device.place),
        input_size=config.input_size,
        streams=STREAMS,
        threads=1,
        calibration=Calibration.from_dict(checkpoint.probability),
    )
    shape = (1, 3, config.input_size, config.input_size)
    blank = torch.zeros(shape, dtype=dtype_of(precision), device=device.place)
    return GpuSegmenter(
        info,
        network,
        device,
        mean=config.mean,
        std=config.std,
        blank=blank.to(memory_format=memory_format),
    )
