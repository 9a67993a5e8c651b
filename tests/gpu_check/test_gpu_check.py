"""What of the GPU check can be checked without a GPU."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import pytest
import torch

from demos.gpu_check import encoding
from demos.gpu_check.pipeline import MemorySource
from demos.gpu_check.report import write_report
from streamer.planes import planes
from streamer.sinks.encoder import X264

REPORT = Path(__file__).parents[2] / "docs" / "gpu"


@pytest.fixture
def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((REPORT / "report.json").read_text())
    return found


def page_of(report: dict[str, Any], folder: Path) -> str:
    write_report(folder, report)
    assert json.loads((folder / "report.json").read_text()) == report
    return (folder / "REPORT.md").read_text()


def test_the_page_in_docs_is_that_of_the_figures(report: dict[str, Any], tmp_path: Path) -> None:
    assert page_of(report, tmp_path) == (REPORT / "REPORT.md").read_text()


def test_parts_that_failed_or_are_missing_are_told(report: dict[str, Any], tmp_path: Path) -> None:
    del report["networks"]
    report["pictures"] = {"failed": "RuntimeError: no memory"}
    page = page_of(report, tmp_path)
    assert "## Networks\n\nNot run." in page
    assert "Failed: RuntimeError: no memory" in page


def test_what_a_part_found_before_it_failed_is_told(report: dict[str, Any], tmp_path: Path) -> None:
    report["pictures"]["failed"] = "crashed: exit code -11 (SIGSEGV)"
    report["networks"]["pranet_v2_lite0"]["failed"] = "crashed: exit code 7"
    report["nvdec"] = {"not run": "it needs 40 s, and 12 were left"}
    page = page_of(report, tmp_path)
    assert "| draw nv12, 10149 px |" in page
    assert "\nNot to its end: crashed: exit code -11 (SIGSEGV)\n" in page
    assert "| pranet_v2_lite0 | 1 | compiled fp16 | 0.761 |" in page
    assert "| pranet_v2_lite0 | | crashed: exit code 7 | | | | | |" in page
    assert "## NVDEC\n\nNot run: it needs 40 s, and 12 were left." in page


def test_half_a_finding_ends_nothing(report: dict[str, Any], tmp_path: Path) -> None:
    report["encoding"] = {"host memory": {"fps": 1.0}}
    page = page_of(report, tmp_path)
    assert "## Encoding\n\nCannot be shown (KeyError: 'p50_ms'); report.json has it." in page
    assert "## Stability" in page


def test_machine_that_does_not_say_what_it_is(report: dict[str, Any], tmp_path: Path) -> None:
    report["machine"] = {"failed": "killed: its time was up"}
    assert "- machine: killed: its time was up\n" in page_of(report, tmp_path)


def test_pictures_are_told_from_memory_and_from_the_cache(
    report: dict[str, Any], tmp_path: Path
) -> None:
    report["pictures"] |= {
        "cache_mib": 50,
        "pictures": 52,
        "read nv12 bt709 limited": {"us": 9.5, "us_from_cache": 4.8, "off_by": 0.031},
        "draw nv12": {
            "us": 52.0,
            "us_from_cache": 51.0,
            "drawn_px": 9,
            "differing_samples": {"luma": 0, "blue": 2, "red": 1},
        },
        "draw yuv420p": {"failed": "RuntimeError: no memory"},
    }
    page = page_of(report, tmp_path)
    assert "| read nv12 bt709 limited | 9.5 | 4.8 | 0.031 of 255 |" in page
    assert "| 52.0 | 51.0 | 0 samples of luma, 2 samples of blue, 1 samples of red |" in page
    assert "| draw yuv420p: RuntimeError: no memory | | | |" in page
    assert "From memory: 52 pictures in turn" in page


def test_percentile_that_is_of_too_few_is_left_out(report: dict[str, Any], tmp_path: Path) -> None:
    few = {"p50_ms": 5.0, "p95_ms": 6.0, "max_ms": 7.0, "peak_mib": 80}
    report["networks"]["pranet_v2_lite0"]["x8"] = {"eager fp32": few}
    assert "| pranet_v2_lite0 | 8 | eager fp32 | 5.0 |  | 1.0 |  | 80 |" in page_of(
        report, tmp_path
    )


def test_stability_is_told_as_far_as_it_came(report: dict[str, Any], tmp_path: Path) -> None:
    span = {"frames": 9, "p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 3.0}
    found = {"variant": "lite0 on cuda fp16", "bit_stable": False, "span 1": span}
    report["stability"] = found
    page = page_of(report, tmp_path)
    assert "1,000 frames twice are NOT the same" in page
    assert "| 1 | 9 | 1.0 | 2.0 | 3.0 |" in page
    assert "changed" not in page
    found |= {"bit_stable": True, "span 2": span | {"p50_ms": 1.1}, "memory_growth_mib": 0.0}
    page = page_of(report, tmp_path)
    assert "are bit for bit the same" in page
    assert "the median changed by +10.0 %" in page
    assert "Memory grew by 0.0 MiB." in page
    report["stability"] = {"bit_stable": {"failed": "EngineError: lost"}}
    assert "are not compared (EngineError: lost)" in page_of(report, tmp_path)


def test_encoding_is_told_as_it_went(report: dict[str, Any], tmp_path: Path) -> None:
    report["encoding"] = {"missing": "NVENC cannot be used (Operation not permitted)"}
    assert "## Encoding\n\nNVENC cannot be used (Operation" in page_of(report, tmp_path)
    times = {"fps": 250.0, "p50_ms": 3.9, "p99_ms": 5.1, "frames": 300, "decoded": 299}
    report["encoding"] = {
        "host memory": times | {"worst_psnr_db": 41.5},
        "device memory": {"failed": "OutputError: cannot be written"},
    }
    page = page_of(report, tmp_path)
    assert "| host memory | 250.0 | 3.9 | 5.1 | 300 | 299 | 41.5 |" in page
    assert "| device memory: OutputError: cannot be written |" in page


def test_what_is_recorded_is_held_against_what_came() -> None:
    """By x264, which needs no GPU; a picture whose colours are lost is noticed."""

    def without_colour(picture: av.VideoFrame) -> av.VideoFrame:
        for plane in planes(picture)[1:]:
            plane.pixels[:] = 128
        return picture

    source = MemorySource(4)
    sound = encoding.measure(source, source.info, X264, lambda picture: picture)
    spoilt = encoding.measure(source, source.info, X264, without_colour)

    for found in (sound, spoilt):
        assert (found["frames"], found["decoded"]) == (4, 4)
    assert sound["worst_psnr_db"] > 35
    assert spoilt["worst_psnr_db"] < 30


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_one_line_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "demos.gpu_check", "--out", tmp_path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == "gpu-check: no NVIDIA GPU that this PyTorch can use\n"
    assert list(tmp_path.iterdir()) == []


def test_networks_and_kernels_need_no_video_library() -> None:
    program = (
        "import sys; sys.modules['av'] = None\n"
        "import demos.gpu_check.facts, demos.gpu_check.pictures, demos.gpu_check.stability\n"
        "import demos.gpu_check.worker, demos.gpu_check.__main__"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
