"""Streams for live sources to read: what sends them, and what reads them to their end."""

import socket
import threading
from collections.abc import Callable
from itertools import count
from typing import Any

from streamer.errors import SourceError
from streamer.frame import Frame
from streamer.settings import Settings, SourceSettings
from streamer.sources import open_live
from streamer.sources.base import LiveSource, OpenLive

#: Whatever has not happened by then hangs, in seconds.
DEADLINE_S = 60

PATTERN = "lavfi:testsrc2=size=96x64:rate=200"

Open = Callable[..., LiveSource]
Encode = Callable[..., bytes]


def opener_of(url: str, *, patience_s: float = 30, **settings: Any) -> OpenLive:
    asked = SourceSettings(url=url, **{"read_timeout_s": patience_s, **settings})
    return open_live("stream", settings=Settings(None, {"stream": asked}))


def read_all(source: LiveSource) -> tuple[list[Frame], SourceError]:
    """Everything until the source is lost or ends, and how it did."""
    frames = []
    try:
        while True:
            frames.append(source.read())
    except SourceError as error:
        return frames, error


class Sender:
    """Sends what it is given to whoever connects by TCP, then falls silent, or hangs up.

    contents: for the first who connects, for the second, …; the last for all others.
    """

    def __init__(self, *contents: bytes, hang_up: bool = False) -> None:
        self._contents, self._hang_up = contents, hang_up
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connected: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"

    def _serve(self) -> None:
        for number in count():
            try:
                connected, _ = self._listening.accept()
                self._connected.append(connected)
                connected.sendall(self._contents[min(number, len(self._contents) - 1)])
                if self._hang_up:
                    connected.close()
            except OSError:
                return

    def end(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for connected in self._connected:
            connected.close()
        self._thread.join(DEADLINE_S)
        self._listening.close()


class Broadcast:
    """Sends datagrams over and over until it is told to stop, at the pace of a stream."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, content: bytes) -> None:
        self.stop()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._send, args=[content])
        self._thread.start()

    def _send(self, content: bytes) -> None:
        size = 7 * 188
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while True:
                for start in range(0, len(content), size):
                    out.sendto(content[start : start + size], self._to)
                    if self._stopping.wait(0.002):
                        return

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(DEADLINE_S)


def level(frame: Frame) -> float:
    return float(frame.picture.to_ndarray()[: frame.picture.height].mean())


def read_all_or_raise(source: LiveSource) -> None:
    raise read_all(source)[1]


class Waiter:
    """A thread that reads a source to its end."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self.error: BaseException | None = None
        self.count = 0
        self._reading = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while True:
                self._source.read()
                self.count += 1
                self._reading.set()
        except BaseException as error:
            self.error = error
            self._reading.set()

    def wait_for_picture(self) -> None:
        assert self._reading.wait(DEADLINE_S), "hangs"

    def finish(self) -> BaseException | None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "hangs"
        return self.error
