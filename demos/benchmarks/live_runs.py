"""What the measurements of live mode share: parts of a run, a sink that only looks, checks."""

import json
import math
import platform
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil
from rich.console import Console
from rich.table import Table

from streamer.audio import AudioPacket
from streamer.cores import usable_cores
from streamer.engine.base import EngineInfo
from streamer.latency import GROWTH, HIGHEST_MS, LOWEST_MS, Histogram
from streamer.planes import planes
from streamer.report import versions
from streamer.sinks.base import Composed

console = Console(soft_wrap=True)

_STEPS = math.ceil(math.log(HIGHEST_MS / LOWEST_MS, GROWTH))
_EDGES_MS = tuple(LOWEST_MS * GROWTH ** (step + 1) for step in range(_STEPS))


class Span:
    """The durations that a histogram gained in a part of a run, and what is read from them.

    Spans of several parts can be added up. All figures are exact to 1 %.
    """

    def __init__(self, before: Histogram | None = None, after: Histogram | None = None) -> None:
        self._counts = np.zeros(_STEPS + 1, np.int64)
        if after is not None:
            self._counts += _counts(after)
        if before is not None:
            self._counts -= _counts(before)

    def __add__(self, other: "Span") -> "Span":
        both = Span()
        both._counts = self._counts + other._counts
        return both

    @property
    def count(self) -> int:
        """How many there are."""
        return int(self._counts.sum())

    def percentile_ms(self, percent: float) -> float:
        """What `percent` of all stay at or below; 0 if there are none."""
        wanted = math.ceil(self.count * percent / 100)
        if wanted == 0:
            return 0.0
        step = int(np.searchsorted(self._counts.cumsum(), wanted))
        middle_ms: float = LOWEST_MS * GROWTH ** (step + 0.5)
        return middle_ms

    def summary(self) -> dict[str, float]:
        """Count, and p50, p95, p99 and max in ms."""
        found = {f"p{percent}": round(self.percentile_ms(percent), 3) for percent in (50, 95, 99)}
        return {"count": self.count} | found | {"max": round(self.percentile_ms(100), 3)}


def _counts(histogram: Histogram) -> np.ndarray[Any, np.dtype[np.int64]]:
    cumulative = np.array(histogram.cumulative(_EDGES_MS), np.int64)
    return np.diff(cumulative, prepend=0)


class LookingSink:
    """Reads every picture as a screen would, and keeps nothing but what has to hold.

    Attributes:
        frames: pictures seen.
        oldest_mask_ms: largest age of a mask that was drawn.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.oldest_mask_ms = 0.0
        self._sum = 0

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        for plane in planes(composed.picture):
            # One sample of each cache line: all of the picture goes through the processor.
            self._sum ^= int(plane.pixels[:, ::64].max())
        if composed.mask_age_ms is not None:
            self.oldest_mask_ms = max(self.oldest_mask_ms, composed.mask_age_ms)
        self.frames += 1

    def write_audio(self, packet: AudioPacket) -> None:
        """See `Sink.write_audio`."""

    def close(self) -> None:
        """See `Sink.close`."""


@dataclass(frozen=True)
class Check:
    """One thing that has to hold.

    Attributes:
        name: what.
        found, wanted: in words, with units.
        holds: whether it does.
    """

    name: str
    found: str
    wanted: str
    holds: bool


def print_checks(checks: list[Check]) -> None:
    """A table of what holds and what does not."""
    table = Table("check", "found", "wanted", "")
    for check in checks:
        verdict = "[green]pass[/]" if check.holds else "[bold red]FAIL[/]"
        table.add_row(check.name, check.found, check.wanted, verdict)
    console.print(table)


def machine(engine: EngineInfo | None) -> dict[str, Any]:
    """What it was measured on, for the record."""
    return {
        "cpu": platform.processor() if engine is None else engine.device,
        "cores": usable_cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "versions": versions() | {"opencv": cv2.__version__, "numpy": np.__version__},
    }


def command_line() -> str:
    """What was typed to start this, without the folders that the program lies in."""
    program = Path(sys.argv[0])
    module = f"python -m demos.benchmarks.{program.stem}"
    name = module if program.suffix == ".py" else program.name
    return shlex.join([*name.split(), *sys.argv[1:]])


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Put a result on record."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")
