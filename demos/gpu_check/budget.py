"""How long each part of the check may take, so that all of them together keep to a time."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the check.

    Attributes:
        name: its key in the report.
        needs_s: what it takes on an H100 with 16 cores. It is not begun with less, and has so much
            whatever other parts take.
    """

    name: str
    needs_s: float


#: In their order: what was never seen to work, and may hang or crash the GPU, comes last.
PARTS = (
    Part("machine", 10),
    Part("pictures", 20),
    Part("networks", 180),
    Part("live", 75),
    Part("pipeline", 40),
    Part("stability", 45),
    Part("fallback", 8),
    Part("encoding", 8),
    Part("nvdec", 40),
)


def allowance_s(part: Part, later: Sequence[Part], left_s: float) -> float | None:
    """How long a part may take; None if it does not fit any more.

    Args:
        later: the parts that come after it.
        left_s: the time that is left for it and for them.
    """
    if left_s < part.needs_s:
        return None
    return max(part.needs_s, left_s - sum(other.needs_s for other in later))
