"""The media time of live pictures, how late they are, and the pace of those from a store."""

from fractions import Fraction

#: Unit of the times of live pictures, in seconds: that of MPEG streams.
LIVE_TIME_BASE = Fraction(1, 90_000)

#: Furthest that a stream's own time may be from the clock, and its longest step, in ns.
_FURTHEST_NS = 200_000_000
_LONGEST_STEP_NS = 1_000_000_000
#: Least distance of two pictures, in ns: recordings count in ms, and theirs must rise too.
_LEAST_STEP_NS = 1_000_000
#: Longest pause between two pictures of a store, in ns; a longer one is a leap in its times.
_LONGEST_PAUSE_NS = 10_000_000_000
#: Share of the distance from the clock that is made up with each picture.
_PULL = 1 / 32
#: Share of time by which two crystals may run apart.
_CRYSTALS = 500e-6


class LiveTimes:
    """Gives each picture a time that follows the monotonic clock of its capture and always rises.

    A live source's own times start anywhere, start again after it was lost, and run at the pace of
    another crystal; the clock of capture has none of that, but it shows every hiccup of the way
    here: pictures that a network delivers in one bunch would be recorded as one bunch. So the
    *steps* are the source's own, and where they lead is drawn to the clock gently, a thirty-second
    of the way with each picture. Where the source gives no usable step, or has come to be more
    than 0.2 s away from the clock, the clock decides alone. Two pictures are never less than 1 ms
    apart, so that one bunch of many may run ahead of the clock by more. A long gap, such as while a
    source was lost, is therefore a gap of the same length in the media time, and since one of these
    lasts for as many openings of a source as there are, time never goes back.

    Only the steps are the source's: latency is never taken from these times.

    Args:
        time_base: unit of the times, seconds; the first is 0.
    """

    def __init__(self, time_base: Fraction = LIVE_TIME_BASE) -> None:
        self.time_base = time_base
        self._start_ns: int | None = None
        self._time_ns = 0.0
        self._last = -1

    def take(self, clock_ns: int, step_ns: int | None = None) -> int:
        """The time of the next picture in units of `time_base`.

        Args:
            clock_ns: when it was captured.
            step_ns: how long after the picture before it, as the source has it; None: unknown.
        """
        if self._start_ns is None:
            self._start_ns, step_ns = clock_ns, None
        by_clock_ns = clock_ns - self._start_ns
        time_ns: float = by_clock_ns
        if step_ns is not None and 0 < step_ns <= _LONGEST_STEP_NS:
            by_step_ns = self._time_ns + step_ns
            if abs(by_clock_ns - by_step_ns) <= _FURTHEST_NS:
                time_ns = by_step_ns + _PULL * (by_clock_ns - by_step_ns)
        if self._last >= 0:
            time_ns = max(time_ns, self._time_ns + _LEAST_STEP_NS)
        self._time_ns = time_ns
        self._last = max(self._last + 1, round(time_ns / 1e9 / float(self.time_base)))
        return self._last


class Lag:
    """How much later pictures come than they could, by their own times.

    When pictures wait on their way in ever longer queues, the clock runs ahead of their own times.
    The quickest that came so far tells how far the two are apart without any waiting. Crystals run
    apart too, only much more slowly; that much does not count. A leap in the own times begins anew.
    """

    def __init__(self) -> None:
        self._quickest_ns = 0.0
        self._own_ns: int | None = None
        self._clock_ns = 0

    def take(self, clock_ns: int, own_ns: int) -> int:
        """How late a picture is, in ns, 0 or more.

        Args:
            clock_ns: when it came.
            own_ns: its own time.
        """
        step_ns = None if self._own_ns is None else own_ns - self._own_ns
        apart_ns = clock_ns - own_ns
        if step_ns is None or not 0 <= step_ns <= _LONGEST_STEP_NS:
            self._quickest_ns = apart_ns
        else:
            drift_ns = _CRYSTALS * (clock_ns - self._clock_ns)
            self._quickest_ns = min(self._quickest_ns + drift_ns, apart_ns)
        self._own_ns, self._clock_ns = own_ns, clock_ns
        return round(apart_ns - self._quickest_ns)

    def accept(self) -> None:
        """Take the last picture as one that did not wait."""
        if self._own_ns is not None:
            self._quickest_ns = self._clock_ns - self._own_ns


class Pace:
    """Says when pictures are due that come out of a store: by the distance of their own times.

    One that is taken late moves those after it: what is live does not catch up.
    """

    def __init__(self) -> None:
        self._due_ns = 0
        self._last_ns: int | None = None

    def due_ns(self, time_ns: int, now_ns: int) -> int:
        """When the next picture is due, on the clock of `now_ns`.

        Args:
            time_ns: its own time.
            now_ns: the time now.
        """
        step_ns = 0 if self._last_ns is None else time_ns - self._last_ns
        self._last_ns = time_ns
        self._due_ns += step_ns
        if not 0 < step_ns <= _LONGEST_PAUSE_NS or self._due_ns < now_ns - step_ns:
            self._due_ns = now_ns
        return self._due_ns
