"""The live picture in a browser: one page, a stream of JPEG pictures, and figures beside it."""

import base64
import hashlib
import json
import re
import statistics
import threading
from collections import deque
from collections.abc import Generator
from http import HTTPStatus
from importlib.resources import files
from typing import Any

import cv2

from streamer.audio import AudioPacket
from streamer.clock import Clock, MonotonicClock
from streamer.live.state import StateChange
from streamer.serving import Address, PageServer, Reply
from streamer.sinks.base import Composed
from streamer.sinks.snapshot import BgrReader

#: Over which rate and delay are told.
WINDOW_NS = 2_000_000_000
#: A picture is sent again after so long without a new one: that finds clients that have gone.
REPEAT_S = 2.0
BOUNDARY = b"picture"


class PreviewSink:
    """Serves the pictures with the markers for as long as it is open.

    Pictures are encoded only while somebody watches, once for all who do. Each client gets the
    newest picture whenever it has taken the one before, so a slow one skips pictures and holds up
    nobody. 8-bit colour, compressed: what is seen is not what the network saw.

    Args:
        address: where to listen, see `PageServer`: with other than loopback addresses whoever
            reaches this machine sees the picture.
        quality: of JPEG, 1…100.
        max_watchers: clients that get pictures at once.
        clock: of the run.

    Raises:
        OutputError: it cannot listen there.
    """

    def __init__(
        self,
        address: Address,
        *,
        quality: int = 85,
        max_watchers: int = 4,
        clock: Clock | None = None,
    ) -> None:
        self._quality = quality
        self._max_watchers = max_watchers
        self._clock = clock or MonotonicClock()
        self._reader = BgrReader()
        self._feed = _Feed()
        self._figures = _Figures()
        self._page = _page()
        self._server = PageServer(
            "preview",
            address,
            self._answer,
            shows="the live picture, which may show patient data",
            # The page, its figures and the picture are a connection each.
            max_clients=4 * max_watchers,
        )
        #: Where to point a browser.
        self.url = self._server.url
        self.port = self._server.port

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        self._figures.add(composed, self._clock.now_ns())
        if self._feed.watchers:
            picture = self._reader.read(composed.picture, composed.frame.color)
            _, jpeg = cv2.imencode(".jpg", picture, (cv2.IMWRITE_JPEG_QUALITY, self._quality))
            self._feed.publish(jpeg.tobytes())

    def write_state(self, change: StateChange) -> None:
        """Show a change of state at once; from any thread.

        Frames tell the state too, but none comes while the source is lost. From the first call on
        only these calls count.
        """
        self._figures.set_state(str(change.state))

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """See `Sink.close`; whoever watches is cut off."""
        self._feed.close()
        self._server.close()

    def _answer(self, path: str) -> Reply | None:
        if path == "/":
            return self._page
        if path == "/figures":
            told = json.dumps(self._figures.tell(self._clock.now_ns()))
            return Reply("application/json", told.encode())
        if path == "/picture":
            if self._feed.watchers >= self._max_watchers:
                return Reply(
                    "text/plain", b"too many are watching\n", HTTPStatus.SERVICE_UNAVAILABLE
                )
            kind = f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}"
            return Reply(kind, self._feed.watch())
        return None


class _Feed:
    """The newest picture, for any number of threads that send it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._jpeg = b""
        self._number = 0
        self._closed = False
        #: How many are sent pictures.
        self.watchers = 0

    def publish(self, jpeg: bytes) -> None:
        with self._changed:
            self._jpeg = jpeg
            self._number += 1
            self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def watch(self) -> Generator[bytes, None, None]:
        """Parts of a multipart stream, the first picture being one that is yet to come."""
        with self._changed:
            self.watchers += 1
            seen = self._number
        try:
            # The boundary comes right after each picture: browsers wait for it to show one.
            yield b"--%b\r\n" % BOUNDARY
            sent = False
            while True:
                with self._changed:
                    self._wait(seen)
                    if self._closed:
                        return
                    fresh = self._number != seen
                    jpeg, seen = self._jpeg, self._number
                if fresh or sent:
                    sent = True
                    yield (
                        b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n%b\r\n--%b\r\n"
                        % (len(jpeg), jpeg, BOUNDARY)
                    )
        finally:
            with self._changed:
                self.watchers -= 1

    def _wait(self, seen: int) -> None:
        self._changed.wait_for(lambda: self._number != seen or self._closed, REPEAT_S)


class _Figures:
    """What the page says beside the picture."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # When each of the last pictures came, and how long that was after it was captured.
        self._recent: deque[tuple[int, int]] = deque(maxlen=1000)
        self._frames = 0
        self._state: str | None = None
        self._last: dict[str, Any] = {}

    def set_state(self, state: str) -> None:
        with self._lock:
            self._state = state

    def add(self, composed: Composed, now_ns: int) -> None:
        age_ms = composed.mask_age_ms
        with self._lock:
            self._frames += 1
            self._recent.append((now_ns, now_ns - composed.frame.captured_ns))
            self._last = {
                "state": composed.state,
                "mask_age_ms": None if age_ms is None else round(age_ms, 1),
                "objects": len(composed.objects),
            }

    def tell(self, now_ns: int) -> dict[str, Any]:
        """State, frames, fps, delay_ms, mask_age_ms, objects, and silent_ms since the last one."""
        with self._lock:
            recent = [each for each in self._recent if now_ns - each[0] <= WINDOW_NS]
            silent_ns = now_ns - self._recent[-1][0] if self._recent else None
            told = {"state": "WARMING", "mask_age_ms": None, "objects": 0} | self._last
            told["frames"] = self._frames
            if self._state is not None:
                told["state"] = self._state
        span_ns = recent[-1][0] - recent[0][0] if recent else 0
        told["fps"] = round((len(recent) - 1) * 1e9 / span_ns, 1) if span_ns else 0.0
        delays_ns = [delay_ns for _, delay_ns in recent]
        told["delay_ms"] = round(statistics.median(delays_ns) / 1e6, 1) if delays_ns else None
        told["silent_ms"] = None if silent_ns is None else round(silent_ns / 1e6)
        return told


def _page() -> Reply:
    """The page, with leave for exactly its own script and style to be used."""
    page = files("streamer.sinks").joinpath("preview.html").read_bytes()

    def source(tag: bytes) -> str:
        (content,) = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
        return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"

    policy = (
        f"default-src 'none'; script-src {source(b'script')}; style-src {source(b'style')}; "
        "img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    )
    return Reply("text/html; charset=utf-8", page, headers={"Content-Security-Policy": policy})
