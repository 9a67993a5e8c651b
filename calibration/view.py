"""The field of view of a source, found by looking at it, for the settings file."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from streamer.errors import OutputError, SourceEndedError, SourceError
from streamer.field_of_view import FieldOfView
from streamer.frame import Frame
from streamer.rgb import RgbReader
from streamer.sinks.base import prepare_path, reporting_errors
from streamer.sources import LiveSource, is_live, open_live, open_source
from streamer.view_finder import Stretch
from streamer.view_watch import STEP_S

#: Fractional bits of the coordinates that OpenCV draws with.
_SHIFT = 4
_GREEN = (0, 255, 0)


@dataclass(frozen=True)
class Found:
    """What was seen of a source.

    Attributes:
        name: of the source, without a password.
        field: its field of view, or None where none is sure.
        frame: the last one that was looked at.
    """

    name: str
    field: FieldOfView | None
    frame: Frame


def look_at(source: str, seconds: float) -> Found:
    """Look at the first seconds of a source, some pictures in each.

    Raises:
        SourceError: it cannot be opened, or has no picture.
    """
    name, frames, close = _open(source)
    stretch = Stretch()
    last: Frame | None = None
    end_s = float("inf")
    try:
        for frame in frames:
            end_s = min(end_s, frame.time_s + seconds)
            if frame.time_s > end_s:
                break
            if last is None or frame.time_s - last.time_s >= STEP_S:
                stretch.add(frame.picture)
                last = frame
    finally:
        close()
    if last is None:
        raise SourceError(f"{name}: has no picture")
    return Found(name, stretch.view(), last)


def _open(source: str) -> tuple[str, Iterator[Frame], Callable[[], None]]:
    """The source's name, its frames, and what closes it."""
    if is_live(source):
        live = open_live(source)(None)
        return live.info.name, _frames_of(live), live.close
    finite = open_source(source)
    frames = (item for item in finite if isinstance(item, Frame))
    return finite.info.name, frames, finite.close


def _frames_of(live: LiveSource) -> Iterator[Frame]:
    with suppress(SourceEndedError):
        while True:
            yield live.read()


def draw_outline(found: Found, path: Path) -> None:
    """Write the last picture with the outline of the view, and the box around it, as PNG.

    Raises:
        OutputError: it cannot be written.
    """
    picture = found.frame.picture
    image = RgbReader().read(picture, found.frame.color, picture.width, picture.height)
    if found.field is not None:
        points = np.rint(found.field.outline * (1 << _SHIFT)).astype(np.int32)
        cv2.polylines(image, [points], True, _GREEN, 1, cv2.LINE_AA, _SHIFT)
        box = found.field.box
        end = (box.x + box.width - 1, box.y + box.height - 1)
        cv2.rectangle(image, (box.x, box.y), end, _GREEN, 1)
    path = prepare_path(path)
    if path.suffix.lower() != ".png":
        raise OutputError(f"{path}: --picture writes .png")
    _, png = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR))
    with reporting_errors(path):
        path.write_bytes(png.tobytes())
