"""Training, end to end on made-up pairs: files, choice of the epoch, exact resume."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pranet import load_model
from pranet.checkpoint import read_info
from pranet.data import Pair
from pranet.distributed import Group
from pranet.errors import DataError
from pranet.recipe import Recipe
from pranet.trainer import Trainer

MakeTrainer = Callable[..., Trainer]
MakePairs = Callable[..., list[Pair]]

FILES = ["curves.csv", "curves.png", "history.json", "last.safetensors", "model.safetensors"]


class KilledError(Exception):
    """Stands for the end of the process."""


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def recipe(tiny_known: None) -> Recipe:
    """Two short epochs of the tiny network, without ImageNet weights."""
    return Recipe(
        model="tiny", epochs=2, batch_size=4, sizes_px=((64,), (64, 96)), empty_share=0.25
    )


@pytest.fixture(scope="module")
def make_trainer(
    recipe: Recipe, make_pairs: MakePairs, tmp_path_factory: pytest.TempPathFactory
) -> MakeTrainer:
    """Trainers on the same made-up pairs, or on those that are given."""
    folder = tmp_path_factory.mktemp("data")
    data: dict[str, Any] = {
        "train": make_pairs(folder / "polyps", 8),
        "empty": make_pairs(folder / "empty", 3, empty=True),
        "validation": make_pairs(folder / "validation", 2),
    }

    def make(output: Path, recipe: Recipe = recipe, **others: Any) -> Trainer:
        return Trainer(recipe, output=output, **(data | others))

    return make


@pytest.fixture(scope="module")
def finished(make_trainer: MakeTrainer, tmp_path_factory: pytest.TempPathFactory) -> Trainer:
    """A run that went straight through its two epochs."""
    trainer = make_trainer(tmp_path_factory.mktemp("run"))
    trainer.run()
    return trainer


@pytest.fixture
def scores(monkeypatch: pytest.MonkeyPatch) -> Callable[[list[float]], None]:
    """Makes the validation of each epoch come to these mDice."""

    def use(values: list[float]) -> None:
        left = iter(values)
        monkeypatch.setattr("pranet.trainer.evaluate", lambda *_: {"mDice": next(left)})

    return use


def kill_after(trainer: Trainer, epochs: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run, and die when the state of so many epochs is on disk."""

    def save_and_die() -> None:
        Trainer._save(trainer)
        if len(trainer.history) == epochs:
            raise KilledError

    monkeypatch.setattr(trainer, "_save", save_and_die)
    with pytest.raises(KilledError):
        trainer.run()


def state_of(trainer: Trainer) -> dict[str, Any]:
    state: dict[str, Any] = torch.load(trainer.output / "state.pt", weights_only=True)
    return state


def differing(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> list[str]:
    assert left.keys() == right.keys()
    return [key for key in left if not torch.equal(left[key], right[key])]


def stored(weights: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """As a checkpoint keeps them."""
    return {
        key: value.half().float() if value.is_floating_point() else value
        for key, value in weights.items()
    }


def without_times(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [
        {name: value for name, value in entry.items() if name != "seconds"} for entry in history
    ]


def test_run_writes_a_history_of_finite_numbers_and_checkpoints_of_the_averaged_weights(
    finished: Trainer, recipe: Recipe
) -> None:
    history = json.loads((finished.output / "history.json").read_text())

    assert [entry["epoch"] for entry in history] == [1, 2]
    assert all(np.isfinite(list(entry.values())).all() for entry in history)
    assert sorted(file.name for file in finished.output.iterdir()) == [*FILES, "state.pt"]
    last = finished.output / "last.safetensors"
    training = read_info(last).training
    assert training["validation"] == history[-1]
    assert training["recipe"]["seed"] == recipe.seed
    assert differing(load_model(last).state_dict(), stored(finished.average.state_dict())) == []


def test_history_tells_the_rates_and_the_time_of_each_epoch(
    finished: Trainer, recipe: Recipe
) -> None:
    first, second = finished.history

    assert 0 < first["encoder_rate"] < recipe.encoder_rate
    assert second["decoder_rate"] > second["encoder_rate"] > 0
    assert all(entry["seconds"] > 0 for entry in finished.history)


def test_training_changes_every_weight_and_the_average_trails_behind(
    finished: Trainer, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    untrained = make_trainer(tmp_path).model.state_dict()
    trained, average = finished.model.state_dict(), finished.average.state_dict()

    unchanged = {key for key in untrained if torch.equal(untrained[key], trained[key])}
    assert unchanged == set()
    start, end, mean = (state["decoder.head_fg.weight"] for state in (untrained, trained, average))
    assert 0 < (mean - start).norm() < (end - start).norm()


def test_model_is_of_the_best_epoch_and_last_of_the_newest(
    make_trainer: MakeTrainer,
    recipe: Recipe,
    tmp_path: Path,
    scores: Callable[[list[float]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores([50.0, 70.0, 60.0])
    trainer = make_trainer(tmp_path, replace(recipe, epochs=3))
    averages = []

    def save_and_keep() -> None:
        Trainer._save(trainer)
        weights = trainer.average.state_dict()
        averages.append(stored({key: value.clone() for key, value in weights.items()}))

    monkeypatch.setattr(trainer, "_save", save_and_keep)
    trainer.run()

    best, last = (tmp_path / f"{name}.safetensors" for name in ("model", "last"))
    assert differing(load_model(best).state_dict(), averages[1]) == []
    assert differing(load_model(last).state_dict(), averages[2]) == []
    assert read_info(best).training["chosen_epoch"] == 2
    assert read_info(best).training["validation"]["mDice"] == 70
    assert [entry["chosen_epoch"] for entry in trainer.history] == [1, 2, 2]


def test_resumed_run_keeps_the_best_epoch_so_far(
    make_trainer: MakeTrainer,
    recipe: Recipe,
    tmp_path: Path,
    scores: Callable[[list[float]], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scores([70.0, 60.0])
    kill_after(make_trainer(tmp_path), 1, monkeypatch)
    best = (tmp_path / "model.safetensors").read_bytes()

    resumed = make_trainer(tmp_path)
    resumed.resume()
    resumed.run()

    assert (tmp_path / "model.safetensors").read_bytes() == best
    assert read_info(tmp_path / "last.safetensors").training["validation"]["epoch"] == 2
    assert resumed.history[-1]["chosen_epoch"] == 1


def test_without_validation_the_last_epoch_is_kept(
    make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    trainer = make_trainer(tmp_path, validation=[])
    trainer.run()

    model, last = (tmp_path / f"{name}.safetensors" for name in ("model", "last"))
    assert differing(load_model(model).state_dict(), load_model(last).state_dict()) == []
    assert read_info(model).training == read_info(last).training
    assert read_info(model).training["chosen_epoch"] == 2
    assert "mDice" not in trainer.history[-1]


def test_resumed_run_ends_bit_for_bit_as_the_unbroken_one(
    finished: Trainer,
    make_trainer: MakeTrainer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kill_after(make_trainer(tmp_path), 1, monkeypatch)
    torch.manual_seed(0)
    resumed = make_trainer(tmp_path)
    torch.manual_seed(1)
    resumed.resume()
    assert [entry["epoch"] for entry in resumed.history] == [1]
    resumed.run()

    expected, found = state_of(finished), state_of(resumed)
    assert differing(found["model"], expected["model"]) == []
    assert differing(found["average"], expected["average"]) == []
    assert without_times(found["history"]) == without_times(expected["history"])
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
    finished: Trainer, make_trainer: MakeTrainer, recipe: Recipe, tmp_path: Path
) -> None:
    start = finished.output / "model.safetensors"

    trainer = make_trainer(tmp_path, replace(recipe, start=str(start), epochs=1))

    assert differing(trainer.model.state_dict(), load_model(start).state_dict()) == []
    assert differing(trainer.average.state_dict(), load_model(start).state_dict()) == []
    trainer.run()
    kept = read_info(tmp_path / "model.safetensors").training["recipe"]
    assert kept["start"] == "model.safetensors"


def test_label_maps_of_several_classes_are_trained_on_and_validated(
    make_trainer: MakeTrainer, recipe: Recipe, make_label_pairs: MakePairs, tmp_path: Path
) -> None:
    pairs = make_label_pairs(tmp_path / "data", 6)
    several = replace(
        recipe, loss="general", network={"num_classes": 3}, general_weights={"w_bce": 0.2}
    )

    trainer = make_trainer(
        tmp_path / "run", several, train=pairs[:4], validation=pairs[4:], empty=[]
    )
    trainer.run()

    assert load_model(tmp_path / "run" / "model.safetensors").config.num_classes == 3
    assert 0 <= trainer.history[-1]["mDice"] <= 100
    assert all(np.isfinite(entry["loss"]) for entry in trainer.history)


@pytest.mark.parametrize("background_weight", [0.0, 0.8])
def test_full_precision_trains_too_and_differs(
    background_weight: float, make_trainer: MakeTrainer, recipe: Recipe, tmp_path: Path
) -> None:
    changed = replace(recipe, epochs=1, background_weight=background_weight)
    losses = []
    for precision in ("bf16", "fp32"):
        trainer = make_trainer(
            tmp_path / precision, replace(changed, precision=precision), validation=[]
        )
        trainer.run()
        losses.append(trainer.history[0]["loss"])

    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


def test_a_warm_up_of_exactly_one_step_is_no_trap(
    make_trainer: MakeTrainer, recipe: Recipe, tmp_path: Path
) -> None:
    # Two steps for each of five epochs: a tenth of them is one.
    trainer = make_trainer(tmp_path, replace(recipe, epochs=5, warm_up_share=0.1), empty=[])

    assert trainer.schedule.total_steps * trainer.recipe.warm_up_share == 1
    assert trainer.schedule.get_last_lr()[0] < trainer.recipe.encoder_rate


@pytest.mark.parametrize(
    ("changes", "others", "complaint"),
    [
        ({"precision": "fp16"}, {}, "precision fp16 needs a CUDA device; use bf16 or fp32"),
        ({"batch_size": 64}, {}, "too few images: 8 to train on with batches of 64, 2 held out"),
        ({}, {"group": Group(0, 3)}, "batch_size 4 cannot be shared by 3 processes"),
        ({"network": {"encoder": "nonsense"}}, {}, "network: no encoder 'nonsense' in timm"),
    ],
)
def test_recipe_that_cannot_be_followed_is_refused(
    changes: dict[str, Any],
    others: dict[str, Any],
    complaint: str,
    make_trainer: MakeTrainer,
    recipe: Recipe,
    tmp_path: Path,
) -> None:
    with pytest.raises(DataError) as refused:
        make_trainer(tmp_path, replace(recipe, **changes), **others)

    assert str(refused.value) == complaint


def test_resume_without_a_state_starts_anew(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer(tmp_path)

    trainer.resume()

    assert trainer.history == []


def test_resume_with_another_recipe_is_refused(
    finished: Trainer, make_trainer: MakeTrainer, recipe: Recipe
) -> None:
    trainer = make_trainer(finished.output, replace(recipe, seed=1))

    with pytest.raises(DataError, match="made with another recipe"):
        trainer.resume()


@pytest.mark.parametrize("part", ["train", "empty", "validation"])
def test_resume_with_other_images_is_refused(
    part: str, finished: Trainer, make_trainer: MakeTrainer, make_pairs: MakePairs, tmp_path: Path
) -> None:
    others = make_pairs(tmp_path / "others", 9)[1:]
    trainer = make_trainer(finished.output, **{part: others})

    with pytest.raises(DataError, match="made with other images"):
        trainer.resume()


@pytest.mark.parametrize("damage", ["text", "cut", "list", "lacks", "other weights"])
def test_damaged_state_is_refused(
    damage: str, finished: Trainer, make_trainer: MakeTrainer, tmp_path: Path
) -> None:
    path = tmp_path / "state.pt"
    whole = (finished.output / "state.pt").read_bytes()
    state = state_of(finished)
    if damage == "text":
        path.write_text("no state")
    elif damage == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    elif damage == "list":
        torch.save([1, 2], path)
    elif damage == "lacks":
        torch.save({key: value for key, value in state.items() if key != "optimizer"}, path)
    else:
        torch.save(state | {"model": {"weight": torch.zeros(1)}}, path)

    with pytest.raises(DataError, match="remove it to begin anew") as refused:
        make_trainer(tmp_path).resume()
    assert "\n" not in str(refused.value)
