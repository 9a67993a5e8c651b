"""Checkpoints: safetensors with the network's configuration, and published `.pth` files.

A checkpoint of ours is one safetensors file. Its metadata hold, as JSON, the `ModelConfig`
under ``config``, free facts about the training under ``training``, and under ``probability`` what
`pranet-calibrate probability` fitted, if it did. The metadata can be read without torch, and
nothing in either format can run code when it is loaded.
"""

import hashlib
import json
import os
import pickle
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from pranet.errors import CheckpointError

if TYPE_CHECKING:
    from torch import Tensor

    from pranet.model import ModelConfig, PraNet

FORMAT = "pranet-stream/1"
WEIGHTS_FOLDER = Path(__file__).parent / "weights"
DEFAULT_MODEL = "pranet_v2_lite0"

#: What the metadata hold as JSON, in the order of the fields of `CheckpointInfo`.
_PARTS = ("config", "training", "probability")


@dataclass(frozen=True)
class CheckpointInfo:
    """What a checkpoint says of itself.

    Attributes:
        path: the file.
        sha256: of the whole file, so a calibration that is written into it makes it another one.
        config: fields of its `ModelConfig`, plain types; empty for a published `.pth`.
        training: free facts about the training.
        probability: see `streamer.confidence.Calibration`; empty where nothing was fitted.
    """

    path: Path
    sha256: str
    config: dict[str, Any]
    training: dict[str, Any]
    probability: dict[str, Any] = field(default_factory=dict)


def resolve(name_or_path: str | Path) -> Path:
    """The file behind the name of a bundled checkpoint or behind a path.

    Raises:
        CheckpointError: neither.
    """
    names = {file.stem: file for file in sorted(WEIGHTS_FOLDER.glob("*.safetensors"))}
    if str(name_or_path) in names:
        return names[str(name_or_path)]
    # A path may also be too long, or of an unknown user: then there is no such file either.
    with suppress(OSError, RuntimeError):
        path = Path(name_or_path).expanduser()
        if path.is_file():
            return path
    raise CheckpointError(
        f"no checkpoint {str(name_or_path)!r}: not a file, "
        f"and the bundled ones are: {', '.join(names) or 'none'}"
    )


def read_info(name_or_path: str | Path) -> CheckpointInfo:
    """Metadata and hash of a checkpoint, without loading torch or the weights.

    Raises:
        CheckpointError: missing, or a damaged safetensors file.
    """
    path = resolve(name_or_path)
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be read ({error.strerror})") from error
    metadata = _read_metadata(path) if path.suffix == ".safetensors" else {}
    return CheckpointInfo(path, sha256, *(metadata.get(key, {}) for key in _PARTS))


def _read_metadata(path: Path) -> dict[str, dict[str, Any]]:
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        if metadata.get("format") != FORMAT:
            raise CheckpointError(f"{path}: a safetensors file, but not one of pranet-stream's")
        found = {key: json.loads(metadata.get(key, "{}")) for key in _PARTS}
    except (SafetensorError, ValueError, OSError, RecursionError) as error:
        raise CheckpointError(f"{path}: damaged or not a safetensors file ({error})") from error
    if not all(isinstance(value, dict) for value in found.values()):
        raise CheckpointError(f"{path}: its metadata are not of the form that we write")
    return found


def save_model(
    model: "PraNet", path: str | Path, *, training: Mapping[str, Any] | None = None
) -> None:
    """Write a network as a checkpoint, floating-point weights in half precision.

    Args:
        training: JSON-compatible facts to keep beside the weights.

    Raises:
        CheckpointError: a weight is not finite, or too large for half precision.
    """
    import torch
    from safetensors.torch import save

    state = {
        key: (value.to(torch.float16) if value.is_floating_point() else value).contiguous()
        for key, value in model.state_dict().items()
    }
    broken = [key for key, value in state.items() if not value.isfinite().all()]
    if broken:
        raise CheckpointError(f"{path}: not written, weights are not finite: {_some(broken)}")
    metadata = {
        "format": FORMAT,
        "config": json.dumps(model.config.to_dict()),
        "training": json.dumps(dict(training or {})),
    }
    _write(Path(path), save(state, metadata))


def save_calibrated(
    name_or_path: str | Path, output: str | Path, probability: Mapping[str, Any]
) -> None:
    """Write a checkpoint of ours again, with what was fitted to its probabilities in its metadata.

    Args:
        output: may be the checkpoint itself.
        probability: JSON-compatible; takes the place of what was there.

    Raises:
        CheckpointError: it is none of ours, or the new one cannot be written.
    """
    from safetensors.torch import save

    path = resolve(name_or_path)
    if path.suffix != ".safetensors":
        raise CheckpointError(f"{path}: a published file has no place for a calibration")
    metadata = _read_metadata(path) | {"probability": dict(probability)}
    texts = {key: json.dumps(value) for key, value in metadata.items()}
    try:
        _write(Path(output), save(_read_ours(path)[1], {"format": FORMAT} | texts))
    except OSError as error:
        raise CheckpointError(f"{output}: cannot be written ({error.strerror})") from error


def _write(path: Path, content: bytes) -> None:
    # Written beside and moved over: whoever reads it sees the old checkpoint or the new one.
    partial = Path(f"{path}.{os.getpid()}.tmp")
    partial.write_bytes(content)
    partial.replace(path)


def load_model(name_or_path: str | Path = DEFAULT_MODEL, *, device: str = "cpu") -> "PraNet":
    """A trained network in eval mode, in float32.

    Args:
        name_or_path: name of a bundled checkpoint (``pranet_v2_lite0``), or path of one of our
            ``.safetensors`` files or of a published PraNet ``.pth`` file.
        device: where to put it, as torch names devices.

    Raises:
        CheckpointError: missing, truncated, hostile or unknown file, or one whose keys or shapes
            do not fit; the message lists them.
    """
    path = resolve(name_or_path)
    if path.suffix == ".safetensors":
        config, state = _read_ours(path)
    else:
        config, state = _read_published(path)
    return _fill(config, state, path).to(device).eval()


def _read_ours(path: Path) -> "tuple[ModelConfig, dict[str, Tensor]]":
    from safetensors.torch import load_file

    from pranet.model import ModelConfig

    metadata = _read_metadata(path)
    try:
        config = ModelConfig.from_dict(metadata["config"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its configuration is not understood ({error})") from error
    try:
        return config, load_file(path)
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path}: damaged or truncated ({error})") from error


def _read_published(path: Path) -> "tuple[ModelConfig, dict[str, Tensor]]":
    import torch

    from pranet.published import detect, rename

    try:
        # weights_only: a pickle that asks for anything but tensors is refused, not run.
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"{path}: refused, it is no plain file of weights (damaged, or it carries code)"
        ) from error
    except Exception as error:  # torch has no error of its own for a damaged file: any may come
        raise CheckpointError(f"{path}: damaged, truncated or no checkpoint at all") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(torch.is_tensor(value) for value in state.values()):
        raise CheckpointError(f"{path}: holds no state dict of weights")
    state = {str(key).removeprefix("module."): value for key, value in state.items()}
    config = detect(state)
    if config is None:
        raise CheckpointError(
            f"{path}: not a layout that is known (PraNet-V1, PraNet-V2 Res2Net50 or PVTv2-B2); "
            f"its first keys: {', '.join(list(state)[:3]) or 'none'}"
        )
    return config, rename(state)


def _fill(config: "ModelConfig", state: "dict[str, Tensor]", path: Path) -> "PraNet":
    import torch

    from pranet.model import build_model

    if max((stage.depth for stage in config.stages), default=0) > len(state):
        raise CheckpointError(f"{path}: its configuration has more layers than it has weights")
    try:
        # Without memory: the configuration may ask for any, the weights that are there may not.
        with torch.device("meta"):
            expected = build_model(config).state_dict()
    except Exception as error:  # whatever torch and timm raise for numbers and names out of range
        raise CheckpointError(f"{path}: no network can be built from it ({error})") from error
    complaints = {
        "missing": sorted(expected.keys() - state.keys()),
        "unexpected": sorted(state.keys() - expected.keys()),
        "of another shape": sorted(
            key for key in expected.keys() & state.keys() if expected[key].shape != state[key].shape
        ),
    }
    if any(complaints.values()):
        listed = "; ".join(
            f"{len(keys)} {kind}: {_some(keys)}" for kind, keys in complaints.items() if keys
        )
        raise CheckpointError(f"{path}: does not fit {config.name}: {listed}")
    model = build_model(config)
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        raise CheckpointError(f"{path}: holds weights of a kind that cannot be used") from error
    return model


def _some(keys: list[str], most: int = 5) -> str:
    return ", ".join(keys[:most]) + (", …" if len(keys) > most else "")
