"""From what a network says to how often it is right: the scaling that a checkpoint brings along.

`pranet-calibrate probability` fits it on pictures that the network was not trained on and writes it
into the checkpoint's metadata. Masks and their steadying go by the network's own probabilities;
what is scaled is what a person reads.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pranet.errors import CheckpointError
from streamer.frame import Probability

#: Logits beyond these are those of 0 and 1: a float32 sigmoid cannot say more.
_CERTAIN_LOGIT = 16.0


def to_logit(probability: NDArray[np.floating[Any]] | float) -> NDArray[np.float64]:
    """The logit of probabilities 0…1, within ±16."""
    given = np.asarray(probability, np.float64)
    with np.errstate(divide="ignore"):
        logit = np.log(given) - np.log1p(-given)
    return np.asarray(logit.clip(-_CERTAIN_LOGIT, _CERTAIN_LOGIT))


@dataclass(frozen=True, slots=True)
class Scaling:
    """Platt scaling: scale·logit + offset. With an offset of 0, temperature scaling.

    Attributes:
        scale: above 0, so that what was more probable stays so; the temperature is its inverse.
        offset: of the logit.
    """

    scale: float
    offset: float = 0.0

    def of_logit(self, logit: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Logits → scaled probabilities."""
        scaled = np.asarray(self.scale * logit + self.offset, np.float64)
        # The same as 1 / (1 + exp(−x)), without an overflow.
        return np.asarray(0.5 * (1 + np.tanh(0.5 * scaled)))

    def __call__(self, probability: float) -> float:
        """A probability 0…1, scaled."""
        return float(self.of_logit(to_logit(probability)))

    def of_map(self, probability: Probability) -> Probability:
        """A map of probabilities 0…1, scaled."""
        return self.of_logit(to_logit(probability)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Calibration:
    """What a checkpoint's metadata say under ``probability``.

    Attributes:
        pixel: from the network's logit to how often such a pixel is polyp.
        object: from an object's mean probability to how often such an object is one: its IoU with
            a true one is at least 0.5.
    """

    pixel: Scaling
    object: Scaling

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Calibration | None":
        """The inverse of `to_dict`; None of an empty one. What else is in it is not looked at.

        Raises:
            CheckpointError: it is of another form.
        """
        if not values:
            return None
        try:
            pixel, object_ = (
                Scaling(float(values[key]["scale"]), float(values[key]["offset"]))
                for key in ("pixel", "object")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError("the checkpoint's calibration is not understood") from error
        for scaling in (pixel, object_):
            if not (0 < scaling.scale < math.inf and math.isfinite(scaling.offset)):
                raise CheckpointError("the checkpoint's calibration is out of range")
        return cls(pixel, object_)
