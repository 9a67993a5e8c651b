"""Damaged network streams, by seed: no crash, no hang, no leak.

    python -m demos.benchmarks.stream_fuzz --runs 500 --report docs/benchmarks/stream_fuzz.json

A short stream (MPEG-TS, named and to be found out, or bare H.264 or MJPEG) is damaged, served by
TCP on loopback and read by the very code that reads live streams, until it is lost; each
`PIPELINE_EVERY`-th run goes through a whole live pipeline with a recording. Batches of runs share a
worker process: one that ends by a signal is a crash, one that says nothing for too long hangs.
Memory, open files and threads are read after each run; they must not grow over the runs of a batch.
"""

import argparse
import gc
import json
import os
import queue
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from time import monotonic
from typing import Any

import av
import numpy as np
import psutil

from demos.benchmarks.damage import KINDS, damage, stream
from demos.benchmarks.network_receiver import FixedSegmenter, machine
from streamer import report as reports
from streamer.errors import SourceEndedError, SourceError, SourceLostError
from streamer.live.pipeline import LivePipeline
from streamer.settings import Settings, SourceSettings
from streamer.sinks import VideoSink
from streamer.sources import LiveSource, OpenLive, SourceInfo, open_live

#: Runs of one worker process; each kind of stream is met equally often.
BATCH = 500
PIPELINE_EVERY = 10
#: How long a stream may be silent; those here are served at once.
PATIENCE_S = 2.0
#: A run that has not ended by then hangs, in s. Opening and reading have limits of their own.
HANG_S = 120.0
#: Runs at the beginning of a batch that do not count for its growth: tables, pools and the heap
#: grow up to what the worst of all runs needs.
WARM_UP = 250
#: What counts as growth, per run. One picture has 18 KiB.
MAX_GROWTH = {"rss_kib": 8.0, "open_files": 0.02, "threads": 0.02}
#: With a heap for each new thread, glibc hides for hundreds of runs what grows and what does not.
ONE_HEAP = {"MALLOC_ARENA_MAX": "1"}


class Server:
    """Hands bytes to the first who connects, then hangs up."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.url = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        with suppress(OSError):
            connected, _ = self._listening.accept()
            with connected:
                connected.sendall(self._content)

    def end(self) -> None:
        """Let go of the address."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listening.close()


def opener(url: str, kind: str) -> OpenLive:
    """As `pranet-stream` opens a stream."""
    settings = SourceSettings(
        url=url, format=KINDS[kind][2], open_timeout_s=PATIENCE_S, read_timeout_s=PATIENCE_S
    )
    return open_live("stream", settings=Settings(None, {"stream": settings}))


def read(url: str, kind: str) -> tuple[str, int, int]:
    """Read a stream until it is lost; how it ended, and how many pictures came and were damaged."""
    try:
        source = opener(url, kind)(None)
    except SourceError:
        return "not opened", 0, 0
    times, size = [], (source.info.width, source.info.height)
    try:
        while True:
            frame = source.read()
            times.append(frame.pts)
            if (frame.picture.width, frame.picture.height) != size:
                return "WRONG: the size changes", len(times), source.damaged
    except SourceLostError:
        pass
    finally:
        source.close()
    if not all(before < after for before, after in pairwise(times)):
        return "WRONG: times do not rise", len(times), source.damaged
    return "read to its end", len(times), source.damaged


def run_pipeline(url: str, kind: str, folder: Path) -> tuple[str, int, int]:
    """The same by way of a live pipeline that records; a lost source ends it."""
    opened = opener(url, kind)

    def once(like: SourceInfo | None) -> LiveSource:
        if like is not None:
            raise SourceEndedError("that was all")
        return opened(None)

    path = folder / "recording.mkv"

    def sinks(info: SourceInfo) -> list[tuple[str, VideoSink]]:
        return [("recording", VideoSink(path, info))]

    pipeline = LivePipeline(once, FixedSegmenter, sinks)
    try:
        snapshot = pipeline.run()
    except SourceError:
        return "not opened", 0, 0
    lost = sum(snapshot.dropped.values())
    if snapshot.frames_in != snapshot.frames_out + lost:
        return "WRONG: pictures in ≠ out + dropped", snapshot.frames_in, snapshot.damaged
    if snapshot.sink_errors:
        return f"WRONG: {snapshot.sink_errors}", snapshot.frames_in, snapshot.damaged
    readable = 0
    if path.stat().st_size:
        with av.open(str(path)) as container:
            readable = sum(1 for _ in container.decode(video=0))
    path.unlink()
    if readable != snapshot.frames_out - snapshot.sink_dropped["recording"]:
        return "WRONG: the recording is not whole", snapshot.frames_in, snapshot.damaged
    return "run to its end", snapshot.frames_in, snapshot.damaged


def work(first: int, count: int) -> None:
    """Do some runs in this process; a line of JSON before and after each."""
    streams = {kind: stream(kind) for kind in KINDS}
    process, kinds = psutil.Process(), list(KINDS)
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(first, first + count):
            kind = kinds[seed % len(kinds)]
            content, ways = damage(streams[kind], kind, seed)
            _say({"seed": seed, "kind": kind, "ways": ways})
            server = Server(content)
            begun_s = process.cpu_times().user
            try:
                if seed % PIPELINE_EVERY == 0:
                    outcome = run_pipeline(server.url, kind, Path(folder))
                else:
                    outcome = read(server.url, kind)
            except Exception as error:
                outcome = f"WRONG: {type(error).__name__}: {error}", 0, 0
            finally:
                server.end()
            gc.collect()
            _say(
                {
                    "seed": seed,
                    "outcome": outcome[0],
                    "pictures": outcome[1],
                    "damaged": outcome[2],
                    "cpu_s": process.cpu_times().user - begun_s,
                    "rss_kib": process.memory_info().rss / 1024,
                    "open_files": process.num_fds(),
                    "threads": process.num_threads(),
                }
            )


def _say(content: dict[str, Any]) -> None:
    print(json.dumps(content), flush=True)


@dataclass
class Result:
    """What came out over all batches."""

    outcomes: Counter[str] = field(default_factory=Counter)
    ways: Counter[str] = field(default_factory=Counter)
    pictures: int = 0
    damaged: int = 0
    cpu_s: float = 0.0
    growth_per_run: list[dict[str, float]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def run_batch(first: int, count: int, result: Result) -> int:
    """Do some runs in a process of their own.

    Returns:
        The seed to go on with: after the one that ended the process, if one did.
    """
    command = [sys.executable, "-m", "demos.benchmarks.stream_fuzz", "--work", f"{first},{count}"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=os.environ | ONE_HEAP
    )
    assert process.stdout is not None
    lines: queue.SimpleQueue[str] = queue.SimpleQueue()
    thread = threading.Thread(target=_forward, args=(process.stdout, lines))
    thread.start()
    begun: dict[str, Any] = {}
    done: list[dict[str, Any]] = []
    hung = False
    while True:
        try:
            line = lines.get(timeout=HANG_S)
        except queue.Empty:
            hung = True
            process.send_signal(signal.SIGABRT)
            break
        if not line:
            break
        told = json.loads(line)
        if "outcome" in told:
            done.append(told)
        else:
            begun = told
    code = process.wait()
    thread.join()
    for told in done:
        _count(told, result)
    case = f"seed {begun.get('seed')} ({begun.get('kind')}: {begun.get('ways')})"
    if hung:
        result.problems.append(f"{case}: hangs")
    elif code != 0:
        result.problems.append(f"{case}: the process ended with {code}")
    else:
        _check_growth(done, result)
        return first + count
    return int(begun.get("seed", first)) + 1


def _forward(stream_: Any, lines: "queue.SimpleQueue[str]") -> None:
    for line in stream_:
        lines.put(line)
    lines.put("")


def _count(told: dict[str, Any], result: Result) -> None:
    outcome = told["outcome"]
    if outcome.startswith("WRONG"):
        result.problems.append(f"seed {told['seed']}: {outcome}")
        outcome = "wrong"
    result.outcomes[outcome] += 1
    result.pictures += told["pictures"]
    result.damaged += told["damaged"]
    result.cpu_s += told["cpu_s"]


def _check_growth(done: list[dict[str, Any]], result: Result) -> None:
    counted = done[WARM_UP:]
    if len(counted) < WARM_UP // 2:
        print("too few runs to tell whether anything grows")
        return
    growth = {}
    for name, most in MAX_GROWTH.items():
        values = [told[name] for told in counted]
        growth[name] = round(float(np.polyfit(range(len(values)), values, 1)[0]), 4)
        if growth[name] > most:
            result.problems.append(f"{name} grow by {growth[name]} per run")
    result.growth_per_run.append(growth)


def main() -> int:
    """Run and print; 1 if any check failed."""
    parser = argparse.ArgumentParser(description="Read damaged network streams.")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0, help="of the first run")
    parser.add_argument("--batch", type=int, default=BATCH, help="runs of one process")
    parser.add_argument("--report", type=Path, help="write all figures as JSON")
    parser.add_argument("--work", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        first, count = map(int, arguments.work.split(","))
        work(first, count)
        return 0
    at_start, begun = machine(), monotonic()
    result, seed, end = Result(), arguments.seed, arguments.seed + arguments.runs
    while seed < end:
        seed = run_batch(seed, min(arguments.batch, end - seed), result)
        print(f"{seed - arguments.seed} runs: {dict(result.outcomes)}", flush=True)
    content = {
        "command": f"python -m demos.benchmarks.stream_fuzz {shlex.join(sys.argv[1:])}",
        "machine": at_start,
        "versions": reports.versions(),
        "runs": arguments.runs,
        "outcomes": dict(result.outcomes),
        "pictures": result.pictures,
        "damaged": result.damaged,
        "cpu_s": round(result.cpu_s, 1),
        "wall_s": round(monotonic() - begun, 1),
        "growth_per_run": result.growth_per_run,
        "growth_allowed": MAX_GROWTH,
        "problems": result.problems,
    }
    print(json.dumps({key: content[key] for key in list(content)[3:]}, indent=2))
    if arguments.report is not None:
        reports.write(arguments.report, content)
    return 1 if result.problems else 0


if __name__ == "__main__":
    # A worker may be left by a thread that hangs; that was counted already.
    code = main()
    sys.stdout.flush()
    os._exit(code)
