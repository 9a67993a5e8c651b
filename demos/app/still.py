"""One picture: the network runs once, and a new threshold only draws anew."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from demos.app.choices import Choices, Engine
from demos.app.notices import spell_share
from streamer.color import ColorDescription
from streamer.confidence import Calibration
from streamer.engine import Segmenter
from streamer.errors import SourceError
from streamer.frame import Frame, Probability, Segmentation, View
from streamer.objects import DetectedObject, find_objects
from streamer.overlay import Overlay
from streamer.rgb import RgbReader
from streamer.sinks.snapshot import BgrReader
from streamer.sources.images import ImageSource

#: Longest side of what is shown; the network sees the picture at its own size.
MAX_SIDE_PX = 1600
#: How much of the heat map's colour lies over the picture where the probability is 1.
_HEAT = 0.75
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, 88)

#: The picture as it is drawn upon: RGB as YUV without loss of places.
_COLOR = ColorDescription("bt601", full_range=True, guessed=False)


@dataclass(frozen=True)
class Still:
    """A picture and what the network says of it.

    Attributes:
        planes: (3, height, width) uint8: Y, U, V, full range, BT.601.
        probability: (h, w) at network size, 0…1.
        calibration: of the network.
    """

    planes: NDArray[np.uint8]
    probability: Probability
    calibration: Calibration | None = None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height in px."""
        return self.planes.shape[2], self.planes.shape[1]

    @property
    def heat(self) -> Probability:
        """How often such pixels are polyp, as far as the network's checkpoint says."""
        known = self.calibration
        return self.probability if known is None else known.pixel.of_map(self.probability)

    def segmentation(self, threshold: float) -> Segmentation:
        """What is polyp at a threshold."""
        return Segmentation(self.probability, View(0, 0, *self.size), threshold)


@dataclass(frozen=True)
class StillOrder:
    """A picture to run the network on. Its folder holds it and nothing else."""

    folder: Path
    engine: Engine
    max_pixels: int

    def run(
        self, segmenter: Segmenter, tell: Callable[[object], None], cancelled: Callable[[], bool]
    ) -> Still:
        """Decode, run the network, scale down what is only to be shown.

        Raises:
            PranetError: the picture cannot be read or is too large, or the engine failed.
        """
        frame = self._read()
        image = segmenter.reader().read(frame.picture, frame.color)
        probability = segmenter.submit(image).result()
        return Still(_shown(frame), probability, segmenter.info.calibration)

    def _read(self) -> Frame:
        try:
            source = ImageSource(str(self.folder))
        except SourceError:
            raise SourceError(
                "This is not a picture that can be read: JPEG, PNG, WebP, TIFF or BMP is needed."
            ) from None
        info = source.info
        if info.width * info.height > self.max_pixels:
            raise SourceError(
                f"The picture has {info.width}x{info.height} px; at most "
                f"{self.max_pixels / 1e6:.1f} megapixels are taken here."
            )
        frame = next(iter(source))
        assert isinstance(frame, Frame)
        return frame


def _shown(frame: Frame) -> NDArray[np.uint8]:
    picture = frame.picture
    scale = min(1.0, MAX_SIDE_PX / max(picture.width, picture.height))
    width, height = (max(1, round(scale * side)) for side in (picture.width, picture.height))
    rgb = RgbReader().read(picture, frame.color, width, height)
    shown = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(
        format="yuv444p",
        dst_colorspace=av.video.reformatter.Colorspace.ITU601,
        dst_color_range=av.video.reformatter.ColorRange.JPEG,
    )
    return np.ascontiguousarray(shown.to_ndarray())


def _picture(still: Still) -> av.VideoFrame:
    picture = av.VideoFrame.from_ndarray(still.planes, format="yuv444p")
    picture.color_range = av.video.reformatter.ColorRange.JPEG
    return picture


def draw_boundary(still: Still, threshold: float, choices: Choices) -> bytes:
    """The picture with the boundary at a threshold, as JPEG."""
    overlay = Overlay(choices.style(badge=False), _COLOR)
    drawn = overlay.draw(_picture(still), still.segmentation(threshold), "")
    return _jpeg(BgrReader().read(drawn, _COLOR))


def draw_heat(still: Still) -> bytes:
    """The picture under the probabilities as colours, as JPEG: clear at 0, yellow at 1."""
    picture = BgrReader().read(_picture(still), _COLOR)
    scaled = cv2.resize(still.heat, still.size, interpolation=cv2.INTER_LINEAR)
    levels = np.asarray(np.rint(scaled.clip(0, 1) * 255), np.uint8)
    colors = np.asarray(cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO), np.float32)
    share = (_HEAT * np.sqrt(scaled.clip(0, 1)))[..., None]
    mixed = picture * (1 - share) + colors * share
    return _jpeg(np.asarray(np.rint(mixed), np.uint8))


def _jpeg(picture: NDArray[np.uint8]) -> bytes:
    _, packed = cv2.imencode(".jpg", picture, _JPEG)
    return packed.tobytes()


def describe(still: Still, threshold: float) -> str:
    """What is found at a threshold, in words."""
    found = find_objects(still.segmentation(threshold), still.calibration)
    highest = float(still.probability.max())
    if not found:
        return f"Nothing reaches {threshold:.2f}; the highest probability is {highest:.2f}."
    width, height = still.size
    told = ", ".join(_tell(each, width * height) for each in found[:3])
    more = f", and {len(found) - 3} smaller" if len(found) > 3 else ""
    count = "One region" if len(found) == 1 else f"{len(found)} regions"
    return f"{count} at {threshold:.2f}: {told}{more}."


def _tell(found: DetectedObject, pixels: int) -> str:
    share = spell_share(found.area_px / pixels)
    told = f"{share} of the picture, mean probability {found.mean_probability:.2f}"
    return told if found.confidence is None else f"{told}, confidence {found.confidence:.2f}"
