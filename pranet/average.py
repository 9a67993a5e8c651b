"""Mean of the weights of several checkpoints of one network: `python -m pranet.average`.

Networks that were trained on from a common ancestor lie in one valley of the loss, and what lies
between them often sees unfamiliar pictures better than each of them (Wortsman et al., "Model
soups", ICML 2022, and "Robust fine-tuning of zero-shot models", CVPR 2022).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import torch
import typer

from pranet.checkpoint import load_model, read_info, save_model
from pranet.command import run_module
from pranet.errors import DataError
from pranet.model import PraNet, build_model
from pranet.start import transplant


@torch.no_grad()
def average(models: Sequence[PraNet], shares: Sequence[float] | None = None) -> PraNet:
    """A network, in eval mode, whose weights are the mean of others'.

    Args:
        models: at least one. The result has the configuration of the last one; the others may
            lack input channels that it has, which then count as zero.
        shares: how much each of them counts, more than 0; equally by default.

    Raises:
        DataError: the networks differ, or there are not as many shares.
    """
    shares = [1.0] * len(models) if shares is None else shares
    if len(shares) != len(models) or min(shares) <= 0:
        raise DataError(f"{len(models)} shares above 0 are needed, not {list(shares)}")
    mean = build_model(models[-1].config).eval()
    total = {
        key: torch.zeros_like(value, dtype=torch.float64)
        for key, value in mean.state_dict().items()
    }
    for model, share in zip(models, shares, strict=True):
        fitted = build_model(mean.config)
        transplant(model, fitted)
        for key, value in fitted.state_dict().items():
            total[key] += value.double() * (share / sum(shares))
    mean.load_state_dict(total)
    return mean


def run(
    checkpoints: Annotated[list[Path], typer.Argument(help="Checkpoints of one network.")],
    output: Annotated[Path, typer.Option(help="Checkpoint to write.")],
    share: Annotated[
        list[float] | None, typer.Option(help="How much each counts, in their order; repeatable.")
    ] = None,
) -> None:
    """Write the mean of the weights of several checkpoints."""
    models = [load_model(path) for path in checkpoints]
    shares = share or [1.0] * len(models)
    parts = [
        {"sha256": info.sha256, "share": part, "training": info.training}
        for info, part in zip(map(read_info, checkpoints), shares, strict=False)
    ]
    save_model(average(models, shares), output, training={"mean_of": parts})


if __name__ == "__main__":
    run_module("pranet.average", run)
