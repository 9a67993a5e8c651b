"""Glass to glass, in software: from a time shown on one screen to the same time shown on another.

    clock ▶ X screen A ▶ x11grab ▶ pipeline ▶ window ▶ X screen B ▶ read the time

Both screens are virtual (Xvfb). All processes read one monotonic clock. The clock writes into the
memory of the first screen, and the time is read from the memory of the second, at most `LOOK_S`
late. The floor is the same way without the pipeline: what is grabbed goes into the same window at
once. What a camera, a capture card, a monitor and its cable add is not in it; `docs/live.md` says
how to measure those.
"""

import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from fractions import Fraction
from functools import partial
from time import monotonic, monotonic_ns, sleep

import numpy as np

from demos import time_code
from demos.virtual_screen import VirtualScreen, bound_process, virtual_screen
from streamer.engine.base import Segmenter
from streamer.errors import OutputError, SourceError, StreamError
from streamer.latency import Histogram
from streamer.live.pipeline import LivePipeline
from streamer.settings import Settings, SourceSettings
from streamer.sinks.base import Sink
from streamer.sinks.snapshot import BgrReader
from streamer.sinks.window import ChildScreen, WindowSink
from streamer.sources import OpenLive, SourceInfo, open_live

WIDTH_PX, HEIGHT_PX, RATE = 640, 360, 60
#: Readings do not count until so long after the first one: the engine warms up.
WARM_UP_S = 3.0
#: What has not shown anything by then does not work.
START_S = 60.0
#: What has not ended by then hangs.
END_S = 60.0
#: Pause between two looks at the second screen.
LOOK_S = 0.002

_Told = Callable[[str], None]


def measure(
    load_engine: Callable[[], Segmenter], *, seconds: float, rounds: int, tell: _Told
) -> dict[str, list[Histogram]]:
    """Measure the floor and the pipeline in turns.

    Args:
        load_engine: loads the network.
        seconds: length of each part of a round, after the warm-up.
        rounds: of floor and pipeline.
        tell: given a line after each part.

    Returns:
        For `floor` and `pipeline` the delays of each round.

    Raises:
        StreamError: Xvfb is missing or does not start; no time can be read; something hangs.
    """
    delays: dict[str, list[Histogram]] = {"floor": [], "pipeline": []}
    with ExitStack() as stack:
        shown = stack.enter_context(virtual_screen(WIDTH_PX, HEIGHT_PX))
        seen = stack.enter_context(virtual_screen(WIDTH_PX, HEIGHT_PX))
        stack.enter_context(_clock(shown))
        stack.enter_context(_environment("DISPLAY", seen.display))
        for number in range(1, rounds + 1):
            for name, run in (("floor", _floor), ("pipeline", _pipeline)):
                run_it = partial(run, shown.display, load_engine)
                once = Histogram()
                for delay_ns in _read_while(seen, seconds, run_it):
                    once.add_ns(delay_ns)
                delays[name].append(once)
                tell(
                    f"round {number} of {rounds}, {name}: p50 {once.percentile_ms(50):.1f} ms, "
                    f"max {once.max_ms:.1f} ms, {once.count} times read"
                )
    return delays


class Readings:
    """The times seen on a screen, each counted once, when it is first seen.

    Args:
        begun_ns: a time from before, left on the screen by somebody else, does not count.
        warm_up_ns: nor does what comes so long after the first time that does.
    """

    def __init__(self, begun_ns: int, warm_up_ns: int) -> None:
        #: How old each new time was when it was seen, ns.
        self.delays_ns: list[int] = []
        #: From when on times are counted; None until the first one was seen.
        self.counted_from_ns: int | None = None
        self._begun_ns = begun_ns
        self._warm_up_ns = warm_up_ns
        self._image: time_code.Image | None = None
        self._last: int | None = None

    def look(self, image: time_code.Image, now_ns: int) -> None:
        """Take in the screen, gray (height, width), as it was at a time."""
        if self._image is not None and np.array_equal(image, self._image):
            return
        self._image = image
        told_ns = time_code.read(image)
        if told_ns is None or told_ns == self._last:
            return
        self._last = told_ns
        delay_ns = time_code.since(told_ns, now_ns)
        if delay_ns > now_ns - self._begun_ns:
            return
        if self.counted_from_ns is None:
            self.counted_from_ns = now_ns + self._warm_up_ns
        elif now_ns > self.counted_from_ns:
            self.delays_ns.append(delay_ns)


def _read_while(
    seen: VirtualScreen, seconds: float, run: Callable[[threading.Event], None]
) -> list[int]:
    """How old each new time on a screen is while something runs, ns."""
    end, failures = threading.Event(), []

    def work() -> None:
        try:
            run(end)
        except Exception as error:
            failures.append(error)
        finally:
            end.set()

    # One that hangs must not keep the process from ending.
    worker = threading.Thread(target=work, name="glass", daemon=True)
    readings = Readings(monotonic_ns(), round(WARM_UP_S * 1e9))
    start_by_s = monotonic() + START_S
    worker.start()
    try:
        while not end.is_set():
            now_ns = monotonic_ns()
            from_ns = readings.counted_from_ns
            if monotonic() > start_by_s if from_ns is None else now_ns > from_ns + seconds * 1e9:
                break
            readings.look(_gray(seen), now_ns)
            sleep(LOOK_S)
    finally:
        end.set()
        worker.join(END_S)
    if failures:
        raise failures[0]
    if worker.is_alive():
        raise StreamError("what was measured does not come to its end")
    if not readings.delays_ns:
        raise StreamError("no time could be read from the second screen")
    return readings.delays_ns


def _gray(screen: VirtualScreen) -> time_code.Image:
    # The code is gray, so any channel tells it.
    return np.ascontiguousarray(screen.pixels[..., 1])


@contextmanager
def _clock(screen: VirtualScreen) -> Iterator[None]:
    command = [sys.executable, "-m", "demos.glass_clock", str(screen.path), str(RATE)]
    with bound_process(command):
        deadline_s = monotonic() + START_S
        while time_code.read(_gray(screen)) is None:
            if monotonic() > deadline_s:
                raise StreamError("the clock does not show on its screen")
            sleep(LOOK_S)
        yield


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


def _source(display: str) -> OpenLive:
    screen = SourceSettings(
        url=f"screen{display}", rate=Fraction(RATE), size=(WIDTH_PX, HEIGHT_PX), interlaced="no"
    )
    return open_live("glass", settings=Settings(sources={"glass": screen}))


def _floor(shown: str, load_engine: Callable[[], Segmenter], end: threading.Event) -> None:
    """Grab and show, nothing else."""
    source = _source(shown)(None)
    reader = BgrReader()
    try:
        screen = ChildScreen("floor", False, lambda wish: None)
        try:
            with suppress(SourceError, OutputError):
                while not end.is_set():
                    frame = source.read()
                    screen.show(reader.read(frame.picture, frame.color))
        finally:
            screen.close()
    finally:
        source.close()


def _pipeline(shown: str, load_engine: Callable[[], Segmenter], end: threading.Event) -> None:
    """Live mode into its window."""

    def sinks(info: SourceInfo) -> list[tuple[str, Sink]]:
        return [("display", WindowSink(stop=end.set))]

    pipeline = LivePipeline(_source(shown), load_engine, sinks)

    def stop_at_end() -> None:
        end.wait()
        pipeline.stop()

    stopper = threading.Thread(target=stop_at_end, name="glass-stop", daemon=True)
    stopper.start()
    try:
        pipeline.run()
    finally:
        end.set()
        stopper.join()
