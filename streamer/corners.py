"""Corner markers: four small angles that show which part of the picture is analysed."""

from typing import NamedTuple

from streamer.frame import View

#: Length and width of an arm, as shares of the picture's height, and the least width in px.
_LENGTH, _WIDTH, _LEAST_PX = 0.03, 1 / 360, 2
#: Edges lie on multiples of this: whole samples of every plane.
_SAMPLE_PX = 2


class Bar(NamedTuple):
    """A filled rectangle in px of the picture; right and bottom are excluded."""

    left: int
    top: int
    right: int
    bottom: int


def corner_bars(view: View, picture_height_px: int) -> list[Bar]:
    """The two arms at each corner, inside the view but for what whole chroma samples need."""
    width = max(_LEAST_PX, _even(picture_height_px * _WIDTH))
    longest = min(view.width, view.height) / 3
    length = max(width, _even(min(picture_height_px * _LENGTH, longest)))
    left, top = _even(view.x), _even(view.y)
    right, bottom = _even(view.x + view.width), _even(view.y + view.height)
    bars = []
    # Each side of a corner by the signs that lead inwards.
    for x, inwards in ((left, 1), (right, -1)):
        for y, down in ((top, 1), (bottom, -1)):
            bars.append(_bar(x, y, inwards * length, down * width))
            bars.append(_bar(x, y, inwards * width, down * length))
    return bars


def _bar(x: int, y: int, across: int, down: int) -> Bar:
    """The one between a point and another one that lies so far off."""
    return Bar(min(x, x + across), min(y, y + down), max(x, x + across), max(y, y + down))


def _even(px: float) -> int:
    return int(px) // _SAMPLE_PX * _SAMPLE_PX
