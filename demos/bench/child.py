"""Measures a program from outside: what it takes, by the clock and by the system's own counts.

The program says on its output ``@loaded``, ``@ready`` and ``@done``, each on a line of its own and
followed by facts as JSON, and goes on from ``ready`` when it is given a line. Everything is read
the same way for every program, whatever is in it.
"""

import json
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from tempfile import TemporaryFile
from time import monotonic
from typing import IO, Any

import psutil

from streamer.errors import StreamError

#: Between two readings of the memory.
SAMPLE_S = 0.05
#: A program that has not come to its end by then hangs.
LIMIT_S = 900.0
#: It has nothing left to do by then but to end.
_END_S = 20.0


@dataclass(frozen=True)
class Turn:
    """One run of a program.

    Attributes:
        startup_s: from its start until its network was loaded.
        wall_s: from ``ready`` to ``done``.
        cpu_s: in that time, of the process and its children.
        peak_mb: most resident memory in that time.
        facts: what it told with ``loaded``.
    """

    startup_s: float
    wall_s: float
    cpu_s: float
    peak_mb: float
    facts: dict[str, Any]


def take_turn(
    command: Sequence[str], environment: Mapping[str, str], *, limit_s: float = LIMIT_S
) -> Turn:
    """Run a program to its end.

    Raises:
        StreamError: it cannot be started, fails, or hangs.
    """
    with TemporaryFile("w+") as errors, _started(command, environment, errors) as process:
        watchdog = threading.Timer(limit_s, process.kill)
        watchdog.start()
        try:
            return _measure(process)
        except _EndedError:
            errors.seek(0)
            reason = (errors.read().strip().splitlines() or ["ended without a word"])[-1]
            if not watchdog.is_alive():
                reason = f"has not come to its end within {limit_s:g} s"
            raise StreamError(f"{' '.join(command[:2])}: {reason}") from None
        finally:
            watchdog.cancel()


class _EndedError(Exception):
    """The program came to an end before it was through."""


@contextmanager
def _started(
    command: Sequence[str], environment: Mapping[str, str], errors: IO[str]
) -> Iterator["subprocess.Popen[str]"]:
    try:
        process = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    except OSError as error:
        raise StreamError(f"{command[0]}: cannot be started ({error.strerror})") from error
    with process:
        try:
            yield process
        finally:
            # One that waits for a line ends now.
            with suppress(OSError):
                process.stdin.close()  # type: ignore[union-attr]
            with suppress(subprocess.TimeoutExpired):
                process.wait(_END_S)
            process.kill()


def _measure(process: "subprocess.Popen[str]") -> Turn:
    start_s = monotonic()
    facts = _wait_for("loaded", process)
    startup_s = monotonic() - start_s
    _wait_for("ready", process)
    counted = psutil.Process(process.pid)
    with _watching_memory(counted) as peak_mb:
        before_cpu_s, before_s = _cpu_s(counted), monotonic()
        _give_line(process)
        _wait_for("done", process)
        wall_s, cpu_s = monotonic() - before_s, _cpu_s(counted) - before_cpu_s
    _give_line(process)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    if process.returncode != 0:
        raise _EndedError
    return Turn(startup_s, wall_s, cpu_s, max(peak_mb), facts)


def _wait_for(word: str, process: "subprocess.Popen[str]") -> dict[str, Any]:
    assert process.stdout is not None
    for line in process.stdout:
        said, _, facts = line.strip().partition(" ")
        if said == f"@{word}":
            return dict(json.loads(facts or "{}"))
    raise _EndedError


def _give_line(process: "subprocess.Popen[str]") -> None:
    assert process.stdin is not None
    try:
        process.stdin.write("go\n")
        process.stdin.flush()
    except OSError as error:
        raise _EndedError from error


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


@contextmanager
def _watching_memory(process: psutil.Process) -> Iterator[list[float]]:
    """Resident memory in MB of a process and its children, read again and again."""
    over, read_mb = threading.Event(), [_resident_mb(process)]

    def watch() -> None:
        with suppress(psutil.Error):
            while not over.wait(SAMPLE_S):
                read_mb.append(_resident_mb(process))

    watcher = threading.Thread(target=watch, name="memory", daemon=True)
    watcher.start()
    try:
        yield read_mb
    finally:
        over.set()
        watcher.join()


def _resident_mb(process: psutil.Process) -> float:
    family = [process, *process.children(recursive=True)]
    return float(sum(one.memory_info().rss for one in family) / 1e6)
