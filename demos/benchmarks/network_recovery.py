"""What live mode does when the sender of a network stream is killed, restarted or changes its size.

    python -m demos.benchmarks.network_recovery --report docs/benchmarks/network_recovery.json

Another process sends the sample video as MPEG-TS over loopback, by UDP, by TCP as the server, and
by TCP to the pipeline as the server. It is ended by SIGKILL, at a random moment, and started again
after a short and a long break, with the same size and with another one; the size also changes while
it sends. Nobody helps the pipeline. The times of sender and pipeline are of one monotonic clock.
"""

import argparse
import shlex
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from random import Random
from time import monotonic_ns, sleep
from typing import Any

import av

from demos.benchmarks.network_receiver import FixedSegmenter, Receiver, free_port, machine
from demos.benchmarks.network_sender import Sender, encode_clip
from streamer import report as reports
from streamer.engine import Segmenter, load_segmenter
from streamer.live.state import State

#: Sizes that the sender has at first, and changes to.
SIZES = ((640, 480), (800, 600))
#: Breaks between kill and restart, in s: within and beyond what a stream may be silent.
BREAKS_S = (0.5, 5.0)
#: The state has to be right so soon, in s.
STATE_LIMIT_S = 1.0

_GONE = frozenset({State.NO_SIGNAL, State.RECONNECTING})
_RUNNING = frozenset({State.RUNNING})
#: What counts as being back with a network that may be too slow for the machine.
_SHOWING = frozenset({State.RUNNING, State.DEGRADED})


@dataclass
class Outcome:
    """What came out for one way of sending: times in s, by what was done; and what was wrong."""

    times_s: dict[str, list[float]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    counts: dict[str, Any] = field(default_factory=dict)

    def add(self, name: str, from_ns: int, to_ns: int) -> None:
        """Keep a time."""
        self.times_s.setdefault(name, []).append((to_ns - from_ns) / 1e9)

    def check(self, right: bool, problem: str) -> None:
        """Keep what is wrong."""
        if not right:
            self.problems.append(problem)


def ways(port: int) -> dict[str, tuple[str, str]]:
    """Name → addresses that the sender and the pipeline are given."""
    tcp = f"tcp://127.0.0.1:{port}"
    return {
        "udp": (f"udp://127.0.0.1:{port}?pkt_size=1316", f"udp://127.0.0.1:{port}"),
        "tcp": (f"{tcp}?listen=1", tcp),
        "tcp, pipeline listens": (tcp, f"{tcp}?listen"),
    }


@contextmanager
def running(
    urls: tuple[str, str], clips: list[Path], load: Callable[[], Segmenter], folder: Path
) -> Iterator[tuple[Sender, Receiver]]:
    """A sender and a pipeline that shows its pictures."""
    sender = Sender(urls[0], clips)
    sender.start()
    receiver: Receiver | None = None
    try:
        receiver = Receiver(urls[1], load, folder)
        receiver.wait(_SHOWING, 0)
        yield sender, receiver
    finally:
        sender.kill()
        if receiver is not None:
            receiver.stop()


def measure(
    urls: tuple[str, str],
    clips: list[Path],
    load: Callable[[], Segmenter],
    *,
    back: frozenset[State],
    repeats: int,
    seed: int,
) -> Outcome:
    """Do all that can be done to the sender, again and again, and see what becomes of it.

    Args:
        urls: what the sender and the pipeline are given.
        load: loads the network.
        back: states that it has to come back to.
        repeats: rounds.
        seed: of the moments.
    """
    outcome, rng = Outcome(), Random(seed)
    with (
        tempfile.TemporaryDirectory() as name,
        running(urls, clips, load, Path(name)) as (sender, receiver),
    ):
        receiver.wait(back, 0)
        size = 0
        for _ in range(repeats):
            for break_s in BREAKS_S:
                for changed in (False, True):
                    size = (size + changed) % len(clips)
                    sleep(rng.uniform(0.5, 1.5))
                    label = f"{break_s:g} s{', another size' if changed else ''}"
                    _kill_and_restart(sender, receiver, size, break_s, back, label, outcome)
            sleep(rng.uniform(0.5, 1.5))
            size = _change_size(sender, receiver, size, len(clips), outcome)
        killed_ns = monotonic_ns()
        sender.kill()
        receiver.wait(frozenset({State.RECONNECTING}), killed_ns)
        sleep(1.0)
        outcome.add("stop of the run while nobody sends", 0, round(receiver.stop() * 1e9))
        _check_run(receiver, outcome)
    return outcome


def _kill_and_restart(
    sender: Sender,
    receiver: Receiver,
    size: int,
    break_s: float,
    back: frozenset[State],
    label: str,
    outcome: Outcome,
) -> None:
    killed_ns = monotonic_ns()
    sender.kill()
    gone_ns = receiver.wait(_GONE, killed_ns)
    outcome.add("kill to NO_SIGNAL or RECONNECTING", killed_ns, gone_ns)
    outcome.check((gone_ns - killed_ns) / 1e9 <= STATE_LIMIT_S, f"{label}: state is late")
    sleep(max(0.0, break_s - (monotonic_ns() - killed_ns) / 1e9))
    asked_ns = monotonic_ns()
    sender.start(size)
    first_ns = receiver.watcher.first_after(asked_ns)
    ready_ns = sender.ready_ns()
    back_ns = receiver.wait(back, first_ns)
    outcome.add(f"start of process to ready, {label}", asked_ns, ready_ns)
    outcome.add(f"ready to first picture, {label}", ready_ns, first_ns)
    outcome.add(f"ready to {' or '.join(sorted(back))}, {label}", ready_ns, back_ns)


def _change_size(
    sender: Sender, receiver: Receiver, size: int, sizes: int, outcome: Outcome
) -> int:
    converted = receiver.snapshot().converted
    lost = receiver.snapshot().reconnects
    changed_ns = monotonic_ns()
    size = (size + 1) % sizes
    sender.change(size)
    receiver.watcher.first_after(changed_ns + 2_000_000_000)
    came = [at for at in receiver.watcher.times_ns if at >= changed_ns - 1_000_000_000]
    gap_ns = max(after - before for before, after in pairwise(came))
    outcome.add("size changes while it sends: longest time between two pictures", 0, gap_ns)
    snapshot = receiver.snapshot()
    # One of the two sizes is the announced one; the pictures of the other are converted.
    outcome.check(size == 0 or snapshot.converted > converted, "changed size is not converted")
    outcome.check(snapshot.reconnects == lost, "changed size loses the source")
    return size


def _check_run(receiver: Receiver, outcome: Outcome) -> None:
    snapshot = receiver.snapshot()
    outcome.check(receiver.error is None, f"the run failed: {receiver.error}")
    outcome.check(snapshot.state is State.STOPPED, f"the run ended in {snapshot.state}")
    lost = sum(snapshot.dropped.values())
    outcome.check(snapshot.frames_in == snapshot.frames_out + lost, "pictures in ≠ out + dropped")
    shown = snapshot.frames_out - snapshot.sink_dropped["watcher"]
    outcome.check(len(receiver.watcher.times_ns) == shown, "handed on ≠ written")
    recorded = snapshot.frames_out - snapshot.sink_dropped["recording"]
    assert receiver.recording is not None
    assert receiver.info is not None
    readable = 0
    for path in receiver.recording.parts:
        times: list[int] = []
        with suppress(av.FFmpegError), av.open(str(path)) as container:
            for picture in container.decode(video=0):
                times.append(picture.pts or 0)
                same = (picture.width, picture.height) == (
                    receiver.info.width,
                    receiver.info.height,
                )
                outcome.check(same, f"{path.name}: size changes")
        rising = all(before < after for before, after in pairwise(times))
        outcome.check(rising, f"{path.name}: times do not rise")
        readable += len(times)
    outcome.check(readable == recorded, f"recorded {recorded} pictures, {readable} can be read")
    outcome.check(not snapshot.sink_errors, f"outputs failed: {snapshot.sink_errors}")
    outcome.counts = {
        "frames_in": snapshot.frames_in,
        "frames_out": snapshot.frames_out,
        "dropped": snapshot.dropped,
        "sink_dropped": snapshot.sink_dropped,
        "recorded": recorded,
        "parts": len(receiver.recording.parts),
        "readable": readable,
        "reconnects": snapshot.reconnects,
        "damaged": snapshot.damaged,
        "converted": snapshot.converted,
        "masks_shown": snapshot.masks_shown,
        "video_delay_ms": snapshot.histograms["video_delay"].summary(),
    }


def summarise(values: list[float]) -> dict[str, float]:
    """Median and ends of some times in s, and how many there are."""
    return {
        "median": round(statistics.median(values), 3),
        "min": round(min(values), 3),
        "max": round(max(values), 3),
        "count": len(values),
    }


def main() -> int:
    """Measure and print; 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3, help="rounds for each way of sending")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--no-model", action="store_true", help="leave out the bundled network")
    parser.add_argument("--report", type=Path, help="write all figures as JSON")
    arguments = parser.parse_args()
    at_start = machine()
    outcomes: dict[str, Outcome] = {}
    with tempfile.TemporaryDirectory() as name:
        clips = []
        for number, size in enumerate(SIZES):
            clips.append(Path(name) / f"{number}.ts")
            encode_clip(clips[-1], size=size)

        def add(
            way: str,
            load: Callable[[], Segmenter],
            label: str,
            repeats: int,
            back: frozenset[State] = _RUNNING,
        ) -> None:
            urls = ways(free_port())[way]
            outcome = measure(urls, clips, load, back=back, repeats=repeats, seed=arguments.seed)
            outcomes[label] = outcome
            _print(label, outcome)

        for way in ways(0):
            add(way, FixedSegmenter, way, arguments.repeats)
        if not arguments.no_model:
            add("udp", lambda: load_segmenter(streams=1), "udp, bundled network", 1, _SHOWING)
    if arguments.report is not None:
        content = {
            "command": f"python -m demos.benchmarks.network_recovery {shlex.join(sys.argv[1:])}",
            "machine": at_start,
            "versions": reports.versions(),
            "sizes": SIZES,
            "rate": 30,
            "results": {
                label: {
                    "times_s": {key: summarise(values) for key, values in outcome.times_s.items()},
                    "counts": outcome.counts,
                    "problems": outcome.problems,
                }
                for label, outcome in outcomes.items()
            },
        }
        reports.write(arguments.report, content)
    wrong = sum(len(outcome.problems) for outcome in outcomes.values())
    print(f"{wrong} problems" if wrong else "all checks passed")
    return 1 if wrong else 0


def _print(label: str, outcome: Outcome) -> None:
    print(f"{label}: {outcome.counts}")
    for name, values in outcome.times_s.items():
        spread = summarise(values)
        print(
            f"  {name:<66} {spread['median']:7.3f} s  ({spread['min']:.3f} … {spread['max']:.3f})"
        )
    for problem in outcome.problems:
        print(f"  WRONG: {problem}")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
