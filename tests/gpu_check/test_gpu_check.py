"""What of the GPU check can be checked without a GPU."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from demos.gpu_check import encoding
from demos.gpu_check.pipeline import MemorySource
from demos.gpu_check.report import write_report
from demos.gpu_check.worker import agreement
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


def test_stability_that_was_lost_is_told(report: dict[str, Any], tmp_path: Path) -> None:
    span = {"frames": 9, "p50_ms": 1.0, "p99_ms": 2.0, "max_ms": 3.0}
    report["stability"] = {
        "variant": "graph fp16",
        "bit_stable": False,
        "spans": [span],
        "memory_growth_mib": 0.0,
    }
    assert "1,000 frames twice are NOT the same" in page_of(report, tmp_path)


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


def test_agreement_of_maps() -> None:
    reference = np.zeros((1, 4, 4))
    reference[0, :2] = 0.9
    other = reference.copy()
    other[0, 1] = 0.4
    assert agreement(reference, reference) == {"max_difference": 0.0, "dice": 1.0}
    assert agreement(other, reference) == {"max_difference": 0.5, "dice": 0.66667}


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
        "import demos.gpu_check.worker"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
