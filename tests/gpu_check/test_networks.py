"""Networks are measured in two rounds, and what one of them loses is no other's loss."""

import sys
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from demos.gpu_check.handing import put
from demos.gpu_check.measuring import agreement, answers, latency, summary
from demos.gpu_check.networks import measure_networks
from demos.gpu_check.process import Child
from demos.gpu_check.variants import COMPILED, ENGINES, PLAIN
from demos.gpu_check.worker import Measure, run

LONG_S = 600.0


class FakeBench:
    """Prepares and measures nothing, and notes what it is asked for."""

    def __init__(self, *, broken: Sequence[str] = (), wrong: Sequence[str] = ()) -> None:
        self.asked: list[str] = []
        self._broken, self._wrong = broken, wrong

    def prepare(self, name: str) -> str:
        self.asked.append(f"prepare {name}")
        if name in self._broken:
            raise RuntimeError("cannot be had\nand more")
        return name

    def measure(self, name: str, prepared: str) -> Iterator[tuple[str, Measure]]:
        for batch in ("x1", "x8"):
            yield batch, partial(self._measure, f"{name} {batch}")

    def _measure(self, what: str) -> dict[str, Any]:
        self.asked.append(f"measure {what}")
        if what in self._wrong:
            raise RuntimeError("failed on the way")
        return {"p50_ms": 1.0}


def run_bench(bench: FakeBench) -> dict[str, Any]:
    found: dict[str, Any] = {}
    run(bench, partial(put, found), lambda: bench.asked.append("turn"))
    return found


def test_what_needs_no_compilation_is_measured_before_anything_is_compiled() -> None:
    bench = FakeBench()
    run_bench(bench)
    turns = [place for place, what in enumerate(bench.asked) if what == "turn"]
    first, second, third = turns
    assert first == 0
    for rounds, expected in (
        (bench.asked[first:second], PLAIN),
        (bench.asked[third:], (*COMPILED, *ENGINES)),
    ):
        measured = [what for what in rounds if what.startswith("measure") and "x1" in what]
        assert measured == [f"measure {name} x1" for name in expected]
    assert bench.asked[second + 1 : third] == [f"prepare {name}" for name in COMPILED]


def test_each_variant_fails_by_itself() -> None:
    found = run_bench(FakeBench(broken=["eager fp16", *COMPILED], wrong=["graph fp16 x8"]))
    sound = {"p50_ms": 1.0}
    assert found["x1"]["eager fp16"] == {"missing": "cannot be had"}
    assert found["x1"]["compiled fp16"] == {"missing": "cannot be had"}
    assert found["x1"]["graph fp16"] == sound
    assert found["x8"]["graph fp16"] == {"missing": "failed on the way"}
    assert all(found["x1"][name] == sound for name in ENGINES)


#: Workers of whom nobody needs a GPU: three turns each, and something found in the first of them.
WORKER = """
import os, signal, sys
from demos.gpu_check.handing import hand_over
def turn():
    hand_over([], None)
    if not sys.stdin.readline():
        sys.exit()
turn()
hand_over(["x1", "eager fp32"], {{"p50_ms": 2.0}})
turn()
{compiles}
turn()
hand_over(["x1", "compiled fp16"], {{"p50_ms": 1.0}})
"""


class Clock:
    """Stands still until so many findings came; nobody has time left from then on."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def measure(workers: dict[str, str], late_after: int = 99) -> dict[str, Any]:
    found: dict[str, Any] = {}
    clock, count = Clock(), 0

    def take(path: Sequence[str], value: Any) -> None:
        nonlocal count
        put(found, path, value)
        count += 1
        if count == late_after:
            clock.now_s = 10 * LONG_S

    children = {
        name: Child([sys.executable, "-c", WORKER.format(compiles=program)])
        for name, program in workers.items()
    }
    measure_networks(children, take, patience_s=LONG_S, until_s=5 * LONG_S, clock_s=clock)
    assert all(child.end() is not None for child in children.values())
    return found


def test_workers_go_through_both_rounds() -> None:
    both = {"x1": {"eager fp32": {"p50_ms": 2.0}, "compiled fp16": {"p50_ms": 1.0}}}
    assert measure({"one": "", "two": ""}) == {"one": both, "two": both}


def test_crash_while_compiling_is_no_lateness_and_costs_no_first_round() -> None:
    found = measure(
        {"one": "os._exit(7)", "two": "os.kill(os.getpid(), signal.SIGABRT)", "three": ""}
    )
    assert found["one"]["failed"] == "crashed: exit code 7"
    assert found["two"]["failed"] == "crashed: exit code -6 (SIGABRT)"
    assert found["one"]["x1"] == {"eager fp32": {"p50_ms": 2.0}}
    assert set(found["three"]["x1"]) == {"eager fp32", "compiled fp16"}


def test_one_that_hangs_while_it_is_measured_leaves_time_to_the_others() -> None:
    """It had half of what was left."""
    found: dict[str, Any] = {}
    clock = Clock()

    def take(path: Sequence[str], value: Any) -> None:
        put(found, path, value)
        if path == ["one", "x1", "note"]:
            clock.now_s = 0.6 * LONG_S

    program = WORKER.format(compiles="")
    hangs = program.replace(
        "turn()\nhand", "turn()\nhand_over(['x1', 'note'], 1); signal.pause()\nhand", 1
    )
    children = {
        name: Child([sys.executable, "-c", text])
        for name, text in (("one", hangs), ("two", program))
    }
    measure_networks(children, take, patience_s=LONG_S, until_s=LONG_S, clock_s=clock)
    assert found["one"] == {"x1": {"note": 1}, "failed": "not measured in time"}
    assert set(found["two"]["x1"]) == {"eager fp32", "compiled fp16"}


def test_compilation_that_is_late_costs_no_first_round() -> None:
    hangs = "hand_over(['x1', 'compiling'], 1); signal.pause()"
    found = measure({"one": hangs}, late_after=2)
    first_round = {"eager fp32": {"p50_ms": 2.0}, "compiling": 1}
    assert found == {"one": {"x1": first_round, "failed": "not compiled in time"}}


@pytest.mark.parametrize(("count", "has_p99"), [(99, False), (100, True)])
def test_percentiles_are_of_enough_samples(count: int, has_p99: bool) -> None:
    found = summary([float(value) for value in range(count)])
    assert ("p99_ms" in found) == has_p99
    assert found["max_ms"] == count - 1


def test_latency_waits_for_each_run() -> None:
    calls: list[str] = []
    found = latency(lambda: calls.append("run"), 3, lambda: calls.append("wait"))
    assert calls[-6:] == ["run", "wait"] * 3
    assert set(found) == {"p50_ms", "p95_ms", "max_ms"}


def test_answers_are_those_of_the_frames() -> None:
    given, answer = torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2)
    frames = torch.arange(24.0).reshape(2, 3, 2, 2)
    digest, maps = answers(lambda: answer.copy_(given.sum(1)), given, answer, frames, lambda: None)
    assert np.array_equal(maps, frames.sum(1).numpy())
    same, _ = answers(lambda: answer.copy_(given.sum(1)), given, answer, frames, lambda: None)
    other, _ = answers(lambda: answer.copy_(given.amax(1)), given, answer, frames, lambda: None)
    assert digest == same != other


def test_agreement_of_maps() -> None:
    reference = np.zeros((1, 4, 4))
    reference[0, :2] = 0.9
    other = reference.copy()
    other[0, 1] = 0.4
    assert agreement(reference, reference) == {"max_difference": 0.0, "dice": 1.0}
    assert agreement(other, reference) == {"max_difference": 0.5, "dice": 0.66667}
