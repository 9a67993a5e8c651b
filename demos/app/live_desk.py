"""The one live run of the page: who has it, where its pictures are, and how it ended."""

import http.client
import json
import logging
import multiprocessing
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from time import monotonic
from typing import Any

from demos.app import live_process
from demos.app.live_process import STOP, Ended, LiveOrder, Serving
from demos.app.sample import SAMPLE
from demos.app.worker import Load
from pranet.errors import PranetError
from streamer.serving import LOOPBACK
from streamer.settings import Settings
from streamer.sources import resolve_source
from streamer.sources.devices import list_devices

logger = logging.getLogger(__name__)

#: A run that nobody has looked at for so long is ended.
UNWATCHED_S = 30.0
#: A process that has not ended by itself by then is ended.
END_S = 12.0
_FIGURES_TIMEOUT_S = 2.0
_STOPPED = "stopped by the visitor"


class LiveBusyError(PranetError):
    """Somebody else has the live run."""


class LiveRun:
    """One run; from any thread.

    Attributes:
        token: names it in addresses.
        owner: the visitor who started it.
    """

    def __init__(self, order: LiveOrder, owner: str, load: Load) -> None:
        self.token = secrets.token_urlsafe(16)
        self.owner = owner
        self.seen_s = monotonic()
        self._port: int | None = None
        self._ended: Ended | None = None
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=live_process.main, args=(theirs, load, order), daemon=True
        )
        self._process.start()
        theirs.close()
        threading.Thread(target=self._listen, name="live-run", daemon=True).start()

    @property
    def ended(self) -> Ended | None:
        """How it ended; None while it goes on."""
        return self._ended

    def port(self, timeout_s: float = 20.0) -> int | None:
        """Where its pictures are, once they are; None if it does not come to that."""
        with self._changed:
            self._changed.wait_for(lambda: self._port or self._ended, timeout_s)
            return None if self._ended else self._port

    def touch(self) -> None:
        """Somebody looks at it."""
        self.seen_s = monotonic()

    def figures(self) -> dict[str, Any]:
        """State, rate and delays, see `PreviewSink`; what ended it, if something did."""
        self.touch()
        ended = self._ended
        if ended is not None:
            return {"state": "STOPPED", "reason": ended.reason}
        told: dict[str, Any] = {"state": "WARMING"}
        if self._port is not None:
            with suppress(OSError, ValueError, http.client.HTTPException):
                told = self._ask(self._port)
        return told

    def _ask(self, port: int) -> dict[str, Any]:
        client = http.client.HTTPConnection(LOOPBACK, port, timeout=_FIGURES_TIMEOUT_S)
        try:
            client.request("GET", "/figures")
            told = json.loads(client.getresponse().read())
            return told if isinstance(told, dict) else {}
        finally:
            client.close()

    def put(self, jpeg: bytes) -> None:
        """Hand on a picture of the browser's camera."""
        self.touch()
        with self._sending, suppress(OSError):
            self._connection.send_bytes(jpeg)

    def stop(self, reason: str) -> None:
        """End it; returns when it has ended."""
        self._end(Ended(reason))
        self.put(STOP)
        self._process.join(END_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _listen(self) -> None:
        connection: Connection = self._connection
        try:
            while True:
                message = connection.recv()
                if isinstance(message, Serving):
                    with self._changed:
                        self._port = message.port
                        self._changed.notify_all()
                elif isinstance(message, Ended):
                    self._end(message)
        except (EOFError, OSError):
            self._end(Ended("the run broke down"))

    def _end(self, ended: Ended) -> None:
        with self._changed:
            # What came first is why it ended.
            self._ended = self._ended or ended
            self._changed.notify_all()


class LiveDesk:
    """Starts and ends the live run; there is one at a time, since a device has one reader."""

    def __init__(self, load: Load, *, max_s: float) -> None:
        self._load = load
        self._max_s = max_s
        self._lock = threading.Lock()
        self._run: LiveRun | None = None

    @property
    def max_s(self) -> float:
        """How long a run may last."""
        return self._max_s

    def start(self, order: LiveOrder, owner: str) -> LiveRun:
        """Start a run; the visitor's own former one is ended.

        Raises:
            LiveBusyError: another visitor's goes on.
        """
        with self._lock:
            run = self._run
            if run is not None and run.ended is None and run.owner != owner:
                raise LiveBusyError(
                    "The live view is in use by another visitor; there is one at a time. "
                    "Try again later."
                )
            if run is not None:
                run.stop(_STOPPED)
            self._run = LiveRun(order, owner, self._load)
            return self._run

    def find(self, token: str) -> LiveRun | None:
        """The run of a token, if it is the one there is."""
        run = self._run
        return run if run is not None and secrets.compare_digest(run.token, token) else None

    def leave(self, owner: str) -> None:
        """A visitor stops their run, or goes."""
        self._stop_if(lambda run: run.owner == owner, _STOPPED)

    def sweep(self) -> None:
        """End a run that nobody looks at."""
        reason = f"nobody has looked at it for {UNWATCHED_S:.0f} s"
        self._stop_if(lambda run: monotonic() - run.seen_s > UNWATCHED_S, reason)

    def close(self) -> None:
        """End what goes on."""
        self._stop_if(lambda run: True, "the page has ended")

    def _stop_if(self, wanted: Callable[[LiveRun], bool], reason: str) -> None:
        with self._lock:
            run = self._run
            if run is not None and run.ended is None and wanted(run):
                run.stop(reason)


def offered_sources(settings: Settings, named: list[str], *, local: bool) -> list[str]:
    """The live sources that visitors may choose: what is made up, and the bundled sample.

    Args:
        settings: the settings file.
        named: what the command names, which is always offered, and first.
        local: only this machine reaches the page: then all that is known here is offered, too.

    Raises:
        SourceError: one that was named is none.
    """
    for name in named:
        resolve_source(name, settings)
    found = [*named, str(SAMPLE), "synthetic", "mock"]
    if local:
        found += settings.sources
        found += [str(device.by_id or device.path) for device in list_devices()]
    return list(dict.fromkeys(found))
