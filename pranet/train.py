"""`pranet-train`: train a network on folders of images and masks, as a recipe says."""

import logging
import sys
from pathlib import Path
from typing import Annotated, Any

import cv2
import torch
import typer

from pranet.data import list_folder, load_sequences, split
from pranet.data_check import check
from pranet.distributed import device_of, group_of, joined
from pranet.errors import DataError, PranetError
from pranet.fast_cpu import keep_freed_memory
from pranet.recipe import DEFAULT_RECIPE, load_recipe, parse_setting
from pranet.trainer import Trainer

logger = logging.getLogger("pranet.train")


def train(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/; repeatable.")],
    output: Annotated[
        Path | None, typer.Option(help="Folder for state, curves and checkpoints.")
    ] = None,
    empty: Annotated[
        list[Path] | None, typer.Option(help="Folder with images/ that show no polyp; repeatable.")
    ] = None,
    sequences: Annotated[
        Path | None, typer.Option(help="JSON of frame ranges that must stay on one side.")
    ] = None,
    config: Annotated[
        str, typer.Option(help="Name of a recipe, or path of one in TOML.")
    ] = DEFAULT_RECIPE,
    model: Annotated[str | None, typer.Option(help="Instead of the recipe's network.")] = None,
    start: Annotated[
        str | None, typer.Option(help="Checkpoint to begin with, instead of ImageNet weights.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the recipe's.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Any setting of the recipe, as key=value in TOML; repeatable."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 1,
    check_only: Annotated[
        bool, typer.Option("--check", help="Report what is wrong with the data, and end.")
    ] = False,
) -> None:
    """Train a network; run the same command again to go on after an interruption."""
    options: dict[str, Any] = {
        "model": model,
        "start": start,
        "epochs": epochs,
        "batch_size": batch_size,
        "seed": seed,
    }
    given = {name: value for name, value in options.items() if value is not None}
    recipe = load_recipe(config, [*map(parse_setting, settings or []), given])
    group = group_of()
    device = device_of(device, group)
    folders = [list_folder(folder) for folder in data]
    without = [pair for folder in empty or [] for pair in list_folder(folder).pairs]
    for_training, held_out = split(
        [pair for folder in folders for pair in folder.pairs],
        load_sequences(sequences) if sequences else {},
        share=recipe.validation_share,
        seed=recipe.split_seed,
    )
    if group.leads:
        report = check(
            for_training,
            held_out,
            without,
            images_without_mask=[path for folder in folders for path in folder.images_without_mask],
            masks_without_image=[path for folder in folders for path in folder.masks_without_image],
            num_classes=recipe.model_config.num_classes,
        )
        if check_only:
            print(report)
        else:
            logger.info("%s", report)
        report.refuse_errors()
    if check_only:
        return
    if output is None:
        raise DataError("--output FOLDER is needed, for what training writes")
    with joined(group, device):
        trainer = Trainer(
            recipe,
            train=for_training,
            empty=without,
            validation=held_out,
            output=output,
            device=device,
            workers=workers,
            group=group,
        )
        trainer.resume()
        trainer.run()


def main() -> None:
    """Entry point of the console script."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s")
    # The loader's workers are processes; OpenCV's own threads would only fight with torch's.
    cv2.setNumThreads(1)
    keep_freed_memory()
    try:
        typer.run(train)
    except torch.OutOfMemoryError as error:
        _end("out of memory on the device; use a smaller --batch-size", error)
    except (PranetError, OSError) as error:
        _end(str(error), error)


def _end(complaint: str, error: Exception) -> None:
    print(f"pranet-train: {complaint}", file=sys.stderr)
    raise SystemExit(2) from error


if __name__ == "__main__":
    main()
