"""Reports come back from their files as they were; other files are refused."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from demos.bench.report import SCHEMA, Report, read_report
from streamer.errors import StreamError

MakeReport = Callable[..., Report]


def test_a_report_comes_back(made_up: MakeReport, tmp_path: Path) -> None:
    report = made_up()

    report.write(tmp_path / "report.json")

    assert read_report(tmp_path / "report.json") == report


def test_the_form_is_the_one_that_is_documented(made_up: MakeReport, tmp_path: Path) -> None:
    made_up().write(tmp_path / "report.json")

    stored = json.loads((tmp_path / "report.json").read_text())

    assert stored["schema"] == SCHEMA
    assert set(stored) == {
        "schema",
        "mode",
        "command",
        "settings",
        "machine",
        "engine",
        "tables",
        "distributions",
        "details",
    }
    assert [table["title"] for table in stored["tables"]] == ["file mode", "bare stages", "by size"]
    figure = stored["tables"][0]["rows"]["file mode"]["fps"]
    assert figure == {
        "median": 52,
        "low": 50,
        "high": 54,
        "coverage": 0.9375,
        "better": "higher",
        "repeats": [50, 51, 52, 53, 54],
    }
    documented = (Path(__file__).parents[2] / "docs" / "benchmarks.md").read_text()
    assert SCHEMA in documented


@pytest.mark.parametrize(
    "content",
    ["", "[]", "{}", '{"schema": "other"}', f'{{"schema": "{SCHEMA}", "mode": "file"}}'],
)
def test_other_files_are_refused(content: str, tmp_path: Path) -> None:
    path = tmp_path / "other.json"
    path.write_text(content)

    with pytest.raises(StreamError, match=r"other\.json: is no report of pranet-bench"):
        read_report(path)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(StreamError, match=r"none\.json: cannot be read"):
        read_report(tmp_path / "none.json")
