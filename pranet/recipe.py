"""Recipes: all that decides a training run beside the data, as TOML files."""

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args

from pranet.augment import Augmentation
from pranet.encoders import STRIDES
from pranet.errors import DataError
from pranet.losses import BACKGROUND_WEIGHT, GeneralWeights
from pranet.model import CONFIGS, MAX_INPUT_SIZE_PX, ModelConfig
from pranet.ranges import Range

RECIPES_FOLDER = Path(__file__).parent / "recipes"
DEFAULT_RECIPE = "pranet_v2_lite0"

Form = TypeVar("Form", Augmentation, GeneralWeights)
LossKind = Literal["structure", "general"]
Precision = Literal["bf16", "fp16", "fp32"]

_RANGES = {
    "epochs": Range(1, 100_000, whole=True),
    "batch_size": Range(2, 100_000, whole=True),
    "encoder_rate": Range(0, 1),
    "decoder_rate": Range(0, 1),
    "weight_decay": Range(0, 1),
    "warm_up_share": Range(0, 0.9),
    "gradient_norm": Range(1e-6, 1e6),
    "ema_decay": Range(0, 1),
    "empty_share": Range(0, 100),
    "validation_share": Range(0, 0.9),
    "background_weight": Range(0, 1000),
    "split_seed": Range(0, 2**63 - 1, whole=True),
    "seed": Range(0, 2**63 - 1, whole=True),
}
_CHOICES = {"loss": get_args(LossKind), "precision": get_args(Precision)}


@dataclass(frozen=True)
class Recipe:
    """All that decides a training run, beside the data.

    Attributes:
        model: name of a configuration.
        network: fields of the `ModelConfig` to replace.
        start: checkpoint to begin with; None begins with an encoder trained on ImageNet.
        batch_size: images per step, over all processes together.
        sizes_px: input sizes of each phase; the epochs are shared evenly among the phases.
        encoder_rate, decoder_rate: peak learning rates of the one-cycle schedule.
        warm_up_share: of the steps, in which the rates rise.
        gradient_norm: greatest norm of the gradient.
        ema_decay: decay of the running mean of weights, per step.
        empty_share: polyp-free images drawn per epoch, as a share of the training images.
        validation_share: of image groups that are held out, to choose the epoch by; 0 trains on
            everything and keeps the last epoch.
        split_seed: draws what is held out; apart from `seed`, so that runs of several seeds can be
            compared on the same images.
        loss: ``structure`` for masks, ``general`` for label maps of several classes.
        background_weight: of the background maps in the structure loss.
        general_weights: fields of the `GeneralWeights` to replace.
        precision: of autocast; fp16 on CUDA only.
        augmentation: fields of the `Augmentation` to replace.

    Raises:
        DataError: a value of the wrong type or out of range, by name.
    """

    model: str = "pranet_v2_lite0"
    network: dict[str, Any] = field(default_factory=dict)
    start: str | None = None
    epochs: int = 60
    batch_size: int = 8
    sizes_px: tuple[tuple[int, ...], ...] = ((192, 224, 256), (256, 288, 320), (320, 352, 352))
    encoder_rate: float = 4e-4
    decoder_rate: float = 1.5e-3
    weight_decay: float = 1e-2
    warm_up_share: float = 0.1
    gradient_norm: float = 5.0
    ema_decay: float = 0.998
    empty_share: float = 0.1
    validation_share: float = 0.08
    split_seed: int = 2026
    loss: LossKind = "structure"
    background_weight: float = BACKGROUND_WEIGHT
    general_weights: dict[str, float] = field(default_factory=dict)
    precision: Precision = "bf16"
    seed: int = 2026
    augmentation: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, allowed in _RANGES.items():
            allowed.check(name, getattr(self, name))
        for name, choices in _CHOICES.items():
            _check_choice(name, getattr(self, name), choices)
        _check_choice("model", self.model, CONFIGS)
        if not isinstance(self.start, str | None):
            raise DataError(f"start must be the path of a checkpoint, not {self.start!r}")
        _check_sizes(self.sizes_px)
        for name in ("network", "general_weights", "augmentation"):
            if not isinstance(getattr(self, name), dict):
                raise DataError(f"{name} must be a table, not {getattr(self, name)!r}")
        classes = self.model_config.num_classes
        if (self.loss == "general") != (classes > 1):
            raise DataError(
                f"loss must be general for several classes and structure for one, "
                f"not {self.loss} for network.num_classes = {classes}"
            )
        # Built here for their own checks.
        _ = self.loss_weights, self.views

    @property
    def model_config(self) -> ModelConfig:
        """The network's configuration with the recipe's replacements."""
        _check_names("network.", self.network, ModelConfig)
        try:
            return ModelConfig.from_dict(CONFIGS[self.model].to_dict() | self.network)
        except (TypeError, ValueError, AttributeError) as error:
            raise DataError(f"network: {error}") from error

    @property
    def loss_weights(self) -> GeneralWeights:
        """The weights of the general loss."""
        return _replaced("general_weights", GeneralWeights, self.general_weights)

    @property
    def views(self) -> Augmentation:
        """The augmentation with the recipe's replacements."""
        return _replaced("augmentation", Augmentation, self.augmentation)


def load_recipe(name_or_path: str | Path, changes: Iterable[Mapping[str, Any]] = ()) -> Recipe:
    """A packaged recipe by its name, or one from a TOML file.

    Args:
        changes: settings that replace those of the file, later ones those before; tables
            (``network``, …) entry by entry.

    Raises:
        DataError: no such recipe, not TOML, or a setting that is unknown or not allowed.
    """
    values = _read(_resolve(name_or_path))
    for change in changes:
        for key, value in change.items():
            before = values.get(key)
            both_tables = isinstance(before, dict) and isinstance(value, dict)
            values[key] = before | value if both_tables else value
    _check_names("", values, Recipe)
    if isinstance(values.get("sizes_px"), list):
        values["sizes_px"] = tuple(
            tuple(phase) if isinstance(phase, list) else phase for phase in values["sizes_px"]
        )
    return Recipe(**values)


def parse_setting(text: str) -> dict[str, Any]:
    """A setting like ``network.context=true``, written as in a recipe.

    Raises:
        DataError: not a key and a value.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise DataError(
            f"{text!r} is no setting: key=value is needed, the value as TOML writes it "
            f"""(a text in quotes: 'precision="fp32"')"""
        ) from error


def _resolve(name_or_path: str | Path) -> Path:
    names = {path.stem: path for path in sorted(RECIPES_FOLDER.glob("*.toml"))}
    path = names.get(str(name_or_path), Path(name_or_path))
    if not path.is_file():
        raise DataError(f"no recipe {str(name_or_path)!r}: not a file, and not {', '.join(names)}")
    return path


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: not a recipe in TOML ({error})") from error


def _replaced(name: str, form: type[Form], values: Mapping[str, Any]) -> Form:
    _check_names(f"{name}.", values, form)
    try:
        return form(**values)
    except DataError as error:
        raise DataError(f"{name}.{error}") from error


def _check_names(prefix: str, values: Mapping[str, Any], form: type) -> None:
    known = [entry.name for entry in fields(form)]
    for name in values:
        if name not in known:
            raise DataError(f"{prefix}{name} is no setting; known: {', '.join(known)}")


def _check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    if value not in list(choices):
        raise DataError(f"{name} must be one of {', '.join(choices)}, not {value!r}")


def _check_sizes(phases: object) -> None:
    if not (
        isinstance(phases, tuple)
        and phases
        and all(isinstance(phase, tuple) and phase for phase in phases)
        and all(_is_size(size) for phase in phases for size in phase)
    ):
        raise DataError(
            f"sizes_px must be lists of multiples of {STRIDES[-1]} up to {MAX_INPUT_SIZE_PX}, "
            f"one list per phase, like [[192, 224], [352]], not {phases!r}"
        )


def _is_size(value: object) -> bool:
    return (
        isinstance(value, int)
        and not isinstance(value, bool)
        and 0 < value <= MAX_INPUT_SIZE_PX
        and value % STRIDES[-1] == 0
    )
