"""Operating points: from showing nearly all that the network sees to showing what it is sure of.

Its pixels are 0 or 1 nearly everywhere, so a threshold of pixels changes little but the outline.
What tells false objects from true ones is their mean probability: each point is a pair of
thresholds of that, one to count at all, as a confidence, and one to count at once. What does not
count is tentative: its line is thin. How they were chosen, and what each finds and marks for
nothing: `docs/calibration.md`.
"""

from dataclasses import dataclass, replace

from streamer.errors import StreamError
from streamer.temporal.presets import SURE, TRUST, Temporal, find_preset


@dataclass(frozen=True)
class OperatingPoint:
    """What counts as an object.

    Attributes:
        trust, sure: take the places of the preset's, see `Temporal`.
    """

    trust: float
    sure: float

    def adjust(self, temporal: Temporal) -> Temporal:
        """A preset at this point; without steadying there is nothing that has to count."""
        if temporal.is_off:
            return temporal
        return replace(temporal, trust=self.trust, sure=self.sure)


#: What `--operating-point` offers.
OPERATING_POINTS = {
    "sensitive": OperatingPoint(trust=0.0, sure=0.95),
    "balanced": OperatingPoint(trust=TRUST, sure=SURE),
    "specific": OperatingPoint(trust=0.8, sure=SURE),
}
DEFAULT_POINT = "balanced"


def find_point(name: str) -> OperatingPoint:
    """The operating point of a name.

    Raises:
        StreamError: there is none of that name.
    """
    if name not in OPERATING_POINTS:
        known = ", ".join(OPERATING_POINTS)
        raise StreamError(f"unknown operating point {name!r}; known: {known}")
    return OPERATING_POINTS[name]


def find_steadying(preset: str, point: str) -> Temporal:
    """A preset at an operating point, by their names.

    Raises:
        StreamError: there is none of one of these names.
    """
    return find_point(point).adjust(find_preset(preset))
