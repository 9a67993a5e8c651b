"""The glass-to-glass benchmark: its screens, its children, and what it counts."""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import psutil
import pytest

from demos import glass, time_code
from demos.glass import Readings
from demos.virtual_screen import VirtualScreen, bound_process, virtual_screen
from streamer.errors import StreamError

#: As failure only.
DEADLINE_S = 60.0
MS = 1_000_000
BEGUN_NS = 1_000_000 * MS

needs_sh = pytest.mark.skipif(shutil.which("sh") is None, reason="no shell")
needs_xvfb = pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no Xvfb")

#: A child that tells its process id and then waits for ever.
CHILD = [sys.executable, "-c", "import os, time; print(os.getpid(), flush=True); time.sleep(1e6)"]


def shown(at_ns: int) -> time_code.Image:
    return time_code.draw(at_ns, 320, 180)


def readings() -> Readings:
    """Counting, after a first time was seen and the warm-up is over."""
    made = Readings(BEGUN_NS, warm_up_ns=0)
    made.look(shown(BEGUN_NS + 10 * MS), BEGUN_NS + 20 * MS)
    return made


def has_ended(pid: int) -> bool:
    try:
        psutil.Process(pid).wait(DEADLINE_S)
    except psutil.NoSuchProcess:
        return True
    return not psutil.pid_exists(pid)


def test_a_time_counts_once_and_when_it_is_first_seen() -> None:
    made = readings()

    for seen_ms in (60, 61, 62):
        made.look(shown(BEGUN_NS + 50 * MS), BEGUN_NS + seen_ms * MS)
    beside = shown(BEGUN_NS + 50 * MS)
    beside[0, 0] = 90
    made.look(beside, BEGUN_NS + 65 * MS)
    made.look(shown(BEGUN_NS + 70 * MS), BEGUN_NS + 95 * MS)

    assert made.delays_ns == [10 * MS, 25 * MS]


def test_what_comes_during_the_warm_up_does_not_count() -> None:
    made = Readings(BEGUN_NS, warm_up_ns=100 * MS)

    for seen_ms in (20, 119, 121):
        made.look(shown(BEGUN_NS + (seen_ms - 5) * MS), BEGUN_NS + seen_ms * MS)

    assert made.delays_ns == [5 * MS]


def test_a_time_that_somebody_else_left_on_the_screen_does_not_count() -> None:
    made = Readings(BEGUN_NS, warm_up_ns=0)

    made.look(shown(BEGUN_NS - 3 * MS), BEGUN_NS + 1 * MS)

    assert made.counted_from_ns is None


def test_a_torn_picture_does_not_count() -> None:
    made = readings()
    torn = shown(BEGUN_NS + 50 * MS)
    torn[90:] = shown(BEGUN_NS + 51 * MS + 7 * MS)[90:]

    made.look(torn, BEGUN_NS + 60 * MS)

    assert made.delays_ns == []


def screen() -> VirtualScreen:
    return VirtualScreen(":0", Path("none"), np.zeros((180, 320, 4), np.uint8))


def test_what_fails_while_it_is_measured_is_reported() -> None:
    def run(end: threading.Event) -> None:
        raise StreamError("no window")

    with pytest.raises(StreamError, match="no window"):
        glass._read_while(screen(), 1.0, run)


def test_a_screen_without_a_time_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glass, "START_S", 0.0)

    def run(end: threading.Event) -> None:
        end.wait(DEADLINE_S)

    with pytest.raises(StreamError, match="no time could be read"):
        glass._read_while(screen(), 1.0, run)


def test_what_hangs_is_reported_and_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(glass, "START_S", 0.0)
    monkeypatch.setattr(glass, "END_S", 0.0)
    released = threading.Event()

    def run(end: threading.Event) -> None:
        released.wait(DEADLINE_S)

    with pytest.raises(StreamError, match="does not come to its end"):
        glass._read_while(screen(), 1.0, run)
    released.set()


@needs_sh
def test_a_child_ends_with_the_body() -> None:
    with bound_process(CHILD) as process:
        assert process.stdout is not None
        child = int(process.stdout.readline())
        assert psutil.pid_exists(child)

    assert has_ended(child)


@needs_sh
def test_a_child_ends_when_the_body_fails() -> None:
    def fail() -> int:
        with bound_process(CHILD) as process:
            assert process.stdout is not None
            found.append(int(process.stdout.readline()))
            raise KeyError

    found: list[int] = []
    with pytest.raises(KeyError):
        fail()

    assert has_ended(found[0])


@needs_sh
@pytest.mark.parametrize("number", ["SIGKILL", "SIGTERM", "SIGSEGV"])
def test_a_child_does_not_outlive_a_parent_that_is_killed(number: str) -> None:
    code = (
        "import os, signal; from demos.virtual_screen import bound_process\n"
        f"with bound_process({CHILD!r}) as process:\n"
        "    print(process.stdout.readline().strip(), flush=True)\n"
        f"    os.kill(os.getpid(), signal.{number})\n"
    )

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=240)

    assert ran.returncode != 0
    assert has_ended(int(ran.stdout))


@needs_sh
def test_a_child_that_ends_by_itself_is_noticed() -> None:
    with bound_process(["true"]) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == ""


@needs_xvfb
def test_what_is_written_into_a_screen_can_be_read_there() -> None:
    with virtual_screen(160, 90) as made:
        assert made.pixels.shape == (90, 160, 4)
        made.pixels[10, 20] = (1, 2, 3, 0)

        with virtual_screen(160, 90) as other:
            assert other.display != made.display
            assert not other.pixels.any()
        assert made.pixels[10, 20].tolist() == [1, 2, 3, 0]


@needs_xvfb
def test_the_clock_shows_the_time() -> None:
    with virtual_screen(320, 180) as made, glass._clock(made):
        assert time_code.read(glass._gray(made)) is not None
