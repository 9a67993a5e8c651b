"""What a live run is made of."""

import threading
from typing import Any

from streamer.live.engine_host import EngineHost, Spawn
from streamer.live.grabber import Grabber
from streamer.live.outputs import Outputs
from streamer.live.raw_loop import RawLoop
from streamer.live.record import Record


class Parts:
    """The parts of a run that is under way, and their threads."""

    def __init__(
        self,
        start_ns: int,
        grabber: Grabber,
        raw: RawLoop,
        engine: EngineHost,
        outputs: Outputs,
        record: Record,
    ) -> None:
        self.start_ns = start_ns
        self.grabber = grabber
        self.raw = raw
        self.engine = engine
        self.outputs = outputs
        self.record = record
        self.threads: list[threading.Thread] = []
        self.sink_threads: list[threading.Thread] = []

    def start(self, spawn: Spawn, over: threading.Event) -> None:
        """Start all threads but the engine's.

        Args:
            over: set when the last picture was handed on.
        """

        def show() -> None:
            self.raw.work()
            over.set()

        for output in self.outputs.all:
            self.sink_threads.append(spawn(f"live-sink-{output.name}", output.work))
        self.threads.append(spawn("live-raw", show))
        self.threads.append(spawn("live-grab", self.grabber.work))

    def counts(self, now_ns: int) -> dict[str, Any]:
        """The fields of `LiveSnapshot` but for the state."""
        mask = self.engine.newest
        return self.record.view(now_ns) | {
            "sink_dropped": self.outputs.dropped,
            "sink_errors": self.outputs.errors,
            "damaged": self.grabber.damaged,
            "converted": self.grabber.converted,
            "missed": self.grabber.missed,
            "reconnects": self.grabber.reconnects,
            "engine_restarts": self.engine.restarts,
            "mask_age_ms": None if mask is None else (now_ns - mask.captured_ns) / 1e6,
        }
