"""The mean of the weights of several networks."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pranet import load_model, save_model
from pranet.average import average
from pranet.checkpoint import read_info
from pranet.errors import DataError
from pranet.model import PraNet

MakeModel = Callable[..., PraNet]


def filled(model: PraNet, value: float) -> PraNet:
    state = model.state_dict()
    model.load_state_dict({key: torch.full_like(state[key], value) for key in state})
    return model


def test_weights_are_the_mean_by_shares(make_model: MakeModel) -> None:
    models = [filled(make_model(), value) for value in (1, 4)]

    for shares, expected in ((None, 2.5), ([1, 3], 3.25)):
        state = average(models, shares).state_dict()
        floating = [value for value in state.values() if value.is_floating_point()]
        assert {value for part in floating for value in part.unique().tolist()} == {expected}


def test_mean_of_one_network_gives_its_own_answer(make_model: MakeModel) -> None:
    model, image = make_model(), torch.randn(1, 3, 64, 64)

    with torch.inference_mode():
        torch.testing.assert_close(average([model])(image), model(image))


def test_input_channels_that_the_first_network_lacks_count_as_zero(make_model: MakeModel) -> None:
    plain, wider = filled(make_model(), 2), filled(make_model(context=True), 2)

    mean = average([plain, wider])

    reduce = mean.attention["r1"].trunk.reduce.conv.weight
    added = mean.decoder.fused_channels
    assert reduce[:, :-added].unique().tolist() == [2.0]
    assert reduce[:, -added:].unique().tolist() == [1.0]


@pytest.mark.parametrize("shares", [[1], [1, 0], [1, 2, 3]])
def test_shares_that_do_not_fit_are_refused(shares: list[float], make_model: MakeModel) -> None:
    with pytest.raises(DataError, match="2 shares above 0 are needed"):
        average([make_model(), make_model()], shares)


def test_command_writes_a_checkpoint_that_tells_what_it_is_the_mean_of(
    tmp_path: Path, make_model: MakeModel
) -> None:
    paths = [tmp_path / "first.safetensors", tmp_path / "second.safetensors"]
    for path, value in zip(paths, (1, 3), strict=True):
        save_model(filled(make_model(), value), path, training={"seed": value})
    output = tmp_path / "mean.safetensors"

    command = [sys.executable, "-m", "pranet.average", *map(str, paths), "--output", str(output)]
    subprocess.run(command, check=True)
    refused = subprocess.run([*command, "--share", "1"], capture_output=True, text=True)

    assert load_model(output).decoder.head_fg.weight.unique().tolist() == [2.0]
    parts = read_info(output).training["mean_of"]
    assert [part["training"]["seed"] for part in parts] == [1, 3]
    assert [part["sha256"] for part in parts] == [read_info(path).sha256 for path in paths]
    assert refused.returncode == 2
    assert refused.stderr.startswith("pranet.average: 2 shares above 0")
    assert len(refused.stderr.splitlines()) == 1
