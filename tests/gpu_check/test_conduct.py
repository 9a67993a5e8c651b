"""The budget, and the order in which parts run and are written down."""

from typing import Any

from demos.gpu_check.budget import PARTS, Part, allowance_s
from demos.gpu_check.conduct import conduct
from demos.gpu_check.handing import Take

FIRST, SECOND, THIRD = Part("first", 10), Part("second", 20), Part("third", 30)


class Clock:
    """Stands still unless a part takes its time."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def test_spare_time_is_for_the_part_that_needs_it_first() -> None:
    assert allowance_s(FIRST, [SECOND, THIRD], 100) == 50
    assert allowance_s(THIRD, [], 100) == 100


def test_what_a_part_needs_is_not_taken_from_it_by_later_ones() -> None:
    assert allowance_s(FIRST, [SECOND, THIRD], 15) == 10


def test_part_that_does_not_fit_is_not_begun() -> None:
    assert allowance_s(FIRST, [], 9.9) is None


def test_parts_that_do_not_fit_are_named_and_smaller_ones_still_run() -> None:
    clock, ran = Clock(), []

    def run(part: Part, until_s: float, take: Take) -> str | None:
        ran.append((part.name, until_s - clock.now_s))
        clock.now_s += 40
        return None

    report = conduct([SECOND, THIRD, FIRST], 62, run, lambda _: None, clock)
    assert ran == [("second", 22), ("first", 22)]
    assert report["third"] == {"not run": "it needs 30 s, and 22 were left"}
    assert report["seconds"] == {"second": 40, "first": 40}


def test_report_is_written_at_each_finding_and_after_each_part() -> None:
    written: list[dict[str, Any]] = []

    def run(part: Part, until_s: float, take: Take) -> str | None:
        take(["a"], part.name)
        take(["b", "c"], 2)
        return "crashed: exit code 3" if part is FIRST else None

    def write(report: dict[str, Any]) -> None:
        written.append({name: dict(found) for name, found in report.items()})

    report = conduct([FIRST, SECOND], 100, run, write, Clock())
    assert report["first"] == {"a": "first", "b": {"c": 2}, "failed": "crashed: exit code 3"}
    assert report["second"] == {"a": "second", "b": {"c": 2}}
    assert len(written) == 6
    assert written[0]["first"] == {"a": "first"}
    assert "second" not in written[2]
    assert written[2]["first"]["failed"] == "crashed: exit code 3"


def test_part_that_cannot_be_started_costs_no_other() -> None:
    def run(part: Part, until_s: float, take: Take) -> str | None:
        if part is FIRST:
            raise OSError("no memory for a process")
        return None

    report = conduct([FIRST, SECOND], 100, run, lambda _: None, Clock())
    assert report["first"] == {"failed": "OSError: no memory for a process"}
    assert "second" in report["seconds"]


def test_parts_fit_into_the_budget() -> None:
    assert sum(part.needs_s for part in PARTS) <= 450
    # What was never seen to work may hang or crash the GPU.
    assert PARTS[-1].name == "nvdec"
