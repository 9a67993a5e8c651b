"""Whether a picture looks like those that the network was trained on.

A network answers on anything, also on a ceiling lamp before the endoscope is inserted. Brightness,
contrast, sharpness and colours of a picture, in a dozen numbers, are compared with those of the
training pictures: the farther away (Mahalanobis), the less its answer can be relied on. A blurred
picture is near to the smoothest of them, so that there is a least sharpness besides. It is a
warning and no more: it never hides a mask.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.color import ColorDescription
from streamer.frame import Frame, View
from streamer.motion import Luma
from streamer.planes import bit_depth, on_host, planes

Features = NDArray[np.float64]

#: What `features_of` gives, in this order; of what is lit, but for the first. Luma is 0…1, colour
#: differences are −0.5…0.5.
NAMES = (
    "lit share",
    "luma, mean",
    "luma, log deviation",
    "luma, log gradient",
    "luma, log fine gradient",
    "blue difference, mean",
    "red difference, mean",
    "blue difference, log deviation",
    "red difference, log deviation",
    "red difference, the tenth that is least",
)
#: Luma up to this is the black around the endoscope's picture, 0…1.
_BLACK = 0.05
#: About so many chroma samples across and down.
_GRID = 48
#: Pictures are looked at so far apart: live ones wait for it, and within `HOLD_S` that is enough.
STEP_S = 0.1
#: How long pictures have to be unlike, or like again, until that is told.
HOLD_S = 0.5
#: What the badge says then.
OUT_OF_VIEW = "OUT OF VIEW"
#: Added before a logarithm: what nobody sees.
_LEAST = 0.002


def features_of(
    picture: av.VideoFrame, view: View, luma: Luma, color: ColorDescription
) -> Features:
    """Brightness, contrast, sharpness and colours of the view, (len(NAMES),).

    Args:
        picture: of a `DRAWABLE` format, in memory of the host.
        luma: `small_luma` of the view.
    """
    low, span = (0, 255) if color.full_range else (16, 219)
    bright = ((luma.astype(np.float32) - low) / span).clip(0, 1)
    lit = np.asarray(cv2.compare(bright, _BLACK, cv2.CMP_GT), np.uint8)  # type: ignore[call-overload]
    blue, red = _differences(picture, view, 255 if color.full_range else 224)
    # Where it is lit, on the grid of the chroma samples.
    resized = cv2.resize(lit, blue.shape[::-1], interpolation=cv2.INTER_NEAREST)
    seen = np.asarray(resized, np.uint8)
    if not cv2.countNonZero(lit) or not cv2.countNonZero(seen):
        return np.zeros(len(NAMES))
    # The rim of the endoscope's picture is the sharpest edge of all, and says nothing.
    inside = np.asarray(cv2.erode(lit, np.ones((5, 5), np.uint8)), np.uint8)
    inside = inside if cv2.countNonZero(inside) else lit
    soft = cv2.blur(bright, (3, 3))
    across = cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=0.25)
    down = cv2.Sobel(soft, cv2.CV_32F, 0, 1, scale=0.25)
    coarse = cv2.mean(cv2.magnitude(across, down), mask=inside)[0]
    fine = cv2.mean(cv2.absdiff(bright, soft), mask=inside)[0]
    luma_mean, luma_deviation = _mean_and_deviation(bright, lit)
    blue_mean, blue_deviation = _mean_and_deviation(blue, seen)
    red_mean, red_deviation = _mean_and_deviation(red, seen)
    reds = red[seen > 0]
    place = len(reds) // 10
    return np.array(
        [
            cv2.countNonZero(lit) / lit.size,
            luma_mean,
            np.log(luma_deviation + _LEAST),
            np.log(coarse + _LEAST),
            np.log(fine + _LEAST),
            blue_mean,
            red_mean,
            np.log(blue_deviation + _LEAST),
            np.log(red_deviation + _LEAST),
            np.partition(reds, place)[place],
        ],
        np.float64,
    )


def _mean_and_deviation(
    values: NDArray[np.float32], mask: NDArray[np.uint8]
) -> tuple[float, float]:
    mean, deviation = cv2.meanStdDev(values, mask=mask)
    return float(mean[0, 0]), float(deviation[0, 0])


def _differences(
    picture: av.VideoFrame, view: View, span: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Samples (h, w) of U and V of the view, as −0.5…0.5; zero where there is no colour."""
    found: dict[int, NDArray[np.float32]] = {}
    scale = 2.0 ** (8 - bit_depth(picture))
    for plane in planes(picture)[1:]:
        across, down = plane.step
        part = plane.pixels[
            view.y // down : -(-(view.y + view.height) // down),
            view.x // across : -(-(view.x + view.width) // across),
        ]
        steps = [max(1, side // _GRID) for side in part.shape[:2]]
        sampled = part[:: steps[0], :: steps[1]].astype(np.float32) * scale
        for place, component in enumerate(plane.components):
            found[component] = np.asarray((sampled[..., place] - 128) / span, np.float32)
    none = np.zeros((_GRID, _GRID), np.float32)
    return found.get(1, none), found.get(2, none)


@dataclass(frozen=True)
class Familiar:
    """What the training pictures look like.

    Attributes:
        mean: of their features, (n,).
        whitening: (n, n), makes of a difference from the mean one whose length is the distance.
        limit: distance that all but a few of the training pictures are within.
        least: (n,), what a feature has to reach, below its mean; −inf where it may be anything.
    """

    mean: Features
    whitening: Features
    limit: float
    least: Features

    def distance(self, features: Features) -> float:
        """How far away a picture is, in units of what is allowed: above 1 it is unlike."""
        apart = features - self.mean
        far = float(np.linalg.norm(self.whitening @ apart) / self.limit)
        return max(far, float((apart / (self.least - self.mean)).max()))

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON types."""
        return {
            "features": list(NAMES),
            "mean": self.mean.round(6).tolist(),
            "whitening": self.whitening.round(6).tolist(),
            "limit": round(self.limit, 4),
            "least": {
                place: round(least, 4)
                for place, least in enumerate(self.least.tolist())
                if np.isfinite(least)
            },
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Familiar":
        """The inverse of `to_dict`."""
        least = np.full(len(values["mean"]), -np.inf)
        for place, value in values["least"].items():
            least[int(place)] = value
        return cls(
            np.array(values["mean"]), np.array(values["whitening"]), float(values["limit"]), least
        )


@cache
def bundled() -> Familiar:
    """That of the bundled network; `python -m calibration.familiar` fits it."""
    text = Path(__file__).with_suffix(".json").read_text(encoding="utf-8")
    return Familiar.from_dict(json.loads(text))


class FamiliarWatch:
    """Looks at one picture after the other; one odd picture does not change its mind."""

    def __init__(self) -> None:
        self._familiar = bundled()
        #: What was found so far.
        self.out_of_view = False
        self._since_s: float | None = None
        self._looked_s = float("-inf")

    def look(self, frame: Frame, view: View, luma: Luma) -> bool:
        """Whether the pictures have been unlike those of the training for `HOLD_S`.

        Args:
            view: the analysed part of the picture.
            luma: `small_luma` of it.
        """
        if 0 <= frame.time_s - self._looked_s < STEP_S:
            return self.out_of_view
        self._looked_s = frame.time_s
        features = features_of(on_host(frame.picture), view, luma, frame.color)
        return self.take(self._familiar.distance(features) > 1, frame.time_s)

    def take(self, unlike: bool, time_s: float) -> bool:
        """The same for a picture that was looked at, at a media time; a jump back begins anew."""
        if unlike == self.out_of_view:
            self._since_s = None
            return self.out_of_view
        if self._since_s is None or time_s < self._since_s:
            self._since_s = time_s
        if time_s - self._since_s >= HOLD_S:
            self.out_of_view, self._since_s = unlike, None
        return self.out_of_view
