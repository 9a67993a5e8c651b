"""What of the GPU check can be checked without a GPU."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from demos.gpu_check.report import write_report
from demos.gpu_check.worker import agreement

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
