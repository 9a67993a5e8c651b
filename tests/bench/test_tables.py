"""Tables for people: numbers, Markdown, and its place in a document."""

from collections.abc import Callable
from pathlib import Path

import pytest

from demos.bench.report import Grid, Report
from demos.bench.statistics import higher, lower
from demos.bench.tables import as_markdown, cell, check_markdown, note, number, write_markdown
from streamer.errors import OutputError

MakeReport = Callable[..., Report]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.012345, "0.0123"),
        (1.0, "1.00"),
        (9.996, "10.00"),
        (52.416, "52.4"),
        (-3.14159, "-3.14"),
        (1491.7, "1,490"),
    ],
)
def test_three_digits_count(value: float, text: str) -> None:
    assert number(value) == text


def test_a_cell_holds_median_and_interval() -> None:
    assert cell(lower([3.0, 1.0, 2.0])) == "2.00 (1.00 to 3.00)"
    assert cell(lower([2.0])) == "2.00"
    assert cell(None) == "–"


def test_a_table_as_markdown() -> None:
    grid = Grid("speed", {"a": {"fps": higher([2.0])}, "b": {"ms": lower([0.5])}})

    assert as_markdown(grid).splitlines() == [
        "**Speed**",
        "",
        "|  | fps | ms |",
        "| --- | --- | --- |",
        "| a | 2.00 | – |",
        "| b | – | 0.500 |",
    ]


def test_the_note_tells_what_the_interval_is_worth(made_up: MakeReport) -> None:
    assert "with 94 %." in note(made_up())
    assert "with 50 %; too few repeats" in note(made_up((1, 2)))
    assert "no interval" in note(made_up((1,)))


def test_a_document_that_can_take_it_is_fine(tmp_path: Path) -> None:
    path = tmp_path / "out.md"
    check_markdown(path, "file")
    path.write_text("<!-- pranet-bench file -->\n<!-- end -->\n")

    check_markdown(path, "file")

    assert path.read_text() == "<!-- pranet-bench file -->\n<!-- end -->\n"


def test_a_new_document_is_the_report(made_up: MakeReport, tmp_path: Path) -> None:
    path = tmp_path / "docs" / "out.md"

    write_markdown(path, made_up(), [tmp_path / "docs" / "plots" / "file_delays.png"])

    written = path.read_text()
    assert "pranet-bench file clip.mp4" in written
    assert "| file mode | 52.0 (50.0 to 54.0) |" in written
    assert "2 cores of a processor" in written
    assert written.endswith("![file delays](plots/file_delays.png)\n")


def test_in_a_document_only_what_is_between_the_marks_is_replaced(
    made_up: MakeReport, tmp_path: Path
) -> None:
    path = tmp_path / "out.md"
    path.write_text(
        "before\n<!-- pranet-bench live -->\nkept\n<!-- end -->\n"
        "<!-- pranet-bench file -->\noutdated\n<!-- end -->\nafter\n"
    )

    write_markdown(path, made_up(), [])
    once = path.read_text()
    write_markdown(path, made_up(), [])

    assert path.read_text() == once
    assert once.startswith("before\n<!-- pranet-bench live -->\nkept\n<!-- end -->\n")
    assert once.endswith("<!-- end -->\nafter\n")
    assert "outdated" not in once
    assert "52.0 (50.0 to 54.0)" in once


def test_a_document_without_the_marks_is_left_alone(made_up: MakeReport, tmp_path: Path) -> None:
    path = tmp_path / "out.md"
    path.write_text("something of somebody else's\n")

    with pytest.raises(OutputError, match="has no lines <!-- pranet-bench file -->"):
        write_markdown(path, made_up(), [])
    with pytest.raises(OutputError, match="has no lines <!-- pranet-bench file -->"):
        check_markdown(path, "file")

    assert path.read_text() == "something of somebody else's\n"
