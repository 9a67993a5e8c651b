"""How far an engine's probabilities are from those of eager fp32, and how far they may be."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from streamer.frame import Probability

#: Probability from which on a pixel belongs to a mask.
MASK_LEVEL = 0.5


@dataclass(frozen=True)
class Limits:
    """What an engine may differ by, see `Parity`."""

    relative_error: float
    dice: float


#: The order of sums makes less than a thousandth. Of half, a CPU makes 0.003 to 0.007 with the
#: bundled network, of bfloat16 0.02 to 0.07, which is visible in masks. 8 bits make 0.05 to 0.1,
#: and that they lose nothing against the truth was measured when their ranges were found.
LIMITS = {
    "fp32": Limits(1e-3, 0.999),
    "fp16": Limits(0.03, 0.99),
    "int8": Limits(0.2, 0.97),
    "fp8": Limits(0.2, 0.97),
}


@dataclass(frozen=True)
class Parity:
    """An engine compared with eager fp32.

    Attributes:
        frames: compared.
        relative_error: length of the difference of the probability maps over the length of the
            right ones, all frames together: a frame without a polyp has next to no length, and of
            next to nothing any rounding is a large part.
        largest_error: of any pixel's probability.
        dice: of the masks of all frames together; 1.0 where neither has any.
        mask_px: pixels in the right masks; 0 means that the Dice score tells nothing.
    """

    frames: int
    relative_error: float
    largest_error: float
    dice: float
    mask_px: int

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Parity":
        """The inverse of `to_dict`.

        Raises:
            KeyError, TypeError, ValueError: entries are missing or of another form.
        """
        return cls(
            int(values["frames"]),
            float(values["relative_error"]),
            float(values["largest_error"]),
            float(values["dice"]),
            int(values["mask_px"]),
        )

    def fits(self, limits: Limits) -> bool:
        """Whether it is near enough; what is not a number never is."""
        return self.relative_error <= limits.relative_error and self.dice >= limits.dice

    def __str__(self) -> str:
        masks = f"Dice {self.dice:.4f}" if self.mask_px else "no masks to compare"
        return (
            f"relative error {self.relative_error:.2g}, largest {self.largest_error:.2g}, {masks}, "
            f"over {self.frames} frames"
        )


def compare(
    frames: Iterable[NDArray[np.uint8]],
    found: Callable[[NDArray[np.uint8]], Probability],
    expected: Callable[[NDArray[np.uint8]], Probability],
) -> Parity:
    """Run two networks over the same RGB frames (S, S, 3).

    Args:
        found: the engine: frame → probability (S, S).
        expected: eager fp32.

    Raises:
        ValueError: no frames.
    """
    count = both = sizes = mask_px = 0
    largest = off_squared = right_squared = 0.0
    for frame in frames:
        got, right = found(frame).astype(np.float64), expected(frame).astype(np.float64)
        off = np.abs(got - right)
        off_squared += float((off**2).sum())
        right_squared += float((right**2).sum())
        # Written so that what is not a number stays.
        largest = float(np.maximum(largest, off.max()))
        got_mask, right_mask = got >= MASK_LEVEL, right >= MASK_LEVEL
        both += int((got_mask & right_mask).sum())
        sizes += int(got_mask.sum() + right_mask.sum())
        mask_px += int(right_mask.sum())
        count += 1
    if not count:
        raise ValueError("no frames to compare on")
    relative = (off_squared / max(right_squared, 1e-12)) ** 0.5
    return Parity(count, relative, largest, 2 * both / sizes if sizes else 1.0, mask_px)
