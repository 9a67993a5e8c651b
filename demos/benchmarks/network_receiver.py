"""The receiving side of the benchmarks of network streams: a live pipeline that is watched."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, monotonic_ns, sleep
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from streamer.audio import AudioPacket
from streamer.engine import EngineInfo, Segmenter
from streamer.errors import SourceError
from streamer.live.pipeline import LivePipeline
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State
from streamer.rgb import SquareReader
from streamer.sinks import Composed, VideoSink
from streamer.sinks.base import Sink
from streamer.sinks.rotation import RotatingSink
from streamer.sources import LiveSource, OpenLive, SourceInfo, open_live

#: What has not happened by then never does, in s.
PATIENCE_S = 60.0
#: Parts of the recording, in s of media.
PART_S = 10.0


class FixedSegmenter:
    """A network that costs nothing: a square in the middle is a polyp."""

    info = EngineInfo(
        "fixed", "0" * 64, "fixed", "fp32", "cpu", input_size=64, streams=1, threads=1
    )

    def reader(self) -> SquareReader:
        """See `Segmenter.reader`."""
        return SquareReader(self.info.input_size)

    def submit(self, image: NDArray[np.uint8]) -> "FixedSegmenter":
        """See `Segmenter`."""
        return self

    def result(self) -> NDArray[np.float32]:
        """See `Pending`."""
        probability = np.zeros((64, 64), np.float32)
        probability[24:40, 24:40] = 1
        return probability

    def close(self) -> None:
        """See `Segmenter`."""


class Watcher:
    """A sink that keeps when pictures came."""

    def __init__(self) -> None:
        self._came = threading.Condition()
        #: Monotonic times in ns.
        self.times_ns: list[int] = []

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        with self._came:
            self.times_ns.append(monotonic_ns())
            self._came.notify_all()

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """See `Sink.close`."""

    def first_after(self, then_ns: int) -> int:
        """Wait for the first picture after a time; when it came.

        Raises:
            TimeoutError: none comes.
        """

        def found() -> int:
            return next((at for at in self.times_ns if at > then_ns), 0)

        with self._came:
            if not self._came.wait_for(lambda: found() > 0, PATIENCE_S):
                raise TimeoutError("no picture comes")
            return found()


class Receiver:
    """A live pipeline that records, in a thread."""

    def __init__(self, url: str, load: Callable[[], Segmenter], folder: Path) -> None:
        self.watcher = Watcher()
        self.recording: RotatingSink | None = None
        self.info: SourceInfo | None = None
        self.error: BaseException | None = None
        self._folder = folder
        self._pipeline = LivePipeline(_patient(open_live(url)), load, self._sinks)
        self._thread = threading.Thread(target=self._run, name="receiver")
        self._thread.start()

    def _sinks(self, info: SourceInfo) -> list[tuple[str, Sink]]:
        self.info = info
        self.recording = RotatingSink(
            self._folder / "recording.mkv",
            lambda path: VideoSink(path, info),
            max_s=PART_S,
            min_free_bytes=0,
        )
        return [("recording", self.recording), ("watcher", self.watcher)]

    def _run(self) -> None:
        try:
            self._pipeline.run()
        except BaseException as error:
            self.error = error

    def snapshot(self) -> LiveSnapshot:
        """See `LivePipeline.snapshot`."""
        return self._pipeline.snapshot()

    def wait(self, states: frozenset[State], after_ns: int) -> int:
        """Wait until it is in one of some states, at a time or later; since when it is.

        Raises:
            TimeoutError: it does not come to that.
        """
        deadline = monotonic() + PATIENCE_S
        while monotonic() < deadline:
            if self.error is not None:
                raise self.error
            changes = self.snapshot().changes
            for number, change in enumerate(changes):
                until_ns = changes[number + 1].at_ns if number + 1 < len(changes) else None
                if change.state in states and (until_ns is None or until_ns > after_ns):
                    return max(change.at_ns, after_ns)
            sleep(0.005)
        raise TimeoutError(f"{self.snapshot().state}, never {', '.join(states)}")

    def stop(self) -> float:
        """Stop it; how long that took, in s."""
        begun = monotonic()
        self._pipeline.stop()
        self._thread.join(PATIENCE_S)
        return monotonic() - begun


def _patient(opener: OpenLive) -> OpenLive:
    """Waits at first for a sender that is not there yet; later on that is for the pipeline."""

    def open_it(like: SourceInfo | None) -> LiveSource:
        deadline = monotonic() + PATIENCE_S
        while True:
            try:
                return opener(like)
            except SourceError:
                if like is not None or monotonic() > deadline:
                    raise
            sleep(0.05)

    return open_it


def free_port() -> int:
    """A port of loopback that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def machine() -> dict[str, Any]:
    """What it was measured on."""
    model = "unknown"
    with suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
        model = names[0] if names else model
    load = [round(value, 2) for value in psutil.getloadavg()]
    return {"cpu": model, "cores": psutil.cpu_count(), "load_at_start": load}
