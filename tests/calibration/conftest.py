"""A small network, and labelled pictures for it."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from pranet.checkpoint import save_model
from pranet.model import build_model

SIZE_PX = 96


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a small network."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoint") / "small.safetensors"
    save_model(build_model("pranet_v2_lite0", input_size=SIZE_PX).eval(), path)
    return path


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with masks."""
    folder = tmp_path_factory.mktemp("labelled")
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for number in range(24):
        image = rng.integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8)
        mask = np.zeros((SIZE_PX, SIZE_PX), np.uint8)
        mask[20:60, 30:70] = 255
        cv2.imwrite(str(folder / "images" / f"{number}.png"), cv2.blur(image, (9, 9)))
        cv2.imwrite(str(folder / "masks" / f"{number}.png"), mask)
    return folder
