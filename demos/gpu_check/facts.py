"""What is there, and what is missing: GPU, driver, libraries, video engines."""

import ctypes
import importlib.metadata
import platform
import subprocess
from typing import Any

import torch

PACKAGES = (
    "torch",
    "triton",
    "timm",
    "av",
    "tensorrt",
    "tensorrt-cu13",
    "tensorrt-rtx-cu13",
    "torch-tensorrt",
    "opencv-python",
    "opencv-python-headless",
    "numpy",
)
#: NVIDIA's video engines, by the driver's library that opens them.
VIDEO = {"NVDEC": "libnvcuvid.so.1", "NVENC": "libnvidia-encode.so.1"}


def gather() -> dict[str, Any]:
    """Facts for the report."""
    place = torch.cuda.get_device_properties(0)
    return {
        "gpu": place.name,
        "compute_capability": f"{place.major}.{place.minor}",
        "memory_gib": round(place.total_memory / 2**30, 1),
        "driver": _driver(),
        "cuda": torch.version.cuda,
        "cudnn": torch.backends.cudnn.version(),  # type: ignore[no-untyped-call]
        "python": platform.python_version(),
        "cpu": _cpu(),
        "packages": {name: _version(name) for name in PACKAGES},
        "video": {name: _opens(library) for name, library in VIDEO.items()},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _opens(library: str) -> str:
    try:
        ctypes.CDLL(library)
    except OSError:
        return "library of the driver not found"
    return "library of the driver found"


def _driver() -> str:
    query = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]
    try:
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split()[0]
    except (OSError, subprocess.CalledProcessError, IndexError):
        return "unknown"


def _cpu() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [
                line.split(":", 1)[1].strip() for line in file if line.startswith("model name")
            ]
    except OSError:
        names = []
    return f"{names[0]}, {len(names)} cores" if names else platform.processor() or "unknown"
