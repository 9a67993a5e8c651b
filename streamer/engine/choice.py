"""Which engine `--backend auto` takes, and why."""

import ctypes
from dataclasses import dataclass
from typing import Literal

from pranet.checkpoint import CheckpointInfo

#: Backends that run on a GPU.
GPU_BACKENDS = ("cuda", "tensorrt")
#: The precisions of each backend that `auto` may take.
PRECISIONS = {
    "tensorrt": ("fp16", "fp32", "int8", "fp8"),
    "cuda": ("fp16", "fp32"),
    "openvino": ("fp32", "bf16", "int8"),
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A backend, and what speaks for it; both are told to the user."""

    backend: Literal["openvino", "cuda", "tensorrt"]
    reason: str

    def __str__(self) -> str:
        return f"{self.backend}: {self.reason}"


def choose_backend(checkpoint: CheckpointInfo, precision: str = "auto") -> Choice:
    """A TensorRT engine that was built for this machine, else CUDA, else OpenVINO.

    Args:
        precision: as asked for; one that only a CPU's engine has, decides.
    """
    if precision == "bf16":
        return Choice("openvino", "bf16 is a precision of the CPU's engine")
    if not has_gpu():
        return Choice("openvino", "no NVIDIA GPU here")
    # Only now: importing torch takes seconds, and the CPU's engine does without it.
    import torch

    if not torch.cuda.is_available():
        return Choice("openvino", "there is an NVIDIA GPU, but this PyTorch cannot use it")
    from streamer.engine.tensorrt import find_engine

    built = find_engine(checkpoint, "fp16" if precision == "auto" else precision)
    if built is not None:
        return Choice("tensorrt", f"an engine was built for this machine ({built.name})")
    if precision == "fp8":
        return Choice("tensorrt", "fp8 is a precision of TensorRT's engines")
    if precision == "int8":
        return Choice("openvino", "no int8 engine was built for the GPU, and the CPU has one")
    return Choice("cuda", "an NVIDIA GPU, and no TensorRT engine for it yet; see pranet-build")


def has_gpu() -> bool:
    """Whether the NVIDIA driver knows of a GPU."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return False
    count = ctypes.c_int(0)
    return (
        driver.cuInit(0) == 0
        and driver.cuDeviceGetCount(ctypes.byref(count)) == 0
        and count.value > 0
    )
