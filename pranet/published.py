"""The published PyTorch layouts: which of our keys each published key becomes.

Layouts: PraNet-V2 (github ai4colonoscopy/PraNet-V2, `binary_seg/lib/pranet.py`) with the
Res2Net50-v1b and PVTv2-B2 encoders, and PraNet-V1 (github DengPingFan/PraNet).
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from pranet.model import CONFIGS, ModelConfig

Value = TypeVar("Value")

_DECODER = {
    "conv_upsample1": "deep_to_middle",
    "conv_upsample2": "deep_to_shallow",
    "conv_upsample3": "middle_to_shallow",
    "conv_upsample4": "deep_beside_middle",
    "conv_upsample5": "middle_beside_shallow",
    "conv_concat2": "merge_middle",
    "conv_concat3": "merge_shallow",
    "conv4": "refine",
    "conv5": "head_fg",
    "conv5_fg": "head_fg",
    "conv5_bg": "head_bg",
}
#: Published stage number → our stage; its last convolution makes the map.
_STAGE = {"4": "r3", "3": "r2", "2": "r1"}
_HEAD_NUMBER = {"4": 5, "3": 4, "2": 4}

# The adaptor for one-channel images and the classifier have no part in segmentation.
_UNUSED = re.compile(r"(conv\.\d|(backbone|resnet)\.(fc|head))\.")


def detect(keys: Iterable[str]) -> ModelConfig | None:
    """The configuration of the published network that has these state-dict keys, if any.

    The published binary networks take a softmax over one channel as gain and sum the four
    foreground maps (V1: take the finest), so that is what the configuration says.
    """
    keys = set(keys)
    if "agg1.conv5.weight" in keys and "resnet.conv1.0.weight" in keys:
        return CONFIGS["pranet_v1_res2net50"]
    if "agg1.conv5_fg.weight" not in keys:
        return None
    if "backbone.conv1.0.weight" in keys:
        return replace(CONFIGS["pranet_v2_res2net50"], gain="softmax")
    if "backbone.patch_embed1.proj.weight" in keys:
        return replace(CONFIGS["pranet_v2_pvt_v2_b2"], gain="softmax")
    return None


def rename(state: Mapping[str, Value]) -> dict[str, Value]:
    """The same state dict under our keys; parts that we have no use for are left out."""
    return {_rename(key): value for key, value in state.items() if not _UNUSED.match(key)}


def _rename(key: str) -> str:
    if key.startswith(("backbone.", "resnet.")):
        return "encoder.backbone." + _rename_encoder(key.split(".", 1)[1])
    key = re.sub(r"\.bn\.", ".norm.", key)
    if block := re.fullmatch(r"rfb([234])_1\.(.+)", key):
        inner = re.sub(r"^branch(\d)", r"branches.\1", block[2])
        inner = re.sub(r"^conv_cat", "merge", inner)
        inner = re.sub(r"^conv_res", "shortcut", inner)
        return f"receptive_field.{int(block[1]) - 2}.{inner}"
    if decoder := re.fullmatch(r"agg1\.(\w+)\.(.+)", key):
        return f"decoder.{_DECODER.get(decoder[1], decoder[1])}.{decoder[2]}"
    if stage := re.fullmatch(r"ra([234])_conv(\d)(_fg|_bg)?\.(.+)", key):
        number = int(stage[2])
        if number == _HEAD_NUMBER[stage[1]]:
            part = "head" + (stage[3] or "")
        else:
            part = "trunk.reduce" if number == 1 else f"trunk.refine.{number - 2}"
        return f"attention.{_STAGE[stage[1]]}.{part}.{stage[4]}"
    return key


def _rename_encoder(key: str) -> str:
    # PVTv2 in timm counts stages from 0 and puts the patch embedding inside them.
    if part := re.fullmatch(r"patch_embed(\d)\.(.+)", key):
        stage = int(part[1]) - 1
        return f"stages_{stage}.downsample.{part[2]}" if stage else f"patch_embed.{part[2]}"
    if part := re.fullmatch(r"block(\d)\.(.+)", key):
        return f"stages_{int(part[1]) - 1}.blocks.{part[2]}".replace("dwconv.dwconv", "dwconv")
    if part := re.fullmatch(r"norm(\d)\.(.+)", key):
        return f"stages_{int(part[1]) - 1}.norm.{part[2]}"
    return key
