"""One training run: state, epochs, validation, files."""

import json
import logging
import math
import os
import pickle
import sys
import time
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader

from pranet.checkpoint import save_model
from pranet.curves import chosen_epoch, write_curves
from pranet.data import Pair, names_sha256
from pranet.distributed import ALONE, Group
from pranet.errors import DataError
from pranet.evaluate import evaluate
from pranet.fast_cpu import FastDepthwiseGradients
from pranet.loader import EpochSampler, PairDataset
from pranet.losses import deep_supervision_loss, general_loss
from pranet.model import PraNet
from pranet.predict import normalise
from pranet.recipe import Recipe
from pranet.start import first_model

logger = logging.getLogger("pranet.train")


class Trainer:
    """A network on its way from the recipe's start to its last epoch.

    Files in the output folder, all brought up to date after every epoch: ``model.safetensors``
    (the averaged weights of the best epoch by validation mDice, or of the last one without a
    validation part), ``last.safetensors``, ``history.json``, ``curves.csv``, ``curves.png`` and
    ``state.pt``, from which `resume` goes on.

    Args:
        train, empty, validation: image pairs; `empty` ones show no polyp.
        device: as `pranet.distributed.device_of` gives it.
        workers: loader processes; 0 loads in this one.
        group: the processes that train together, this one among them; they must be joined.

    Raises:
        CheckpointError, DataError: the recipe cannot be followed with this data on this device.
    """

    def __init__(
        self,
        recipe: Recipe,
        *,
        train: list[Pair],
        empty: list[Pair],
        validation: list[Pair],
        output: Path,
        device: str = "cpu",
        workers: int = 0,
        group: Group = ALONE,
    ) -> None:
        self.kind = torch.device(device).type
        if recipe.precision == "fp16" and self.kind != "cuda":
            raise DataError("precision fp16 needs a CUDA device; use bf16 or fp32")
        if recipe.batch_size % group.size:
            raise DataError(
                f"batch_size {recipe.batch_size} cannot be shared by {group.size} processes"
            )
        torch.manual_seed(recipe.seed)
        self.recipe = recipe
        self.output = output
        self.device = device
        self.group = group
        self.validation = validation
        self.sampler = EpochSampler(recipe, len(train), len(empty), group)
        if not len(self.sampler):
            raise DataError(
                f"too few images: {len(train)} to train on with batches of {recipe.batch_size}, "
                f"{len(validation)} held out"
            )
        self.names_sha256 = names_sha256(train, empty, validation)
        model = first_model(recipe)
        self.model: PraNet = model.to(device).to(memory_format=torch.channels_last)
        self.average: PraNet = deepcopy(self.model).eval().requires_grad_(False)
        self.stages: nn.Module = _Stages(self.model)
        if group.size > 1:
            self.stages = DistributedDataParallel(
                self.stages, device_ids=[device] if self.kind == "cuda" else None
            )
        self.loader = DataLoader(
            PairDataset(
                train + empty,
                augmentation=recipe.views,
                seed=recipe.seed,
                num_classes=model.config.num_classes,
            ),
            batch_sampler=self.sampler,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
            pin_memory=self.kind == "cuda",
        )
        encoder = list(self.model.encoder.parameters())
        others = [
            parameter
            for name, parameter in self.model.named_parameters()
            if not name.startswith("encoder.")
        ]
        self.optimizer = torch.optim.AdamW(
            [{"params": encoder}, {"params": others}], weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=[recipe.encoder_rate, recipe.decoder_rate],
            total_steps=recipe.epochs * len(self.sampler),
            # A warm-up of exactly one step would make torch divide by zero.
            pct_start=recipe.warm_up_share + 1e-9,
        )
        self.scaler = torch.amp.GradScaler(self.kind, enabled=recipe.precision == "fp16")
        self.history: list[dict[str, float]] = []

    def run(self) -> None:
        """Train the epochs that are left, writing all files after each."""
        start_s = time.monotonic()
        first = len(self.history)
        for epoch in range(first, self.recipe.epochs):
            epoch_start_s = time.monotonic()
            self.sampler.epoch = epoch
            encoder_rate, decoder_rate = map(float, self.schedule.get_last_lr())
            loss = self._train_epoch()
            if self.group.leads:
                scores = self._validate()
                entry = {"epoch": epoch + 1, "loss": loss}
                entry |= {"encoder_rate": encoder_rate, "decoder_rate": decoder_rate} | scores
                self.history.append(entry)
                entry["chosen_epoch"] = chosen_epoch(self.history)
                entry["seconds"] = round(time.monotonic() - epoch_start_s, 1)
                self._save()
                spent_s = time.monotonic() - start_s
                left_s = spent_s / (epoch + 1 - first) * (self.recipe.epochs - epoch - 1)
                logger.info(
                    "epoch %d/%d  loss %.3f  validation mDice %.2f (best: epoch %d)  %.0f min left",
                    epoch + 1,
                    self.recipe.epochs,
                    loss,
                    scores.get("mDice", float("nan")),
                    entry["chosen_epoch"],
                    left_s / 60,
                )
            self.group.wait()

    def _validate(self) -> dict[str, float]:
        if not self.validation:
            return {}
        scores = evaluate(self.average, self.validation, self.device)
        return {name: value for name, value in scores.items() if not math.isnan(value)}

    def _train_epoch(self) -> float:
        self.model.train()
        total = torch.zeros((), dtype=torch.float64, device=self.device)
        for batch in track(
            self.loader,
            description=f"epoch {self.sampler.epoch + 1}",
            console=Console(stderr=True),
            transient=True,
            disable=not (self.group.leads and sys.stderr.isatty()),
        ):
            image, *truth = (part.to(self.device, non_blocking=True) for part in batch)
            loss = self._loss(image, truth)
            self.optimizer.zero_grad(set_to_none=True)
            self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_norm)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.schedule.step()
            self._update_average()
            total += loss.detach()
        return self.group.mean(total) / len(self.loader)

    def _loss(self, image: Tensor, truth: list[Tensor]) -> Tensor:
        recipe, final = self.recipe, self.model.config.final
        dtype = torch.float16 if recipe.precision == "fp16" else torch.bfloat16
        with (
            torch.autocast(self.kind, dtype, enabled=recipe.precision != "fp32"),
            FastDepthwiseGradients(),
        ):
            stages = self.stages(normalise(image, self.model))
        stages = {name: maps.float() for name, maps in stages.items()}
        if recipe.loss == "general":
            (labels,) = truth
            return general_loss(stages, final, labels, recipe.loss_weights)
        mask, weight = truth
        return deep_supervision_loss(stages, final, mask, weight, recipe.background_weight)

    @torch.no_grad()
    def _update_average(self) -> None:
        # A short memory at first: the mean must not hold on to the untrained decoder.
        step = self.schedule.last_epoch
        decay = min(self.recipe.ema_decay, (1 + step) / (10 + step))
        theirs = self.model.state_dict()
        for key, mine in self.average.state_dict().items():
            if mine.is_floating_point():
                mine.lerp_(theirs[key], 1 - decay)
            else:
                mine.copy_(theirs[key])

    def _parts(self) -> dict[str, Any]:
        """What has a state of its own, by its name in the state file."""
        return {
            "model": self.model,
            "average": self.average,
            "optimizer": self.optimizer,
            "schedule": self.schedule,
            "scaler": self.scaler,
        }

    def _save(self) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        newest = self.history[-1]
        (self.output / "history.json").write_text(json.dumps(self.history, indent=1))
        write_curves(self.history, self.output)
        recipe = asdict(self.recipe)
        if self.recipe.start is not None:
            # Of the first checkpoint its name: a path would tell of this machine.
            recipe["start"] = Path(self.recipe.start).name
        training = {
            "recipe": recipe,
            "validation": newest,
            "chosen_epoch": newest["chosen_epoch"],
        }
        save_model(self.average, self.output / "last.safetensors", training=training)
        if newest["chosen_epoch"] == newest["epoch"]:
            save_model(self.average, self.output / "model.safetensors", training=training)
        state = {name: part.state_dict() for name, part in self._parts().items()}
        state |= {
            "recipe": asdict(self.recipe),
            "names_sha256": self.names_sha256,
            "history": self.history,
        }
        # Last, and in one step: wherever a run is killed, resuming brings all files up to date.
        torch.save(state, self.output / "state.tmp")
        os.replace(self.output / "state.tmp", self.output / "state.pt")

    def resume(self) -> None:
        """Go on from the state in the output folder, if there is one.

        Raises:
            DataError: the state is damaged, or was made with another recipe or other files.
        """
        path = self.output / "state.pt"
        if not path.is_file():
            return
        state = _read_state(path, self.device)
        try:
            if state["recipe"] != asdict(self.recipe):
                raise DataError(f"{path}: made with another recipe; use another --output")
            if state["names_sha256"] != self.names_sha256:
                raise DataError(f"{path}: made with other images; use another --output")
            for name, part in self._parts().items():
                part.load_state_dict(state[name])
            self.history = list(state["history"])
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: damaged; remove it to begin anew") from error
        if self.group.leads:
            logger.info("going on after epoch %d", len(self.history))


class _Stages(nn.Module):
    """A network whose call gives all maps: `DistributedDataParallel` wraps calls alone."""

    def __init__(self, model: PraNet) -> None:
        super().__init__()
        self.model = model

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        return self.model.stages(image)


def _read_state(path: Path, device: str) -> dict[str, Any]:
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: damaged; remove it to begin anew") from error
    if not isinstance(state, dict):
        raise DataError(f"{path}: holds no state of a run; remove it to begin anew")
    return cast(dict[str, Any], state)
