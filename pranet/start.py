"""The network that a training run begins with."""

import torch

from pranet.checkpoint import load_model
from pranet.errors import DataError
from pranet.imagenet import load_imagenet
from pranet.model import PraNet, build_model
from pranet.recipe import Recipe


def first_model(recipe: Recipe) -> PraNet:
    """The recipe's network with the weights to begin with.

    Raises:
        CheckpointError, DataError: weights are missing, or belong to another network.
    """
    try:
        model = build_model(recipe.model_config)
    except ValueError as error:
        raise DataError(f"network: {error}") from error
    if recipe.start is None:
        load_imagenet(model.encoder, model.config.encoder)
    else:
        transplant(load_model(recipe.start), model)
    return model


@torch.no_grad()
def transplant(source: PraNet, target: PraNet) -> None:
    """Copy the weights of a similar network; input channels that it lacks start at zero.

    Raises:
        DataError: a weight is missing in the source, or does not fit.
    """
    theirs = source.state_dict()
    for name, mine in target.state_dict().items():
        other = theirs.get(name)
        if other is None or not _fits(other.shape, mine.shape):
            raise DataError(f"{source.config.name} has no weights that fit {name}")
        if other.shape == mine.shape:
            mine.copy_(other)
        else:
            mine.zero_()
            mine[:, : other.shape[1]] = other


def _fits(theirs: torch.Size, ours: torch.Size) -> bool:
    """Whether the shapes are the same, but that ours may have more input channels."""
    if len(ours) < 2:
        return theirs == ours
    return (
        theirs[:1] == ours[:1]
        and theirs[2:] == ours[2:]
        and len(theirs) == len(ours)
        and theirs[1] <= ours[1]
    )
