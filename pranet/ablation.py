"""What each part of the network and of the training gains: `python -m pranet.ablation`.

Every variant is trained from ImageNet weights with the same recipe, data and seeds, and its last
weights are scored: nothing is chosen after the fact. An interrupted study goes on where it was.
"""

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray

from pranet.checkpoint import load_model
from pranet.command import run_module
from pranet.compose import largest_crop_beside
from pranet.data import Pair, find_pairs, load_sequences, split
from pranet.evaluate import means
from pranet.fast_cpu import keep_freed_memory
from pranet.metrics import overlap_curves
from pranet.model import PraNet
from pranet.predict import normalise, resized
from pranet.recipe import Recipe
from pranet.trainer import Trainer

logger = logging.getLogger("pranet.ablation")

#: What each variant changes in the recipe: "network" and "augmentation" are merged, others set.
VARIANTS: dict[str, dict[str, Any]] = {
    "partial decoder alone": {"network": {"stages": (), "final": ("r4",)}},
    "V1 reverse attention": {"network": {"architecture": "pranet_v1"}},
    "DSRA, softmax gain": {"network": {"gain": "softmax"}},
    "DSRA, sigmoid gain": {},
    "DSRA, sigmoid gain, no background supervision": {"background_weight": 0.0},
    "DSRA, sigmoid gain, context": {"network": {"context": True}},
    "the same without empty images": {
        "network": {"context": True},
        "empty_share": 0.0,
        "augmentation": {"removal_chance": 0.0},
    },
}

#: The maps that are scored, where a variant has them.
MAPS = ("r1", "r4", "sum")

Scores = dict[str, dict[str, float]]


def variant_recipe(base: Recipe, changes: dict[str, Any]) -> Recipe:
    """The recipe of one variant."""
    merged = {
        key: getattr(base, key) | value if isinstance(value, dict) else value
        for key, value in changes.items()
    }
    return replace(base, **merged)


@torch.inference_mode()
def predict_maps(model: PraNet, image: NDArray[np.uint8]) -> dict[str, NDArray[np.float32]]:
    """Probability (H, W) of one RGB image by each of `MAPS`, at the image's own size."""
    stages = model.stages(normalise(resized(image, model), model))
    foreground = {
        name.removesuffix("_fg"): maps[0, 0]
        for name, maps in stages.items()
        if not name.endswith("_bg")
    }
    foreground["sum"] = torch.stack([foreground[name] for name in model.config.final]).sum(dim=0)
    size = (image.shape[1], image.shape[0])
    probabilities = {}
    for name in MAPS:
        if name in foreground:
            full = cv2.resize(foreground[name].numpy(), size, interpolation=cv2.INTER_LINEAR)
            probabilities[name] = torch.from_numpy(full).sigmoid().numpy()
    return probabilities


def score_folder(model: PraNet, pairs: list[Pair]) -> dict[str, float]:
    """mDice of each map, and the share over 0.5 in polyp-free crops by the sum, in percent."""
    rows = []
    for pair in pairs:
        image, mask = pair.read()
        row = {
            name: float(overlap_curves(probability, mask)[0].mean())
            for name, probability in predict_maps(model, image).items()
        }
        crop = largest_crop_beside(image, mask)
        if crop is not None:
            row["false_area"] = float((predict_maps(model, crop)["sum"] >= 0.5).mean())
        rows.append(row)
    return means(rows)


def study(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/; repeatable.")],
    test: Annotated[list[Path], typer.Option(help="Folder to score on as well; repeatable.")],
    output: Annotated[Path, typer.Option(help="Folder for the runs and the results.")],
    empty: Annotated[
        list[Path] | None, typer.Option(help="Folder with images/ that show no polyp; repeatable.")
    ] = None,
    sequences: Annotated[
        Path | None, typer.Option(help="JSON of frame ranges that must stay on one side.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a configuration.")] = "pranet_v2_lite0",
    epochs: Annotated[int, typer.Option(min=1)] = 5,
    size: Annotated[int, typer.Option(help="Input size in px.")] = 160,
    seeds: Annotated[int, typer.Option(help="Runs of each variant.", min=2)] = 2,
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 1,
) -> None:
    """Train and score every variant; run the same command again to go on."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s")
    cv2.setNumThreads(1)
    keep_freed_memory()
    base = Recipe(
        model=model,
        network={"input_size": size, "context": False},
        epochs=epochs,
        sizes_px=((size,),),
    )
    pairs = [pair for folder in data for pair in find_pairs(folder)]
    ranges = load_sequences(sequences) if sequences else {}
    for_training, held_out = split(pairs, ranges, share=base.validation_share, seed=base.split_seed)
    without = [pair for folder in empty or [] for pair in find_pairs(folder)]
    sets = {"validation": held_out} | {folder.resolve().name: find_pairs(folder) for folder in test}
    results: dict[str, list[Scores]] = {}
    for index in range(seeds):
        for name, changes in VARIANTS.items():
            recipe = replace(variant_recipe(base, changes), seed=base.seed + index)
            folder = output / f"{name.replace(', ', '_').replace(' ', '_')}-{recipe.seed}"
            trainer = Trainer(
                recipe,
                train=for_training,
                empty=without,
                validation=held_out,
                output=folder,
                device="cpu",
                workers=workers,
            )
            trainer.resume()
            trainer.run()
            network = load_model(folder / "last.safetensors")
            scores = {title: score_folder(network, chosen) for title, chosen in sets.items()}
            logger.info("%s, seed %d: %s", name, recipe.seed, scores)
            results.setdefault(name, []).append(scores)
            (output / "ablation.json").write_text(json.dumps(results, indent=1) + "\n")
            (output / "ablation.md").write_text(markdown(results), encoding="utf-8")


def markdown(results: dict[str, list[Scores]]) -> str:
    """One table for each set: variants by maps, the mean over the seeds and half their range."""
    parts = []
    for title in next(iter(results.values()))[0]:
        parts.append(
            f"**{title}**\n\n| variant | R1 | R4 | sum | polyp-free crops |\n|---|--:|--:|--:|--:|"
        )
        for name, runs in results.items():
            cells = (
                _mean_and_spread([run[title][key] for run in runs if key in run[title]])
                for key in (*MAPS, "false_area")
            )
            parts.append(f"| {name} | " + " | ".join(cells) + " |")
        parts.append("")
    return "\n".join(parts)


def _mean_and_spread(values: list[float]) -> str:
    if not values:
        return "–"
    return f"{np.mean(values):.2f} ± {(max(values) - min(values)) / 2:.2f}"


if __name__ == "__main__":
    run_module("pranet.ablation", study)
