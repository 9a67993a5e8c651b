"""What TensorRT there is on this machine, and for which GPU."""

import ctypes
import importlib
import importlib.metadata
from typing import Any

from streamer.errors import EngineError, first_line

INSTALL = "see docs/gpu.md for how to install it"


def version_of(*distributions: str) -> str:
    """Version of the first of these packages that is installed; empty if none is.

    Nothing is imported for it.
    """
    for name in distributions:
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return ""


def versions() -> dict[str, str]:
    """Of pranet_stream, torch, torch_tensorrt and tensorrt; empty where not installed."""
    return {
        "pranet_stream": version_of("pranet-stream"),
        "torch": version_of("torch"),
        "torch_tensorrt": version_of("torch-tensorrt"),
        "tensorrt": version_of("tensorrt-cu13", "tensorrt-cu12", "tensorrt"),
    }


def gpu_facts() -> dict[str, str]:
    """Name, compute capability and driver of the GPU that torch uses.

    Raises:
        EngineError: torch sees none.
    """
    import torch

    if not torch.cuda.is_available():
        raise EngineError(
            "TensorRT needs an NVIDIA GPU, and torch sees none here; use --backend openvino"
        )
    try:
        name = torch.cuda.get_device_name()
        major, minor = torch.cuda.get_device_capability()
    except RuntimeError as error:
        raise EngineError(f"the GPU does not answer ({first_line(error)})") from error
    return {"gpu": name, "compute_capability": f"{major}.{minor}", "driver": driver_version()}


def driver_version() -> str:
    """Of NVIDIA's driver, such as ``580.65.06``; empty where it cannot be asked."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
        text = ctypes.create_string_buffer(96)
        if library.nvmlInit_v2() or library.nvmlSystemGetDriverVersion(text, len(text)):
            return ""
        library.nvmlShutdown()
    except (OSError, AttributeError):
        return ""
    return text.value.decode(errors="replace")


def import_module(name: str, package: str) -> Any:
    """A module of TensorRT or Torch-TensorRT.

    Args:
        package: what a user installs to have it.

    Raises:
        EngineError: not installed, or it cannot be loaded; without a GPU it cannot.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name.split(".")[0]:
            raise EngineError(f"{package} is installed without {error.name}; {INSTALL}") from error
        raise EngineError(f"{package} is not installed; {INSTALL}") from error
    except Exception as error:  # plain ones are raised there for whatever is wrong
        raise EngineError(f"{package} cannot be loaded ({first_line(error)}); {INSTALL}") from error
