"""What a network says of a clip, kept so that any number of settings can be replayed over it.

The network runs once per frame; what is done with its answers over time costs little and is what is
compared. Clips are meant to be seconds to a minute long: all of one is held in memory.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from demos.benchmarks.flow_methods import MEDIUM, dis
from pranet.errors import DataError
from pranet.metrics.detection import Masks
from pranet.metrics.temporal import Flow
from pranet.sequence import Truth
from streamer.confidence import Calibration
from streamer.engine import Pending, Segmenter
from streamer.frame import Frame, View
from streamer.motion import Luma, find_motion, small_luma
from streamer.objects import full_size_mask
from streamer.planes import planes
from streamer.sources import open_source
from streamer.temporal import Stabiliser, Temporal

Image = NDArray[np.uint8]

VIDEO_SUFFIX, MASKS_SUFFIX = ".mp4", "_masks.mkv"
#: Height and width of the masks that are scored, whatever the network's are: figures in px mean
#: the same for all networks.
SIZE_PX = 352
WHOLE = View(0, 0, SIZE_PX, SIZE_PX)
#: A frame takes 0.6 MB, so this many take 2 GB.
MAX_FRAMES = 3600
#: RGB levels up to this one are the black around the endoscope's picture.
BLACK = 24
#: Where the picture is brighter than that in this share of the frames, something is seen.
SEEN_SHARE = 0.1


@dataclass(frozen=True)
class Clip:
    """A clip and the video of its true masks, if there is one."""

    video: Path
    masks: Path | None

    @property
    def name(self) -> str:
        return self.video.stem


def find_clips(folder: Path) -> list[Clip]:
    """All clips ``NAME.mp4`` of a folder with their ``NAME_masks.mkv``, sorted by name.

    Raises:
        DataError: no clips, or masks without a clip.
    """
    videos = sorted(folder.glob(f"*{VIDEO_SUFFIX}"))
    masks = {path.name: path for path in sorted(folder.glob(f"*{MASKS_SUFFIX}"))}
    clips = [Clip(video, masks.pop(video.stem + MASKS_SUFFIX, None)) for video in videos]
    if not clips:
        raise DataError(f"{folder}: no clips found; they are named NAME{VIDEO_SUFFIX}")
    if masks:
        raise DataError(f"{next(iter(masks.values()))}: there is no clip to these masks")
    return clips


@dataclass(frozen=True)
class Recording:
    """What is needed of a clip of n frames.

    Attributes:
        name: of the clip.
        times_s: (n,), of the source.
        probabilities: the network's maps (h, w), half precision.
        lumas: `small_luma` of the whole picture.
        flows: of the n − 1 steps: for each px of the later small luma, (h, w, 2), how far to the
            right and down it was in the earlier one; None where it shows another scene.
        truth: at `SIZE_PX`; None where there are no masks.
    """

    name: str
    times_s: NDArray[np.float64]
    probabilities: list[NDArray[np.float16]]
    lumas: list[Luma]
    flows: list[Flow | None]
    truth: Truth | None


def record(segmenter: Segmenter, clip: Clip) -> Recording:
    """Decode a clip and let the network see every frame of it, as file mode does.

    Raises:
        DataError: the masks do not belong to the clip, or it is too long.
        SourceError: one of the videos cannot be read.
        EngineError: the network failed.
    """
    size_px, streams = segmenter.info.input_size, segmenter.info.streams
    reader = segmenter.reader()
    under_way: deque[Pending] = deque()
    times_s: list[float] = []
    probabilities: list[NDArray[np.float16]] = []
    lumas: list[Luma] = []
    lit = np.zeros((size_px, size_px), np.int64)
    view = WHOLE
    for frame in frames_of(clip.video):
        if len(times_s) == MAX_FRAMES:
            raise DataError(f"{clip.video}: has more than {MAX_FRAMES} frames; cut it into parts")
        image = reader.read(frame.picture, frame.color)
        under_way.append(segmenter.submit(image))
        if len(under_way) == streams:
            probabilities.append(under_way.popleft().result().astype(np.float16))
        times_s.append(frame.time_s)
        view = View(0, 0, frame.picture.width, frame.picture.height)
        lumas.append(small_luma(frame.picture, view))
        lit += image.max(axis=2) > BLACK
    probabilities += [pending.result().astype(np.float16) for pending in under_way]
    truth = None
    if clip.masks is not None:
        inside = _read_masks(clip.masks, len(times_s), view)
        truth = Truth(inside, _seen(lit >= SEEN_SHARE * len(times_s)))
    return Recording(clip.name, np.array(times_s), probabilities, lumas, list(_flows(lumas)), truth)


def frames_of(video: Path) -> Iterator[Frame]:
    """The frames of a video, without what else is in it."""
    # Absolute: a bare name could be an alias.
    with closing(open_source(str(video.absolute()))) as source:
        yield from (item for item in source if isinstance(item, Frame))


def _read_masks(path: Path, frames: int, view: View) -> Masks:
    inside = np.zeros((frames, SIZE_PX, SIZE_PX), np.bool_)
    count = 0
    for frame in frames_of(path):
        picture = frame.picture
        if picture.format.name != "gray":
            raise DataError(f"{path}: gray masks are needed, not {picture.format.name}")
        if (picture.width, picture.height) != (view.width, view.height):
            raise DataError(
                f"{path}: masks are {picture.width}x{picture.height}, "
                f"the clip is {view.width}x{view.height}"
            )
        if count < frames:
            plane = planes(picture)[0].pixels[..., 0]
            small = cv2.resize(plane, (SIZE_PX, SIZE_PX), interpolation=cv2.INTER_AREA)
            inside[count] = np.asarray(small) > 127
        count += 1
    if count != frames:
        raise DataError(f"{path}: has {count} frames, the clip has {frames}")
    return inside


def _seen(lit: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where the endoscope's picture is, at `SIZE_PX`; what is dark inside it belongs to it."""
    outlines, _ = cv2.findContours(lit.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros(lit.shape, np.uint8), outlines, -1, 1, cv2.FILLED)
    size = (SIZE_PX, SIZE_PX)
    return np.asarray(cv2.resize(filled, size, interpolation=cv2.INTER_NEAREST)) > 0


def _flows(lumas: list[Luma]) -> Iterator[Flow | None]:
    """The motion in each step, found more carefully than the engine does, and not by its means.

    Masks that were moved along by a flow would agree with that same flow wherever it is wrong.
    """
    find = dis(MEDIUM)
    for then, now in pairwise(lumas):
        yield None if find_motion(then, now) is None else find(then, now)


def replay(
    recording: Recording,
    temporal: Temporal,
    threshold: float = 0.5,
    calibration: Calibration | None = None,
) -> Masks:
    """The masks (n, SIZE_PX, SIZE_PX) that a run with these settings would have shown.

    Only objects that count (confirmed ones) are in them.
    """
    stabiliser = Stabiliser(temporal, WHOLE, threshold)
    stabiliser.judge_by(calibration)
    masks = np.zeros((len(recording.times_s), SIZE_PX, SIZE_PX), np.bool_)
    frames = zip(recording.probabilities, recording.lumas, recording.times_s, strict=True)
    for index, (probability, luma, time_s) in enumerate(frames):
        segmentation = stabiliser.steady(probability.astype(np.float32), luma, float(time_s))
        masks[index] = full_size_mask(segmentation, SIZE_PX, SIZE_PX) > 0
    return masks
