"""The curves of a run, as table and picture."""

import csv
import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import pytest

from pranet import curves
from pranet.curves import chosen_epoch, write_curves

HISTORY = [
    {"epoch": 1, "loss": 9.5, "mDice": 40.0, "seconds": 3.0},
    {"epoch": 2, "loss": 7.25, "mDice": 61.5, "HD95": 12.0, "seconds": 2.5},
    {"epoch": 3, "loss": 6.0, "mDice": 61.5, "seconds": 2.5},
]


@pytest.fixture(autouse=True)
def _look_for_matplotlib_anew() -> Iterator[None]:
    curves._figure_type.cache_clear()
    yield
    curves._figure_type.cache_clear()


def test_first_of_the_best_epochs_is_chosen_and_the_last_without_scores() -> None:
    assert chosen_epoch(HISTORY) == 2
    assert chosen_epoch(HISTORY[:1]) == 1
    assert chosen_epoch([{"epoch": 1, "loss": 2.0}, {"epoch": 2, "loss": 3.0}]) == 2


def test_table_has_a_row_for_each_epoch_and_gaps_where_there_is_no_score(tmp_path: Path) -> None:
    write_curves(HISTORY, tmp_path)

    with (tmp_path / "curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["epoch", "loss", "mDice", "seconds", "HD95"]
    assert [row["loss"] for row in rows] == ["9.5", "7.25", "6.0"]
    assert [row["HD95"] for row in rows] == ["", "12.0", ""]


@pytest.mark.parametrize("history", [HISTORY, [{"epoch": 1, "loss": 2.0}]])
def test_picture_is_drawn(history: list[dict[str, float]], tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")

    write_curves(history, tmp_path)

    image = cv2.imread(str(tmp_path / "curves.png"))
    assert image is not None
    assert image.std() > 5


def test_without_matplotlib_the_picture_is_left_out_and_that_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

    with caplog.at_level(logging.INFO, "pranet.train"):
        write_curves(HISTORY[:1], tmp_path)
        write_curves(HISTORY, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["curves.csv"]
    assert caplog.messages == ["no curves.png: matplotlib is not installed"]
