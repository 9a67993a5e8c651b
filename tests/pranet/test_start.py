"""What a run begins with."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from pranet.errors import DataError
from pranet.model import PraNet
from pranet.start import transplant

MakeModel = Callable[..., PraNet]


def test_transplanted_network_computes_what_the_source_did(
    make_model: MakeModel, make_image: Callable[..., Tensor]
) -> None:
    source, target = make_model(), make_model(context=True)
    for parameter in source.parameters():
        parameter.data += 0.01
    before = target(make_image())

    transplant(source, target)

    assert not torch.allclose(before, source(make_image()), atol=1e-3)
    expected, found = source.stages(make_image()), target.stages(make_image())
    for name, maps in expected.items():
        torch.testing.assert_close(found[name], maps, atol=1e-5, rtol=1e-5)


def test_channels_that_the_source_lacks_start_at_zero_and_can_learn(make_model: MakeModel) -> None:
    source, target = make_model(), make_model(context=True)

    transplant(source, target)

    key = "attention.r1.trunk.reduce.conv.weight"
    theirs, ours = source.state_dict()[key], target.state_dict()[key]
    assert torch.equal(ours[:, : theirs.shape[1]], theirs)
    assert ours.shape[1] > theirs.shape[1]
    assert not ours[:, theirs.shape[1] :].any()
    assert target.get_parameter(key).requires_grad


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ({}, {"channels": 16}),
        ({"num_classes": 2}, {}),
        ({"context": True}, {}),
        ({"architecture": "pranet_v1"}, {}),
    ],
    ids=["another width", "fewer classes", "fewer input channels", "no such layers"],
)
def test_network_that_is_not_alike_is_refused(
    theirs: dict[str, object], ours: dict[str, object], make_model: MakeModel
) -> None:
    with pytest.raises(DataError, match="tiny has no weights that fit"):
        transplant(make_model(**theirs), make_model(**ours))
