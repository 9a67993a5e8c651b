"""Work on what visitors bring, in a process of its own.

Decoders have faults, and a file made for them can bring a process down. Then it is this one: the
page and the other visitors go on, and the next order gets a new process. One thread of it owns the
segmenters.
"""

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Protocol

import cv2

from demos.app.choices import Engine
from pranet.errors import PranetError
from streamer.engine import Segmenter, load_segmenter

logger = logging.getLogger(__name__)

#: Below the page's own process, so that it answers while the network is busy.
NICENESS = 5

#: From model and backend to a network that is ready.
Load = Callable[[Engine], Segmenter]


class Order(Protocol):
    """Something to be done with a segmenter."""

    @property
    def engine(self) -> Engine:
        """Which segmenter."""

    def run(
        self,
        segmenter: Segmenter,
        tell: Callable[[Any], None],
        cancelled: Callable[[], bool],
    ) -> object:
        """Do it.

        Args:
            segmenter: of the engine asked for; lent.
            tell: hands on how far it is.
            cancelled: whether it is no longer wanted; may be asked often.

        Returns:
            What came of it; it travels between processes, as news do.

        Raises:
            PranetError: what went wrong, in words for the visitor.
        """


@dataclass(frozen=True)
class Cancel:
    """The order under way is no longer wanted."""


@dataclass(frozen=True)
class Ready:
    """The process takes orders."""


@dataclass(frozen=True)
class Finished:
    """The order was carried out."""

    outcome: object


@dataclass(frozen=True)
class Failed:
    """The order could not be carried out; says why in words for the visitor."""

    reason: str


@dataclass(frozen=True)
class LoadEngine:
    """`load_segmenter` with a number of streams; can travel between processes."""

    streams: int = 0

    def __call__(self, engine: Engine) -> Segmenter:
        return load_segmenter(engine.model, backend=engine.backend, streams=self.streams)


class Worker:
    """A process that carries out orders one after the other; for one thread.

    Args:
        load: loads a segmenter; called in the process.
        engine: loaded before the first order comes.
    """

    def __init__(self, load: Load, engine: Engine) -> None:
        # A fresh interpreter: a copy of this one would hold its threads' locks.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_main, args=(theirs, load, engine), daemon=True)
        self.process.start()
        theirs.close()

    def close(self) -> None:
        """End it, whatever it is doing."""
        self.process.kill()
        self.process.join()
        self.connection.close()


def prepare_process(niceness: int = 0) -> None:
    """What a process of the page does first."""
    # Ctrl-C in the terminal is for the page's own process, which ends this one.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(os, "nice"):
        os.nice(niceness)
    # The stages run side by side already; threads inside OpenCV would only fight them.
    cv2.setNumThreads(1)


def _main(connection: Connection, load: Load, engine: Engine) -> None:
    prepare_process(NICENESS)
    serve(connection, load, engine)


def serve(connection: Connection, load: Load, engine: Engine) -> None:
    """Carry out orders until the other end is closed."""
    held = _Held(load)
    try:
        held.get(engine)
    except PranetError as error:
        # Whoever orders something is told.
        logger.error("%s", error)
    try:
        connection.send(Ready())
        while True:
            order = connection.recv()
            # A cancellation that comes when all is done already means nothing.
            if not isinstance(order, Cancel):
                connection.send(_carry_out(order, held, connection))
    except (EOFError, ConnectionError):
        held.close()


def _carry_out(order: Order, held: "_Held", connection: Connection) -> Finished | Failed:
    try:
        segmenter = held.get(order.engine)
        return Finished(order.run(segmenter, connection.send, connection.poll))
    except PranetError as error:
        return Failed(str(error))
    except ConnectionError:
        raise
    except Exception:
        logger.exception("an order failed")
        return Failed("Something went wrong here, and it is not your fault.")


class _Held:
    """The segmenter in use: one at a time, so that memory stays bounded."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self._engine: Engine | None = None
        self._segmenter: Segmenter | None = None

    def get(self, engine: Engine) -> Segmenter:
        if self._segmenter is None or engine != self._engine:
            self.close()
            self._segmenter, self._engine = self._load(engine), engine
        return self._segmenter

    def close(self) -> None:
        if self._segmenter is not None:
            self._segmenter.close()
            self._segmenter = None
