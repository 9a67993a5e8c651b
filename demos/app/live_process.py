"""A live run in a process of its own: `LivePipeline` into the pages of `PreviewSink`.

A live run keeps Python busy; in the page's own process it would hold up all visitors, and they it.
"""

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from demos.app.choices import Choices, Engine
from demos.app.webcam import Webcam
from demos.app.worker import Load, prepare_process
from pranet.errors import PranetError
from streamer.live.pipeline import LivePipeline
from streamer.serving import LOOPBACK, Address
from streamer.settings import load_settings
from streamer.sinks.preview import PreviewSink
from streamer.sources import (
    LONGEST_RETRY_S,
    OpenLive,
    ResolvedSource,
    open_live,
    resolve_source,
)
from streamer.view import DEFAULT

logger = logging.getLogger(__name__)

#: Ends a run, in the place of a picture.
STOP = b""
#: What stands for the camera of the visitor's browser among the sources.
BROWSER = "browser"


@dataclass(frozen=True)
class LiveOrder:
    """What to run.

    Attributes:
        source: a name as `resolve_source` takes it, or `BROWSER`.
        settings: the settings file, if another than the one in force.
        max_s: the run ends after so long.
    """

    source: str
    engine: Engine
    choices: Choices
    settings: Path | None = None
    max_s: float | None = None


@dataclass(frozen=True)
class Serving:
    """The pictures can be had on this port of the loopback address."""

    port: int


@dataclass(frozen=True)
class Ended:
    """The run is over; says why in words for the visitor."""

    reason: str


def main(connection: Connection, load: Load, order: LiveOrder) -> None:
    """`run_live` as a process of its own."""
    prepare_process()
    run_live(connection, load, order)


def run_live(connection: Connection, load: Load, order: LiveOrder) -> None:
    """Run until the source ends, `STOP` comes, or the other end of the connection is closed.

    What else comes over the connection are JPEG pictures of the browser's camera, as bytes.
    """
    try:
        sink = PreviewSink(Address(LOOPBACK, 0))
        try:
            connection.send(Serving(sink.port))
            connection.send(_run(connection, load, order, sink))
        finally:
            sink.close()
    except BrokenPipeError:
        pass  # nobody listens any more


def _run(connection: Connection, load: Load, order: LiveOrder, sink: PreviewSink) -> Ended:
    webcam = Webcam()
    try:
        open_source, found = _source(order, webcam)
        pipeline = LivePipeline(
            open_source,
            lambda: load(order.engine),
            [("preview", sink)],
            style=order.choices.style(badge=True),
            temporal=order.choices.temporal,
            view=(found.settings.view if found else None) or DEFAULT,
            longest_retry_s=found.longest_retry_s if found else LONGEST_RETRY_S,
            duration_s=order.max_s,
            on_change=sink.write_state,
        )
        listener = threading.Thread(
            target=_listen, args=(connection, webcam, pipeline.stop), daemon=True
        )
        listener.start()
        snapshot = pipeline.run()
    except PranetError as error:
        return Ended(str(error))
    except Exception:
        logger.exception("a live run failed")
        return Ended("something went wrong here")
    return Ended(snapshot.changes[-1].reason)


def _source(order: LiveOrder, webcam: Webcam) -> tuple[OpenLive, ResolvedSource | None]:
    if order.source == BROWSER:
        return webcam, None
    settings = load_settings(order.settings)
    opener = open_live(order.source, settings=settings, loop=True)
    return opener, resolve_source(order.source, settings)


def _listen(connection: Connection, webcam: Webcam, stop: Callable[[], None]) -> None:
    # An error means that the page has gone.
    with suppress(EOFError, OSError):
        while (jpeg := connection.recv_bytes()) != STOP:
            webcam.put(jpeg)
    stop()
    webcam.close()
