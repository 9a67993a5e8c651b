"""What a mock card does and when: a timetable of faults."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class Run:
    """A stretch of pictures as they should be; the other steps differ in what they say.

    duration_s: how long it lasts.
    """

    duration_s: float


@dataclass(frozen=True)
class Gap(Run):
    """No pictures."""


@dataclass(frozen=True)
class Freeze(Run):
    """The last picture again and again."""


@dataclass(frozen=True)
class Black(Run):
    """Pictures of one tone, as cards send them without a signal: black, or blue."""

    blue: bool = False


@dataclass(frozen=True)
class Resize(Run):
    """Pictures of another size in px."""

    width: int
    height: int


@dataclass(frozen=True)
class Format(Run):
    """Pictures of another pixel format."""

    pixel_format: str


@dataclass(frozen=True)
class Interlaced(Run):
    """Pictures whose odd lines are half a picture later than the even ones.

    flagged: the pictures say so.
    """

    flagged: bool = True


@dataclass(frozen=True)
class Unplug(Run):
    """The card is not there: it is lost, and cannot be opened until this is over."""


@dataclass(frozen=True)
class Drift(Run):
    """The card's clock runs fast: its pictures come so much more often than their times say.

    share: of the rate; below 0 it runs slow.
    """

    share: float


Schedule = tuple[Run, ...]

_FORMATS = ("nv12", "yuv422p", "yuv420p10le", "rgb24")
_SIZES = ((640, 480), (176, 144), (400, 226))


def random_schedule(seed: int, *, duration_s: float = 60.0) -> Schedule:
    """Faults of every kind, with good stretches between them, at the start and at the end.

    Args:
        seed: the same schedule for the same arguments.
        duration_s: of it all.
    """
    rng = np.random.default_rng(seed)
    steps: list[Run] = [Run(round(rng.uniform(0.5, 2.0), 3))]
    while True:
        fault = _random_fault(rng, round(rng.uniform(0.2, 3.0), 3))
        good = Run(round(rng.uniform(0.5, 2.0), 3))
        if sum(step.duration_s for step in (*steps, fault, good)) > duration_s:
            break
        steps += [fault, good]
    rest_s = duration_s - sum(step.duration_s for step in steps)
    return (*steps[:-1], Run(round(steps[-1].duration_s + rest_s, 3)))


def _random_fault(rng: np.random.Generator, duration_s: float) -> Run:
    width, height = _SIZES[rng.integers(len(_SIZES))]
    faults = (
        Gap(duration_s),
        Freeze(duration_s),
        Black(duration_s, blue=bool(rng.integers(2))),
        Resize(duration_s, width, height),
        Format(duration_s, str(rng.choice(_FORMATS))),
        Interlaced(duration_s, flagged=bool(rng.integers(2))),
        Unplug(duration_s),
        Drift(duration_s, round(float(rng.uniform(-0.05, 0.05)), 4)),
    )
    return faults[rng.integers(len(faults))]


@dataclass(frozen=True, slots=True)
class Event:
    """What a card does at a moment.

    Attributes:
        due_ns: from the start of the schedule.
        step: the step it belongs to; None at the end of the schedule.
        shown: the step whose kind of picture comes, if one does; a frozen one keeps it.
        number: of the picture that the camera shows; a frozen one keeps it.
        card_ns: the same moment by the card's own clock.
    """

    due_ns: int
    step: Run | None
    shown: Run | None
    number: int
    card_ns: int

    @property
    def is_picture(self) -> bool:
        """Whether a picture comes."""
        return self.step is not None and not isinstance(self.step, Unplug)


def plan(schedule: Schedule, rate: Fraction) -> list[Event]:
    """Everything that happens, in order."""
    period_ns = float(1_000_000_000 / rate)
    events: list[Event] = []
    start_ns = due_ns = card_ns = 0.0
    number = frozen = 0
    shown: Run | None = None
    for step in schedule:
        end_ns = start_ns + step.duration_s * 1e9
        if isinstance(step, Unplug):
            events.append(Event(round(start_ns), step, None, number, round(card_ns)))
        share = step.share if isinstance(step, Drift) else 0.0
        while due_ns < end_ns:
            if not isinstance(step, Gap | Unplug):
                if shown is None or not isinstance(step, Freeze):
                    shown, frozen = step, number
                events.append(Event(round(due_ns), step, shown, frozen, round(card_ns)))
            due_ns += period_ns / (1 + share)
            card_ns += period_ns
            number += 1
        start_ns = end_ns
    events.append(Event(round(start_ns), None, None, number, round(card_ns)))
    return events
