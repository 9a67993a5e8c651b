"""Scoring a network on folders."""

import json
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from pranet import save_model
from pranet.checkpoint import read_info
from pranet.data import Pair
from pranet.evaluate import evaluate, main, run
from pranet.metrics import score
from pranet.model import PraNet
from pranet.predict import predict

MakeModel = Callable[..., PraNet]
MakePairs = Callable[..., list[Pair]]


def test_scores_are_means_over_the_images_in_percent(
    tmp_path: Path, make_model: MakeModel, make_pairs: MakePairs
) -> None:
    model, pairs = make_model(), make_pairs(tmp_path / "data", 3)

    scores = evaluate(model, pairs)

    each = [score(predict(model, image), mask) for image, mask in (pair.read() for pair in pairs)]
    assert scores == pytest.approx(
        {name: 100 * np.mean([one[name] for one in each]) for name in each[0]}
    )
    assert 0 < scores["mDice"] < 100


def test_report_names_the_checkpoint_by_its_hash_and_scores_each_folder(
    tmp_path: Path, make_model: MakeModel, make_pairs: MakePairs
) -> None:
    path, report = tmp_path / "tiny.safetensors", tmp_path / "out" / "report.json"
    save_model(make_model(), path)
    pairs = {name: make_pairs(tmp_path / name, 2) for name in ("first", "second one")}

    run(data=[tmp_path / name for name in pairs], model=str(path), report=report)

    content = json.loads(report.read_text())
    assert content["checkpoint_sha256"] == read_info(path).sha256
    assert content["folders"].keys() == pairs.keys()
    assert {folder["images"] for folder in content["folders"].values()} == {2}
    assert content["folders"]["first"] != content["folders"]["second one"]


def test_command_says_which_checkpoint_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cv2, "setNumThreads", lambda _: None)
    arguments = ["pranet-eval", "--data", str(tmp_path), "--model", "missing"]
    monkeypatch.setattr("sys.argv", arguments)

    with pytest.raises(SystemExit) as caught:
        main()

    assert caught.value.code == 2
    assert "pranet-eval: no checkpoint 'missing'" in capsys.readouterr().out
