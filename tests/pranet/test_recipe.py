"""Recipes: packaged and own ones, what replaces what, and what is refused in which words."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pranet.attention import StageConfig
from pranet.errors import DataError
from pranet.losses import GeneralWeights
from pranet.recipe import RECIPES_FOLDER, Recipe, load_recipe, parse_setting


@pytest.mark.parametrize("path", sorted(RECIPES_FOLDER.glob("*.toml")), ids=lambda path: path.stem)
def test_packaged_recipe_is_found_by_its_name_and_is_for_the_network_of_that_name(
    path: Path,
) -> None:
    assert load_recipe(path.stem).model == path.stem


def test_there_are_packaged_recipes() -> None:
    names = {path.stem for path in RECIPES_FOLDER.glob("*.toml")}

    assert {"pranet_v2_lite0", "pranet_v2_lite2"} <= names


def test_file_sets_what_it_names_and_leaves_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text(
        """
        model = "pranet_v2_lite1"
        epochs = 5
        sizes_px = [[64], [96, 128]]
        weight_decay = 1
        [network]
        context = true
        stages = [{ width = 8 }, { width = 4, depth = 1 }, { width = 4 }]
        [augmentation]
        zoom = [1, 2]
        paste_chance = 0
        """
    )

    recipe = load_recipe(path)

    assert (recipe.model, recipe.epochs, recipe.weight_decay) == ("pranet_v2_lite1", 5, 1)
    assert recipe.sizes_px == ((64,), (96, 128))
    assert recipe.batch_size == Recipe().batch_size
    assert recipe.model_config.context
    assert recipe.model_config.encoder == "tf_efficientnet_lite1"
    assert recipe.model_config.stages == (StageConfig(8), StageConfig(4, depth=1), StageConfig(4))
    assert tuple(recipe.views.zoom) == (1, 2)
    assert recipe.views.paste_chance == 0
    assert recipe.views.removal_chance > 0


def test_later_changes_replace_earlier_ones_and_tables_entry_by_entry(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_text("epochs = 3\n[network]\ncontext = true\nchannels = 8")
    changes = ["epochs = 4", "network.channels = 16", "epochs = 6", "seed = 1"]

    recipe = load_recipe(path, map(parse_setting, changes))

    assert (recipe.epochs, recipe.seed) == (6, 1)
    assert recipe.network == {"context": True, "channels": 16}


def test_general_loss_takes_its_weights_and_several_classes() -> None:
    recipe = Recipe(loss="general", network={"num_classes": 3}, general_weights={"w_ce": 0.25})

    assert recipe.loss_weights == GeneralWeights(w_ce=0.25)
    assert recipe.model_config.num_classes == 3


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("colour = 1", "colour is no setting; known: model, network"),
        ('epochs = "5"', "epochs must be a whole number from 1 to 100000, not '5'"),
        ("epochs = 0", "epochs must be a whole number from 1"),
        ("epochs = 2.5", "epochs must be a whole number"),
        ("epochs = true", "epochs must be a whole number from 1 to 100000, not True"),
        ("batch_size = 1", "batch_size must be a whole number from 2"),
        ("encoder_rate = -1e-3", "encoder_rate must be a number from 0 to 1, not -0.001"),
        ("encoder_rate = nan", "encoder_rate must be a number from 0 to 1, not nan"),
        ("decoder_rate = [1]", "decoder_rate must be a number"),
        ("validation_share = 1", "validation_share must be a number from 0 to 0.9, not 1"),
        ("warm_up_share = 1.0", "warm_up_share must be a number from 0 to 0.9"),
        ("sizes_px = []", "sizes_px must be lists of multiples of 32"),
        ("sizes_px = [[]]", "sizes_px must be lists of multiples of 32"),
        ("sizes_px = [352]", "sizes_px must be lists of multiples of 32"),
        ("sizes_px = [[100]]", "sizes_px must be lists of multiples of 32"),
        ("sizes_px = [[0]]", "sizes_px must be lists of multiples of 32"),
        ("sizes_px = [[96.0]]", "sizes_px must be lists of multiples of 32"),
        ("sizes_px = 96", "sizes_px must be lists of multiples of 32"),
        ('precision = "fp8"', "precision must be one of bf16, fp16, fp32, not 'fp8'"),
        ('loss = "other"', "loss must be one of structure, general, not 'other'"),
        ('loss = "general"', "loss must be general for several classes and structure for one"),
        ("network.num_classes = 3", "loss must be general for several classes"),
        ("network = 1", "network must be a table, not 1"),
        ("network.colour = 1", "network.colour is no setting; known: name, encoder"),
        ("network.channels = 0", "network: channels must be a positive whole number, not 0"),
        ("network.stages = 5", "network: "),
        ("augmentation.colour = 1", "augmentation.colour is no setting; known: zoom"),
        ("augmentation.paste_chance = 2", "augmentation.paste_chance must be a number from 0 to 1"),
        ("augmentation.aspect = 0.5", "augmentation.aspect must be a number from 1 to 10"),
        ("augmentation.zoom = 1.5", "augmentation.zoom must be two numbers, not 1.5"),
        ("augmentation.zoom = [0, 1]", "augmentation.zoom must be a number from 0.05 to 20, not 0"),
        ("general_weights.w_ce = -1", "general_weights.w_ce must be a number from 0 to 1000"),
        ("general_weights.ce = 1", "general_weights.ce is no setting; known: w_dice, w_ce, w_bce"),
        ('model = "nonsense"', "model must be one of pranet_v1_res2net50, "),
        ("model = 5", "model must be one of"),
        ("start = 5", "start must be the path of a checkpoint, not 5"),
    ],
)
def test_setting_that_is_not_allowed_is_named_in_one_line(setting: str, complaint: str) -> None:
    with pytest.raises(DataError) as refused:
        load_recipe("pranet_v2_lite0", [parse_setting(setting)])

    assert str(refused.value).startswith(complaint)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("text", ["epochs", "epochs=", "=5", "precision=bf16", "", "a=1=2"])
def test_text_that_is_no_setting_is_refused(text: str) -> None:
    if text:
        with pytest.raises(DataError, match="is no setting: key=value is needed"):
            parse_setting(text)
    else:
        assert parse_setting(text) == {}


@pytest.mark.parametrize("content", [b"epochs = ", b"\xff\xfe", b"[[", None])
def test_file_that_is_no_recipe_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(DataError, match=r"my\.toml") as refused:
        load_recipe(path)
    assert "\n" not in str(refused.value)


def test_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(DataError, match="no recipe 'lite9': not a file, and not pranet_v2_lite0"):
        load_recipe("lite9")


@pytest.mark.parametrize("change", [{"epochs": 0}, {"sizes_px": ((100,),)}, {"network": {"x": 1}}])
def test_recipe_made_in_code_is_held_to_the_same(change: dict[str, Any]) -> None:
    with pytest.raises(DataError):
        replace(Recipe(), **change)
