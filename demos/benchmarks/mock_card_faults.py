"""Live mode on capture cards that fail in every way: random schedules of faults, by seed.

    python -m demos.benchmarks.mock_card_faults --schedules 200

Each schedule plays on a mock card, with a network that answers at once, a recording in parts and an
events file, and afterwards everything is checked:

- the run ends by itself, without an error and without a thread left behind;
- the state is right from 1 s after each fault began, and from 1 s after it was over;
- the recording can be decoded to its end, with rising times;
- frames are conserved: in = out + dropped, and for each output, by what its files hold,
  out = written + dropped;
- the states in the events file are those of the run.

Several schedules run at once, each in a process of its own; one that crashes or hangs is a
failure, and the others go on. The exit code is 1 if anything failed.

A machine that is busy with something else holds processes up for longer than any state may take.
With `--patient` time stands still while the pipeline works, so that what is seen is the pipeline's
doing: its decisions and the order of its threads, but not its speed.
"""

from __future__ import annotations

import argparse
import faulthandler
import multiprocessing
import os
import platform
import shlex
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from demos.benchmarks.fault_run import FaultRun, Outcome, Settings
from streamer import report as reports

#: How much longer than its schedule a run may take, in s.
PATIENCE_S = 300.0


def serve(connection: Connection, settings: Settings) -> None:
    """Run one seed after the other as they come, until None comes; a process's whole work."""
    cv2.setNumThreads(1)
    faulthandler.enable()
    while (seed := connection.recv()) is not None:
        # Shows where it hangs, shortly before it is ended from outside.
        faulthandler.dump_traceback_later(settings.duration_s + PATIENCE_S - 5)
        with tempfile.TemporaryDirectory() as folder:
            connection.send(FaultRun(seed, settings, Path(folder)).run())
        faulthandler.cancel_dump_traceback_later()


@dataclass
class Worker:
    """A process that runs schedules, and the one that it is at."""

    process: BaseProcess
    connection: Connection
    seed: int
    deadline_s: float


def run_all(seeds: Sequence[int], settings: Settings, at_once: int) -> Iterator[Outcome]:
    """Run schedules, so many at once, and give what comes of them as it comes."""
    context = multiprocessing.get_context("spawn")
    waiting = deque(seeds)
    workers: list[Worker] = []

    def begin(worker: Worker | None = None) -> None:
        if worker is None:
            connection, other = context.Pipe()
            process = context.Process(target=serve, args=(other, settings), daemon=True)
            process.start()
            other.close()
            worker = Worker(process, connection, 0, 0.0)
            workers.append(worker)
        worker.seed = waiting.popleft()
        worker.deadline_s = time.monotonic() + settings.duration_s + PATIENCE_S
        worker.connection.send(worker.seed)

    while waiting or workers:
        while waiting and len(workers) < at_once:
            begin()
        ready = wait([worker.connection for worker in workers], timeout=1.0)
        for worker in list(workers):
            if worker.connection in ready:
                try:
                    yield worker.connection.recv()
                except EOFError:
                    worker.process.join()
                    yield Outcome(worker.seed, [f"crashed ({worker.process.exitcode})"])
                else:
                    if waiting:
                        begin(worker)
                        continue
                    worker.connection.send(None)
            elif time.monotonic() >= worker.deadline_s:
                worker.process.kill()
                yield Outcome(worker.seed, ["hangs"])
            else:
                continue
            worker.process.join()
            workers.remove(worker)


def machine() -> dict[str, Any]:
    """What it ran on, and how busy that was."""
    model = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        names = [line for line in facts.read_text().splitlines() if line.startswith("model name")]
        model = names[0].split(":")[1].strip() if names else model
    load = [round(value, 2) for value in psutil.getloadavg()]
    return {"cpu": model, "cores": os.cpu_count(), "load_average": load, "nice": os.nice(0)}


def summary(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """Everything that was found, JSON types only."""
    lags: dict[str, list[float]] = {}
    dropped: Counter[str] = Counter()
    for outcome in outcomes:
        dropped.update(outcome.dropped)
        for state, values in outcome.lags_ms.items():
            lags.setdefault(state, []).extend(values)
    failed = [outcome for outcome in outcomes if outcome.problems]
    stalls = [outcome.stall_ms for outcome in outcomes]
    return {
        "schedules": len(outcomes),
        "failed": len(failed),
        "problems": sum(len(outcome.problems) for outcome in failed),
        "frames_in": sum(outcome.frames_in for outcome in outcomes),
        "frames_out": sum(outcome.frames_out for outcome in outcomes),
        "dropped": dict(dropped),
        "missed_in_the_card": sum(outcome.missed for outcome in outcomes),
        "recorded_parts": sum(outcome.parts for outcome in outcomes),
        # Nothing is held up where time waits for the pipeline.
        "process_held_up_ms": _spread(stalls) if any(stalls) else None,
        "state_right_after_ms": {state: _spread(values) for state, values in sorted(lags.items())},
        "failures": [asdict(outcome) for outcome in failed],
    }


def _spread(values: Sequence[float]) -> dict[str, float]:
    p50, p95 = np.percentile(values, (50, 95))
    found = {"count": len(values), "p50": p50, "p95": p95, "max": max(values)}
    return {name: round(float(value), 1) for name, value in found.items()}


def tell(outcome: Outcome) -> None:
    """One line for what came of a schedule."""
    found = "; ".join(outcome.problems) or "ok"
    print(f"seed {outcome.seed}: {found} (held up {outcome.stall_ms:.0f} ms)", flush=True)


def tell_all(found: dict[str, Any], wall_s: float) -> None:
    """The whole on one screen."""
    print(f"{found['schedules']} schedules in {wall_s:.0f} s, {found['failed']} failed")
    print(f"frames in {found['frames_in']}, out {found['frames_out']}, dropped {found['dropped']}")
    print(f"missed in the card {found['missed_in_the_card']}, parts {found['recorded_parts']}")
    print(f"{'':26}{'count':>7}{'p50':>8}{'p95':>8}{'max':>8}")
    rows = {f"{state} after, ms": row for state, row in found["state_right_after_ms"].items()}
    if found["process_held_up_ms"] is not None:
        rows["process held up, ms"] = found["process_held_up_ms"]
    for name, row in rows.items():
        cells = "".join(f"{row[key]:8.0f}" for key in ("p50", "p95", "max"))
        print(f"{name:26}{row['count']:7.0f}{cells}")


def main() -> int:
    """Run the schedules, say what came of them; 1 if anything is wrong."""
    parser = argparse.ArgumentParser(description="Run live mode on random faults of a mock card.")
    parser.add_argument("--schedules", type=int, default=200, help="seeds 0, 1, … of schedules")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--at-once", type=int, default=8, help="schedules that run at once")
    parser.add_argument("--seconds", type=float, default=20.0, help="length of each schedule")
    parser.add_argument("--size", default="160x120", metavar="WIDTHxHEIGHT", help="of a picture")
    parser.add_argument("--rate", type=float, default=25.0, help="pictures per second")
    parser.add_argument(
        "--patient", action="store_true", help="time stands still while the pipeline works"
    )
    parser.add_argument("--report", type=Path, help="write everything as JSON")
    arguments = parser.parse_args()
    width, height = (int(side) for side in arguments.size.split("x"))
    settings = Settings(arguments.seconds, width, height, arguments.rate, arguments.patient)
    before, start_s = machine(), time.monotonic()
    outcomes: list[Outcome] = []
    seeds = range(arguments.first, arguments.first + arguments.schedules)
    for outcome in run_all(seeds, settings, arguments.at_once):
        outcomes.append(outcome)
        if outcome.problems:
            tell(outcome)
    wall_s = time.monotonic() - start_s
    found = summary(outcomes)
    tell_all(found, wall_s)
    if arguments.report is not None:
        command = shlex.join(["python", "-m", "demos.benchmarks.mock_card_faults", *sys.argv[1:]])
        content = {"command": command, "machine": before, "at_once": arguments.at_once}
        content |= {"settings": asdict(settings), "wall_s": round(wall_s, 1)}
        content["versions"] = reports.versions()
        reports.write(arguments.report, content | found)
    return int(found["failed"] > 0)


if __name__ == "__main__":
    sys.exit(main())
