"""Our networks compute what the published ones compute, from a published file to the maps.

The fixtures hold, for weights and an input made by rule, the keys of the published state dicts
and the published networks' outputs, sub-sampled by `SUBSAMPLING`.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from pranet import build_model, load_model
from pranet.model import PraNet

SEED = 2026
SUBSAMPLING = 8
TOLERANCE = 1e-4

CONFIG_OF = {
    "pranet_v1_res2net50_v1b": "pranet_v1_res2net50",
    "res2net50_v1b": "pranet_v2_res2net50",
    "pvt_v2_b2": "pranet_v2_pvt_v2_b2",
}


@dataclass(frozen=True)
class Published:
    """A published network as we read it, its outputs, and the outputs to expect."""

    name: str
    model: PraNet
    image: Tensor
    stages: dict[str, Tensor]
    final: Tensor
    expected: dict[str, np.ndarray]


def weight_by_rule(key: str, shape: list[int]) -> Tensor:
    rng = np.random.RandomState((zlib.crc32(key.encode()) ^ SEED) & 0x7FFFFFFF)
    if key.endswith("num_batches_tracked"):
        return torch.zeros(shape, dtype=torch.int64)
    if key.endswith("running_var"):
        values = rng.uniform(0.5, 1.5, shape)
    elif key.endswith(("running_mean", "bias")):
        values = 0.1 * rng.standard_normal(shape)
    elif len(shape) <= 1:
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(values, np.float32))


def relative_error(ours: Tensor, theirs: Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.fixture(scope="module", params=CONFIG_OF)
def published(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    parity_folder: Path,
    published_shapes: Callable[[str], dict[str, list[int]]],
) -> Published:
    name: str = request.param
    path = tmp_path_factory.mktemp("published") / f"{name}.pth"
    torch.save(
        {key: weight_by_rule(key, shape) for key, shape in published_shapes(name).items()}, path
    )
    model = load_model(path)
    path.unlink()
    pixels = np.random.RandomState(SEED).standard_normal((1, 3, 352, 352))
    image = torch.from_numpy(pixels.astype(np.float32))
    with np.load(parity_folder / f"{name}_public.npz") as maps:
        expected = {key: maps[key] for key in maps.files}
    with torch.inference_mode():
        stages, final = model.stages(image), model(image)
    return Published(name, model, image, stages, final, expected)


def test_published_file_is_recognised_with_the_published_gain_and_sum(
    published: Published,
) -> None:
    config = published.model.config

    assert config.name == CONFIG_OF[published.name]
    if config.architecture == "pranet_v2":
        assert config.gain == "softmax"
        assert config.final == ("r1", "r2", "r3", "r4")
    else:
        assert config.final == ("r1",)


def test_every_map_of_a_published_network_is_reproduced(published: Published) -> None:
    assert published.stages.keys() == published.expected.keys()

    errors = {
        name: relative_error(
            published.stages[name][:, :, ::SUBSAMPLING, ::SUBSAMPLING], torch.from_numpy(theirs)
        )
        for name, theirs in published.expected.items()
    }

    assert {name: error for name, error in errors.items() if not error <= TOLERANCE} == {}


def test_final_logits_of_a_published_network_are_the_published_sum(published: Published) -> None:
    maps = published.stages
    if published.model.config.architecture == "pranet_v2":
        expected = maps["r1_fg"] + maps["r2_fg"] + maps["r3_fg"] + maps["r4_fg"]
    else:
        expected = maps["r1"]

    assert relative_error(published.final, expected) <= 1e-6


@pytest.mark.parametrize("published", ["pvt_v2_b2"], indirect=True)
def test_sigmoid_gain_changes_the_foreground_that_attention_refines_and_nothing_else(
    published: Published,
) -> None:
    model = build_model(replace(published.model.config, gain="sigmoid")).eval()
    model.load_state_dict(published.model.state_dict())

    with torch.inference_mode():
        stages = model.stages(published.image)

    changed = {
        name
        for name, maps in stages.items()
        if relative_error(maps, published.stages[name]) > 100 * TOLERANCE
    }
    unchanged = {name for name, maps in stages.items() if maps.equal(published.stages[name])}
    assert changed == {"r1_fg", "r2_fg", "r3_fg"}
    assert unchanged == stages.keys() - changed
