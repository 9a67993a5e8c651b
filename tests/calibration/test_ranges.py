"""Ranges for an 8-bit TensorRT engine: found, accepted or not, and found again."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from calibration import command, ranges
from pranet.checkpoint import read_info
from streamer.engine.quantised import Ranges, find_ranges, paths_of, write_ranges
from streamer.errors import EngineError


class TestLook:
    network = nn.Sequential(nn.Conv2d(1, 4, 1), nn.Conv2d(4, 4, 1, groups=4), nn.Conv2d(4, 1, 1))

    def images(self) -> list[torch.Tensor]:
        small, large = torch.full((1, 1, 100, 100), 0.5), torch.ones(1, 1, 100, 100)
        # Three numbers of ten thousand: fewer than one in a thousand.
        large[0, 0, 0, :3] = -40
        return [large, small]

    def test_fp8_holds_the_greatest(self) -> None:
        found = ranges.look(self.network, self.images(), "fp8")
        assert found["0"] == 40
        assert set(found) == {"0", "2"}

    def test_int8_leaves_out_the_few_that_are_large(self) -> None:
        assert ranges.look(self.network, self.images(), "int8")["0"] == 1

    def test_what_is_not_run_has_no_range(self) -> None:
        class Half(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.used, self.unused = nn.Conv2d(1, 1, 1), nn.Conv2d(1, 1, 1)

            def forward(self, image: torch.Tensor) -> Any:
                return self.used(image)

        assert set(ranges.look(Half(), self.images(), "int8")) == {"used"}


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_the_command_finds_them_and_says_what_is_next(
    precision: str,
    small: Path,
    labelled: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PRANET_STREAM_CACHE", str(tmp_path))
    given = ["--data", labelled, "--validation", labelled, "--model", small, "--pictures", 10]
    form = ["--backend", "tensorrt", "--precision", precision, "--tolerance", 100]
    monkeypatch.setattr(sys, "argv", ["pranet-calibrate", "precision", *map(str, given + form)])
    with pytest.raises(SystemExit) as caught:
        command.main()
    assert caught.value.code in (0, None)
    told = capsys.readouterr().out
    assert f"--backend tensorrt --precision {precision}" in told.splitlines()[-1]
    found = find_ranges(read_info(small), precision)
    assert found is not None
    assert len(found.largest_inputs) == 102
    assert all(0 < largest < 1e3 for largest in found.largest_inputs.values())
    assert (found.facts["pictures"], found.facts["parts_kept"]) == (10, [])


class TestTolerance:
    def test_parts_that_hurt_stay_in_half(
        self, small: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """With scores made up: the decoder costs two points, all else nothing."""

        def score(network: nn.Module, _: Any) -> float:
            return 88.0 if "EightBitConv" in str(network.model.decoder) else 90.0  # type: ignore[union-attr]

        monkeypatch.setattr(ranges, "_asking", lambda _, network: network)
        monkeypatch.setattr(ranges, "mean_dice", score)
        monkeypatch.setattr(ranges, "look", self.all_alike)
        found = ranges.choose_ranges(read_info(small), "int8", [], [])
        assert found.facts["parts_kept"] == ["decoder"]
        assert found.facts["loss"] == 0
        assert not any(name.startswith("model.decoder.") for name in found.largest_inputs)
        assert any(name.startswith("model.attention.") for name in found.largest_inputs)

        with pytest.raises(EngineError, match=r"not accepted: .* loses 0.00 points .* than -1"):
            ranges.choose_ranges(read_info(small), "int8", [], [], tolerance=-1)

    @staticmethod
    def all_alike(network: nn.Module, *_: Any) -> dict[str, float]:
        return dict.fromkeys(ranges.convolutions(network, "int8"), 1.0)


class TestFile:
    found = Ranges("int8", {"stem": 2.5, "head": 6.0}, {"loss": 0.1})

    @pytest.fixture
    def path(self, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("PRANET_STREAM_CACHE", str(tmp_path))
        return paths_of(read_info(small), "tensorrt-int8")[1]

    def test_comes_back(self, path: Path, small: Path) -> None:
        checkpoint = read_info(small)
        assert find_ranges(checkpoint, "int8") is None
        write_ranges(path, checkpoint, self.found)
        assert find_ranges(checkpoint, "int8") == self.found
        assert find_ranges(checkpoint, "fp8") is None

    @pytest.mark.parametrize(
        "change", [("int8", "fp8"), ("2.5", '"wide"'), ("checkpoint_sha256", "sha"), ("{", "")]
    )
    def test_what_does_not_fit_is_not_taken(
        self, change: tuple[str, str], path: Path, small: Path
    ) -> None:
        checkpoint = read_info(small)
        write_ranges(path, checkpoint, self.found)
        path.write_text(path.read_text().replace(*change))
        assert find_ranges(checkpoint, "int8") is None

    def test_of_another_checkpoint(self, path: Path, small: Path) -> None:
        checkpoint = read_info(small)
        write_ranges(path, checkpoint, self.found)
        path.write_text(path.read_text().replace(checkpoint.sha256, "0" * 64))
        assert find_ranges(checkpoint, "int8") is None

    def test_the_hash_is_of_what_an_engine_depends_on(self) -> None:
        same = Ranges("int8", {"head": 6.0, "stem": 2.5}, {})
        assert same.sha256 == self.found.sha256
        assert Ranges("fp8", same.largest_inputs, {}).sha256 != same.sha256
        assert Ranges("int8", {"stem": 2.5, "head": 6.1}, {}).sha256 != same.sha256

    def test_cannot_be_written(self, small: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(EngineError, match="cannot be written"):
            write_ranges(tmp_path / "file" / "r.json", read_info(small), self.found)
