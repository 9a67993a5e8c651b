"""Plain PyTorch: the reference that every other engine is compared with."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from pranet.checkpoint import CheckpointInfo, load_model
from streamer.confidence import Calibration
from streamer.engine.base import EngineInfo, Precision
from streamer.errors import EngineError
from streamer.frame import Probability
from streamer.rgb import SquareReader


@dataclass(frozen=True)
class _Done:
    probability: Probability

    def result(self) -> Probability:
        return self.probability


class EagerSegmenter:
    """Runs the network where it is called; `submit` returns a finished frame."""

    def __init__(
        self, checkpoint: CheckpointInfo, *, precision: Precision = "auto", threads: int = 0
    ) -> None:
        if precision == "bf16":
            raise EngineError("the eager backend runs in fp32; use --backend openvino for bf16")
        if precision not in ("auto", "fp32"):
            raise EngineError(f"unknown precision {precision!r}; known: auto, fp32")
        if threads:
            torch.set_num_threads(threads)
        model = load_model(checkpoint.path)
        self._network = ImageToProbability(model).eval()
        self.info = EngineInfo(
            model=model.config.name,
            checkpoint_sha256=checkpoint.sha256,
            backend="eager",
            precision="fp32",
            device="cpu",
            input_size=model.config.input_size,
            streams=1,
            threads=torch.get_num_threads(),
            calibration=Calibration.from_dict(checkpoint.probability),
        )

    def reader(self) -> SquareReader:
        """See `Segmenter.reader`."""
        return SquareReader(self.info.input_size)

    def submit(self, image: NDArray[np.uint8]) -> _Done:
        """See `Segmenter.submit`."""
        with torch.inference_mode():
            return _Done(self._network(torch.from_numpy(image)[None])[0].numpy())

    def close(self) -> None:
        """Nothing to release."""


class ImageToProbability(torch.nn.Module):
    """A network with its normalisation before and its sigmoid behind it.

    RGB (1, H, W, 3), 0…255 → probability of the first class (1, H, W). Every engine compiles
    this one module, so that none of them can feed or read the network differently.
    """

    mean: torch.Tensor
    std: torch.Tensor

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model
        config = model.config
        self.register_buffer("mean", 255 * torch.tensor(config.mean)[:, None, None])
        self.register_buffer("std", 255 * torch.tensor(config.std)[:, None, None])

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """See the class."""
        return torch.sigmoid(self.model(self.normalise(image))[:, 0])

    def normalise(self, image: torch.Tensor) -> torch.Tensor:
        """RGB (B, H, W, 3), 0…255 → what the bare network takes: (B, 3, H, W), float32."""
        return (image.permute(0, 3, 1, 2).float() - self.mean) / self.std
