"""`pranet-train`: what it takes from its options, and how it says what is wrong."""

import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pranet import train
from pranet.checkpoint import read_info
from pranet.data import Pair

MakePairs = Callable[..., list[Pair]]

RECIPE = """
model = "tiny"
epochs = 9
batch_size = 4
sizes_px = [[64], [64, 96]]
validation_share = 0.2
"""


@pytest.fixture
def command(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_known: None,
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command with a recipe of the tiny network: exit code, stdout, stderr."""
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(RECIPE)
    # Both would last longer than the test.
    monkeypatch.setattr(cv2, "setNumThreads", lambda _: None)
    monkeypatch.setattr(train, "keep_freed_memory", lambda: None)
    always = ["--config", str(recipe), "--output", str(tmp_path / "run"), "--workers", "0"]

    def run(*arguments: str | Path) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["pranet-train", *always, *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            train.main()
        output, errors = capsys.readouterr()
        return int(ended.value.code or 0), output, errors

    return run


@pytest.fixture
def polyps(tmp_path: Path, make_pairs: MakePairs) -> Path:
    """A folder of ten pairs."""
    make_pairs(tmp_path / "polyps", 10)
    return tmp_path / "polyps"


def test_command_trains_with_the_settings_it_is_given_and_then_has_nothing_left_to_do(
    command: Callable[..., tuple[int, str, str]],
    polyps: Path,
    tmp_path: Path,
    make_pairs: MakePairs,
) -> None:
    make_pairs(tmp_path / "empty", 2, empty=True)
    arguments = ["--data", polyps, "--empty", tmp_path / "empty", "--epochs", "2"]
    arguments += ["--batch-size", "6", "--seed", "5", "--set", "encoder_rate=1e-3"]
    arguments += ["--set", "network.context=true", "--set", "epochs=7"]

    assert command(*arguments)[0] == 0

    info = read_info(tmp_path / "run" / "model.safetensors")
    recipe = info.training["recipe"]
    assert (recipe["epochs"], recipe["batch_size"], recipe["seed"]) == (2, 6, 5)
    assert recipe["encoder_rate"] == 1e-3
    assert recipe["sizes_px"] == [[64], [64, 96]]
    assert info.config["context"] is True
    state = (tmp_path / "run" / "state.pt").read_bytes()

    assert command(*arguments)[0] == 0
    assert (tmp_path / "run" / "state.pt").read_bytes() == state


def test_check_reports_and_trains_nothing(
    command: Callable[..., tuple[int, str, str]], polyps: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(polyps / "masks" / "polyp_3.png"), np.zeros((8, 8), np.uint8))

    code, output, errors = command("--data", polyps, "--check")

    assert code == 2
    assert output.startswith("data: 8 pairs to train on, 2 held out, 0 without polyp\n")
    assert "error: 1 masks of another size than their image, e.g. polyp_3.png (8x8" in output
    assert errors.splitlines()[-1].startswith("pranet-train: 1 masks of another size")
    assert not (tmp_path / "run").exists()


def test_check_of_sound_data_ends_well(
    command: Callable[..., tuple[int, str, str]], polyps: Path, tmp_path: Path
) -> None:
    code, output, _ = command("--data", polyps, "--check")

    assert (code, (tmp_path / "run").exists()) == (0, False)
    assert "error" not in output


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (["--model", "nonsense"], "model must be one of"),
        (["--set", "sizes_px=[[100]]"], "sizes_px must be lists of multiples of 32"),
        (["--set", "colour"], "'colour' is no setting"),
        (["--start", "nowhere.safetensors"], "no checkpoint"),
        (["--batch-size", "64"], "too few images"),
        (["--batch-size", "1"], "batch_size must be a whole number from 2"),
        (["--config", "nowhere.toml"], "no recipe 'nowhere.toml'"),
        (["--device", "abacus"], "device 'abacus'"),
        (["--device", "meta"], "only cpu and cuda are supported"),
        (["--device", "cuda:99"], "device cuda:99: there are"),
        (["--set", 'precision="fp16"'], "precision fp16 needs a CUDA device"),
        (["--data", "nowhere"], "no images found in"),
        (["--sequences", "nowhere.json"], "not a list of frame sequences"),
        (["--output", "/dev/null/run"], "/dev/null"),
    ],
)
def test_a_request_that_cannot_be_met_ends_in_one_line(
    changes: list[str],
    complaint: str,
    command: Callable[..., tuple[int, str, str]],
    polyps: Path,
) -> None:
    code, _, errors = command("--data", polyps, "--epochs", "1", *changes)

    assert code == 2
    assert "Traceback" not in errors
    (line,) = (line for line in errors.splitlines() if line.startswith("pranet-train: "))
    assert complaint in line


def test_data_with_gaps_stops_training_before_it_begins(
    command: Callable[..., tuple[int, str, str]], polyps: Path, tmp_path: Path
) -> None:
    (polyps / "masks" / "polyp_2.png").unlink()
    (polyps / "images" / "polyp_7.png").write_bytes(b"no image")

    code, _, errors = command("--data", polyps)

    assert code == 2
    line = errors.splitlines()[-1]
    assert line.startswith("pranet-train: 1 images without mask, e.g. polyp_2.png; 1 unreadable")
    assert not (tmp_path / "run").exists()
