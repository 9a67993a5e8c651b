"""Several processes that train one network."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pranet import save_model
from pranet.data import Pair
from pranet.distributed import ALONE, Group, device_of, group_of
from pranet.errors import DataError
from pranet.model import PraNet

#: The command, that also writes what weights each process ended with.
SCRIPT = """
import os, sys, torch
from pranet import train

class Watched(train.Trainer):
    def run(self):
        super().run()
        weights = dict(self.model.named_parameters())
        torch.save(weights, os.path.join(os.path.dirname(__file__), f"rank_{self.group.rank}.pt"))

torch.set_num_threads(1)
train.Trainer = Watched
train.main()
"""


def test_processes_end_with_the_same_weights_and_one_of_them_writes(
    tmp_path: Path,
    make_model: Callable[..., PraNet],
    make_pairs: Callable[..., list[Pair]],
) -> None:
    make_pairs(tmp_path / "polyps", 10)
    model = make_model()
    save_model(model, tmp_path / "tiny.safetensors")
    stages = "[{ width = 8 }, { width = 8 }, { width = 8 }]"
    network = f'{{ encoder = "{model.config.encoder}", channels = 8, stages = {stages} }}'
    (tmp_path / "recipe.toml").write_text(
        f"epochs = 2\nbatch_size = 4\nsizes_px = [[64]]\nvalidation_share = 0.2\n"
        f"background_weight = 0\nnetwork = {network}\n"
    )
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    options = {
        "--config": tmp_path / "recipe.toml",
        # Not --start: torchrun of Python 3.11 would take it for the beginning of one of its own.
        "--set": f"start='{tmp_path / 'tiny.safetensors'}'",
        "--data": tmp_path / "polyps",
        "--output": tmp_path / "run",
        "--workers": 0,
    }
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node", "2", str(script)),
            *(str(word) for option in options.items() for word in option),
        ],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    first, second = (torch.load(tmp_path / f"rank_{rank}.pt") for rank in range(2))
    start = dict(model.named_parameters())
    assert all(torch.equal(first[name], second[name]) for name in start)
    assert any(not torch.equal(first[name], start[name]) for name in start)
    history = json.loads((tmp_path / "run" / "history.json").read_text())
    assert [entry["epoch"] for entry in history] == [1, 2]
    assert done.stderr.count("epoch 2/2") == 1
    assert not [path for path in (tmp_path / "run").iterdir() if path.suffix == ".tmp"]


def test_group_is_told_by_the_variables_of_torchrun() -> None:
    environment = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}

    assert group_of({}) == ALONE
    assert group_of(environment) == Group(5, 8, 1)
    assert ALONE.leads
    assert not group_of(environment).leads


def test_variables_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(DataError, match="are for torchrun"):
        group_of({"RANK": "first"})


def test_a_process_alone_waits_for_nobody_and_is_its_own_mean() -> None:
    ALONE.wait()

    assert ALONE.mean(torch.tensor(3.0)) == 3


@pytest.mark.parametrize(
    ("name", "group", "expected"),
    [
        ("cpu", ALONE, "cpu"),
        ("cpu", Group(1, 2, 1), "cpu"),
        ("cuda", ALONE, "cuda"),
        ("cuda:1", ALONE, "cuda:1"),
        ("cuda", Group(3, 4, 1), "cuda:1"),
        ("cuda", Group(2, 3, 2), None),
        ("cuda:2", ALONE, None),
        ("mps", ALONE, None),
        ("abacus", ALONE, None),
    ],
)
def test_each_process_takes_its_own_device_if_it_is_there(
    name: str, group: Group, expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)

    if expected is None:
        with pytest.raises(DataError, match="device"):
            device_of(name, group)
    else:
        assert device_of(name, group) == expected
