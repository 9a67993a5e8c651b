"""What steadying costs a frame, and whether its memory grows.

    python -m demos.benchmarks.steady_cost --report docs/benchmarks/steady_cost.json

The network looks at the first pictures of a clip once. Its maps and the pictures' small luma images
are then played again and again through one chain, as one endless video; where the clip begins anew
is a scene cut. The cost is CPU time of the one thread that does it, motion included.
"""

import gc
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import psutil
import typer
from rich.table import Table

from demos.benchmarks.live_runs import command_line, console, machine, write_json
from streamer.engine import EngineInfo, load_segmenter
from streamer.frame import Frame, Probability, View
from streamer.motion import Luma, small_luma
from streamer.sources import open_source
from streamer.temporal import DEFAULT_PRESET, Stabiliser, find_preset

#: What the requirement allows, in ms of one core at p50.
MOST_MS = 4.0
#: The memory is read so often on the way to the end.
READINGS = 10
RATE = 25


def look(clip: Path, count: int) -> tuple[View, list[tuple[Probability, Luma]], EngineInfo]:
    """The network's maps of the first frames, and their small luma images."""
    source, segmenter = open_source(str(clip)), load_segmenter()
    view = View(0, 0, source.info.width, source.info.height)
    reader = segmenter.reader()
    seen = []
    for item in source:
        if not isinstance(item, Frame):
            continue
        probability = segmenter.submit(reader.read(item.picture, item.color)).result()
        seen.append((probability, small_luma(item.picture, view)))
        if len(seen) == count:
            break
    source.close()
    segmenter.close()
    return view, seen, segmenter.info


def steady_cost(
    clip: Annotated[Path, typer.Option(help="video file")] = Path("demos/samples/colonoscopy.mp4"),
    looked_at: Annotated[int, typer.Option(help="its first so many frames", min=2)] = 300,
    frames: Annotated[int, typer.Option(help="frames to steady", min=READINGS)] = 100_000,
    temporal: Annotated[str, typer.Option(help="preset")] = DEFAULT_PRESET,
    report: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Steady very many frames on one thread."""
    view, seen, engine = look(clip, looked_at)
    stabiliser = Stabiliser(find_preset(temporal), view)
    process = psutil.Process()
    cost_ns = np.zeros(frames, np.int64)
    memory: list[dict[str, Any]] = []
    for index in range(frames):
        probability, luma = seen[index % len(seen)]
        begun_ns = time.thread_time_ns()
        stabiliser.steady(probability, luma, index / RATE)
        cost_ns[index] = time.thread_time_ns() - begun_ns
        if (index + 1) % (frames // READINGS) == 0:
            gc.collect()
            resident_mib = round(process.memory_info().rss / 2**20, 2)
            memory.append({"frames": index + 1, "rss_mib": resident_mib})
            console.print(f"{index + 1:8} frames  {resident_mib:.1f} MiB")
    percents = {f"p{percent}": percent for percent in (50, 95, 99)} | {"max": 100}
    cost_ms = {
        name: round(float(np.percentile(cost_ns, percent)) / 1e6, 3)
        for name, percent in percents.items()
    }
    table = Table("ms of one core", *cost_ms)
    table.add_row(temporal, *(f"{value:.2f}" for value in cost_ms.values()))
    console.print(table)
    if report is not None:
        content = {
            "command": command_line(),
            "machine": machine(engine),
            "engine": asdict(engine),
            "map_px": list(seen[0][0].shape),
            "looked_at": len(seen),
            "frames": frames,
            "temporal": temporal,
            "cpu_ms": cost_ms,
            "memory": memory,
        }
        write_json(report, content)
    if cost_ms["p50"] > MOST_MS:
        raise typer.Exit(1)


def main() -> None:
    """Entry point."""
    cv2.setNumThreads(1)
    typer.run(steady_cost)


if __name__ == "__main__":
    main()
