"""What trouble of the network does to the picture: it must do nothing.

    python -m demos.benchmarks.ai_faults --report docs/benchmarks/ai_faults.json

One live run with the real network. In turns, over several rounds, the network is left alone, made
to stall, to hang, to fail, and to be hard to load again. Per turn the video delay (from captured to
handed to the sinks) is read; how much it differs between the undisturbed turns is the noise of the
machine, which the limit allows for. Exit code 1 if something does not hold.
"""

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.table import Table

from demos.benchmarks.live_runs import (
    Check,
    LookingSink,
    Span,
    console,
    machine,
    print_checks,
    write_json,
)
from streamer.engine import EngineInfo, Segmenter, load_segmenter
from streamer.engine.base import Pending
from streamer.errors import EngineError
from streamer.frame import Probability
from streamer.live.pipeline import LivePipeline
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State
from streamer.rgb import SquareReader
from streamer.sources import open_live

STALL_S = 0.5
#: Share of the answers that stall, in the turns in which they do so at random.
STALL_SHARE = 0.2
#: How long no engine can be loaded after one has failed.
UNLOADABLE_S = 3.0
MOST_AGE_MS = 120.0
TOLERANCE = 0.10
#: How long to wait for the state to come back before it counts as stuck.
PATIENCE_S = 120.0
NORMAL = "normal"


class Trouble:
    """What the network suffers from at the moment; shared by all engines of the run."""

    def __init__(self, seed: int) -> None:
        self.kind = NORMAL
        #: Opened to let go of what hangs.
        self.over = threading.Event()
        self.info: EngineInfo | None = None
        self._random = Random(seed)
        self._unloadable_until_s = 0.0
        self._heavy = np.zeros((2000, 2000), np.float32)

    def load(self) -> Segmenter:
        """Load the bundled network, if it can be loaded now."""
        if time.monotonic() < self._unloadable_until_s:
            raise EngineError("made not to load")
        segmenter = load_segmenter(streams=1)
        self.info = segmenter.info
        return _Troubled(segmenter, self)

    def strike(self) -> None:
        """Called before each answer."""
        if self.kind in STALLS and self._random.random() < STALL_SHARE:
            STALLS[self.kind](self)
        elif self.kind == "hang":
            self.over.wait()
        elif self.kind in ("fail", "cannot load"):
            if self.kind == "cannot load":
                self._unloadable_until_s = time.monotonic() + UNLOADABLE_S
            # Once; what is loaded next works.
            self.kind = NORMAL
            raise EngineError("made to fail")

    def sleep(self) -> None:
        """Wait without doing anything."""
        time.sleep(STALL_S)

    def compute(self) -> None:
        """Keep a core busy in native code that has let go of Python's lock."""
        end_s = time.monotonic() + STALL_S
        while time.monotonic() < end_s:
            cv2.GaussianBlur(self._heavy, (31, 31), 5.0)

    def spin(self) -> None:
        """Keep a core busy in Python, holding its lock as long as it may."""
        end_s = time.monotonic() + STALL_S
        while time.monotonic() < end_s:
            pass


STALLS: dict[str, Callable[[Trouble], None]] = {
    "stall, waiting": Trouble.sleep,
    "stall, computing": Trouble.compute,
    "stall, in Python": Trouble.spin,
}
TROUBLES = (*STALLS, "hang", "fail", "cannot load")
#: Measured, and held to the states but not to the delay: it shares Python's lock with the picture,
#: which only a process of its own would not. Real networks wait in native code.
SHARING = "stall, in Python"


class _Troubled:
    """A segmenter whose answers suffer from a `Trouble`."""

    def __init__(self, segmenter: Segmenter, trouble: Trouble) -> None:
        self.info = segmenter.info
        self._segmenter = segmenter
        self._trouble = trouble

    def reader(self) -> SquareReader:
        """See `Segmenter.reader`."""
        return SquareReader(self.info.input_size)

    def submit(self, image: NDArray[np.uint8]) -> Pending:
        pending = self._segmenter.submit(image)
        return _Answer(pending, self._trouble)

    def close(self) -> None:
        self._segmenter.close()


@dataclass
class _Answer:
    pending: Pending
    trouble: Trouble

    def result(self) -> Probability:
        probability = self.pending.result()
        self.trouble.strike()
        return probability


@dataclass
class Turn:
    """What one turn of one kind showed.

    Attributes:
        video: video delays.
        masks: masks shown for the first time.
        degraded: times that the state became DEGRADED.
        recovered: whether it was RUNNING again within `PATIENCE_S` after the trouble was over.
    """

    video: Span
    masks: int
    degraded: int
    recovered: bool


@dataclass
class Director:
    """Brings about one trouble after the other while a run goes on, from a thread of its own."""

    pipeline: LivePipeline
    trouble: Trouble
    turn_s: float
    rounds: int
    turns: dict[str, list[Turn]] = field(default_factory=dict)
    over: threading.Event = field(default_factory=threading.Event)

    def work(self) -> None:
        """All rounds, then the end of the run."""
        try:
            if not self._until_running():
                return
            for number in range(self.rounds):
                for kind in (NORMAL, *TROUBLES):
                    console.print(f"round {number + 1}: {kind}")
                    self.turns.setdefault(kind, []).append(self._turn(kind))
                    if self.over.is_set():
                        return
        finally:
            self.trouble.over.set()
            self.pipeline.stop()

    def _turn(self, kind: str) -> Turn:
        before = self.pipeline.snapshot()
        self.trouble.over.clear()
        self.trouble.kind = kind
        self.over.wait(self.turn_s)
        self.trouble.kind = NORMAL
        self.trouble.over.set()
        after = self.pipeline.snapshot()
        recovered = self._until_running()
        states = [change.state for change in self.pipeline.snapshot().changes]
        return Turn(
            Span(before.histograms["video_delay"], after.histograms["video_delay"]),
            after.masks_shown - before.masks_shown,
            states[len(before.changes) :].count(State.DEGRADED),
            recovered,
        )

    def _until_running(self) -> bool:
        deadline_s = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline_s and not self.over.is_set():
            if self.pipeline.snapshot().state is State.RUNNING:
                return True
            self.over.wait(0.1)
        return False


def checks_of(
    turns: dict[str, list[Turn]], snapshot: LiveSnapshot, sink: LookingSink
) -> list[Check]:
    """What has to hold."""
    normal_ms = pooled(turns[NORMAL]).percentile_ms(99)
    limit_ms = normal_ms + max(TOLERANCE * normal_ms, noise_of(turns))
    checks = []
    for kind in TROUBLES:
        found = turns[kind]
        p99_ms = pooled(found).percentile_ms(99)
        checks.append(
            Check(
                f"{kind}: p99 of the video delay",
                f"{p99_ms:.2f} ms ({p99_ms / normal_ms - 1:+.0%})",
                "told only" if kind == SHARING else f"at most {limit_ms:.2f} ms",
                p99_ms <= limit_ms or kind == SHARING,
            )
        )
        degraded = sum(turn.degraded > 0 for turn in found)
        recovered = sum(turn.recovered for turn in found)
        checks.append(
            Check(
                f"{kind}: DEGRADED, then RUNNING",
                f"{degraded} and {recovered} of {len(found)} turns",
                "all",
                degraded == recovered == len(found),
            )
        )
    unaccounted = snapshot.frames_in - snapshot.frames_out - sum(snapshot.dropped.values())
    checks += [
        Check(
            "age of the oldest mask drawn",
            f"{sink.oldest_mask_ms:.1f} ms",
            f"at most {MOST_AGE_MS:g} ms",
            0 < sink.oldest_mask_ms <= MOST_AGE_MS,
        ),
        Check("pictures unaccounted for", str(unaccounted), "0", unaccounted == 0),
    ]
    return checks


def noise_of(turns: dict[str, list[Turn]]) -> float:
    """How far apart the p99 of undisturbed turns are, ms."""
    each_ms = [turn.video.percentile_ms(99) for turn in turns[NORMAL]]
    return max(each_ms) - min(each_ms)


def pooled(turns: list[Turn]) -> Span:
    """The video delays of several turns."""
    return sum((turn.video for turn in turns), Span())


def ai_faults(
    source: Annotated[str, typer.Option(help="live source")] = "synthetic:size=1280x720:rate=30",
    turn: Annotated[float, typer.Option(help="length of a turn, seconds", min=4.0)] = 10.0,
    rounds: Annotated[int, typer.Option(help="turns of each kind", min=2)] = 3,
    seed: Annotated[int, typer.Option(help="of the stalls")] = 0,
    report: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Make the network stall, hang and fail, and see whether the picture suffers."""
    trouble, sink = Trouble(seed), LookingSink()
    pipeline = LivePipeline(open_live(source), trouble.load, [("look", sink)])
    director = Director(pipeline, trouble, turn, rounds)
    thread = threading.Thread(target=director.work, name="director", daemon=True)
    console.print(f"preparing {source}")
    started = threading.Event()

    def begin(snapshot: LiveSnapshot) -> None:
        # The first call comes when the source is open and all threads run.
        if not started.is_set():
            started.set()
            thread.start()

    try:
        snapshot = pipeline.run(begin)
    finally:
        director.over.set()
        trouble.over.set()
    thread.join()
    turns = director.turns
    if len(turns.get(TROUBLES[-1], ())) < rounds:
        console.print("[bold red]it never got RUNNING, or was interrupted[/]")
        raise typer.Exit(1)
    checks = checks_of(turns, snapshot, sink)
    _print_delays(turns)
    share = noise_of(turns) / pooled(turns[NORMAL]).percentile_ms(99)
    console.print(
        f"noise: the p99 of undisturbed turns are {noise_of(turns):.2f} ms apart ({share:.0%})"
    )
    if share > TOLERANCE:
        console.print("[yellow]more than the tolerance: on a quieter machine this tells more[/]")
    print_checks(checks)
    if report is not None:
        write_json(report, _record(turns, snapshot, checks, trouble.info))
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


def _print_delays(turns: dict[str, list[Turn]]) -> None:
    table = Table("video delay, ms", "p50", "p95", "p99", "max", "p99 of each turn", "masks")
    for kind, found in turns.items():
        summary = pooled(found).summary()
        each = " ".join(f"{one.video.percentile_ms(99):.2f}" for one in found)
        cells = [f"{summary[key]:.2f}" for key in ("p50", "p95", "p99", "max")]
        table.add_row(kind, *cells, each, str(sum(one.masks for one in found)))
    console.print(table)


def _record(
    turns: dict[str, list[Turn]],
    snapshot: LiveSnapshot,
    checks: list[Check],
    engine: EngineInfo | None,
) -> dict[str, Any]:
    start_ns = snapshot.changes[0].at_ns
    return {
        "command": "python -m demos.benchmarks.ai_faults " + " ".join(sys.argv[1:]),
        "machine": machine(engine),
        "video_delay_ms": {
            kind: pooled(found).summary()
            | {"p99_of_turns": [round(one.video.percentile_ms(99), 3) for one in found]}
            for kind, found in turns.items()
        },
        "noise_ms": round(noise_of(turns), 3),
        "checks": [vars(check) for check in checks],
        "engine_restarts": snapshot.engine_restarts,
        "frames": {
            "in": snapshot.frames_in,
            "out": snapshot.frames_out,
            "dropped": snapshot.dropped,
            "without_mask_of_their_own": snapshot.ai_dropped,
        },
        "states": [
            {
                "state": str(change.state),
                "at_s": round((change.at_ns - start_ns) / 1e9, 3),
                "reason": change.reason,
            }
            for change in snapshot.changes
        ],
    }


def main() -> None:
    """Entry point."""
    cv2.setNumThreads(1)
    typer.run(ai_faults)


if __name__ == "__main__":
    main()
