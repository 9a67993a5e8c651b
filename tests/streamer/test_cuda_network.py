"""How a network is prepared for a CUDA graph; compiling it needs a GPU."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from torch._inductor import config

from pranet.checkpoint import load_model
from streamer.engine import cache
from streamer.engine.network import cuda_network


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What PyTorch's compiler is asked for."""
    options: dict[str, Any] = {}

    def compile_(network: nn.Module, **asked: Any) -> nn.Module:
        options.update(asked)
        return network

    monkeypatch.setattr(torch, "compile", compile_)
    monkeypatch.setattr(nn.Module, "cuda", lambda self: self)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    return options


def test_kernels_are_chosen_by_rule(asked: dict[str, Any], checkpoint: Path) -> None:
    network = cuda_network(load_model(checkpoint), torch.float16, compiled=True)

    assert asked == {"dynamic": False, "options": {"deterministic": True}}
    assert hasattr(config, "deterministic"), "the option is of this name"
    assert not torch.backends.cudnn.benchmark
    image = torch.zeros(1, 3, 96, 96, dtype=torch.float16)
    with torch.inference_mode():
        assert network(image).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("before", [True, False])
def test_float32_is_not_rounded_to_tf32(
    asked: dict[str, Any],
    checkpoint: Path,
    dtype: torch.dtype,
    before: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where the program has switched that off, it stays so."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", before)
    cuda_network(load_model(checkpoint), dtype, compiled=False)
    assert torch.backends.cudnn.allow_tf32 == (before and dtype != torch.float32)
    assert not asked


def test_compiled_code_is_kept_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = {"PRANET_STREAM_CACHE": str(tmp_path), "TRITON_CACHE_DIR": "as it was"}
    monkeypatch.setattr(cache.os, "environ", kept)
    cache.keep_compiled()
    assert kept["TORCHINDUCTOR_CACHE_DIR"] == str(tmp_path / "inductor")
    assert kept["TRITON_CACHE_DIR"] == "as it was"
