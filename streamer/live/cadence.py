"""Which pictures the network had better take: those whose mask comes out young.

Pictures come at a beat, and masks can only be shown with one of them. A picture that has been
waiting while the network was busy may come out no earlier, counted in beats, than the one that
follows it; then the next one is worth waiting for: its mask is shown at the same time and is
younger. The network rests meanwhile, which the picture's own work is glad of.

How long the next answer will take is not known, only how long the last ones took. So it is weighed:
by waiting, a mask is shown later on average by some part of a beat, and younger by the rest of it.
"""

import math
from collections import deque

#: How much a new measurement of the beat counts against what is known.
_SHARE = 0.1
#: Beats that are further from what is known than so many times are no measurement: the source was
#: away.
_STRAY = 4.0
#: Answers that the next one is judged by.
_LAST = 32
#: Waiting is worth it where a mask gets younger by more than this part of a beat.
_WORTH = 0.5


class Cadence:
    """Learns the beat and how long answers take; for one thread at a time."""

    def __init__(self) -> None:
        self._beat_ns: float | None = None
        self._answers_ns: deque[int] = deque(maxlen=_LAST)
        self._last_ns: int | None = None

    def came(self, now_ns: int) -> None:
        """A picture came."""
        if self._last_ns is not None:
            passed_ns = now_ns - self._last_ns
            if self._beat_ns is None:
                self._beat_ns = passed_ns
            elif passed_ns <= _STRAY * self._beat_ns:
                self._beat_ns += _SHARE * (passed_ns - self._beat_ns)
        self._last_ns = now_ns

    def answered(self, duration_ns: int) -> None:
        """An answer took so long, from the network's taking of the picture to its steady mask."""
        self._answers_ns.append(duration_ns)

    def is_worth_taking(self, waited_ns: int, shown_after_ns: int = 0) -> bool:
        """Whether to take a picture, and not to wait for the one that follows it.

        Args:
            waited_ns: since it was offered.
            shown_after_ns: from when a mask could have been put on it until it was offered.
        """
        if not self._beat_ns or not self._answers_ns:
            return True
        younger = 0
        for answer_ns in self._answers_ns:
            fresh_ns = shown_after_ns + answer_ns
            younger += max(1, math.ceil((waited_ns + fresh_ns) / self._beat_ns))
            younger -= max(1, math.ceil(fresh_ns / self._beat_ns))
        return younger <= _WORTH * len(self._answers_ns)
