"""Training, end to end on made-up pairs: files, exact resume, what an epoch draws."""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from pranet import load_model
from pranet.augment import Augmentation
from pranet.checkpoint import read_info
from pranet.data import Pair
from pranet.errors import DataError
from pranet.losses import boundary_weight
from pranet.model import CONFIGS, ModelConfig
from pranet.train import CACHE_SIZE_PX, EpochSampler, PairDataset, TrainConfig, Trainer, main, train

CONFIG = TrainConfig(
    model="tiny", epochs=2, batch_size=4, sizes_px=((64,), (64, 96)), empty_share=0.25
)

MakeTrainer = Callable[..., Trainer]
MakePairs = Callable[..., list[Pair]]


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def make_trainer(
    tiny_config: ModelConfig, make_pairs: MakePairs, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MakeTrainer]:
    """Trainers of the tiny network, without ImageNet weights, on the same made-up pairs."""
    folder = tmp_path_factory.mktemp("data")
    data: dict[str, Any] = {
        "train": make_pairs(folder / "polyps", 8),
        "empty": make_pairs(folder / "empty", 3, empty=True),
        "validation": make_pairs(folder / "validation", 2),
    }

    def make(output: Path, config: TrainConfig = CONFIG) -> Trainer:
        return Trainer(config, output=output, device="cpu", workers=0, **data)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CONFIGS, "tiny", tiny_config)
        patch.setattr("pranet.train.load_imagenet", lambda encoder, name: None)
        yield make


@pytest.fixture(scope="module")
def finished(make_trainer: MakeTrainer, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run that went straight through its two epochs."""
    trainer = make_trainer(tmp_path_factory.mktemp("run"))
    trainer.run()
    return trainer


def state_of(trainer: Trainer) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(trainer.output / "state.pt", weights_only=True)
    return state


def differing(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> list[str]:
    assert left.keys() == right.keys()
    return [key for key in left if not torch.equal(left[key], right[key])]


def test_run_writes_a_history_of_finite_losses_and_a_checkpoint_of_the_averaged_weights(
    finished: Trainer,
) -> None:
    history = json.loads((finished.output / "history.json").read_text())
    path = finished.output / "model.safetensors"

    assert [entry["epoch"] for entry in history] == [1, 2]
    assert all(np.isfinite(list(entry.values())).all() for entry in history)
    assert sorted(file.name for file in finished.output.iterdir()) == [
        "history.json",
        "model.safetensors",
        "state.pt",
    ]
    training = read_info(path).training
    assert training["validation"] == history[-1]
    assert training["config"]["seed"] == CONFIG.seed
    stored = {
        key: value.half().float() if value.is_floating_point() else value
        for key, value in finished.average.state_dict().items()
    }
    assert differing(load_model(path).state_dict(), stored) == []


def test_training_changes_every_weight_and_the_average_trails_behind(
    finished: Trainer, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    untrained = make_trainer(tmp_path).model.state_dict()
    trained, average = finished.model.state_dict(), finished.average.state_dict()

    unchanged = {key for key in untrained if torch.equal(untrained[key], trained[key])}
    assert unchanged == set()
    start, end, mean = (state["decoder.head_fg.weight"] for state in (untrained, trained, average))
    assert 0 < (mean - start).norm() < (end - start).norm()


def test_resumed_run_ends_bit_for_bit_as_the_unbroken_one(
    finished: Trainer,
    make_trainer: MakeTrainer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    killed = make_trainer(tmp_path)

    def save_and_die() -> None:
        Trainer._save(killed)
        raise KilledError

    monkeypatch.setattr(killed, "_save", save_and_die)
    with pytest.raises(KilledError):
        killed.run()
    torch.manual_seed(0)
    resumed = make_trainer(tmp_path)
    torch.manual_seed(1)
    resumed.resume()
    assert [entry["epoch"] for entry in resumed.history] == [1]
    resumed.run()

    expected, found = state_of(finished), state_of(resumed)
    assert differing(found["model"], expected["model"]) == []
    assert differing(found["average"], expected["average"]) == []
    assert found["history"] == expected["history"]
    assert found["schedule"] == expected["schedule"]
    for index, values in expected["optimizer"]["state"].items():
        assert differing(found["optimizer"]["state"][index], values) == []


def test_finished_run_has_nothing_left_to_do(
    finished: Trainer, make_trainer: MakeTrainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = make_trainer(finished.output)
    again.resume()
    monkeypatch.setattr(again, "_train_epoch", lambda: pytest.fail("trained again"))

    again.run()

    assert differing(again.model.state_dict(), finished.model.state_dict()) == []


def test_run_can_start_from_a_checkpoint_and_keeps_its_name_without_the_folder(
    finished: Trainer, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    start = finished.output / "model.safetensors"

    trainer = make_trainer(tmp_path, replace(CONFIG, start=str(start), epochs=1, sizes_px=((64,),)))

    assert differing(trainer.model.state_dict(), load_model(start).state_dict()) == []
    assert differing(trainer.average.state_dict(), load_model(start).state_dict()) == []
    trainer.run()
    stored = read_info(tmp_path / "model.safetensors").training["config"]
    assert stored["start"] == "model.safetensors"


def test_resume_without_a_state_starts_anew(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)

    trainer.resume()

    assert trainer.history == []


def test_resume_with_another_configuration_is_refused(
    finished: Trainer, make_trainer: MakeTrainer
) -> None:
    trainer = make_trainer(finished.output, replace(CONFIG, seed=1))

    with pytest.raises(DataError, match="made with another configuration"):
        trainer.resume()


def test_epoch_draws_each_polyp_once_and_a_share_of_the_empty_images() -> None:
    sampler = EpochSampler(CONFIG, polyps=8, empty=9)

    drawn = []
    for sampler.epoch in range(2):
        batches = list(sampler)
        assert [len(batch) for batch in batches] == [4] * len(sampler)
        drawn.append([index for batch in batches for _, index, _ in batch])

    # Eight polyps and a quarter as many empty images are ten; two are left over from two batches.
    for indices in drawn:
        assert len(set(indices)) == len(indices) == 8
        assert set(indices) <= set(range(17))
        assert sum(index >= 8 for index in indices) <= 2
    assert drawn[0] != drawn[1]


def test_batches_have_one_size_each_and_of_their_phase() -> None:
    config = replace(CONFIG, epochs=4, sizes_px=((64,), (96, 128)))
    sampler = EpochSampler(config, polyps=200, empty=0)

    seen = []
    for sampler.epoch in range(config.epochs):
        batches = list(sampler)
        assert all(len({size_px for _, _, size_px in batch}) == 1 for batch in batches)
        assert {epoch for batch in batches for epoch, _, _ in batch} == {sampler.epoch}
        seen.append({batch[0][2] for batch in batches})

    assert seen == [{64}, {64}, {96, 128}, {96, 128}]


def test_same_epoch_draws_the_same_batches_again() -> None:
    first, second = (list(EpochSampler(CONFIG, polyps=40, empty=9)) for _ in range(2))
    other_seed = list(EpochSampler(replace(CONFIG, seed=1), polyps=40, empty=9))

    assert first == second
    assert first != other_seed


def test_item_is_image_mask_and_boundary_weight_by_its_address_alone(
    tmp_path: Path, make_pairs: MakePairs
) -> None:
    pairs = make_pairs(tmp_path / "data", 2)
    first, second = (PairDataset(pairs, augmentation=Augmentation(), seed=4) for _ in range(2))
    second[0, 1, 64]

    image, mask, weight = first[1, 0, 96]

    assert len(first) == 2
    assert (image.shape, mask.shape, weight.shape) == ((3, 96, 96), (1, 96, 96), (1, 96, 96))
    assert (image.dtype, mask.dtype, weight.dtype) == (torch.uint8, torch.float32, torch.float32)
    assert set(mask.flatten().tolist()) == {0.0, 1.0}
    assert np.array_equal(weight[0].numpy(), boundary_weight(mask[0].numpy()))
    assert all(
        torch.equal(mine, theirs)
        for mine, theirs in zip((image, mask, weight), second[1, 0, 96], strict=True)
    )
    assert not torch.equal(image, first[2, 0, 96][0])


def test_large_image_is_kept_in_memory_reduced_and_a_small_one_as_it_is(tmp_path: Path) -> None:
    pairs = []
    for name, size in (("large", (300, 2 * CACHE_SIZE_PX)), ("small", (50, 80))):
        pair = Pair(tmp_path / f"{name}.png", None)
        cv2.imwrite(str(pair.image), np.zeros((*size, 3), np.uint8))
        pairs.append(pair)

    dataset = PairDataset(pairs, augmentation=Augmentation(), seed=1)

    shapes = [(image.shape, mask.shape) for image, mask in dataset._items]
    assert shapes == [
        ((150, CACHE_SIZE_PX, 3), (150, CACHE_SIZE_PX)),
        ((50, 80, 3), (50, 80)),
    ]


@pytest.mark.usefixtures("make_trainer")
def test_command_trains_with_the_settings_it_is_given(
    tmp_path: Path, make_pairs: MakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "setNumThreads", lambda _: None)
    make_pairs(tmp_path / "polyps", 13)
    make_pairs(tmp_path / "empty", 2, empty=True)

    train(
        data=[tmp_path / "polyps"],
        empty=[tmp_path / "empty"],
        output=tmp_path / "run",
        model="tiny",
        sizes="64/64,96",
        encoder_rate=1e-3,
        epochs=2,
        batch_size=6,
        workers=0,
    )

    stored = read_info(tmp_path / "run" / "model.safetensors").training["config"]
    assert stored["sizes_px"] == [[64], [64, 96]]
    assert (stored["encoder_rate"], stored["epochs"], stored["batch_size"]) == (1e-3, 2, 6)


def test_command_says_what_is_wrong_with_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cv2, "setNumThreads", lambda _: None)

    with pytest.raises(SystemExit, match="2"):
        train(data=[tmp_path], output=tmp_path / "run")
    assert "no images found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        (["--model", "nonsense"], "unknown model"),
        (["--sizes", "100"], "multiples of 32"),
        (["--sizes", ""], "multiples of 32"),
        (["--sizes", "192,"], "multiples of 32"),
        (["--sizes", "192;224"], "multiples of 32"),
        (["--sizes", "small/large"], "multiples of 32"),
        (["--start", "nowhere.safetensors"], "no checkpoint"),
        (["--batch-size", "64"], "too few images"),
    ],
)
def test_a_request_that_cannot_be_met_ends_in_one_line(
    changes: list[str],
    complaint: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
        for index in range(8):
            cv2.imwrite(str(tmp_path / kind / f"{index}.png"), np.zeros((64, 64), np.uint8))
    monkeypatch.setattr("pranet.train.load_imagenet", lambda *_: None)
    arguments = ["--data", str(tmp_path), "--output", str(tmp_path / "out"), "--workers", "0"]
    monkeypatch.setattr(sys, "argv", ["pranet-train", *arguments, *changes])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.strip().splitlines()[-1:]
    assert line.startswith("pranet-train: ")
    assert complaint in line
