"""A program is measured from outside, and its failures are told."""

import os
import sys
from collections.abc import Callable

import pytest

from demos.bench.child import Turn, take_turn
from streamer.errors import StreamError

TAKE_MB = 200
PROGRAM = """
import sys
print("a library greets", flush=True)
print('@loaded {"a package": "1.0"}', flush=True)
print("@ready {}", flush=True)
sys.stdin.readline()
WORK
print("@done {}", flush=True)
sys.stdin.readline()
END
"""

RunProgram = Callable[..., Turn]


def run(work: str = "", end: str = "", limit_s: float = 60.0) -> Turn:
    code = PROGRAM.replace("WORK", work).replace("END", end)
    return take_turn([sys.executable, "-c", code], dict(os.environ), limit_s=limit_s)


def test_what_it_takes_is_read_from_outside() -> None:
    idle = run()
    work = f"taken = bytearray({TAKE_MB}_000_000)\nfor _ in range(5): sum(range(2_000_000))"

    busy = run(work)

    assert busy.facts == {"a package": "1.0"}
    assert busy.startup_s > 0
    assert busy.cpu_s > idle.cpu_s
    assert busy.wall_s > idle.wall_s
    assert busy.peak_mb - idle.peak_mb > 0.8 * TAKE_MB


def test_its_last_words_are_told_where_it_fails() -> None:
    with pytest.raises(StreamError, match="no good"):
        run("raise SystemExit('no good')")
    with pytest.raises(StreamError, match="bad end"):
        run(end="raise SystemExit('bad end')")


def test_one_that_hangs_is_ended() -> None:
    with pytest.raises(StreamError, match=r"has not come to its end within 0\.2 s"):
        run("sys.stdin.readline()", limit_s=0.2)


def test_one_that_is_not_there_is_told() -> None:
    with pytest.raises(StreamError, match=r"no-such-program: cannot be started"):
        take_turn(["no-such-program"], {})
