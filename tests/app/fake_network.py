"""A stand-in for the network that processes of their own can import."""

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from demos.app.choices import Engine
from streamer.engine import EngineInfo, Segmenter
from streamer.rgb import SquareReader

#: As failure only.
DEADLINE_S = 60.0

ENGINE = Engine()


@dataclass(frozen=True)
class _Done:
    probability: NDArray[np.float32]

    def result(self) -> NDArray[np.float32]:
        return self.probability


class Red:
    """How red a pixel is makes its probability."""

    info = EngineInfo("red", "0" * 64, "fake", "fp32", "cpu", input_size=32, streams=2, threads=1)

    def __init__(self) -> None:
        self.frames = 0

    def reader(self) -> SquareReader:
        """See `Segmenter.reader`."""
        return SquareReader(self.info.input_size)

    def submit(self, image: NDArray[np.uint8]) -> _Done:
        self.frames += 1
        return _Done(image[..., 0].astype(np.float32) / 255)

    def close(self) -> None:
        pass


def load_red(engine: Engine) -> Segmenter:
    return Red()


@dataclass(frozen=True)
class Say:
    """An order that tells something and then has an outcome."""

    text: str
    engine: Engine = ENGINE

    def run(
        self, segmenter: Segmenter, tell: Callable[[Any], None], cancelled: Callable[[], bool]
    ) -> str:
        tell(f"telling {self.text}")
        return f"done {self.text}"


@dataclass(frozen=True)
class WaitForCancel:
    """An order that tells once that it has begun and comes to an end only when cancelled."""

    engine: Engine = ENGINE

    def run(
        self, segmenter: Segmenter, tell: Callable[[Any], None], cancelled: Callable[[], bool]
    ) -> str:
        tell("begun")
        while not cancelled():
            pass
        return "stopped"


@dataclass(frozen=True)
class Die:
    """An order that brings its process down, as a broken decoder does."""

    engine: Engine = ENGINE

    def run(
        self, segmenter: Segmenter, tell: Callable[[Any], None], cancelled: Callable[[], bool]
    ) -> None:
        os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Raise:
    """An order with a fault of its own."""

    error: Exception
    engine: Engine = ENGINE

    def run(
        self, segmenter: Segmenter, tell: Callable[[Any], None], cancelled: Callable[[], bool]
    ) -> None:
        raise self.error


@dataclass(frozen=True)
class Hang:
    """An order that never looks whether it is still wanted."""

    engine: Engine = ENGINE

    def run(
        self, segmenter: Segmenter, tell: Callable[[Any], None], cancelled: Callable[[], bool]
    ) -> None:
        signal.pause()
