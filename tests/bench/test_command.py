"""The command as it is typed: reports of tiny runs, and what is said of mistakes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import typer

from demos.bench import live
from demos.bench.file import STAGES
from demos.bench.report import read_report
from streamer.latency import Histogram

RunBench = Callable[..., Any]

pytestmark = pytest.mark.usefixtures("fake_network")


def row(report: Any, title: str, name: str) -> Any:
    (grid,) = (grid for grid in report.measured.grids if grid.title == title)
    return grid.rows[name]


def test_file_mode_and_its_stages(run_bench: RunBench, clip: Path, tmp_path: Path) -> None:
    path, document = tmp_path / "file.json", tmp_path / "file.md"

    ended = run_bench(
        *("file", clip, "--size", "128x80", "--frames", "32", "--repeats", "2", "--soak", "50"),
        *("--report", path, "--markdown", document),
    )

    assert ended.code == 0, ended.errors
    report = read_report(path)
    assert report.mode == "file"
    assert report.settings["size"] == "128x80"
    assert report.engine is not None
    assert report.engine["checkpoint_sha256"] == "0" * 64
    assert {"cpu", "cores", "gpus", "frequency_mhz", "memory_gib", "versions"} <= set(
        report.machine
    )
    stages = {stage: row(report, "bare stages, a frame", stage) for stage in STAGES}
    assert all(stages[name]["CPU ms"].median > 0 for name in ("decode", "convert", "encode"))
    whole = row(report, "file mode", "file mode")
    assert whole["CPU / bare"].values == pytest.approx(
        [a / b for a, b in zip(whole["CPU ms"].values, whole["bare CPU ms"].values, strict=True)],
        rel=1e-4,
    )
    assert report.measured.distributions["file mode, decoded to written"].count == 2 * 32
    assert list(report.measured.details["resident_mb_after_frames"]) == [
        str(frames) for frames in range(5, 51, 5)
    ]
    assert "pranet-bench file" in document.read_text()
    assert "file mode" in ended.out


def test_growth_with_size_and_videos(run_bench: RunBench, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "scale.json"

    ended = run_bench(
        *("scale", clip, "--sizes", "128x80,64x48", "--videos", "2,1", "--frames", "8"),
        *("--repeats", "1", "--report", path),
    )

    assert ended.code == 0, ended.errors
    by_size, stages, by_videos = read_report(path).measured.grids
    assert list(by_size.rows) == ["64x48", "128x80"]
    assert by_size.axis is not None
    assert by_size.axis.positions == pytest.approx((64 * 48 / 1e6, 128 * 80 / 1e6))
    assert set(stages.rows) == set(STAGES)
    assert list(by_videos.rows) == ["1 at once", "2 at once"]
    both = by_videos.rows["2 at once"]
    assert both["fps each"].median == pytest.approx(both["fps together"].median / 2, rel=1e-4)


def test_live_and_under_load(
    run_bench: RunBench, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "WARM_UP_S", 0.0)
    monkeypatch.setattr(live, "SPARE_S", 1.0)
    path = tmp_path / "load.json"

    ended = run_bench(
        *("load", clip, "--busy", "0,1", "--rate", "25", "--seconds", "1", "--frames", "8"),
        *("--repeats", "1", "--report", path),
    )

    assert ended.code == 0, ended.errors
    delays, rates = read_report(path).measured.grids
    assert list(rates.rows) == ["0 busy", "1 busy"]
    assert all(found["file mode fps"].median > 0 for found in rates.rows.values())
    assert "p95 ms" in delays.rows["0 busy, video delay"]


def test_from_screen_to_screen(
    run_bench: RunBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rounds(load: Callable[[], object], *, rounds: int, **_: object) -> dict[str, Any]:
        load()
        delays: dict[str, list[Histogram]] = {"floor": [], "pipeline": []}
        for number in range(rounds):
            for name, delay_ms in (("floor", 10), ("pipeline", 12 + number)):
                delays[name].append(Histogram())
                delays[name][-1].add_ns(delay_ms * 1_000_000)
        return delays

    monkeypatch.setattr("demos.glass.measure", rounds)
    path = tmp_path / "glass.json"

    ended = run_bench("glass", "--repeats", "3", "--report", path)

    assert ended.code == 0, ended.errors
    report = read_report(path)
    added = row(report, "what the pipeline adds", "pipeline − floor")["p50 ms"]
    assert added.values == pytest.approx((2, 3, 4), abs=0.2)
    assert row(report, "glass to glass", "floor")["max ms"].median == pytest.approx(10, rel=0.01)


def test_a_soak_is_that_of_live_mode(
    run_bench: RunBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def soak(
        source: str, minutes: float, output: Path | None, threads: int, report: Path | None
    ) -> None:
        asked.update(locals())
        raise typer.Exit(1)

    monkeypatch.setattr("demos.benchmarks.live_soak.live_soak", soak)
    path = tmp_path / "soak.json"

    ended = run_bench("soak", "--minutes", "2", "--threads", "1", "--report", path)

    assert ended.code == 1
    assert (asked["minutes"], asked["threads"], asked["output"]) == (2, 1, None)
    assert asked["source"].startswith("synthetic")
    assert asked["report"] == path


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "Missing command"),
        (("--file", "CLIP"), "No such option"),
        (("file", "none.mp4"), "none.mp4"),
        (("file", "CLIP", "--size", "1920"), "--size 1920: WIDTHxHEIGHT"),
        (("file", "CLIP", "--repeats", "0"), "--repeats"),
        (("file", "CLIP", "--temporal", "wild"), "unknown preset 'wild'"),
        (("live", "CLIP", "--rates", "fast"), "--rates fast: whole numbers from 1"),
        (("load", "CLIP", "--busy", "-1"), "--busy -1: whole numbers from 0"),
        (("scale", "CLIP", "--sizes", "640x480,big"), "--sizes big: WIDTHxHEIGHT"),
        (("compare", "none.json", "none.json"), "none.json: cannot be read"),
        (("peers", "CLIP", "--programs", "nowhere"), "nowhere: has no pranet_stream.py"),
        (("file", "CLIP", "--report", "."), "is a folder"),
    ],
)
def test_mistakes_are_told_in_one_line(
    arguments: tuple[str, ...],
    said: str,
    run_bench: RunBench,
    clip: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)

    ended = run_bench(*(str(clip) if word == "CLIP" else word for word in arguments))

    assert ended.code == 2
    (line,) = ended.errors.splitlines()
    assert line.startswith("pranet-bench: ")
    assert said in line


def test_an_interrupted_run_says_so(
    run_bench: RunBench, clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("demos.bench.command.prepared", interrupt)

    ended = run_bench("file", clip)

    assert ended.code == 130
    assert ended.errors.strip() == "pranet-bench: stopped"


def test_the_report_is_json_of_plain_types(run_bench: RunBench, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "file.json"

    run_bench("file", clip, "--frames", "8", "--repeats", "1", "--report", path)

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    assert json.loads(path.read_text(), parse_constant=refuse)["mode"] == "file"
