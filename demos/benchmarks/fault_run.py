"""One schedule of faults through live mode, and whether all is well afterwards."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from demos.benchmarks.idle_clock import IdleClock
from streamer.clock import Clock, MonotonicClock
from streamer.engine import EngineInfo
from streamer.live.pipeline import LivePipeline
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State, StateChange
from streamer.rgb import SquareReader
from streamer.sinks import EventSink, RotatingSink, Sink, VideoSink, WallTime
from streamer.sources import LONGEST_RETRY_S, SourceInfo
from streamer.sources.mock_card import MockCard, MockSlot
from streamer.sources.mock_schedule import (
    Black,
    Freeze,
    Gap,
    Run,
    Schedule,
    Unplug,
    random_schedule,
)

#: The state is right so long after something has begun or ended.
GRACE_S = 1.0
#: Shorter than this, a fault need not show as a state: the time that it takes by definition, and,
#: where that is less than the grace, one picture and a look at the clock more.
AT_LEAST_S = {State.NO_SIGNAL: 0.7, State.FROZEN: 1.0, State.RECONNECTING: 0.0, State.RUNNING: 1.0}
#: The card counts in whole ns.
_ROUNDING_S = 1e-6
#: A part of the recording, in s.
PART_S = 5.0
#: A look at how long the process is held up, in s.
_BEAT_S = 0.05


@dataclass(frozen=True)
class Settings:
    """How each schedule is run.

    Attributes:
        duration_s: its length.
        width, height: of the card's pictures, px.
        rate: pictures per second.
        patient: time stands still while the pipeline works; see `IdleClock`.
    """

    duration_s: float
    width: int
    height: int
    rate: float
    patient: bool


@dataclass
class Outcome:
    """What came of one schedule.

    Attributes:
        seed: of the schedule.
        problems: what is wrong; empty if all is well.
        lags_ms: state → how long after something began or ended the state was right.
        frames_in, frames_out, dropped, missed, parts: pictures read, handed on, dropped by cause,
            and lost in the card since nobody came for them in time; files of the recording.
        stall_ms: longest time that the process was held up, where time is real.
    """

    seed: int
    problems: list[str] = field(default_factory=list)
    lags_ms: dict[str, list[float]] = field(default_factory=dict)
    frames_in: int = 0
    frames_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    missed: int = 0
    parts: int = 0
    stall_ms: float = 0.0


@dataclass(frozen=True)
class Stretch:
    """A time during which one state is right, in s from the start of the schedule."""

    state: State
    start_s: float
    end_s: float


def stretches(schedule: Schedule) -> list[Stretch]:
    """What the state has to be; neighbours have different ones."""
    found: list[Stretch] = []
    start_s = 0.0
    for step in schedule:
        end_s = start_s + step.duration_s
        state = _right_state(step)
        if found and found[-1].state is state:
            found[-1] = Stretch(state, found[-1].start_s, end_s)
        else:
            found.append(Stretch(state, start_s, end_s))
        start_s = end_s
    return found


def _right_state(step: Run) -> State:
    match step:
        case Gap() | Black():
            return State.NO_SIGNAL
        case Freeze():
            return State.FROZEN
        case Unplug():
            return State.RECONNECTING
        case _:
            return State.RUNNING


def check_states(
    changes: Sequence[StateChange], schedule: Schedule, start_ns: int
) -> tuple[list[str], dict[str, list[float]]]:
    """Compare the states of a run with those that its schedule asks for.

    Args:
        changes: every state of the run, in order.
        start_ns: when the schedule began, by the same clock.

    Returns:
        What is wrong, and state → lags in ms of the stretches in which it was reached.
    """
    spans = [(change.state, (change.at_ns - start_ns) / 1e9) for change in changes]
    problems: list[str] = []
    lags_ms: dict[str, list[float]] = {}
    for right in stretches(schedule):
        due_s = right.start_s + GRACE_S
        reached_s = _reached(spans, right)
        name = f"{right.state} from {right.start_s:.2f} to {right.end_s:.2f} s"
        if reached_s is not None:
            lags_ms.setdefault(right.state, []).append(1000 * (reached_s - right.start_s))
        if right.end_s - right.start_s >= AT_LEAST_S[right.state]:
            if reached_s is None:
                problems.append(f"{name}: never reached")
            elif reached_s > due_s:
                problems.append(f"{name}: reached after {reached_s - right.start_s:.2f} s")
        for state, from_s, until_s in _within(spans, due_s, right.end_s - _ROUNDING_S):
            # What was reached too late is on record already.
            if state is not right.state and reached_s is not None and from_s >= reached_s:
                problems.append(f"{name}: {state} from {from_s:.2f} to {until_s:.2f} s")
    return problems, lags_ms


def _reached(spans: list[tuple[State, float]], right: Stretch) -> float | None:
    """When the state was right for the first time."""
    for state, from_s, _ in _within(spans, right.start_s, right.end_s):
        if state is right.state:
            return from_s
    return None


def _within(
    spans: list[tuple[State, float]], start_s: float, end_s: float
) -> Iterator[tuple[State, float, float]]:
    """Each state between two times, from when until when."""
    ends_s = [from_s for _, from_s in spans[1:]] + [float("inf")]
    for (state, from_s), until_s in zip(spans, ends_s, strict=True):
        from_s, until_s = max(from_s, start_s), min(until_s, end_s)
        if from_s < until_s:
            yield state, from_s, until_s


class Answer:
    """A probability map that is there already."""

    def __init__(self, probability: NDArray[np.float32]) -> None:
        self._probability = probability

    def result(self) -> NDArray[np.float32]:
        """(32, 32), 0…1."""
        return self._probability


class RedSegmenter:
    """A stand-in for the network, which answers at once: how red a pixel is is its probability."""

    info = EngineInfo("red", "0" * 64, "fake", "fp32", "cpu", input_size=32, streams=1, threads=1)

    def reader(self) -> SquareReader:
        """See `Segmenter.reader`."""
        return SquareReader(self.info.input_size)

    def submit(self, image: NDArray[np.uint8]) -> Answer:
        """See `Segmenter.submit`."""
        return Answer(image[..., 0].astype(np.float32) / np.float32(255))

    def close(self) -> None:
        """See `Segmenter.close`."""


class Pulse:
    """Notes for how long the whole process was held up, by the machine or by a lock."""

    def __init__(self) -> None:
        self.longest_ms = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="pulse", daemon=True)

    def _beat(self) -> None:
        while True:
            due_s = time.monotonic() + _BEAT_S
            if self._over.wait(_BEAT_S):
                return
            self.longest_ms = max(self.longest_ms, 1000 * (time.monotonic() - due_s))

    def __enter__(self) -> Pulse:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


class FaultRun:
    """One schedule: the card, the pipeline, the outputs, and the checks."""

    def __init__(self, seed: int, settings: Settings, folder: Path) -> None:
        self.outcome = Outcome(seed)
        self._folder = folder
        # Both kinds of file take turns.
        self._video = folder / ("overlay.mkv" if seed % 2 else "overlay.mp4")
        self._schedule = random_schedule(seed, duration_s=settings.duration_s)
        self._clock: Clock = IdleClock() if settings.patient else MonotonicClock()
        self._slot = MockSlot(
            self._schedule,
            clock=self._clock,
            width=settings.width,
            height=settings.height,
            rate=settings.rate,
        )
        self._cards: list[MockCard] = []
        self._wall = WallTime.now()
        self._events: EventSink | None = None
        self._recording: RotatingSink | None = None
        self._pipeline = LivePipeline(
            self._open,
            RedSegmenter,
            self._sinks,
            longest_retry_s=LONGEST_RETRY_S,
            on_change=self._tell,
            clock=self._clock,
            seed=seed,
        )

    def _open(self, like: SourceInfo | None) -> MockCard:
        self._cards.append(self._slot(like))
        return self._cards[-1]

    def _sinks(self, info: SourceInfo) -> list[tuple[str, Sink]]:
        self._recording = RotatingSink(
            self._video,
            lambda path: VideoSink(path, info),
            max_s=PART_S,
            min_free_bytes=0,
            wall=self._wall,
            clock=self._clock,
        )
        self._events = EventSink(self._folder / "events.jsonl", wall=self._wall)
        return [("recording", self._recording), ("events", self._events)]

    def _tell(self, change: StateChange) -> None:
        assert self._events is not None
        self._events.write_state(change)

    def run(self) -> Outcome:
        """Run it to its end and check it; never raises."""
        outcome = self.outcome
        before = set(threading.enumerate())
        try:
            snapshot = self._run()
            left = [thread.name for thread in set(threading.enumerate()) - before]
            if left:
                outcome.problems.append(f"threads left: {', '.join(left)}")
            self._check(snapshot)
        except Exception as error:
            outcome.problems.append(f"{type(error).__name__}: {error}")
        return outcome

    def _run(self) -> LiveSnapshot:
        if isinstance(self._clock, IdleClock):
            with self._clock:
                return self._pipeline.run()
        with Pulse() as pulse:
            snapshot = self._pipeline.run()
        self.outcome.stall_ms = pulse.longest_ms
        return snapshot

    def _check(self, snapshot: LiveSnapshot) -> None:
        outcome = self.outcome
        outcome.frames_in, outcome.frames_out = snapshot.frames_in, snapshot.frames_out
        outcome.dropped = dict(snapshot.dropped)
        outcome.missed = sum(card.missed for card in self._cards)
        assert self._slot.start_ns is not None
        problems, outcome.lags_ms = check_states(
            snapshot.changes, self._schedule, self._slot.start_ns
        )
        if snapshot.state is not State.STOPPED or not snapshot.reason.endswith("schedule is over"):
            problems.append(f"ended as {snapshot.state}: {snapshot.reason}")
        problems += [f"{name}: {error}" for name, error in snapshot.sink_errors.items()]
        dropped = sum(snapshot.dropped.values())
        if snapshot.frames_in != snapshot.frames_out + dropped:
            problems.append(f"frames: {snapshot.frames_in} in, {snapshot.frames_out} out")
        for name, written in (("recording", self._recorded()), ("events", self._reported())):
            lost = snapshot.sink_dropped[name]
            if snapshot.frames_out != written + lost:
                problems.append(f"{name}: {snapshot.frames_out} came, {written} are in it, {lost}")
        states = [change.state for change in snapshot.changes]
        if self._states_on_record() != states:
            problems.append("events: not the states of the run")
        outcome.problems += problems

    def _recorded(self) -> int:
        """Pictures in all parts; they have to decode without damage and with rising times."""
        assert self._recording is not None
        count = 0
        for path in self._recording.parts:
            times: list[float] = []
            with av.open(str(path)) as container:
                for picture in container.decode(video=0):
                    if picture.is_corrupt:
                        raise ValueError(f"{path.name}: picture {len(times)} is damaged")
                    times.append(picture.time)
            if not times or times[0] != 0 or bool((np.diff(times) <= 0).any()):
                raise ValueError(f"{path.name}: its {len(times)} times do not rise from 0")
            count += len(times)
        self.outcome.parts = len(self._recording.parts)
        return count

    def _lines(self, kind: str) -> list[dict[str, Any]]:
        with (self._folder / "events.jsonl").open(encoding="utf-8") as file:
            return [event for event in map(json.loads, file) if event["type"] == kind]

    def _reported(self) -> int:
        return len(self._lines("frame"))

    def _states_on_record(self) -> list[State]:
        states = [State(event["state"]) for event in self._lines("state")]
        # A new reason of the same state has a line of its own.
        return [
            state for state, last in zip(states, [None, *states], strict=False) if state != last
        ]
