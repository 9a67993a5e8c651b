"""PraNet-V1 and PraNet-V2 for polyp segmentation: networks, training, evaluation.

Nothing is imported before it is used: reading a checkpoint's metadata must not load torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pranet.attention import DSRA, ReverseAttention
    from pranet.checkpoint import load_model, save_model
    from pranet.model import CONFIGS, ModelConfig, PraNetV1, PraNetV2, build_model
    from pranet.predict import predict

__all__ = [
    "CONFIGS",
    "DSRA",
    "ModelConfig",
    "PraNetV1",
    "PraNetV2",
    "ReverseAttention",
    "build_model",
    "load_model",
    "predict",
    "save_model",
]

_HOMES = {
    "DSRA": "attention",
    "ReverseAttention": "attention",
    "load_model": "checkpoint",
    "predict": "predict",
    "save_model": "checkpoint",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"pranet.{_HOMES.get(name, 'model')}"), name)
