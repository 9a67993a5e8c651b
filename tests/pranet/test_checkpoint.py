"""Checkpoints: what is written is read back, and no file makes us fail with a traceback."""

import hashlib
import json
import os
import pickle
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import pranet
from pranet import build_model, checkpoint, load_model, save_model
from pranet.checkpoint import FORMAT, read_info
from pranet.errors import CheckpointError
from pranet.model import ModelConfig, PraNet
from pranet.published import rename

PUBLISHED = ("pranet_v1_res2net50_v1b", "pvt_v2_b2")


class Hostile:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Callable[..., None], tuple[str]]:
        return os.mkdir, (str(self.folder),)


@pytest.fixture
def saved(tmp_path: Path, make_model: Callable[..., PraNet]) -> Path:
    """The tiny network's checkpoint."""
    path = tmp_path / "tiny.safetensors"
    save_model(make_model(), path)
    return path


@pytest.fixture
def rewrite(saved: Path) -> Callable[..., Path]:
    """Writes the tiny network's weights again, with other metadata or other weights."""

    def write(
        metadata: dict[str, str] | None = None, state: dict[str, Tensor] | None = None
    ) -> Path:
        written = {
            "format": FORMAT,
            "config": json.dumps(read_info(saved).config),
            "training": "{}",
        }
        save_file(state or load_file(saved), saved, written | (metadata or {}))
        return saved

    return write


@pytest.fixture
def small_published_state(
    published_shapes: Callable[[str], dict[str, list[int]]],
) -> Callable[[str], dict[str, Tensor]]:
    """A published state dict of one distinct number per key, which makes a file of little size."""

    def make(name: str) -> dict[str, Tensor]:
        shapes = published_shapes(name)
        return {
            key: torch.tensor(1 + index / 1024).expand(shape)
            for index, (key, shape) in enumerate(shapes.items())
        }

    return make


def test_lite0_comes_back_in_float32_eval_mode_with_the_same_logits(
    tmp_path: Path, make_image: Callable[..., Tensor]
) -> None:
    torch.manual_seed(3)
    model = build_model("pranet_v2_lite0", num_classes=2).eval()
    path = tmp_path / "lite0.safetensors"
    save_model(model, path)
    image = make_image(96, 128)

    loaded = load_model(path)

    assert loaded.config == model.config
    assert not any(module.training for module in loaded.modules())
    assert {p.dtype for p in loaded.parameters()} == {torch.float32}
    with torch.inference_mode():
        expected = model(image)
        assert (loaded(image) - expected).norm() <= 5e-3 * expected.norm()


def test_weights_are_stored_in_half_precision_and_counters_as_they_are(saved: Path) -> None:
    kinds: dict[bool, set[torch.dtype]] = {True: set(), False: set()}
    for key, value in load_file(saved).items():
        kinds[key.endswith("num_batches_tracked")].add(value.dtype)

    assert kinds == {True: {torch.int64}, False: {torch.float16}}


def test_saving_leaves_the_network_in_float32(
    tmp_path: Path, make_model: Callable[..., PraNet]
) -> None:
    model = make_model()

    save_model(model, tmp_path / "tiny.safetensors")

    assert {p.dtype for p in model.parameters()} == {torch.float32}


def test_info_holds_hash_configuration_and_training_facts(
    tmp_path: Path, make_model: Callable[..., PraNet], tiny_config: ModelConfig
) -> None:
    path = tmp_path / "tiny.safetensors"
    save_model(make_model(), path, training={"epochs": 18, "data": ["a", "b"]})

    info = read_info(path)

    assert info.path == path
    assert info.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert ModelConfig.from_dict(info.config) == tiny_config
    assert info.training == {"epochs": 18, "data": ["a", "b"]}


def test_info_of_a_published_file_is_its_hash_alone(tmp_path: Path) -> None:
    path = tmp_path / "published.pth"
    path.write_bytes(b"anything")

    info = read_info(path)

    assert (info.config, info.training) == ({}, {})
    assert info.sha256 == hashlib.sha256(b"anything").hexdigest()


def test_info_is_read_without_torch(saved: Path) -> None:
    code = (
        "import sys, pranet.checkpoint\n"
        f"assert pranet.checkpoint.read_info({str(saved)!r}).config['name'] == 'tiny'\n"
        "assert 'torch' not in sys.modules\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(pranet.__file__).parents[1])}

    result = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert result.returncode == 0, result.stderr


def test_bundled_checkpoint_is_found_by_name_and_one_is_the_default(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundled = saved.rename(saved.with_stem(checkpoint.DEFAULT_MODEL))
    monkeypatch.setattr(checkpoint, "WEIGHTS_FOLDER", bundled.parent)

    assert read_info(checkpoint.DEFAULT_MODEL).path == bundled
    assert load_model().config.name == "tiny"


@pytest.mark.parametrize("read", [read_info, load_model])
def test_unknown_name_lists_the_bundled_checkpoints(
    read: Callable[[str], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("first", "second"):
        (tmp_path / f"{name}.safetensors").touch()
    monkeypatch.setattr(checkpoint, "WEIGHTS_FOLDER", tmp_path)

    with pytest.raises(CheckpointError, match=r"'third'.*bundled ones are: first, second$"):
        read("third")


@pytest.mark.parametrize(
    "name", ["missing.safetensors", "missing.pth", "", ".", "~nobody/x", "x" * 5000, "a\0b"]
)
@pytest.mark.parametrize("read", [read_info, load_model])
def test_what_is_no_file_is_refused(
    read: Callable[[str], object], name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    with pytest.raises(CheckpointError, match="no checkpoint"):
        read(name)


@pytest.mark.parametrize("content", [b"", b"no weights here\n", b"\xff" * 64], ids=repr)
@pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".PTH", ""])
def test_file_that_is_no_checkpoint_is_refused(content: bytes, suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"model{suffix}"
    path.write_bytes(content)

    with pytest.raises(CheckpointError, match="model"):
        load_model(path)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.5, 0.999])
def test_truncated_checkpoint_is_refused(share: float, saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: int(share * len(content))])

    with pytest.raises(CheckpointError, match="damaged"):
        load_model(saved)
    with pytest.raises(CheckpointError, match="damaged"):
        read_info(saved)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
def test_published_file_truncated_or_altered_anywhere_is_refused(
    zipped: bool, tmp_path: Path
) -> None:
    path = tmp_path / "model.pth"
    torch.save(
        {"a": torch.zeros(4), "b": torch.ones(3, 3)}, path, _use_new_zipfile_serialization=zipped
    )
    content = path.read_bytes()
    rng = random.Random(5)
    for attempt in range(300):
        damaged = bytearray(content)
        if attempt % 2:
            del damaged[rng.randrange(len(content)) :]
        for _ in range(min(2, len(damaged))):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        path.write_bytes(damaged)

        # Even where torch makes something of it, it is none of the networks that are known.
        with pytest.raises(CheckpointError):
            load_model(path)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_hostile_pickle_is_refused_and_does_not_run(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    hostile = {"agg1.conv5.weight": torch.zeros(1), "x": Hostile(victim)}
    zipped, plain = tmp_path / "zipped.pth", tmp_path / "plain.pth"
    torch.save(hostile, zipped)
    plain.write_bytes(pickle.dumps(Hostile(victim)))

    for path in (zipped, plain):
        with pytest.raises(CheckpointError, match="refused"):
            load_model(path)
        assert not victim.exists()

    pickle.loads(plain.read_bytes())
    assert victim.exists(), "the pickle is harmless: the test above proves nothing"


@pytest.mark.parametrize(
    "content",
    [5, [torch.zeros(2)], torch.zeros(2), {"a": 1}, {"state_dict": {"a": "b"}}, {"state_dict": 5}],
    ids=repr,
)
def test_published_file_without_a_state_dict_is_refused(content: object, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    torch.save(content, path)

    with pytest.raises(CheckpointError, match="holds no state dict"):
        load_model(path)


@pytest.mark.parametrize(
    ("state", "listed"),
    [({}, "first keys: none"), ({"stem.weight": torch.zeros(2)}, r"first keys: stem\.weight")],
)
def test_state_dict_of_another_network_is_refused_with_its_first_keys(
    state: dict[str, Tensor], listed: str, tmp_path: Path
) -> None:
    path = tmp_path / "model.pth"
    torch.save(state, path)

    with pytest.raises(CheckpointError, match=f"not a layout that is known.*{listed}"):
        load_model(path)


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_weights_with_module_prefix_and_wrapper_are_read(
    name: str, small_published_state: Callable[[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    state = small_published_state(name)
    path = tmp_path / "model.pth"
    torch.save({"epoch": 3, "state_dict": {f"module.{k}": v for k, v in state.items()}}, path)

    loaded = load_model(path).state_dict()

    expected = rename(state)
    assert loaded.keys() == expected.keys()
    wrong = [
        key
        for key, value in expected.items()
        if not torch.all(loaded[key] == value.to(loaded[key].dtype))
    ]
    assert wrong == []


def test_published_weights_that_do_not_fit_are_listed(
    small_published_state: Callable[[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    state = small_published_state("pvt_v2_b2")
    del state["agg1.conv5_bg.weight"]
    state["rfb2_1.branch0.0.conv.weight"] = torch.zeros(2, 2)
    path = tmp_path / "model.pth"
    torch.save(state, path)

    with pytest.raises(CheckpointError) as caught:
        load_model(path)

    assert "1 missing: decoder.head_bg.weight;" in str(caught.value)
    assert "1 of another shape: receptive_field.0.branches.0.0.conv.weight" in str(caught.value)


def test_published_weights_in_a_form_that_cannot_be_copied_are_refused(
    small_published_state: Callable[[str], dict[str, Tensor]], tmp_path: Path
) -> None:
    state = small_published_state("pvt_v2_b2")
    key = "agg1.conv5_fg.weight"
    state[key] = torch.empty(state[key].shape, device="meta")
    path = tmp_path / "model.pth"
    torch.save(state, path)

    with pytest.raises(CheckpointError, match="of a kind that cannot be used"):
        load_model(path)


def test_missing_unexpected_and_misshaped_weights_are_listed(
    saved: Path, rewrite: Callable[..., Path]
) -> None:
    state = load_file(saved)
    del state["decoder.head_fg.bias"], state["decoder.head_bg.bias"]
    state["decoder.head_fg.weight"] = torch.zeros(3, 24, 1, 1)
    state |= {f"extra.{index}": torch.zeros(1) for index in range(9)}

    with pytest.raises(CheckpointError) as caught:
        load_model(rewrite(state=state))

    message = str(caught.value)
    assert "does not fit tiny" in message
    assert "2 missing: decoder.head_bg.bias, decoder.head_fg.bias;" in message
    assert "9 unexpected: extra.0, extra.1, extra.2, extra.3, extra.4, …;" in message
    assert message.endswith("1 of another shape: decoder.head_fg.weight")


def test_safetensors_file_of_others_is_refused(saved: Path, rewrite: Callable[..., Path]) -> None:
    state = load_file(saved)
    save_file(state, saved)
    with pytest.raises(CheckpointError, match="not one of pranet-stream's"):
        load_model(saved)

    save_file(state, saved, {"format": "pt"})
    with pytest.raises(CheckpointError, match="not one of pranet-stream's"):
        read_info(saved)


@pytest.mark.parametrize("key", ["config", "training"])
@pytest.mark.parametrize("text", ["", "{", "[]", "null", "7", "[" * 100_000, "9" * 10_000])
def test_metadata_that_are_no_json_object_are_refused(
    key: str, text: str, rewrite: Callable[..., Path]
) -> None:
    path = rewrite({key: text})

    with pytest.raises(CheckpointError):
        read_info(path)
    with pytest.raises(CheckpointError):
        load_model(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 5},
        {"encoder": None},
        {"encoder": ["resnet18"]},
        {"encoder": "no_such_encoder"},
        {"encoder": "resnet18.no_such_tag"},
        {"encoder": "vit_tiny_patch16_224"},
        {"architecture": "pranet_v3"},
        {"gain": "tanh"},
        {"channels": "8"},
        {"channels": 0},
        {"channels": -8},
        {"channels": 8.5},
        {"channels": 3_000},
        {"channels": 10**12},
        {"channels": 10**30},
        {"num_classes": 0},
        {"num_classes": 10**9},
        {"final": []},
        {"final": ["r5"]},
        {"final": [["r1"]]},
        {"final": 1},
        {"stages": []},
        {"stages": 3},
        {"stages": [8, 8, 8]},
        {"stages": [{"width": 8}] * 2 + [{"width": 8, "depth": 10**12}]},
        {"stages": [{"width": 8}] * 2 + [{"width": 3_000}]},
        {"stages": [{"width": 8}] * 2 + [{"width": 8, "kernel_size": 2}]},
        {"stages": [{"width": 8, "colour": "red"}] * 3},
        {"input_size": 100},
        {"input_size": 32 * 10**9},
        {"mean": [0.5]},
        {"std": ["a", "b", "c"]},
        {"unheard_of": 1},
    ],
    ids=lambda changes: str(changes)[:60],
)
def test_configuration_out_of_range_is_refused(
    changes: dict[str, Any], saved: Path, rewrite: Callable[..., Path]
) -> None:
    config = read_info(saved).config | changes

    with pytest.raises(CheckpointError, match=r"tiny\.safetensors"):
        load_model(rewrite({"config": json.dumps(config)}))


def test_network_that_its_file_does_not_fill_is_never_given_memory(
    saved: Path, rewrite: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    devices: list[str] = []

    def spy(config: ModelConfig) -> PraNet:
        devices.append(torch.get_default_device().type)
        return build_model(config)

    monkeypatch.setattr("pranet.model.build_model", spy)
    config = read_info(saved).config | {"channels": 16}

    with pytest.raises(CheckpointError, match="does not fit tiny"):
        load_model(rewrite({"config": json.dumps(config)}))

    assert devices == ["meta"]


@pytest.mark.parametrize("config", ["{}", '{"name": "tiny"}', '{"mean": NaN}'])
def test_configuration_with_fields_missing_is_refused(
    config: str, rewrite: Callable[..., Path]
) -> None:
    with pytest.raises(CheckpointError, match="configuration is not understood"):
        load_model(rewrite({"config": config}))


@pytest.mark.parametrize(
    "encoder",
    [
        "hf-hub:evil/model",
        "hf_hub:evil/model",
        "local-dir:.",
        "evil/model",
        "../model",
        "resnet18.hf-hub:evil/model",
    ],
)
def test_encoder_from_elsewhere_is_refused_without_a_look_at_the_network(
    encoder: str, saved: Path, rewrite: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def refuse(*arguments: object, **_: object) -> None:
        asked.append(arguments)
        raise OSError("no network in tests")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    config = read_info(saved).config | {"encoder": encoder}

    with pytest.raises(CheckpointError, match="no network can be built from it"):
        load_model(rewrite({"config": json.dumps(config)}))

    assert asked == []
