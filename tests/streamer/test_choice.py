"""What `--backend auto` takes."""

from pathlib import Path

import pytest
import torch

from pranet.checkpoint import CheckpointInfo, read_info
from streamer.engine import choice, tensorrt
from streamer.engine.choice import choose_backend


@pytest.fixture
def checkpoint() -> CheckpointInfo:
    return read_info("pranet_v2_lite0")


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_gpu", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(tensorrt, "find_engine", lambda *_: None)


def test_without_a_gpu(checkpoint: CheckpointInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choice, "has_gpu", lambda: False)
    assert str(choose_backend(checkpoint)) == "openvino: no NVIDIA GPU here"


@pytest.mark.usefixtures("gpu")
def test_with_one(checkpoint: CheckpointInfo) -> None:
    chosen = choose_backend(checkpoint)
    assert chosen.backend == "cuda"
    assert "pranet-build" in chosen.reason


@pytest.mark.usefixtures("gpu")
def test_with_a_built_engine(
    checkpoint: CheckpointInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    asked: list[str] = []

    def find(_: CheckpointInfo, precision: str) -> Path:
        asked.append(precision)
        return tmp_path / "lite0-fp16"

    monkeypatch.setattr(tensorrt, "find_engine", find)
    assert str(choose_backend(checkpoint)).startswith("tensorrt: an engine was built")
    assert asked == ["fp16"]


@pytest.mark.usefixtures("gpu")
def test_a_precision_of_the_cpu_decides(checkpoint: CheckpointInfo) -> None:
    assert choose_backend(checkpoint, "bf16").backend == "openvino"


@pytest.mark.usefixtures("gpu")
def test_int8_on_the_gpu_only_where_an_engine_was_built(
    checkpoint: CheckpointInfo, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(tensorrt, "find_engine", lambda *_: None)
    chosen = choose_backend(checkpoint, "int8")
    assert str(chosen) == "openvino: no int8 engine was built for the GPU, and the CPU has one"
    monkeypatch.setattr(tensorrt, "find_engine", lambda *_: tmp_path / "lite0-int8")
    assert choose_backend(checkpoint, "int8").backend == "tensorrt"


@pytest.mark.usefixtures("gpu")
def test_fp8_is_tensorrts_alone(checkpoint: CheckpointInfo) -> None:
    """Which says what to run where there is no such engine."""
    assert choose_backend(checkpoint, "fp8").backend == "tensorrt"


@pytest.mark.usefixtures("gpu")
def test_a_torch_without_cuda(checkpoint: CheckpointInfo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    chosen = choose_backend(checkpoint)
    assert chosen.backend == "openvino"
    assert "this PyTorch cannot use it" in chosen.reason
