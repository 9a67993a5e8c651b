"""What a training run came to, epoch by epoch, as a table and as a picture."""

import csv
import io
import logging
from collections.abc import Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

logger = logging.getLogger("pranet.train")

History = Sequence[dict[str, float]]


def chosen_epoch(history: History) -> int:
    """The epoch with the best validation mDice, the first of equals; the last without scores."""
    scored = [entry for entry in history if "mDice" in entry]
    if not scored:
        return int(history[-1]["epoch"])
    return int(max(scored, key=lambda entry: entry["mDice"])["epoch"])


def write_curves(history: History, folder: Path) -> None:
    """Write ``curves.csv`` and, where matplotlib is installed, ``curves.png``.

    Args:
        history: one entry per epoch, with `epoch`, `loss` and, where there is a validation part,
            `mDice` in percent.
    """
    (folder / "curves.csv").write_text(_table(history))
    figure = _figure_type()
    if figure is not None:
        _draw(history, figure(figsize=(7, 6), layout="constrained"), folder / "curves.png")


def _table(history: History) -> str:
    names = list(dict.fromkeys(name for entry in history for name in entry))
    text = io.StringIO()
    writer = csv.DictWriter(text, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return text.getvalue()


@cache
def _figure_type() -> Any:
    # The type itself and not pyplot, which would look for a display.
    try:
        return import_module("matplotlib.figure").Figure
    except ImportError:
        logger.info("no curves.png: matplotlib is not installed")
        return None


def _draw(history: History, figure: Any, path: Path) -> None:
    epochs = [entry["epoch"] for entry in history]
    upper, lower = figure.subplots(2, 1, sharex=True)
    upper.plot(epochs, [entry["loss"] for entry in history], color="tab:blue")
    upper.set_ylabel("training loss")
    lower.plot(epochs, [entry.get("mDice", float("nan")) for entry in history], color="tab:green")
    lower.set_ylabel("validation mDice in %")
    lower.set_xlabel("epoch")
    chosen = chosen_epoch(history)
    for axes in (upper, lower):
        axes.axvline(chosen, color="gray", linestyle="--", label=f"chosen: epoch {chosen}")
        axes.grid(visible=True, alpha=0.3)
    upper.legend()
    figure.savefig(path, dpi=100)
