"""What every engine offers, and how one is chosen."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from pranet.checkpoint import DEFAULT_MODEL, read_info
from streamer.errors import EngineError
from streamer.frame import Probability

Backend = Literal["auto", "openvino", "eager"]
Precision = Literal["auto", "f32", "bf16"]


@dataclass(frozen=True)
class EngineInfo:
    """What is running; printed at start and stored in every report.

    Attributes:
        input_size: height and width in px of the network's input.
        streams: frames that are worked on at once.
        threads: CPU threads of all streams together.
    """

    model: str
    checkpoint_sha256: str
    backend: str
    precision: str
    device: str
    input_size: int
    streams: int
    threads: int

    def __str__(self) -> str:
        return f"{self.model} on {self.backend} {self.precision}"


class Pending(Protocol):
    """One frame under way."""

    def result(self) -> Probability:
        """Wait for the probability map (h, w), 0…1; the array is the caller's own."""


class Segmenter(Protocol):
    """A compiled network. One thread owns it."""

    info: EngineInfo

    def submit(self, image: NDArray[np.uint8]) -> Pending:
        """Start on an RGB image (input_size, input_size, 3).

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
        backend: ``auto`` takes OpenVINO.
        precision: ``auto`` takes bf16 where the CPU has it, else f32.
        streams: frames worked on at once; 0 for one per core, at most four: most frames per
            second. 1 gives the shortest delay.
        threads: CPU threads in all; 0 for all cores.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        EngineError: the engine cannot be used here.
    """
    checkpoint = read_info(model)
    if backend in ("auto", "openvino"):
        from streamer.engine.openvino import OpenVinoSegmenter

        return OpenVinoSegmenter(checkpoint, precision=precision, streams=streams, threads=threads)
    if backend == "eager":
        from streamer.engine.eager import EagerSegmenter

        return EagerSegmenter(checkpoint, precision=precision, threads=threads)
    raise EngineError(f"unknown backend {backend!r}; known: auto, openvino, eager")
