"""`pranet-eval`: score a network on folders of images and masks."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from pranet.checkpoint import DEFAULT_MODEL, load_model, read_info
from pranet.data import Pair, find_pairs
from pranet.errors import DataError, PranetError
from pranet.metrics import score
from pranet.model import PraNet
from pranet.predict import predict

console = Console(soft_wrap=True)


def evaluate(model: PraNet, pairs: Iterable[Pair], device: str = "cpu") -> dict[str, float]:
    """Mean of every metric over the images, in percent (`MAE` too)."""
    scores = []
    for pair in pairs:
        image, mask = pair.read()
        scores.append(score(predict(model, image, device), mask))
    return {name: 100 * float(np.mean([one[name] for one in scores])) for name in scores[0]}


def run(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/; repeatable.")],
    model: Annotated[str, typer.Option(help="Bundled checkpoint or a path.")] = DEFAULT_MODEL,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    report: Annotated[Path | None, typer.Option(help="JSON, keyed by folder name.")] = None,
) -> None:
    """Score a network; each metric at the size of the mask file, probabilities as they are."""
    network = load_model(model, device=device)
    results: dict[str, dict[str, float]] = {}
    for folder in data:
        if folder.name in results:
            raise DataError(f"{folder}: another folder of this name is scored already")
        pairs = find_pairs(folder)
        results[folder.name] = {"images": len(pairs)} | evaluate(network, pairs, device)
    console.print(_table(results))
    if report is not None:
        content = {"checkpoint_sha256": read_info(model).sha256, "folders": results}
        report.parent.mkdir(parents=True, exist_ok=True)
        report.write_text(json.dumps(content, indent=2) + "\n")


def _table(results: dict[str, dict[str, float]]) -> Table:
    table = Table("folder")
    for name in next(iter(results.values())):
        table.add_column(name, justify="right")
    for folder, values in results.items():
        cells = (
            f"{value:.0f}" if name == "images" else f"{value:.2f}" for name, value in values.items()
        )
        table.add_row(folder, *cells)
    return table


def main() -> None:
    """Entry point of the console script."""
    cv2.setNumThreads(1)
    try:
        typer.run(run)
    except PranetError as error:
        console.print(f"pranet-eval: {error}", markup=False)
        sys.exit(2)


if __name__ == "__main__":
    main()
