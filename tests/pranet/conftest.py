"""What the tests of the networks share: a tiny network, its input, made-up image pairs."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from pranet.attention import StageConfig
from pranet.data import Pair
from pranet.model import CONFIGS, ModelConfig, PraNet, build_model

PARITY_FOLDER = Path(__file__).parents[1] / "fixtures" / "parity"

MakeModel = Callable[..., PraNet]
MakePairs = Callable[..., list[Pair]]


@pytest.fixture(scope="session")
def tiny_config() -> ModelConfig:
    """A network of a third of a million weights, for what does not depend on the size."""
    return ModelConfig(
        "tiny",
        "mobilenetv3_small_050",
        channels=8,
        stages=(StageConfig(8), StageConfig(8), StageConfig(8)),
        input_size=64,
    )


@pytest.fixture(scope="session")
def make_model(tiny_config: ModelConfig) -> MakeModel:
    """Builds the tiny network in eval mode, with changed fields; the same weights every time."""

    def make(**changes: object) -> PraNet:
        torch.manual_seed(7)
        return build_model(tiny_config, **changes).eval()

    return make


@pytest.fixture(scope="module")
def tiny_known(tiny_config: ModelConfig) -> Iterator[None]:
    """Recipes may name the tiny network, and it starts without ImageNet weights."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(CONFIGS, "tiny", tiny_config)
        patch.setattr("pranet.start.load_imagenet", lambda encoder, name: None)
        yield


@pytest.fixture(scope="session")
def make_image() -> Callable[..., Tensor]:
    """A batch of one normalised random image of the given height and width."""

    def make(height_px: int = 64, width_px: int = 64) -> Tensor:
        return torch.randn((1, 3, height_px, width_px), generator=torch.Generator().manual_seed(11))

    return make


@pytest.fixture(scope="session")
def parity_folder() -> Path:
    """Folder of the published networks' key lists and outputs."""
    return PARITY_FOLDER


@pytest.fixture(scope="session")
def published_shapes() -> Callable[[str], dict[str, list[int]]]:
    """Keys and shapes of a published state dict, by the network's name."""

    def read(name: str) -> dict[str, list[int]]:
        text = (PARITY_FOLDER / f"{name}_state_dict_shapes.json").read_text()
        shapes: dict[str, list[int]] = json.loads(text)
        return shapes

    return read


@pytest.fixture(scope="session")
def make_pairs() -> MakePairs:
    """Writes images of a bright disc on a textured ground, and their masks, into a folder."""

    def make(folder: Path, count: int, *, empty: bool = False) -> list[Pair]:
        rng = np.random.default_rng(len(folder.name))
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        pairs = []
        for index in range(count):
            height_px, width_px = rng.integers(64, 97, 2).tolist()
            image = rng.integers(40, 90, (height_px, width_px, 3), dtype=np.uint8)
            mask = np.zeros((height_px, width_px), np.uint8)
            if not empty:
                centre = (width_px // 2, height_px // 2)
                radius_px = int(rng.integers(10, 25))
                cv2.circle(image, centre, radius_px, (120, 140, 220), -1)
                cv2.circle(mask, centre, radius_px, 255, -1)
            pair = Pair(
                folder / "images" / f"polyp_{index}.png", folder / "masks" / f"polyp_{index}.png"
            )
            cv2.imwrite(str(pair.image), image)
            cv2.imwrite(str(pair.mask), mask)
            pairs.append(pair)
        return pairs

    return make


@pytest.fixture(scope="session")
def make_label_pairs() -> MakePairs:
    """Writes images of a red and a green square on gray, and their label maps of 0, 1 and 2."""

    def make(folder: Path, count: int) -> list[Pair]:
        rng = np.random.default_rng(5)
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        pairs = []
        for index in range(count):
            labels = np.zeros((80, 100), np.uint8)
            for value, left in ((1, 5), (2, 55)):
                top = int(rng.integers(5, 40))
                labels[top : top + 30, left : left + 35] = value
            image = np.array([(90, 90, 90), (40, 40, 220), (40, 220, 40)], np.uint8)[labels]
            pair = Pair(folder / "images" / f"{index}.png", folder / "masks" / f"{index}.png")
            cv2.imwrite(str(pair.image), image)
            cv2.imwrite(str(pair.mask), labels)
            pairs.append(pair)
        return pairs

    return make
