"""`pranet-train`: train a network on folders of images and masks."""

import json
import logging
import os
import pickle
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from pranet.augment import Augmentation
from pranet.checkpoint import load_model, save_model
from pranet.data import Pair, find_pairs, load_sequences, split
from pranet.errors import DataError, PranetError
from pranet.evaluate import evaluate
from pranet.imagenet import load_imagenet
from pranet.losses import boundary_weight, deep_supervision_loss
from pranet.model import PraNet, build_model
from pranet.predict import normalise

logger = logging.getLogger("pranet.train")

#: Side in px to which stored images are reduced before training; above the largest input size.
CACHE_SIZE_PX = 448


@dataclass(frozen=True)
class TrainConfig:
    """All that decides a training run, beside the data.

    Attributes:
        start: checkpoint to begin with; None begins with an encoder trained on ImageNet.
        sizes_px: input sizes of each phase; the epochs are shared evenly among the phases.
        encoder_rate, decoder_rate: peak learning rates of the one-cycle schedule.
        ema_decay: decay of the running mean of weights, per step.
        empty_share: polyp-free images drawn per epoch, as a share of the training images.
        validation_share: of image groups that are held out.
    """

    model: str = "pranet_v2_lite0"
    start: str | None = None
    epochs: int = 18
    batch_size: int = 8
    sizes_px: tuple[tuple[int, ...], ...] = ((192, 224, 256), (256, 288, 320), (320, 352))
    encoder_rate: float = 4e-4
    decoder_rate: float = 1.5e-3
    weight_decay: float = 1e-2
    warm_up_share: float = 0.1
    gradient_norm: float = 5.0
    ema_decay: float = 0.998
    empty_share: float = 0.1
    validation_share: float = 0.08
    seed: int = 2026


class PairDataset(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """Augmented training views; an item is addressed by (epoch, index, size in px)."""

    def __init__(self, pairs: list[Pair], *, augmentation: Augmentation, seed: int) -> None:
        self._items = [_shrink(*pair.read()) for pair in pairs]
        self._augmentation = augmentation
        self._seed = seed

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, address: tuple[int, int, int]) -> tuple[Tensor, Tensor, Tensor]:
        """Image (3, S, S) uint8, mask (1, S, S) float 0/1, boundary weight (1, S, S)."""
        epoch, index, size_px = address
        # Seeded by its address, so a resumed run sees exactly what an unbroken one would.
        rng = np.random.default_rng((self._seed, epoch, index))
        image, mask = self._augmentation(*self._items[index], size_px, rng)
        truth = (mask > 0).astype(np.float32)
        return (
            torch.from_numpy(image).permute(2, 0, 1),
            torch.from_numpy(truth)[None],
            torch.from_numpy(boundary_weight(truth))[None],
        )


def _shrink(
    image: NDArray[np.uint8], mask: NDArray[np.uint8]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    scale = CACHE_SIZE_PX / max(mask.shape)
    if scale >= 1:
        return image, mask
    size = (round(mask.shape[1] * scale), round(mask.shape[0] * scale))
    shrunk = (cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in (image, mask))
    small_image, small_mask = (np.asarray(plane, np.uint8) for plane in shrunk)
    return small_image, small_mask


class EpochSampler(Sampler[list[tuple[int, int, int]]]):
    """Batches of one epoch, each of one input size; polyp-free images are drawn anew."""

    def __init__(self, config: TrainConfig, polyps: int, empty: int) -> None:
        self._config = config
        self._polyps = polyps
        self._empty = empty
        self.epoch = 0

    def __len__(self) -> int:
        drawn = self._polyps + self._drawn_empty
        return drawn // self._config.batch_size

    @property
    def _drawn_empty(self) -> int:
        return min(self._empty, round(self._polyps * self._config.empty_share))

    def __iter__(self) -> Iterator[list[tuple[int, int, int]]]:
        config = self._config
        rng = np.random.default_rng((config.seed, self.epoch))
        empty = self._polyps + rng.permutation(self._empty)[: self._drawn_empty]
        order = rng.permutation(np.concatenate((np.arange(self._polyps), empty)))
        phase = self.epoch * len(config.sizes_px) // config.epochs
        for start in range(0, len(self) * config.batch_size, config.batch_size):
            size_px = int(rng.choice(config.sizes_px[phase]))
            batch = order[start : start + config.batch_size]
            yield [(self.epoch, int(index), size_px) for index in batch]


class Trainer:
    """One training run: state, epochs, validation, files."""

    def __init__(
        self,
        config: TrainConfig,
        *,
        train: list[Pair],
        empty: list[Pair],
        validation: list[Pair],
        output: Path,
        device: str,
        workers: int,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config = config
        self.output = output
        self.device = device
        self.validation = validation
        model = _first_model(config)
        self.model: PraNet = model.to(device).to(memory_format=torch.channels_last)
        self.average: PraNet = deepcopy(self.model).eval().requires_grad_(False)
        self.sampler = EpochSampler(config, len(train), len(empty))
        if not len(self.sampler) or not validation:
            raise DataError(
                f"too few images: {len(train)} to train on with batches of {config.batch_size}, "
                f"{len(validation)} held out"
            )
        self.loader = DataLoader(
            PairDataset(train + empty, augmentation=Augmentation(), seed=config.seed),
            batch_sampler=self.sampler,
            num_workers=workers,
            prefetch_factor=4 if workers else None,
        )
        encoder = list(self.model.encoder.parameters())
        others = [
            parameter
            for name, parameter in self.model.named_parameters()
            if not name.startswith("encoder.")
        ]
        self.optimizer = torch.optim.AdamW(
            [{"params": encoder}, {"params": others}], weight_decay=config.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=[config.encoder_rate, config.decoder_rate],
            total_steps=config.epochs * len(self.sampler),
            pct_start=config.warm_up_share,
        )
        self.history: list[dict[str, float]] = []

    def run(self) -> None:
        """Train the epochs that are left, writing state, history and checkpoint after each."""
        start = time.monotonic()
        first = len(self.history)
        for epoch in range(first, self.config.epochs):
            self.sampler.epoch = epoch
            loss = self._train_epoch()
            scores = evaluate(self.average, self.validation, self.device)
            self.history.append({"epoch": epoch + 1, "loss": loss} | scores)
            self._save()
            spent_s = time.monotonic() - start
            left_s = spent_s / (epoch + 1 - first) * (self.config.epochs - epoch - 1)
            logger.info(
                "epoch %d/%d  loss %.3f  validation mDice %.2f (at 0.5: %.2f)  %.0f min left",
                epoch + 1,
                self.config.epochs,
                loss,
                scores["mDice"],
                scores["Dice"],
                left_s / 60,
            )

    def _train_epoch(self) -> float:
        self.model.train()
        total = 0.0
        for batch in self.loader:
            image, mask, weight = (part.to(self.device, non_blocking=True) for part in batch)
            with torch.autocast(torch.device(self.device).type, torch.bfloat16):
                stages = self.model.stages(normalise(image, self.model))
            loss = deep_supervision_loss(
                {name: maps.float() for name, maps in stages.items()},
                self.model.config.final,
                mask,
                weight,
            )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_norm)
            self.optimizer.step()
            self.schedule.step()
            self._update_average()
            total += loss.item()
        return total / len(self.loader)

    @torch.no_grad()
    def _update_average(self) -> None:
        # A short memory at first: the mean must not hold on to the untrained decoder.
        step = self.schedule.last_epoch
        decay = min(self.config.ema_decay, (1 + step) / (10 + step))
        theirs = self.model.state_dict()
        for key, mine in self.average.state_dict().items():
            if mine.is_floating_point():
                mine.lerp_(theirs[key], 1 - decay)
            else:
                mine.copy_(theirs[key])

    def _save(self) -> None:
        self.output.mkdir(parents=True, exist_ok=True)
        state = {
            "config": asdict(self.config),
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": self.history,
        }
        (self.output / "history.json").write_text(json.dumps(self.history, indent=1))
        config = asdict(self.config)
        if self.config.start is not None:
            # Of the first checkpoint its name: a path would tell of this machine.
            config["start"] = Path(self.config.start).name
        training = {"config": config, "validation": self.history[-1]}
        save_model(self.average, self.output / "model.safetensors", training=training)
        # Last, and in one step: wherever a run is killed, resuming brings all files up to date.
        torch.save(state, self.output / "state.tmp")
        os.replace(self.output / "state.tmp", self.output / "state.pt")

    def resume(self) -> None:
        """Go on from the state in the output folder, if there is one.

        Raises:
            DataError: the state is damaged, or was made with another configuration.
        """
        path = self.output / "state.pt"
        if not path.is_file():
            return
        try:
            state: dict[str, Any] = torch.load(path, map_location=self.device, weights_only=True)
        except (RuntimeError, EOFError, OSError, pickle.UnpicklingError) as error:
            raise DataError(f"{path}: damaged; remove it to begin anew ({error})") from error
        if state["config"] != asdict(self.config):
            raise DataError(f"{path}: made with another configuration; use another --output")
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        self.history = state["history"]
        logger.info("going on after epoch %d", len(self.history))


def train(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/; repeatable.")],
    output: Annotated[Path, typer.Option(help="Folder for state, history and checkpoint.")],
    empty: Annotated[
        list[Path] | None, typer.Option(help="Folder with images/ that show no polyp; repeatable.")
    ] = None,
    sequences: Annotated[
        Path | None, typer.Option(help="JSON of frame ranges that must stay on one side.")
    ] = None,
    model: Annotated[str, typer.Option(help="Name of a configuration.")] = TrainConfig.model,
    start: Annotated[
        str | None, typer.Option(help="Checkpoint to begin with, instead of ImageNet weights.")
    ] = None,
    sizes: Annotated[
        str, typer.Option(help="Input sizes in px of each phase: 192,224/320,352.")
    ] = "192,224,256/256,288,320/320,352",
    encoder_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 4e-4,
    decoder_rate: Annotated[float, typer.Option(help="Peak learning rate.")] = 1.5e-3,
    epochs: Annotated[int, typer.Option(min=1)] = TrainConfig.epochs,
    batch_size: Annotated[int, typer.Option(min=2)] = TrainConfig.batch_size,
    seed: Annotated[int, typer.Option()] = TrainConfig.seed,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    workers: Annotated[int, typer.Option(min=0, help="Loader processes.")] = 1,
) -> None:
    """Train a network; run the same command again to go on after an interruption."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s  %(message)s")
    # The loader's workers are processes; OpenCV's own threads would only fight with torch's.
    cv2.setNumThreads(1)
    try:
        config = TrainConfig(
            model=model,
            start=start,
            epochs=epochs,
            batch_size=batch_size,
            sizes_px=_parse_sizes(sizes),
            encoder_rate=encoder_rate,
            decoder_rate=decoder_rate,
            seed=seed,
        )
        pairs = [pair for folder in data for pair in find_pairs(folder)]
        ranges = load_sequences(sequences) if sequences else {}
        for_training, held_out = split(
            pairs, ranges, share=config.validation_share, seed=config.seed
        )
        without = [pair for folder in empty or [] for pair in find_pairs(folder)]
        logger.info(
            "%d training pairs, %d held out, %d polyp-free images",
            len(for_training),
            len(held_out),
            len(without),
        )
        trainer = Trainer(
            config,
            train=for_training,
            empty=without,
            validation=held_out,
            output=output,
            device=device,
            workers=workers,
        )
        trainer.resume()
        trainer.run()
    except PranetError as error:
        print(f"pranet-train: {error}", file=sys.stderr)
        raise SystemExit(2) from error


def _first_model(config: TrainConfig) -> PraNet:
    """The network to begin with.

    Raises:
        CheckpointError, DataError: weights are missing, or belong to another network.
    """
    try:
        model = build_model(config.model)
    except ValueError as error:
        raise DataError(str(error)) from error
    if config.start is None:
        load_imagenet(model.encoder, model.config.encoder)
        return model
    start = load_model(config.start)
    if start.config != model.config:
        raise DataError(f"{config.start}: holds {start.config.name}, not {config.model}")
    return start


def _parse_sizes(text: str) -> tuple[tuple[int, ...], ...]:
    try:
        sizes = tuple(tuple(int(size) for size in phase.split(",")) for phase in text.split("/"))
    except ValueError:
        sizes = ()
    if not sizes or any(size < 32 or size % 32 for phase in sizes for size in phase):
        raise DataError(f"--sizes {text}: multiples of 32 like 192,224/320,352 are needed")
    return sizes


def main() -> None:
    """Entry point of the console script."""
    typer.run(train)


if __name__ == "__main__":
    main()
