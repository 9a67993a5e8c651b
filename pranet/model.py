"""PraNet-V1 and PraNet-V2, and the configurations known by name."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast, get_args

import torch
from torch import Tensor, nn

from pranet.attention import DSRA, Gain, ReverseAttention, StageConfig, resize
from pranet.decoder import PartialDecoder, ReceptiveFieldBlock
from pranet.encoders import STRIDES, Encoder

#: The three reverse-attention stages, deep to shallow, and the map that each of them refines.
STAGES = ("r3", "r2", "r1")
DEEPER = {"r3": "r4", "r2": "r3", "r1": "r2"}

Architecture = Literal["pranet_v1", "pranet_v2"]

#: Greatest input size that a configuration may ask for.
MAX_INPUT_SIZE_PX = 4096

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

PUBLISHED_STAGES = (
    StageConfig(256, kernel_size=5, depth=3, head_norm=True),
    StageConfig(64, head_kernel_size=3, head_norm=True),
    StageConfig(64, head_kernel_size=3, head_norm=True),
)
SLIM_STAGES = (StageConfig(64, depth=3), StageConfig(64), StageConfig(64))


@dataclass(frozen=True)
class ModelConfig:
    """Everything needed to build a network and to feed it; stored with every checkpoint.

    Attributes:
        name: the configuration's name.
        architecture: ``pranet_v1`` or ``pranet_v2``.
        encoder: timm name of the backbone.
        num_classes: maps of each kind: 1 for one foreground; for several classes all of them,
            class 0 being everything else.
        channels: width of the receptive-field blocks and of the partial decoder.
        gain: form of the DSRA gain (V2 only).
        context: whether φ of each stage also sees the partial decoder's fused feature (V2 only);
            the published network does not.
        stages: shape of the three reverse-attention stages, deep to shallow; none leaves the
            partial decoder alone.
        final: the foreground maps whose sum are the final logits.
        input_size: height and width in px that the network was trained for.
        mean, std: normalisation of RGB in 0…1.
    """

    name: str
    encoder: str
    architecture: Architecture = "pranet_v2"
    num_classes: int = 1
    channels: int = 32
    gain: Gain = "sigmoid"
    context: bool = False
    stages: tuple[StageConfig, ...] = SLIM_STAGES
    final: tuple[str, ...] = ("r1", "r2", "r3", "r4")
    input_size: int = 352
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD

    def __post_init__(self) -> None:
        for key in ("name", "encoder"):
            if not isinstance(getattr(self, key), str):
                raise ValueError(f"{key} must be a text, not {getattr(self, key)!r}")
        for key, choices in (("architecture", get_args(Architecture)), ("gain", get_args(Gain))):
            if getattr(self, key) not in choices:
                raise ValueError(f"{key} must be one of {choices}, not {getattr(self, key)!r}")
        for key in ("num_classes", "channels", "input_size"):
            value = getattr(self, key)
            if not isinstance(value, int) or value < 1:
                raise ValueError(f"{key} must be a positive whole number, not {value!r}")
        if self.input_size % STRIDES[-1] or self.input_size > MAX_INPUT_SIZE_PX:
            raise ValueError(
                f"input_size must be a multiple of {STRIDES[-1]} px "
                f"up to {MAX_INPUT_SIZE_PX}, not {self.input_size}"
            )
        for key in ("mean", "std"):
            values = getattr(self, key)
            if len(values) != 3 or not all(isinstance(value, int | float) for value in values):
                raise ValueError(f"{key} must be three numbers, not {values}")
        if not isinstance(self.context, bool) or (
            self.context and not self.architecture.endswith("v2")
        ):
            raise ValueError(
                f"context must be true or false, and false in V1, not {self.context!r}"
            )
        if len(self.stages) not in (0, len(STAGES)):
            raise ValueError(f"{len(STAGES)} stages are needed, or none, not {len(self.stages)}")
        if not self.final or not set(self.final) <= set(self.map_names):
            raise ValueError(f"final must name some of {self.map_names}, not {self.final}")

    @property
    def map_names(self) -> tuple[str, ...]:
        """The foreground maps that the network has, finest first."""
        return ("r1", "r2", "r3", "r4") if self.stages else ("r4",)

    def to_dict(self) -> dict[str, Any]:
        """The configuration as plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "ModelConfig":
        """The inverse of `to_dict`, also after a round trip through JSON.

        Raises:
            TypeError, ValueError: unknown or ill-formed entries.
        """
        values = dict(values)
        if "stages" in values:
            values["stages"] = tuple(StageConfig(**stage) for stage in values["stages"])
        for key in values.keys() & {"final", "mean", "std"}:
            values[key] = tuple(values[key])
        return cls(**values)


def _lite(number: int) -> ModelConfig:
    # The TensorFlow weights of EfficientNet-Lite expect RGB in −1…1.
    return ModelConfig(
        f"pranet_v2_lite{number}",
        f"tf_efficientnet_lite{number}",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    )


CONFIGS: dict[str, ModelConfig] = {
    config.name: config
    for config in (
        ModelConfig(
            "pranet_v1_res2net50",
            "res2net50d",
            architecture="pranet_v1",
            stages=PUBLISHED_STAGES,
            final=("r1",),
        ),
        ModelConfig("pranet_v2_res2net50", "res2net50d", stages=PUBLISHED_STAGES),
        ModelConfig("pranet_v2_pvt_v2_b2", "pvt_v2_b2", stages=PUBLISHED_STAGES),
        _lite(0),
        _lite(1),
        _lite(2),
    )
}


class _PraNet(nn.Module):
    """What both versions share: encoder, receptive-field blocks, partial decoder, final sum."""

    def __init__(self, config: ModelConfig, *, background: bool) -> None:
        super().__init__()
        self.config = config
        self.encoder = Encoder(config.encoder)
        self.receptive_field = nn.ModuleList(
            ReceptiveFieldBlock(channels, config.channels) for channels in self.encoder.channels
        )
        self.decoder = PartialDecoder(config.channels, config.num_classes, background=background)

    def _encode(self, image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        # The decoder doubles sizes, so each feature must be exactly twice the next deeper one.
        height, width = image.shape[-2:]
        if height % STRIDES[-1] or width % STRIDES[-1]:
            raise ValueError(
                f"height and width must be multiples of {STRIDES[-1]} px, not {height}x{width}"
            )
        return cast(tuple[Tensor, Tensor, Tensor], self.encoder(image))

    def _fuse(self, features: tuple[Tensor, ...]) -> Tensor:
        reduced = [
            block(feature) for block, feature in zip(self.receptive_field, features, strict=True)
        ]
        return cast(Tensor, self.decoder(*reduced))

    def _sum(self, maps: Iterable[Tensor], size: torch.Size) -> Tensor:
        # Maps of one size are added before the resize: it is linear, so nothing changes but time.
        by_size: dict[tuple[int, ...], Tensor] = {}
        for logits in maps:
            # Numbers also while the network is traced, where sizes are tensors.
            shape = tuple(int(side) for side in logits.shape[-2:])
            by_size[shape] = by_size[shape] + logits if shape in by_size else logits
        resized = [resize(logits, size) for logits in by_size.values()]
        return torch.stack(resized).sum(dim=0) if len(resized) > 1 else resized[0]


class PraNetV1(_PraNet):
    """PraNet (MICCAI 2020): partial decoder and three reverse-attention stages."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, background=False)
        deep_to_shallow = reversed(self.encoder.channels)
        self.attention = nn.ModuleDict(
            {
                name: ReverseAttention(channels, config.num_classes, stage)
                for name, channels, stage in zip(
                    STAGES, deep_to_shallow, config.stages, strict=False
                )
            }
        )

    def _maps(self, image: Tensor) -> dict[str, Tensor]:
        features = self._encode(image)
        maps = {"r4": self.decoder.head_fg(self._fuse(features))}
        for name, feature in zip(self.attention, reversed(features), strict=False):
            maps[name] = self.attention[name](feature, maps[DEEPER[name]])
        return maps

    def stages(self, image: Tensor) -> dict[str, Tensor]:
        """All maps ``r1 … r4`` (finest first), logits (B, C, H, W) at input size.

        Raises:
            ValueError: height or width is no multiple of 32.
        """
        maps = self._maps(image)
        return {name: resize(maps[name], image.shape[-2:]) for name in sorted(maps)}

    def forward(self, image: Tensor) -> Tensor:
        """Normalised RGB (B, 3, H, W) → final logits (B, C, H, W).

        Raises:
            ValueError: height or width is no multiple of 32.
        """
        maps = self._maps(image)
        return self._sum((maps[name] for name in self.config.final), image.shape[-2:])


class PraNetV2(_PraNet):
    """PraNet-V2: partial decoder and three DSRA stages, foreground and background."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config, background=True)
        deep_to_shallow = reversed(self.encoder.channels)
        self.attention = nn.ModuleDict(
            {
                name: DSRA(
                    channels,
                    config.num_classes,
                    stage,
                    gain=config.gain,
                    context_channels=self.decoder.fused_channels if config.context else 0,
                )
                for name, channels, stage in zip(
                    STAGES, deep_to_shallow, config.stages, strict=False
                )
            }
        )

    def _maps(self, image: Tensor, wanted: Iterable[str]) -> dict[str, Tensor]:
        """The wanted maps, and those that they need, each at its own stride; nothing else."""
        needed = set(wanted)
        for name, stage in reversed(list(self.attention.items())):
            if f"{name}_fg" in needed and cast(DSRA, stage).uses_deeper:
                needed |= {f"{DEEPER[name]}_fg", f"{DEEPER[name]}_bg"}

        features = self._encode(image)
        maps: dict[str, Tensor] = {}
        fused = None
        if self.config.context or needed & {"r4_fg", "r4_bg"}:
            fused = self._fuse(features)
            for name, head in (("r4_fg", self.decoder.head_fg), ("r4_bg", self.decoder.head_bg)):
                if name in needed and head is not None:
                    maps[name] = head(fused)
        for (name, stage), feature in zip(self.attention.items(), reversed(features), strict=False):
            if not needed & {f"{name}_fg", f"{name}_bg"}:
                continue
            deeper = DEEPER[name]
            foreground, background = stage(
                feature,
                maps.get(f"{deeper}_fg"),
                maps.get(f"{deeper}_bg"),
                fused if self.config.context else None,
                background=f"{name}_bg" in needed,
            )
            maps[f"{name}_fg"] = foreground
            if background is not None:
                maps[f"{name}_bg"] = background
        return maps

    def stages(self, image: Tensor) -> dict[str, Tensor]:
        """All maps ``r1_fg … r4_fg, r1_bg … r4_bg``, logits (B, C, H, W) at input size.

        Raises:
            ValueError: height or width is no multiple of 32.
        """
        names = [f"{name}_{kind}" for kind in ("fg", "bg") for name in self.config.map_names]
        maps = self._maps(image, names)
        return {name: resize(maps[name], image.shape[-2:]) for name in names}

    def forward(self, image: Tensor) -> Tensor:
        """Normalised RGB (B, 3, H, W) → final foreground logits (B, C, H, W).

        Branches that cannot reach the final logits are not computed.

        Raises:
            ValueError: height or width is no multiple of 32.
        """
        names = [f"{name}_fg" for name in self.config.final]
        maps = self._maps(image, names)
        return self._sum((maps[name] for name in names), image.shape[-2:])


PraNet = PraNetV1 | PraNetV2


def build_model(config: str | ModelConfig, **changes: Any) -> PraNet:
    """A network with untrained weights.

    Args:
        config: a `ModelConfig`, or the name of one of `CONFIGS`.
        changes: fields of the configuration to replace, e.g. ``num_classes=9``.

    Raises:
        ValueError: unknown name of a configuration or of an encoder, or a field out of range.
    """
    if isinstance(config, str):
        if config not in CONFIGS:
            raise ValueError(f"unknown model {config!r}; known: {', '.join(CONFIGS)}")
        config = CONFIGS[config]
    config = replace(config, **changes)
    return PraNetV1(config) if config.architecture == "pranet_v1" else PraNetV2(config)
