"""What the tests of live sources by way of FFmpeg share."""

import io
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamer.sources import packets
from streamer.sources.base import LiveSource, OpenLive

# The streams are a module of their own.
sys.path.insert(0, str(Path(__file__).parent))

from streams import (
    Broadcast,
    Encode,
    Open,
    Sender,
    opener_of,
)


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of these tests are sent at once: on a busy machine that looks like being late."""
    monkeypatch.setattr(packets, "_TOO_LATE_NS", 10**15)


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens sources and closes them at the end."""
    sources: list[LiveSource] = []

    def open_it(place: str | OpenLive, like: Any = None, **settings: Any) -> LiveSource:
        opener = opener_of(place, **settings) if isinstance(place, str) else place
        sources.append(opener(like))
        return sources[-1]

    yield open_it
    for source in sources:
        source.close()


@pytest.fixture(scope="session")
def encode() -> Encode:
    """Makes a transport stream of so many pictures of rising brightness."""

    def make(
        pictures: int = 30,
        *,
        size: tuple[int, int] = (96, 64),
        options: dict[str, str] | None = None,
        sound: bool = False,
        vision: bool = True,
        lengths: bool = False,
    ) -> bytes:
        buffer = io.BytesIO()
        # With its length in front, a picture's end is known before the next one begins.
        muxing = {"omit_video_pes_length": "0"} if lengths else {}
        with av.open(buffer, "w", format="mpegts", container_options=muxing) as output:
            tone = output.add_stream("mp2", rate=48000) if sound else None
            video = (
                output.add_stream("libx264", rate=25, options=options or {"tune": "zerolatency"})
                if vision
                else None
            )
            if video is not None:
                video.width, video.height = size
                video.pix_fmt, video.gop_size = "yuv420p", 5
            if tone is not None:
                tone.codec_context.layout = "mono"
                quiet = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1152), np.int16), format="s16", layout="mono"
                )
                quiet.rate = 48000
                for number in range(pictures):
                    quiet.pts = 1152 * number
                    output.mux(tone.encode(quiet))
            if video is not None:
                for number in range(pictures):
                    level = np.full((size[1], size[0], 3), 20 + 5 * (number % 40), np.uint8)
                    picture = av.VideoFrame.from_ndarray(level)
                    picture.pts = number
                    output.mux(video.encode(picture))
                output.mux(video.encode(None))
        return buffer.getvalue()

    return make


@pytest.fixture
def sender() -> Iterator[Callable[..., Sender]]:
    senders: list[Sender] = []

    def start(*contents: bytes, hang_up: bool = False) -> Sender:
        senders.append(Sender(*contents, hang_up=hang_up))
        return senders[-1]

    yield start
    for one in senders:
        one.end()


@pytest.fixture
def broadcast() -> Iterator[tuple[Broadcast, str]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sending = Broadcast(port)
    yield sending, f"udp://127.0.0.1:{port}"
    sending.stop()
