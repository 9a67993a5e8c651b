"""What it was measured on, for the record."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from demos.benchmarks.live_runs import machine

_GPU_QUERY = ("name", "driver_version", "memory.total", "clocks.max.sm")


def describe() -> dict[str, Any]:
    """Processor, clock rates where they can be read, GPUs, memory, system, versions, load now."""
    return machine(None) | {
        "cpu": cpu_name(),
        "cpu_flags": [flag for flag in ("avx2", "avx512f", "avx512_bf16") if flag in _flags()],
        "frequency_mhz": frequency_mhz(),
        "gpus": gpus(),
        "load_1_min": round(psutil.getloadavg()[0], 2),
    }


def cpu_name() -> str:
    """As the system tells it."""
    return _from_cpuinfo("model name") or "unknown"


def _flags() -> list[str]:
    return _from_cpuinfo("flags").split()


def _from_cpuinfo(key: str) -> str:
    """The value of the first core in Linux's list, or nothing."""
    with suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == key:
                return value.strip()
    return ""


def frequency_mhz() -> dict[str, float] | None:
    """Clock rate now, and its limits where the system tells them; None where it tells nothing."""
    # Some systems have no such file, others refuse to read it.
    with suppress(OSError, RuntimeError):
        found = psutil.cpu_freq()
        if found is not None:
            limits = {"min": found.min, "max": found.max}
            return {"now": round(found.current)} | {k: round(v) for k, v in limits.items() if v}
    return None


def gpus() -> list[str]:
    """NVIDIA GPUs with driver, memory and highest clock rate, one line each."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return []
    query = [tool, f"--query-gpu={','.join(_GPU_QUERY)}", "--format=csv,noheader"]
    with suppress(OSError, subprocess.SubprocessError):
        answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=True)
        return answer.stdout.strip().splitlines()
    return []


def summary(machine: dict[str, Any]) -> str:
    """One line of it."""
    parts = [f"{machine['cores']} cores of {machine['cpu']}"]
    parts += [flag.upper() for flag in machine["cpu_flags"]]
    if machine["frequency_mhz"]:
        parts.append(f"{machine['frequency_mhz']['now']} MHz")
    parts += machine["gpus"] or ["no GPU"]
    parts += [f"{machine['memory_gib']:g} GiB", f"load {machine['load_1_min']:g} before"]
    return ", ".join(parts)
