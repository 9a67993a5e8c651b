"""The part of the picture that is analysed."""

from typing import TYPE_CHECKING, Literal

import av

from streamer.errors import StreamError
from streamer.frame import View
from streamer.planes import whole_samples

if TYPE_CHECKING:
    from streamer.sources.base import SourceInfo

#: Less than this, in px, shows the network nothing.
LEAST_SIDE = 16

#: What may be asked for: a part, all of it, or the field of view, found by looking.
Asked = View | Literal["auto", "whole"]
DEFAULT: Asked = "auto"
ALLOWED = "auto, whole, or four whole numbers X,Y,WIDTH,HEIGHT in px"


def parse_view(text: str) -> Asked:
    """What a user asks for.

    Raises:
        ValueError: it is none of `ALLOWED`.
    """
    if text == "auto":
        return "auto"
    if text == "whole":
        return "whole"
    parts = text.split(",")
    if len(parts) != 4 or not all(part.strip().isdecimal() for part in parts):
        raise ValueError(ALLOWED)
    return View(*(int(part) for part in parts))


def find_view(view: View | None, info: "SourceInfo") -> View:
    """The part to analyse; odd edges move outwards where chroma samples span two px.

    Args:
        view: what was asked for; None takes the whole picture.
        info: of the pictures.

    Raises:
        StreamError: it does not lie inside the picture, or is smaller than 16 px.
    """
    whole = View(0, 0, info.width, info.height)
    if view is None or view == whole:
        return whole
    large = min(view.x, view.y) >= 0 and min(view.width, view.height) >= LEAST_SIDE
    if not large or view.x + view.width > info.width or view.y + view.height > info.height:
        raise StreamError(
            f"the view {view.x},{view.y},{view.width},{view.height} does not lie inside the "
            f"picture of {info.width}x{info.height} px, or is smaller than {LEAST_SIDE} px"
        )
    return whole_samples(view, av.VideoFrame(info.width, info.height, info.pixel_format))
