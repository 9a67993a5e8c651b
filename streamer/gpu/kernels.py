"""Triton kernels: a picture's planes to the network's input, and markers into the planes.

Imported only where there is a GPU, or by tests with Triton's interpreter. What each computes is
defined by its plain form: `reading.read_plain` and `drawing.draw_plain`.
"""

from typing import Any

import triton
import triton.language as tl
from torch import Tensor

from streamer.gpu.drawing import DIRECTIONS, RINGS, Marking
from streamer.gpu.picture import YuvPicture
from streamer.gpu.reading import Reading

#: Samples of the output for one program.
_READ_BLOCK = 128
_DRAW_BLOCK = 256


@triton.jit
def _scaled(
    plane, row_stride, column_stride, first_row, row_weights, first_column, column_weights,
    y, x, inside, row_taps, column_taps,
):  # fmt: skip
    """The weighted sum of the samples of a plane that belong to places (y, x) of the output."""
    top = tl.load(first_row + y)
    left = tl.load(first_column + x, mask=inside, other=0)
    total = tl.zeros(x.shape, tl.float32)
    for row in range(row_taps):
        line = plane + (top + row) * row_stride
        sum_of_line = tl.zeros(x.shape, tl.float32)
        for column in range(column_taps):
            weight = tl.load(column_weights + x * column_taps + column, mask=inside, other=0.0)
            sample = tl.load(line + (left + column) * column_stride, mask=inside, other=0)
            sum_of_line += weight * sample.to(tl.float32)
        total += tl.load(row_weights + y * row_taps + row) * sum_of_line
    return total


#: Triton would compile anew, which takes a second, for pictures whose rows are longer by a few
#: bytes and for views of another size or that begin elsewhere: in live mode in the middle of a run.
_GEOMETRY = (
    *("luma_stride", "chroma_stride"),
    *("row_taps", "column_taps", "chroma_row_taps", "chroma_column_taps"),
)
_PLANES = ("luma", "blue", "red")


@triton.jit(do_not_specialize=_GEOMETRY, do_not_specialize_on_alignment=_PLANES)
def _read(
    luma, luma_stride, blue, red, chroma_stride, chroma_step,
    rows, row_weights, columns, column_weights,
    chroma_rows, chroma_row_weights, chroma_columns, chroma_column_weights,
    out, out_plane, out_row, out_column, size,
    offset, scale, red_by_red, green_by_blue, green_by_red, blue_by_blue,
    red_mean, green_mean, blue_mean, red_gain, green_gain, blue_gain,
    row_taps, column_taps, chroma_row_taps, chroma_column_taps, BLOCK: tl.constexpr,
):  # fmt: skip
    y = tl.program_id(0)
    x = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = x < size
    base = _scaled(
        luma, luma_stride, 1, rows, row_weights, columns, column_weights,
        y, x, inside, row_taps, column_taps,
    )  # fmt: skip
    b = _scaled(
        blue, chroma_stride, chroma_step, chroma_rows, chroma_row_weights,
        chroma_columns, chroma_column_weights, y, x, inside, chroma_row_taps, chroma_column_taps,
    ) - 128  # fmt: skip
    r = _scaled(
        red, chroma_stride, chroma_step, chroma_rows, chroma_row_weights,
        chroma_columns, chroma_column_weights, y, x, inside, chroma_row_taps, chroma_column_taps,
    ) - 128  # fmt: skip
    base = (base - offset) * scale
    first = tl.minimum(tl.maximum(base + red_by_red * r, 0.0), 255.0)
    second = tl.minimum(tl.maximum(base + green_by_blue * b + green_by_red * r, 0.0), 255.0)
    third = tl.minimum(tl.maximum(base + blue_by_blue * b, 0.0), 255.0)
    place = out + y * out_row + x * out_column
    kind = out.dtype.element_ty
    tl.store(place, ((first - red_mean) * red_gain).to(kind), mask=inside)
    tl.store(place + out_plane, ((second - green_mean) * green_gain).to(kind), mask=inside)
    tl.store(place + 2 * out_plane, ((third - blue_mean) * blue_gain).to(kind), mask=inside)


def launch_read(picture: YuvPicture, reading: Reading, out: Tensor) -> None:
    """See `reading.read`; runs on the current stream."""
    size = out.shape[-1]
    axes = (reading.rows, reading.columns, reading.chroma_rows, reading.chroma_columns)
    tables: list[Any] = [table for axis in axes for table in (axis.first, axis.weights)]
    terms = reading.terms
    _read[(size, triton.cdiv(size, _READ_BLOCK))](
        picture.luma, picture.luma.stride(0),
        picture.blue, picture.red, picture.blue.stride(0), picture.blue.stride(1),
        *tables,
        out, *out.stride(), size,
        terms.offset, terms.scale,
        terms.red_by_red, terms.green_by_blue, terms.green_by_red, terms.blue_by_blue,
        *terms.means, *terms.gains,
        *(axis.weights.shape[1] for axis in axes),
        BLOCK=_READ_BLOCK,
    )  # fmt: skip


@triton.jit
def _sampled(level, across, down, x, y):
    """The map between its pixels, bilinear; beyond its edge it goes on as it is there."""
    x = tl.minimum(tl.maximum(x, 0.0), across - 1.0)
    y = tl.minimum(tl.maximum(y, 0.0), down - 1.0)
    left, top = tl.floor(x), tl.floor(y)
    share_x, share_y = x - left, y - top
    column, row = left.to(tl.int32), top.to(tl.int32)
    right = tl.minimum(column + 1, across - 1)
    upper, lower = level + row * across, level + tl.minimum(row + 1, down - 1) * across
    above = tl.load(upper + column) * (1 - share_x) + tl.load(upper + right) * share_x
    below = tl.load(lower + column) * (1 - share_x) + tl.load(lower + right) * share_x
    return above * (1 - share_y) + below * share_y


#: What changes from picture to picture. Triton would compile anew for each that is 1 or a multiple
#: of 16, which takes seconds, in the middle of a run.
_CHANGING = ("row_stride", "view_x", "view_y", "left", "top", "right")


@triton.jit(do_not_specialize=_CHANGING, do_not_specialize_on_alignment=("plane",))
def _draw(
    plane, row_stride, column_stride, step, code, level, thin, across, down, threshold,
    view_x, view_y, per_column, per_row, left, top, right, width_px, thin_width_px, opacity,
    directions,
    DIRECTIONS: tl.constexpr, RINGS: tl.constexpr, FILLS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    y = top + tl.program_id(0)
    x = left + tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside_window = x < right
    # Centre upon centre: of the plane, of the picture, of the map.
    map_x = ((x + 0.5) * step - view_x) * per_column - 0.5
    map_y = ((y + 0.5) * step - view_y) * per_row - 0.5 + tl.zeros(x.shape, tl.float32)
    here = _sampled(level, across, down, map_x, map_y) >= threshold
    column = tl.minimum(tl.maximum(map_x + 0.5, 0.0), across - 1.0).to(tl.int32)
    row = tl.minimum(tl.maximum(map_y + 0.5, 0.0), down - 1.0).to(tl.int32)
    is_thin = tl.load(thin + row * across + column) != 0
    radius = tl.where(is_thin, thin_width_px, width_px) / 2
    rings = tl.zeros(x.shape, tl.float32)
    for ring in tl.static_range(RINGS):
        reach = radius + (ring + 0.5) / RINGS - 0.5
        crosses = tl.zeros(x.shape, tl.int32)
        for direction in tl.static_range(DIRECTIONS):
            dx = tl.load(directions + 2 * direction) * reach * per_column
            dy = tl.load(directions + 2 * direction + 1) * reach * per_row
            there = _sampled(level, across, down, map_x + dx, map_y + dy) >= threshold
            crosses |= (there != here).to(tl.int32)
        rings += crosses.to(tl.float32)
    coverage = rings / RINGS
    if FILLS:
        coverage = tl.maximum(coverage, tl.where(here & (is_thin == 0), opacity, 0.0))
    within = inside_window & (x >= left)
    place = plane + y * row_stride + x * column_stride
    old = tl.load(place, mask=within, other=0).to(tl.float32)
    new = tl.floor(old + (code - old) * coverage + 0.5)
    tl.store(place, new.to(tl.uint8), mask=within & (coverage > 0))


def launch_draw(picture: YuvPicture, marking: Marking) -> None:
    """See `drawing.draw`; runs on the current stream."""
    down, across = marking.level.shape
    for plane, code, step in marking.planes(picture):
        left, top, right, bottom = marking.window(step, plane.shape)
        if right <= left or bottom <= top:
            continue
        width_px, thin_width_px = marking.widths_px(step)
        _draw[(bottom - top, triton.cdiv(right - left, _DRAW_BLOCK))](
            plane, *plane.stride(), step, float(code),
            marking.level, marking.thin, across, down, marking.threshold,
            marking.view.x, marking.view.y, across / marking.view.width, down / marking.view.height,
            left, top, right, width_px, thin_width_px, marking.opacity,
            marking.directions,
            DIRECTIONS=DIRECTIONS, RINGS=RINGS, FILLS=marking.opacity > 0, BLOCK=_DRAW_BLOCK,
        )  # fmt: skip
