"""The study of what each part gains: its variants, its scores, its table."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pranet import ablation
from pranet.ablation import MAPS, VARIANTS, markdown, predict_maps, score_folder, variant_recipe
from pranet.data import Pair
from pranet.model import PraNet
from pranet.predict import predict
from pranet.recipe import Recipe

MakeModel = Callable[..., PraNet]
MakePairs = Callable[..., list[Pair]]


def test_every_variant_is_a_recipe_that_differs_from_all_others() -> None:
    base = Recipe(network={"input_size": 64, "context": False})

    recipes = [variant_recipe(base, changes) for changes in VARIANTS.values()]

    assert all(recipe.model_config.input_size == 64 for recipe in recipes)
    assert all(recipes.count(recipe) == 1 for recipe in recipes)
    assert base in recipes


@pytest.mark.parametrize("architecture", ["pranet_v1", "pranet_v2"])
def test_the_sum_is_the_network_s_own_answer(
    architecture: str, make_model: MakeModel, make_pairs: MakePairs, tmp_path: Path
) -> None:
    model = make_model(architecture=architecture)
    image, _ = make_pairs(tmp_path / "data", 1)[0].read()

    maps = predict_maps(model, image)

    assert tuple(maps) == MAPS
    assert {plane.shape for plane in maps.values()} == {image.shape[:2]}
    np.testing.assert_allclose(maps["sum"], predict(model, image), atol=2e-3)
    assert abs(maps["r1"] - maps["r4"]).max() > 1e-3


def test_partial_decoder_alone_has_no_finer_map(
    make_model: MakeModel, make_pairs: MakePairs, tmp_path: Path
) -> None:
    pairs = make_pairs(tmp_path / "data", 2)

    scores = score_folder(make_model(stages=(), final=("r4",)), pairs)

    assert scores["r4"] == scores["sum"]
    assert "r1" not in scores
    assert 0 <= scores["sum"] <= 100


@pytest.mark.usefixtures("tiny_known")
def test_study_scores_every_variant_on_every_set_and_goes_on_after_an_end(
    tmp_path: Path, make_pairs: MakePairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = ("partial decoder alone", "DSRA, sigmoid gain")
    monkeypatch.setattr(ablation, "VARIANTS", {name: VARIANTS[name] for name in chosen})
    monkeypatch.setattr("cv2.setNumThreads", lambda _: None)
    monkeypatch.setattr(ablation, "keep_freed_memory", lambda: None)
    make_pairs(tmp_path / "polyps", 14)
    make_pairs(tmp_path / "test_set", 2)

    def study() -> dict[str, list[dict[str, dict[str, float]]]]:
        ablation.study(
            data=[tmp_path / "polyps"],
            test=[tmp_path / "test_set"],
            output=tmp_path / "study",
            model="tiny",
            epochs=1,
            size=64,
            workers=0,
        )
        results: dict[str, list[dict[str, dict[str, float]]]] = json.loads(
            (tmp_path / "study" / "ablation.json").read_text()
        )
        return results

    results = study()
    monkeypatch.setattr(ablation.Trainer, "_train_epoch", lambda _: pytest.fail("trained again"))

    assert study() == results
    assert tuple(results) == chosen
    first, second = results["DSRA, sigmoid gain"]
    assert first.keys() == second.keys() == {"validation", "test_set"}
    assert first != second
    assert first["test_set"].keys() >= set(MAPS)


def test_table_has_the_mean_and_half_the_range_over_the_seeds() -> None:
    results = {
        "plain": [
            {"validation": {"r4": 80.0, "sum": 80.0}},
            {"validation": {"r4": 81.0, "sum": 82}},
        ],
        "full": [
            {"validation": {"r1": 1.0, "r4": 2.0, "sum": 3.0, "false_area": 0.5}},
            {"validation": {"r1": 3.0, "r4": 2.0, "sum": 3.0, "false_area": 0.25}},
        ],
    }

    lines = markdown(results).splitlines()

    assert lines[0] == "**validation**"
    assert "| plain | – | 80.50 ± 0.50 | 81.00 ± 1.00 | – |" in lines
    assert "| full | 2.00 ± 1.00 | 2.00 ± 0.00 | 3.00 ± 0.00 | 0.38 ± 0.12 |" in lines
