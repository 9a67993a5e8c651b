"""The report of a run, as JSON."""

import json
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from streamer.engine.base import EngineInfo
from streamer.pipeline import RunResult
from streamer.sinks.base import prepare_path, reporting_errors
from streamer.sources.base import SourceInfo

PACKAGES = ("pranet-stream", "av", "openvino", "torch", "timm", "opencv-python", "numpy")


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def build(
    source: SourceInfo, engine: EngineInfo, result: RunResult, outputs: dict[str, str]
) -> dict[str, Any]:
    """All that is known of one run, JSON types only; every duration carries its unit."""
    return {
        "source": {
            "name": source.name,
            "width": source.width,
            "height": source.height,
            "pixel_format": source.pixel_format,
            "rate": round(float(source.rate), 3),
            "color": str(source.color),
            "audio": source.audio.codec_context.name if source.audio else None,
        },
        "mode": "file",
        "frames": {
            "in": result.frames_in,
            "out": result.frames_out,
            "damaged": result.damaged,
            "converted": result.converted,
            "with_objects": result.frames_with_objects,
            "dropped": result.dropped,
        },
        "interrupted": result.interrupted,
        "error": result.error,
        "wall_s": round(result.wall_s, 3),
        "cpu_s": round(result.cpu_s, 3),
        "fps": round(result.rate, 2),
        "latency_ms": result.latency_ms,
        "engine": asdict(engine),
        "outputs": outputs,
        "versions": versions(),
    }


def write(path: Path, report: dict[str, Any]) -> None:
    """Write a report.

    Raises:
        OutputError: it cannot be written.
    """
    prepare_path(path)
    with reporting_errors(path):
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
