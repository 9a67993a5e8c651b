"""Parts in processes of their own: what they found outlives their crash, or their hanging."""

import os
import sys
from collections.abc import Sequence
from typing import Any

import pytest

from demos.gpu_check.handing import hand_over, parse, put
from demos.gpu_check.process import Child, collect, how_it_ended

PATIENCE_S = 60.0
FINDS = "from demos.gpu_check.handing import hand_over; hand_over(['step'], 1);"


def child(program: str, environment: dict[str, str] | None = None) -> Child:
    return Child([sys.executable, "-c", program], environment)


def long() -> float:
    return PATIENCE_S


class Found:
    """Keeps what is taken; `left_s` is long until so many findings came, and nothing from then."""

    def __init__(self, enough: int = 99) -> None:
        self.report: dict[str, Any] = {}
        self.count = 0
        self._enough = enough

    def take(self, path: Sequence[str], value: Any) -> None:
        self.count += 1
        put(self.report, path, value)

    def left_s(self) -> float:
        return PATIENCE_S if self.count < self._enough else 0.0


def test_what_a_part_finds_is_taken() -> None:
    found = Found()
    failed = collect(child(f"{FINDS} hand_over(['deep', 'step'], None)"), long, found.take)
    assert failed is None
    assert found.report == {"step": 1, "deep": {"step": None}}


@pytest.mark.parametrize(
    ("crash", "told"),
    [
        ("import os; os.kill(os.getpid(), 11)", "crashed: exit code -11 (SIGSEGV)"),
        ("import os; os._exit(3)", "crashed: exit code 3"),
    ],
)
def test_crash_is_told_and_costs_nothing_that_was_found(crash: str, told: str) -> None:
    found = Found()
    assert collect(child(f"{FINDS} {crash}"), long, found.take) == told
    assert found.report == {"step": 1}


def test_part_that_hangs_is_killed_and_costs_nothing_that_was_found() -> None:
    found = Found(enough=1)
    hanging = child(f"{FINDS} import signal; signal.pause()")
    assert collect(hanging, found.left_s, found.take) == "killed: its time was up"
    assert found.report == {"step": 1}
    # Gone, also for whoever asks again.
    assert hanging.end(PATIENCE_S) == -9


def test_what_a_part_started_is_killed_with_it() -> None:
    """Such as compilers: they are of its group, and hold a pipe open as long as they live."""
    reading, writing = os.pipe()
    found = Found(enough=1)
    program = (
        "import subprocess, sys\n"
        "waits = [sys.executable, '-c', 'import signal; signal.pause()']\n"
        "subprocess.Popen(waits, close_fds=False)\n"
        f"{FINDS} import signal; signal.pause()"
    )
    # The one that was started gets this pipe as its standard error, from the part and that from us.
    before = os.dup(2)
    os.dup2(writing, 2)
    try:
        started = child(program)
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(writing)
    collect(started, found.left_s, found.take)
    assert os.read(reading, 1) == b""
    os.close(reading)


def test_printing_does_not_get_between_findings(capfd: pytest.CaptureFixture[str]) -> None:
    found = Found()
    assert collect(child(f"print('hello', end=''); {FINDS} print('[]')"), long, found.take) is None
    assert found.report == {"step": 1}
    assert "hello" in capfd.readouterr().out


def test_variables_reach_the_part() -> None:
    found = Found()
    program = (
        "import os; from demos.gpu_check.handing import hand_over;"
        "hand_over(['cache'], os.environ['TRITON_CACHE_DIR'])"
    )
    assert collect(child(program, {"TRITON_CACHE_DIR": "/empty"}), long, found.take) is None
    assert found.report == {"cache": "/empty"}


def test_nobody_listens() -> None:
    """Lines to a process that is gone are lost, and it says that nothing more will come."""
    gone = child("")
    assert gone.next(PATIENCE_S) is None
    assert gone.end(PATIENCE_S) == 0
    gone.tell("go")
    assert gone.next(PATIENCE_S) is None


def test_ends_in_words() -> None:
    assert how_it_ended(0) is None
    assert how_it_ended(None) == "killed: it handed over everything and did not end"
    assert how_it_ended(-9) == "crashed: exit code -9 (SIGKILL)"
    assert how_it_ended(-999) == "crashed: exit code -999 (signal 999)"


def test_lines_that_a_crash_cut_short_are_left_out() -> None:
    assert parse('[["a"], {"b": 1') is None
    assert parse('[["a"], {"b": 1}]') == (["a"], {"b": 1})


def test_by_hand_findings_are_printed(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GPU_CHECK_PIPE", raising=False)
    hand_over(["a", "b"], 1.5)
    assert capfd.readouterr().out == '[["a", "b"], 1.5]\n'


def test_findings_lie_beside_each_other() -> None:
    report: dict[str, Any] = {}
    put(report, ["a", "b"], 1)
    put(report, ["a", "c"], 2)
    assert report == {"a": {"b": 1, "c": 2}}
