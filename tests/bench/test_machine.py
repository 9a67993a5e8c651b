"""What a report says of the machine, also where the machine says nothing."""

import subprocess
from types import SimpleNamespace

import psutil
import pytest

from demos.bench import machine


def test_a_machine_is_described() -> None:
    found = machine.describe()

    assert found["cores"] >= 1
    assert found["memory_gib"] > 0
    assert "openvino" in found["versions"]
    line = machine.summary(found)
    assert line.startswith(f"{found['cores']} cores of {found['cpu']}")
    assert line.endswith("before")


@pytest.mark.parametrize("failure", [None, OSError(), RuntimeError(), NotImplementedError()])
def test_a_clock_rate_that_cannot_be_read_is_left_out(
    failure: Exception | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        if failure is not None:
            raise failure

    monkeypatch.setattr(psutil, "cpu_freq", fail)

    assert machine.frequency_mhz() is None


def test_a_clock_rate_is_read_with_the_limits_that_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = SimpleNamespace(current=2445.4, min=0.0, max=3500.0)
    monkeypatch.setattr(psutil, "cpu_freq", lambda: found)

    assert machine.frequency_mhz() == {"now": 2445, "max": 3500}


def test_gpus_are_those_that_the_driver_names(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = SimpleNamespace(stdout="a GPU, 570.1, 80000 MiB, 1980 MHz\n")
    monkeypatch.setattr("shutil.which", lambda name: name)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: answer)
    assert machine.gpus() == ["a GPU, 570.1, 80000 MiB, 1980 MHz"]

    def fail(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("nvidia-smi", 20)

    monkeypatch.setattr(subprocess, "run", fail)
    assert machine.gpus() == []


def test_without_a_driver_there_are_no_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)

    assert machine.gpus() == []
