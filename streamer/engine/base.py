"""What every engine offers, and how one is chosen."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray

from pranet.checkpoint import DEFAULT_MODEL, CheckpointInfo, read_info
from streamer.color import ColorDescription
from streamer.confidence import Calibration
from streamer.engine.choice import PRECISIONS, choose_backend
from streamer.errors import EngineError
from streamer.frame import Probability, View

if TYPE_CHECKING:
    import av

logger = logging.getLogger(__name__)

Backend = Literal["auto", "openvino", "eager", "cuda", "tensorrt"]
Precision = Literal["auto", "fp32", "bf16", "fp16", "int8", "fp8"]


@dataclass(frozen=True)
class EngineInfo:
    """What is running; printed at start and stored in every report.

    Attributes:
        input_size: height and width in px of the network's input.
        streams: frames that are worked on at once.
        threads: CPU threads of all streams together.
        calibration: what the checkpoint says of its probabilities; None where it says nothing.
    """

    model: str
    checkpoint_sha256: str
    backend: str
    precision: str
    device: str
    input_size: int
    streams: int
    threads: int
    calibration: Calibration | None = None

    def __str__(self) -> str:
        return f"{self.model} on {self.backend} {self.precision}"


class Pending(Protocol):
    """One frame under way."""

    def result(self) -> Probability:
        """Wait for the probability map (h, w), 0…1; the array is the caller's own."""


class Reader(Protocol):
    """Makes a network's input of pictures. One thread owns it."""

    def read(
        self, picture: "av.VideoFrame", color: ColorDescription, view: View | None = None
    ) -> Any:
        """What `Segmenter.submit` takes for a picture, or for a part of it.

        It is to be submitted before the next one is read: a GPU's reader has few places for them.

        Args:
            picture: of a `DRAWABLE` format, or on the GPU.
            view: the part, brought to `whole_samples`; None for all of it.
        """


class Segmenter(Protocol):
    """A compiled network. One thread owns it."""

    info: EngineInfo

    def reader(self) -> Reader:
        """What reads pictures for this engine, where they are best read: by the CPU or by a GPU."""

    def submit(self, image: NDArray[np.uint8] | Any) -> Pending:
        """Start on an RGB image (input_size, input_size, 3), or on what `reader` made.

        At most `info.streams` frames run at once; a further `submit` waits for a free place.

        Raises:
            EngineError: the engine failed.
        """

    def close(self) -> None:
        """Release it; may be called twice."""


def load_segmenter(
    model: str = DEFAULT_MODEL,
    *,
    backend: Backend = "auto",
    precision: Precision = "auto",
    streams: int = 0,
    threads: int = 0,
) -> Segmenter:
    """An engine that is ready to run, compiled now or read from the user's cache.

    Args:
        model: name of a bundled checkpoint, or path of one.
        backend: ``auto`` takes what `choose_backend` finds best for this machine.
        precision: ``auto`` takes fp16 on a GPU; on an x86 CPU int8 where there is such a form of
            the checkpoint, as there is of the bundled one; else bf16 where the CPU has it, else
            fp32.
            In fp32, PyTorch on a GPU is told for the whole process not to round to TF32.
        streams: frames worked on at once; 0 for one per core, at most four: most frames per
            second. 1 gives the shortest delay.
        threads: CPU threads in all; 0 for all cores.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        EngineError: the engine cannot be used here.
    """
    checkpoint = read_info(model)
    if backend == "auto":
        choice = choose_backend(checkpoint, precision)
        logger.info("engine: %s", choice)
        backend = choice.backend
        order: list[Backend] = ["tensorrt", "cuda", "openvino"]
        for after in order[order.index(backend) + 1 :]:
            if precision not in ("auto", *PRECISIONS[after]):
                continue
            try:
                return _load(checkpoint, backend, precision, streams, threads)
            except EngineError as error:
                # Such as after an update of the driver, or when the GPU has failed.
                logger.warning("engine: %s, since %s cannot be used: %s", after, backend, error)
            backend = after
    return _load(checkpoint, backend, precision, streams, threads)


def _load(
    checkpoint: CheckpointInfo, backend: Backend, precision: Precision, streams: int, threads: int
) -> Segmenter:
    if backend == "openvino":
        from streamer.engine.openvino import OpenVinoSegmenter

        return OpenVinoSegmenter(checkpoint, precision=precision, streams=streams, threads=threads)
    if backend == "eager":
        from streamer.engine.eager import EagerSegmenter

        return EagerSegmenter(checkpoint, precision=precision, threads=threads)
    if backend == "cuda":
        from streamer.engine.cuda import load_cuda

        return load_cuda(checkpoint, precision=precision)
    if backend == "tensorrt":
        from streamer.engine.cuda import load_tensorrt

        return load_tensorrt(checkpoint, precision=precision)
    raise EngineError(f"unknown backend {backend!r}; known: {', '.join(get_args(Backend))}")
