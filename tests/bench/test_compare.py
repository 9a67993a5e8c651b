"""What counts as a change: intervals that have nothing in common, from enough repeats."""

from collections.abc import Callable
from pathlib import Path

import pytest

from demos.bench.compare import Difference, differences, warnings
from demos.bench.report import Report
from demos.bench.statistics import Figure

BEFORE = (10.0, 11.0, 12.0, 13.0, 14.0)
PLACE = ("table", "row", "column")

MakeReport = Callable[..., Report]


@pytest.mark.parametrize(
    ("after", "better", "verdict"),
    [
        ((15.0, 16.0, 17.0, 18.0, 19.0), "higher", "better"),
        ((15.0, 16.0, 17.0, 18.0, 19.0), "lower", "worse"),
        ((5.0, 6.0, 7.0, 8.0, 9.0), "lower", "better"),
        ((5.0, 6.0, 7.0, 8.0, 9.0), "higher", "worse"),
        ((14.0, 16.0, 17.0, 18.0, 19.0), "higher", "same"),
        (BEFORE, "higher", "same"),
        ((15.0, 16.0, 17.0, 18.0), "higher", "unknown"),
    ],
)
def test_the_rule(after: tuple[float, ...], better: str, verdict: str) -> None:
    difference = Difference(PLACE, Figure(BEFORE, better), Figure(after, better))  # type: ignore[arg-type]

    assert difference.verdict == verdict


def test_the_ratio_is_that_of_the_medians() -> None:
    doubled = Figure(tuple(2 * value for value in BEFORE))

    assert Difference(PLACE, Figure(BEFORE), doubled).ratio == 2
    assert Difference(PLACE, Figure((0.0,) * 5), doubled).ratio is None


def test_only_figures_of_both_are_compared(made_up: MakeReport) -> None:
    before, after = made_up(), made_up()
    del after.measured.grids[0]

    found = {difference.place[0] for difference in differences(before, after)}

    assert found == {"bare stages", "by size"}


def test_other_reasons_are_named(made_up: MakeReport) -> None:
    same, other = made_up(), made_up(settings={"frames": 20})
    other.machine["cpu"] = "another processor"

    told = list(warnings(same, other))

    assert told == [
        "different settings: frames 10 and 20",
        "different processors: a processor and another processor",
    ]
    assert list(warnings(same, made_up())) == []


def test_the_command_tells_what_changed_and_ends_with_0(
    made_up: MakeReport, run_bench: Callable[..., object], tmp_path: Path
) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    made_up().write(first)
    made_up((100, 101, 102, 103, 104)).write(second)

    ended = run_bench("compare", first, second)

    assert ended.code == 0
    # fps and CPU time of one table, one stage that grew, and the rates of two sizes.
    assert "6 figures: 4 better, 1 worse, 1 the same within noise" in ended.out
    assert "file mode: fps" in ended.out
    assert "decode" not in ended.out


def test_too_few_repeats_are_said_to_be_too_few(
    made_up: MakeReport, run_bench: Callable[..., object], tmp_path: Path
) -> None:
    first, second = tmp_path / "a.json", tmp_path / "b.json"
    made_up((1, 2)).write(first)
    made_up((100, 200)).write(second)

    ended = run_bench("compare", first, second)

    assert ended.code == 0
    assert "6 of too few repeats to tell" in ended.out
