"""The report of a run, as JSON."""

import json
import platform
from collections.abc import Iterable
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from streamer.engine.base import EngineInfo
from streamer.frame import View
from streamer.live.snapshot import LiveSnapshot
from streamer.run_result import RunResult
from streamer.sinks.base import prepare_path, reporting_errors
from streamer.sinks.events import WallTime
from streamer.sources.base import SourceInfo
from streamer.view_watch import ViewChange

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
        "source": _source(source),
        "mode": "file",
        "frames": {
            "in": result.frames_in,
            "out": result.frames_out,
            "damaged": result.damaged,
            "converted": result.converted,
            "with_objects": result.frames_with_objects,
            "out_of_view": result.frames_out_of_view,
            "dropped": result.dropped,
        },
        "detections": result.detections,
        "view": _view(result.view),
        "view_changes": _changes(result.view_changes),
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


def build_live(
    source: SourceInfo,
    engine: EngineInfo | None,
    snapshot: LiveSnapshot,
    wall: WallTime,
    outputs: dict[str, str],
) -> dict[str, Any]:
    """The same of a live run, with the states that it went through.

    Args:
        engine: None if none was ever loaded.
        wall: the run's wall time.
    """
    start_ns = snapshot.changes[0].at_ns
    return {
        "source": _source(source),
        "mode": "live",
        "started": wall.iso(start_ns),
        "frames": {
            "in": snapshot.frames_in,
            "out": snapshot.frames_out,
            "missed": snapshot.missed,
            "damaged": snapshot.damaged,
            "converted": snapshot.converted,
            "with_objects": snapshot.frames_with_objects,
            "out_of_view": snapshot.frames_out_of_view,
            "dropped": snapshot.dropped,
            "without_mask_of_their_own": snapshot.ai_dropped,
            "masks_shown": snapshot.masks_shown,
            "dropped_by_output": snapshot.sink_dropped,
        },
        "detections": snapshot.detections,
        "states": [
            {
                "state": str(change.state),
                "at_s": round((change.at_ns - start_ns) / 1e9, 3),
                "reason": change.reason,
            }
            for change in snapshot.changes
        ],
        "view": _view(snapshot.view),
        "view_changes": _changes(snapshot.view_changes, start_ns / 1e9),
        "reconnects": snapshot.reconnects,
        "engine_restarts": snapshot.engine_restarts,
        "output_errors": snapshot.sink_errors,
        "wall_s": round(snapshot.wall_s, 3),
        "cpu_s": round(snapshot.cpu_s, 3),
        "fps": round(snapshot.frames_out / snapshot.wall_s, 2) if snapshot.wall_s else 0.0,
        "latency_ms": {
            stage: histogram.summary()
            for stage, histogram in snapshot.histograms.items()
            if histogram.count
        },
        "per_minute": snapshot.per_minute,
        "engine": None if engine is None else asdict(engine),
        "outputs": outputs,
        "versions": versions(),
    }


def _view(view: View | None) -> list[int] | None:
    return None if view is None else [view.x, view.y, view.width, view.height]


def _changes(changes: Iterable[ViewChange], start_s: float = 0.0) -> list[dict[str, Any]]:
    return [
        {
            "at_s": round(change.time_s - start_s, 3),
            "view": _view(change.view),
            "reason": change.reason,
        }
        for change in changes
    ]


def _source(source: SourceInfo) -> dict[str, Any]:
    return {
        "name": source.name,
        "width": source.width,
        "height": source.height,
        "pixel_format": source.pixel_format,
        "rate": round(float(source.rate), 3),
        "color": str(source.color),
        "audio": source.audio.codec_context.name if source.audio else None,
    }


def write(path: Path, report: dict[str, Any]) -> None:
    """Write a report.

    Raises:
        OutputError: it cannot be written.
    """
    prepare_path(path)
    with reporting_errors(path):
        path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
