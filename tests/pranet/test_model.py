"""The networks: shapes, configurations, the final sum, and what is computed for it."""

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from pranet import CONFIGS, build_model
from pranet.attention import StageConfig
from pranet.encoders import Encoder
from pranet.model import MAX_INPUT_SIZE_PX, ModelConfig, PraNet

MakeModel = Callable[..., PraNet]
MakeImage = Callable[..., Tensor]

V1_STAGES = ["r1", "r2", "r3", "r4"]
V2_STAGES = [f"r{number}_{kind}" for kind in ("fg", "bg") for number in (1, 2, 3, 4)]
ALL_FINAL = ("r1", "r2", "r3", "r4")


def calls_in_forward(model: PraNet, image: Tensor) -> Counter[str]:
    """How often each module is called for the final logits."""
    calls: Counter[str] = Counter()
    handles = []
    for name, module in model.named_modules():

        def count(*_: object, name: str = name) -> None:
            calls[name] += 1

        handles.append(module.register_forward_hook(count))
    with torch.inference_mode():
        model(image)
    for handle in handles:
        handle.remove()
    return calls


def foreground(model: PraNet, stages: dict[str, Tensor], names: Iterable[str]) -> list[Tensor]:
    suffix = "_fg" if model.config.architecture == "pranet_v2" else ""
    return [stages[name + suffix] for name in names]


@pytest.mark.parametrize("name", CONFIGS)
def test_named_configuration_gives_all_maps_at_its_input_size(name: str) -> None:
    size_px = CONFIGS[name].input_size
    with torch.device("meta"):
        model = build_model(name).eval()
        image = torch.empty(2, 3, size_px, size_px)

    stages = model.stages(image)

    assert list(stages) == (V1_STAGES if "v1" in name else V2_STAGES)
    assert {tuple(maps.shape) for maps in stages.values()} == {(2, 1, size_px, size_px)}
    assert model(image).shape == (2, 1, size_px, size_px)


@pytest.mark.parametrize("size_px", [(352, 352), (256, 256), (96, 160), (32, 32)])
@pytest.mark.parametrize("architecture", ["pranet_v1", "pranet_v2"])
def test_maps_have_the_size_of_the_image(
    architecture: str, size_px: tuple[int, int], make_model: MakeModel, make_image: MakeImage
) -> None:
    model = make_model(architecture=architecture)
    image = make_image(*size_px)

    with torch.inference_mode():
        stages, final = model.stages(image), model(image)

    assert list(stages) == (V1_STAGES if architecture == "pranet_v1" else V2_STAGES)
    assert {tuple(maps.shape) for maps in (*stages.values(), final)} == {(1, 1, *size_px)}


@pytest.mark.parametrize("size_px", [(64, 65), (100, 96), (31, 32), (16, 16)])
@pytest.mark.parametrize("architecture", ["pranet_v1", "pranet_v2"])
def test_size_that_is_no_multiple_of_32_is_refused(
    architecture: str, size_px: tuple[int, int], make_model: MakeModel, make_image: MakeImage
) -> None:
    model = make_model(architecture=architecture)
    image = make_image(*size_px)
    message = f"multiples of 32 px, not {size_px[0]}x{size_px[1]}"

    with pytest.raises(ValueError, match=message):
        model(image)
    with pytest.raises(ValueError, match=message):
        model.stages(image)


@pytest.mark.parametrize(
    "final", [("r1",), ("r4",), ("r1", "r2"), ("r2", "r4"), ("r1", "r2", "r3", "r4")]
)
@pytest.mark.parametrize("num_classes", [1, 4])
@pytest.mark.parametrize(
    ("architecture", "gain"),
    [("pranet_v1", "sigmoid"), ("pranet_v2", "sigmoid"), ("pranet_v2", "softmax")],
)
def test_final_logits_are_the_sum_of_the_named_maps(
    architecture: str,
    gain: str,
    num_classes: int,
    final: tuple[str, ...],
    make_model: MakeModel,
    make_image: MakeImage,
) -> None:
    model = make_model(architecture=architecture, gain=gain, num_classes=num_classes, final=final)
    image = make_image(64, 96)

    with torch.inference_mode():
        logits = model(image)
        expected = torch.stack(foreground(model, model.stages(image), final)).sum(dim=0)

    assert logits.shape == (1, num_classes, 64, 96)
    assert logits.std() > 0
    torch.testing.assert_close(logits, expected)


def test_maps_of_one_size_are_summed_before_they_are_resized(
    make_model: MakeModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[tuple[int, ...]] = []

    def nearest(maps: Tensor, size: tuple[int, int]) -> Tensor:
        sizes.append(tuple(maps.shape[-2:]))
        return torch.nn.functional.interpolate(maps, size=size)

    monkeypatch.setattr("pranet.model.resize", nearest)
    maps = [torch.full((1, 1, side, side), float(side)) for side in (8, 4, 8, 2)]

    total = make_model()._sum(maps, torch.Size((16, 16)))

    assert sizes == [(8, 8), (4, 4), (2, 2)]
    assert total.equal(torch.full((1, 1, 16, 16), 22.0))


HEADS = {f"attention.{name}.head_{kind}" for name in ("r1", "r2", "r3") for kind in ("fg", "bg")}
DECODER_HEADS = {"decoder.head_fg", "decoder.head_bg"}


@pytest.mark.parametrize(
    ("gain", "num_classes", "final", "heads"),
    [
        pytest.param(
            "softmax",
            1,
            ALL_FINAL,
            {name for name in HEADS | DECODER_HEADS if name.endswith("fg")},
            id="a gain that is constant needs no background",
        ),
        pytest.param(
            "softmax", 1, ("r1",), {"attention.r1.head_fg"}, id="nor does it need deeper maps"
        ),
        pytest.param(
            "sigmoid",
            1,
            ALL_FINAL,
            (HEADS | DECODER_HEADS) - {"attention.r1.head_bg"},
            id="nothing reads the finest background",
        ),
        pytest.param(
            "softmax",
            4,
            ("r1",),
            (HEADS | DECODER_HEADS) - {"attention.r1.head_bg"},
            id="the finest map needs all deeper ones",
        ),
        pytest.param(
            "sigmoid",
            1,
            ("r3",),
            {*DECODER_HEADS, "attention.r3.head_fg"},
            id="a deep map needs no finer one",
        ),
        pytest.param("sigmoid", 1, ("r4",), {"decoder.head_fg"}, id="the coarsest stands alone"),
    ],
)
def test_branches_that_cannot_reach_the_final_logits_are_not_computed(
    gain: str,
    num_classes: int,
    final: tuple[str, ...],
    heads: set[str],
    make_model: MakeModel,
    make_image: MakeImage,
) -> None:
    model = make_model(gain=gain, num_classes=num_classes, final=final)

    calls = calls_in_forward(model, make_image())

    assert {name: calls[name] for name in HEADS | DECODER_HEADS if calls[name]} == dict.fromkeys(
        heads, 1
    )
    trunks = {name for name in calls if name.endswith(".trunk")}
    assert trunks == {name.replace("head_fg", "trunk") for name in heads & HEADS if "fg" in name}
    needs_decoder = bool(heads & DECODER_HEADS)
    assert calls["decoder.refine"] == needs_decoder
    assert calls["receptive_field.0.merge"] == needs_decoder
    assert calls["encoder"] == 1


def test_stages_compute_everything(make_model: MakeModel, make_image: MakeImage) -> None:
    model = make_model(gain="softmax", final=("r1",))

    stages = model.stages(make_image())

    assert list(stages) == V2_STAGES
    assert all(maps.std() > 0 for maps in stages.values())


@pytest.mark.parametrize("architecture", ["pranet_v1", "pranet_v2"])
def test_every_weight_is_reached_by_the_gradient_of_the_stages(
    architecture: str, make_model: MakeModel, make_image: MakeImage
) -> None:
    model = make_model(architecture=architecture)

    loss = torch.stack(list(model.stages(make_image()).values())).square().sum()
    loss.backward()  # type: ignore[no-untyped-call]

    unreached = [name for name, weight in model.named_parameters() if weight.grad is None]
    assert unreached == []


def test_context_gives_every_stage_the_fused_feature_even_for_the_finest_map_alone(
    make_model: MakeModel, make_image: MakeImage
) -> None:
    image = make_image()
    model = make_model(context=True, gain="softmax", final=("r1",))
    stages = model.attention

    calls = calls_in_forward(model, image)

    # With a softmax over one class nothing of the deeper maps is read: only the context is.
    assert calls["decoder"] == calls["attention.r1"] == 1
    assert not calls["attention.r2"] + calls["attention.r3"] + calls["decoder.head_fg"]
    added = model.decoder.fused_channels
    for name, plain in make_model().attention.items():
        wider = stages[name].trunk.reduce.conv.in_channels
        assert wider == plain.trunk.reduce.conv.in_channels + added
    before = model(image)
    with torch.no_grad():
        model.decoder.refine.norm.bias += 1
    assert not torch.allclose(model(image), before)


@pytest.mark.parametrize(
    ("architecture", "expected"), [("pranet_v1", ["r4"]), ("pranet_v2", ["r4_fg", "r4_bg"])]
)
def test_without_stages_the_partial_decoder_is_left_alone(
    architecture: str, expected: list[str], make_model: MakeModel, make_image: MakeImage
) -> None:
    image = make_image()
    model = make_model(architecture=architecture, stages=(), final=("r4",))

    stages = model.stages(image)

    assert list(stages) == expected
    torch.testing.assert_close(model(image), stages[expected[0]])


@pytest.mark.parametrize("name", CONFIGS)
def test_configuration_survives_json(name: str) -> None:
    config = replace(CONFIGS[name], num_classes=3, final=("r2", "r4"), gain="softmax")

    assert ModelConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_lite_encoders_get_pixels_from_minus_one_to_one_and_the_others_imagenet_norm() -> None:
    ranges = {name: (config.mean, config.std) for name, config in CONFIGS.items()}

    assert ranges["pranet_v2_lite0"] == ((0.5,) * 3, (0.5,) * 3)
    assert ranges["pranet_v2_pvt_v2_b2"] == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"final": ()}, "final must name some of"),
        ({"final": ("r1", "r5")}, "final must name some of"),
        ({"stages": (), "final": ("r1",)}, "final must name some of"),
        ({"context": 1}, "context must be true or false"),
        ({"context": True, "architecture": "pranet_v1"}, "false in V1"),
        ({"stages": (StageConfig(8),)}, "3 stages are needed, or none, not 1"),
        ({"architecture": "pranet_v3"}, "architecture must be one of"),
        ({"gain": "tanh"}, "gain must be one of"),
        ({"encoder": 5}, "encoder must be a text"),
        ({"num_classes": 0}, "num_classes must be a positive whole number, not 0"),
        ({"channels": 3.5}, "channels must be a positive whole number"),
        ({"input_size": 100}, "input_size must be a multiple of 32 px"),
        ({"input_size": MAX_INPUT_SIZE_PX + 32}, "input_size must be a multiple of 32 px"),
        ({"mean": (0.5, 0.5)}, "mean must be three numbers"),
        ({"std": ("a", "b", "c")}, "std must be three numbers"),
        ({"encoder": "nonsense"}, "no encoder 'nonsense' in timm"),
    ],
)
def test_field_out_of_range_is_refused(
    changes: dict[str, Any], message: str, make_model: MakeModel
) -> None:
    with pytest.raises(ValueError, match=message):
        make_model(**changes)


@pytest.mark.parametrize(
    ("field", "value"),
    [("width", 0), ("depth", -1), ("kernel_size", 2), ("head_kernel_size", 4), ("width", "8")],
)
def test_stage_field_out_of_range_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        StageConfig(**({"width": 8} | {field: value}))  # type: ignore[arg-type]


def test_unknown_field_of_a_stored_configuration_is_refused(tiny_config: ModelConfig) -> None:
    with pytest.raises(TypeError, match="colour"):
        ModelConfig.from_dict(tiny_config.to_dict() | {"colour": "red"})


def test_unknown_configuration_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown model 'pranet_v9'; known: .*pranet_v2_lite0"):
        build_model("pranet_v9")


def test_fields_of_a_named_configuration_can_be_replaced() -> None:
    with torch.device("meta"):
        model = build_model("pranet_v2_lite0", num_classes=9, gain="softmax")

    assert model.config == replace(CONFIGS["pranet_v2_lite0"], num_classes=9, gain="softmax")


def test_encoder_gives_features_at_strides_8_16_and_32(make_image: MakeImage) -> None:
    encoder = Encoder("mobilenetv3_small_050").eval()

    features = encoder(make_image(64, 96))

    assert [tuple(feature.shape[-2:]) for feature in features] == [(8, 12), (4, 6), (2, 3)]
    assert tuple(feature.shape[1] for feature in features) == encoder.channels


def test_encoder_without_a_feature_at_a_stride_is_refused() -> None:
    with (
        torch.device("meta"),
        pytest.raises(ValueError, match=r"vit_tiny_patch16_224 has no feature at stride \[8, 32\]"),
    ):
        Encoder("vit_tiny_patch16_224")
