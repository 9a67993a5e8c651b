"""Which pictures the network had better take: those whose mask comes out young.

Pictures come at a beat, and masks can only be shown with one of them. A picture that has been
waiting while the network was busy may come out no earlier, counted in beats, than the one that
follows it; then the next one is worth waiting for: its mask is shown at the same time and is
younger. The network rests meanwhile, which the picture's own work is glad of.
"""

import math

#: How much a new measurement counts against what is known.
_SHARE = 0.1
#: Beats and answers that are further from what is known than so many times are no measurement:
#: the source was away, or the engine stalled.
_STRAY = 4.0
#: Room for answers that take longer than usual, in mean deviations.
_DEVIATIONS = 1.5


class Cadence:
    """Learns the beat and how long an answer takes; for one thread at a time."""

    def __init__(self) -> None:
        self._beat_ns: float | None = None
        self._answer_ns: float | None = None
        self._deviation_ns = 0.0
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
        if self._answer_ns is None:
            self._answer_ns = float(duration_ns)
            return
        apart_ns = min(duration_ns, _STRAY * self._answer_ns) - self._answer_ns
        self._answer_ns += _SHARE * apart_ns
        self._deviation_ns += _SHARE * (abs(apart_ns) - self._deviation_ns)

    def is_worth_taking(self, waited_ns: int, shown_after_ns: int = 0) -> bool:
        """Whether a picture comes out a beat before the one that follows it would.

        Args:
            waited_ns: since it was offered.
            shown_after_ns: from when a mask could have been put on it until it was offered.
        """
        if not self._beat_ns or self._answer_ns is None:
            return True
        usual_ns = shown_after_ns + self._answer_ns + _DEVIATIONS * self._deviation_ns
        beats = max(1, math.ceil(usual_ns / self._beat_ns))
        return waited_ns + usual_ns <= beats * self._beat_ns
