"""A checkpoint that cannot be used ends a run in one line."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Film = Callable[..., Path]
Play = Callable[[Path], Any]


def _patched(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


class TestCheckpoint:
    """Files of weights that cannot be used, through the command and its real engines."""

    @pytest.fixture
    def refused(
        self, refuse: Callable[..., str], clips: dict[str, Path], tmp_path: Path
    ) -> Callable[[Path | str], str]:
        def run(model: Path | str) -> str:
            report = tmp_path / "report.json"
            complaint = refuse(
                *("--source", clips["mp4"], "--report", report, "--model", model),
                *("--backend", "eager"),
                fake=False,
            )
            assert str(model) in complaint
            assert not report.exists()
            return complaint

        return run

    def test_unknown_name(self, refused: Callable[[str], str]) -> None:
        assert "no checkpoint 'pranet_v9'" in refused("pranet_v9")

    def test_folder(self, refused: Callable[[Path], str], tmp_path: Path) -> None:
        assert "no checkpoint" in refused(tmp_path)

    @pytest.mark.parametrize(
        "content", [b"", b"weights", struct.pack("<Q", 2**60) + b"{}", b"\0" * 4096]
    )
    @pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
    def test_damaged_file(
        self, refused: Callable[[Path], str], tmp_path: Path, content: bytes, suffix: str
    ) -> None:
        refused(_patched(tmp_path / f"damaged{suffix}", content))

    def test_pickle_that_would_run_code(
        self, refused: Callable[[Path], str], tmp_path: Path
    ) -> None:
        victim = tmp_path / "victim"

        class Hostile:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(victim),)

        complaint = refused(_patched(tmp_path / "hostile.pth", pickle.dumps(Hostile(), protocol=2)))

        assert "refused" in complaint
        assert not victim.exists()

    def test_configuration_that_is_not_understood(
        self, refused: Callable[[Path], str], tmp_path: Path
    ) -> None:
        config = json.dumps({"name": "x", "encoder": "resnet18", "surprise": 1})
        metadata = {"format": "pranet-stream/1", "config": config, "training": "{}"}
        header = json.dumps({"__metadata__": metadata}).encode()
        content = struct.pack("<Q", len(header)) + header

        complaint = refused(_patched(tmp_path / "odd.safetensors", content))

        assert "configuration is not understood" in complaint
