"""What a live run is made of."""

import threading
from typing import Any

from streamer.live.engine_host import EngineHost, Spawn
from streamer.live.grabber import Grabber
from streamer.live.outputs import Outputs
from streamer.live.raw_loop import RawLoop
from streamer.live.record import Record
from streamer.live.view_look import ViewLook


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
        view_look: ViewLook | None,
    ) -> None:
        self.start_ns = start_ns
        self.grabber = grabber
        self.raw = raw
        self.engine = engine
        self.outputs = outputs
        self.record = record
        self.view_look = view_look
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
        if self.view_look is not None:
            self.threads.append(spawn("live-view", self.view_look.work))
        self.threads.append(spawn("live-raw", show))
        self.threads.append(spawn("live-grab", self.grabber.work))

    def counts(self, now_ns: int) -> dict[str, Any]:
        """The fields of `LiveSnapshot` but for the state."""
        mask = self.engine.newest
        watch = None if self.view_look is None else self.view_look.watch
        return self.record.view(now_ns) | {
            "sink_dropped": self.outputs.dropped,
            "sink_errors": self.outputs.errors,
            "damaged": self.grabber.damaged,
            "converted": self.grabber.converted,
            "missed": self.grabber.missed,
            "reconnects": self.grabber.reconnects,
            "engine_restarts": self.engine.restarts,
            "view": self.raw.view,
            "view_changes": () if watch is None else watch.changes,
            "view_change_count": 0 if watch is None else watch.count,
            "mask_age_ms": None if mask is None else (now_ns - mask.captured_ns) / 1e6,
        }
