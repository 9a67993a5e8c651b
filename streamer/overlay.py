"""Markers on the picture: boundary, translucent fill, corners of what is analysed, status badge.

Drawing happens in the Y, U and V planes themselves. A picture is never converted, so every pixel
outside the markers keeps its exact value.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from streamer.color import ColorDescription, rgb_to_yuv
from streamer.corners import corner_bars
from streamer.errors import StreamError
from streamer.frame import Segmentation, View
from streamer.objects import Outline, find_outline
from streamer.planes import Plane, Samples, bit_depth, is_on_gpu, planes

if TYPE_CHECKING:
    from streamer.gpu.overlay import Lines
    from streamer.gpu.picture import YuvPicture

Coverage = NDArray[np.uint8]
Rgb = tuple[int, int, int]

#: Fractional bits of the coordinates that OpenCV draws with.
_SHIFT = 4
#: How far, in px of the picture, a line is drawn beside the boundary at most, for fewer pieces:
#: each takes time, and a map that was enlarged has several of them a px.
_BESIDE_PX = 0.25
#: Coverage of the badge's plate, 0…255.
PLATE = 150
#: Width of the line around what is not confirmed yet, as a share of that around what is.
TENTATIVE_WIDTH = 0.4

_NAMED_COLORS: dict[str, Rgb] = {
    "green": (0, 255, 0),
    "yellow": (255, 255, 0),
    "cyan": (0, 255, 255),
    "blue": (64, 128, 255),
    "magenta": (255, 0, 255),
    "white": (255, 255, 255),
}


def parse_color(text: str) -> Rgb:
    """A colour name or ``#rrggbb`` as RGB.

    Raises:
        StreamError: neither.
    """
    if text.lower() in _NAMED_COLORS:
        return _NAMED_COLORS[text.lower()]
    if re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        red, green, blue = bytes.fromhex(text[1:])
        return red, green, blue
    names = ", ".join(_NAMED_COLORS)
    raise StreamError(f"unknown colour {text!r}; use #rrggbb or one of {names}")


@dataclass(frozen=True)
class Style:
    """How markers look.

    Attributes:
        color: RGB of boundary and fill.
        line_width_px: of the boundary; 0 takes 1/240 of the picture's height.
        fill_opacity: 0 (none) … 1.
        badge: whether the status badge is drawn.
    """

    color: Rgb = (0, 255, 0)
    line_width_px: int = 0
    fill_opacity: float = 0.0
    badge: bool = True


class Overlay:
    """Draws onto pictures of one source."""

    def __init__(self, style: Style, color: ColorDescription) -> None:
        self._style = style
        self._color = color

    def draw(
        self,
        picture: av.VideoFrame,
        segmentation: Segmentation | None,
        status: str,
        on_gpu: "YuvPicture | None" = None,
        view: View | None = None,
    ) -> av.VideoFrame:
        """Draw the markers into a picture.

        Args:
            picture: of a `DRAWABLE` format, or on the GPU. It is written to if nobody else holds
                it, and copied if the decoder still refers to it; so use the picture that is
                returned.
            segmentation: what to outline, if anything.
            status: text of the badge.
            on_gpu: the picture's samples there, if its network reads them there: the markers are
                then drawn there, and only what they change comes back.
            view: the part of the picture that is analysed, for the corner markers; None for all
                of it, which has none.
        """
        if is_on_gpu(picture):
            return self._draw_on_gpu(picture, segmentation, status, view)
        style = self._style
        if on_gpu is not None and segmentation is not None:
            from streamer.gpu.overlay import draw_into

            picture.make_writable()
            draw_into(picture, on_gpu, segmentation, self._lines(picture))
            segmentation = None
        fill = style.fill_opacity > 0
        outline = find_outline(segmentation, regions=fill) if segmentation else Outline([], [], [])
        if not any((outline.lines, outline.regions, outline.tentative, style.badge, view)):
            return picture
        # The decoder predicts later pictures from this one, so its buffer must stay untouched.
        picture.make_writable()
        code = rgb_to_yuv(style.color, self._color, bit_depth(picture))
        width_px, thin_width_px = self._widths_px(picture)
        lines, tentative = (
            [_simplify(line) for line in some] for some in (outline.lines, outline.tentative)
        )
        for plane in planes(picture):
            if fill:
                _draw_regions(plane, outline.regions, code, style.fill_opacity)
            _draw_lines(plane, lines, code, width_px)
            _draw_lines(plane, tentative, code, thin_width_px)
        if view is not None:
            self._draw_corners(picture, view)
        if style.badge:
            self._draw_badge(picture, status)
        return picture

    def _widths_px(self, picture: av.VideoFrame) -> tuple[int, int]:
        """Of the line around what is confirmed, and around what is tentative."""
        width_px = self._style.line_width_px or max(1, round(picture.height / 240))
        return width_px, max(1, round(width_px * TENTATIVE_WIDTH))

    def _draw_on_gpu(
        self,
        picture: av.VideoFrame,
        segmentation: Segmentation | None,
        status: str,
        view: View | None = None,
    ) -> av.VideoFrame:
        from streamer.gpu import overlay
        from streamer.gpu.surface import as_tensors

        tensors = as_tensors(picture)
        if segmentation is not None:
            overlay.draw_boundary(tensors, segmentation, self._lines(picture))
        if view is not None:
            code = rgb_to_yuv(self._style.color, self._color, 8)
            overlay.draw_bars(tensors, corner_bars(view, picture.height), code)
        if self._style.badge:
            text, margin_px = _render_badge(status, picture.height), _badge_margin_px(picture)
            black, white = self._badge_codes(8)
            overlay.draw_badge(tensors, overlay.Badge(text, margin_px, PLATE, black, white))
        return picture

    def _lines(self, picture: av.VideoFrame) -> "Lines":
        from streamer.gpu.overlay import Lines

        code = rgb_to_yuv(self._style.color, self._color, 8)
        return Lines(code, *self._widths_px(picture), self._style.fill_opacity)

    def _badge_codes(self, bits: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        """Code values of plate and text."""
        dark, light = (0, 0, 0), (255, 255, 255)
        return rgb_to_yuv(dark, self._color, bits), rgb_to_yuv(light, self._color, bits)

    def _draw_corners(self, picture: av.VideoFrame, view: View) -> None:
        code = rgb_to_yuv(self._style.color, self._color, bit_depth(picture))
        bars = corner_bars(view, picture.height)
        for plane in planes(picture):
            across, down = plane.step
            codes = [code[part] for part in plane.components]
            for left, top, right, bottom in bars:
                part = np.s_[top // down : bottom // down, left // across : right // across]
                plane.pixels[part] = codes

    def _draw_badge(self, picture: av.VideoFrame, status: str) -> None:
        bits = bit_depth(picture)
        black, white = self._badge_codes(bits)
        margin = _badge_margin_px(picture)
        for plane in planes(picture):
            across, down = plane.step
            rows = _badge_rows(status, picture.height, plane.step, bits)
            top, left = margin // down, margin // across
            window = plane.pixels[top : top + rows.shape[0], left : left + rows.shape[1]]
            rows = rows[: window.shape[0], : window.shape[1]]
            for place, part in enumerate(plane.components):
                table = _badge_table(black[part], white[part], bits)
                # Samples beyond the format's range, of a damaged picture, end in some colour.
                window[..., place] = table.take(rows + window[..., place], mode="clip")


def _badge_margin_px(picture: av.VideoFrame) -> int:
    return max(2, picture.height // 90) & ~1


@lru_cache(maxsize=16)
def _render_badge(status: str, height_px: int) -> Coverage:
    """Coverage of the badge's text, as large as its dark plate."""
    scale = max(height_px / 1100, 0.4)
    thickness = max(1, round(scale * 1.6))
    font = cv2.FONT_HERSHEY_SIMPLEX
    (width, height), baseline = cv2.getTextSize(status, font, scale, thickness)
    pad = max(2, round(height * 0.5))
    shape = ((height + baseline + 2 * pad + 1) & ~1, (width + 2 * pad + 1) & ~1)
    text = np.zeros(shape, np.uint8)
    cv2.putText(text, status, (pad, pad + height), font, scale, 255, thickness, cv2.LINE_AA)
    return text


@lru_cache(maxsize=64)
def _badge_rows(status: str, height_px: int, step: tuple[int, int], bits: int) -> NDArray[np.intp]:
    """For each sample of a plane, the place in `_badge_table` at which its text's row begins."""
    across, down = step
    return _render_badge(status, height_px)[::down, ::across].astype(np.intp) << bits


@lru_cache(maxsize=16)
def _badge_table(black: int, white: int, bits: int) -> NDArray[np.uint16]:
    """What old values become under the plate and its text, (256 · 2^bits,): a row a coverage.

    Looked up in one step, it takes a quarter of the time of mixing both colours in.
    """
    plate = _mixed(np.arange(1 << bits, dtype=np.uint16), PLATE, black).astype(np.uint16)
    coverage = np.arange(256, dtype=np.uint8)[:, None]
    return _mixed(plate, coverage, white).astype(np.uint16).ravel()


def _simplify(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """The line with fewer points; its ends stay."""
    closed = bool((line[0] == line[-1]).all())
    points = np.asarray(line[:-1] if closed else line, np.float32)
    kept = np.asarray(cv2.approxPolyDP(points, _BESIDE_PX, closed), np.float64)[:, 0]
    return np.concatenate([kept, kept[:1]]) if closed else kept


def _draw_lines(
    plane: Plane, lines: list[NDArray[np.float64]], code: tuple[int, ...], width_px: int
) -> None:
    # Half-size planes take half the width, but never less than one sample.
    thickness = max(1, round(width_px / max(plane.step)))
    moved = [_to_plane(line, plane) for line in lines]

    def paint(canvas: Samples, origin: NDArray[np.float64] | float, color: tuple[int, ...]) -> None:
        cv2.polylines(
            canvas,
            [_fixed_point(line - origin) for line in moved],
            isClosed=False,
            color=color,
            thickness=thickness,
            lineType=cv2.LINE_AA,
            shift=_SHIFT,
        )

    if plane.pixels.dtype == np.uint8 and len(plane.components) == 1:
        # OpenCV blends anti-aliased lines into such planes itself, in a third of the time.
        paint(plane.pixels, 0.0, tuple(code[part] for part in plane.components))
    else:
        _paint(plane, moved, lambda c, o: paint(c, o, (255,)), code, thickness + 1, 1.0)


def _draw_regions(
    plane: Plane,
    regions: list[list[NDArray[np.float64]]],
    code: tuple[int, ...],
    opacity: float,
) -> None:
    moved = [[_to_plane(ring, plane) for ring in rings] for rings in regions]

    def paint(canvas: Coverage, origin: NDArray[np.float64]) -> None:
        for rings in moved:
            # All rings in one call: OpenCV fills by the even-odd rule, which leaves the holes.
            cv2.fillPoly(
                canvas,
                [_fixed_point(ring - origin) for ring in rings],
                color=255,
                lineType=cv2.LINE_AA,
                shift=_SHIFT,
            )

    flat = [ring for rings in moved for ring in rings]
    _paint(plane, flat, paint, code, 1, opacity)


def _paint(
    plane: Plane,
    points: list[NDArray[np.float64]],
    paint: Callable[[Coverage, NDArray[np.float64]], None],
    code: tuple[int, ...],
    margin: int,
    opacity: float,
) -> None:
    """Run `paint` on a canvas just large enough for the points, and blend it into the plane."""
    if not points:
        return
    everything = np.concatenate(points)
    low = np.floor(everything.min(axis=0)).astype(int) - margin
    high = np.ceil(everything.max(axis=0)).astype(int) + margin + 1
    low = np.maximum(low, 0)
    high = np.minimum(high, plane.pixels.shape[1::-1])
    if (high <= low).any():
        return
    canvas = np.zeros((high[1] - low[1], high[0] - low[0]), np.uint8)
    paint(canvas, low.astype(np.float64))
    if opacity < 1:
        canvas = np.asarray(cv2.convertScaleAbs(canvas, alpha=opacity), np.uint8)
    window = plane.pixels[low[1] : high[1], low[0] : high[0]]
    _blend(window, canvas, [code[part] for part in plane.components])


def _blend(window: Samples, coverage: Coverage, code: list[int]) -> None:
    """Mix a colour into a window by coverage (0…255); uncovered samples are not written."""
    rows, columns = np.divmod(np.flatnonzero(coverage), coverage.shape[1])
    window[rows, columns] = _mixed(window[rows, columns], coverage[rows, columns, None], code)


def _mixed(old: Samples, share: Coverage | int, code: list[int] | int) -> NDArray[np.int32]:
    """Old values with a share (0…255) of the colour."""
    before = old.astype(np.int32)
    return before + ((np.array(code, np.int32) - before) * np.asarray(share, np.int32) + 127) // 255


def _to_plane(points: NDArray[np.float64], plane: Plane) -> NDArray[np.float64]:
    """Coordinates of the picture as those of a sub-sampled plane, centre upon centre."""
    return np.asarray((points + 0.5) / np.array(plane.step) - 0.5, np.float64)


def _fixed_point(points: NDArray[np.float64]) -> NDArray[np.int32]:
    return np.rint(points * (1 << _SHIFT)).astype(np.int32)
