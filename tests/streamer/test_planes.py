"""Pictures' planes as arrays: in place, exact, in every format that can be drawn into."""

from collections.abc import Callable
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from streamer.frame import View
from streamer.planes import DRAWABLE, bit_depth, blank_like, crop, pad_to_even, planes

FORMATS = sorted(DRAWABLE)
SIZES = [(64, 48), (63, 47), (1, 1), (33, 2)]

MakePicture = Callable[..., av.VideoFrame]
ReadPlanes = Callable[[av.VideoFrame], list[NDArray[np.int64]]]


def chroma_step(pixel_format: str) -> tuple[int, int]:
    """(across, down) px for one chroma sample, from the format's name."""
    if "420" in pixel_format or pixel_format == "nv12":
        return 2, 2
    return (2, 1) if "422" in pixel_format else (1, 1)


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_planes_have_the_shapes_of_the_format(
    pixel_format: str, width: int, height: int, make_picture: MakePicture
) -> None:
    found = planes(make_picture(pixel_format, width, height))
    across, down = chroma_step(pixel_format)
    chroma_size = (-(-height // down), -(-width // across))
    expected: list[tuple[tuple[int, ...], tuple[int, ...]]] = [((0,), (height, width, 1))]
    if pixel_format == "nv12":
        expected += [((1, 2), (*chroma_size, 2))]
    elif pixel_format != "gray":
        expected += [((1,), (*chroma_size, 1)), ((2,), (*chroma_size, 1))]

    assert [(plane.components, plane.pixels.shape) for plane in found] == expected
    assert {plane.pixels.dtype.itemsize for plane in found} == {1 + ("10le" in pixel_format)}


@pytest.mark.parametrize("size", [(64, 48), (63, 47), (33, 5)])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_step_is_px_per_sample(
    pixel_format: str, size: tuple[int, int], make_picture: MakePicture
) -> None:
    luma, *chroma = planes(make_picture(pixel_format, *size))

    assert luma.step == (1, 1)
    assert {plane.step for plane in chroma} <= {chroma_step(pixel_format)}


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_planes_read_and_write_the_picture_itself(
    pixel_format: str, size: tuple[int, int], make_picture: MakePicture, read_planes: ReadPlanes
) -> None:
    picture = make_picture(pixel_format, *size)
    expected = read_planes(picture)
    for plane, content in zip(planes(picture), expected, strict=True):
        np.testing.assert_array_equal(plane.pixels, content)
        row, column = content.shape[0] // 2, content.shape[1] - 1
        plane.pixels[row, column] = content[row, column] = 77

    for after, content in zip(read_planes(picture), expected, strict=True):
        np.testing.assert_array_equal(after, content)


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_bit_depth(pixel_format: str) -> None:
    assert bit_depth(av.VideoFrame(16, 16, pixel_format)) == (10 if "10le" in pixel_format else 8)


@pytest.mark.parametrize(
    "view",
    [
        View(0, 0, 64, 48),
        View(16, 8, 32, 24),
        View(10, 6, 31, 17),
        View(7, 5, 30, 20),
        View(7, 5, 31, 21),
        View(63, 47, 1, 1),
        View(1, 0, 63, 48),
    ],
    ids=str,
)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_crop_is_a_slice_moved_out_to_whole_chroma_samples(
    pixel_format: str, view: View, make_picture: MakePicture, read_planes: ReadPlanes
) -> None:
    picture = make_picture(pixel_format)
    across, down = chroma_step(pixel_format)
    left, top = view.x // across * across, view.y // down * down
    right, bottom = view.x + view.width, view.y + view.height
    whole = read_planes(picture)
    expected = [whole[0][top:bottom, left:right]] + [
        chroma[top // down : -(-bottom // down), left // across : -(-right // across)]
        for chroma in whole[1:]
    ]
    part = crop(picture, view)

    assert (part.width, part.height) == (right - left, bottom - top)
    assert part.format.name == pixel_format
    for found, wanted in zip(read_planes(part), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_crop_is_a_copy(make_picture: MakePicture, read_planes: ReadPlanes) -> None:
    picture = make_picture()
    before = read_planes(picture)
    part = crop(picture, View(8, 8, 16, 16))
    for plane in planes(part):
        plane.pixels[:] = 0

    for now, old in zip(read_planes(picture), before, strict=True):
        np.testing.assert_array_equal(now, old)


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48), (1, 1)])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_padding_repeats_the_last_column_and_row(
    pixel_format: str, size: tuple[int, int], make_picture: MakePicture, read_planes: ReadPlanes
) -> None:
    picture = make_picture(pixel_format, *size)
    padded = pad_to_even(picture)
    width, height = (side + side % 2 for side in size)
    across, down = chroma_step(pixel_format)

    assert (padded.width, padded.height) == (width, height)
    for index, (found, old) in enumerate(
        zip(read_planes(padded), read_planes(picture), strict=True)
    ):
        step_across, step_down = (across, down) if index else (1, 1)
        rows, columns = height // step_down - old.shape[0], width // step_across - old.shape[1]
        np.testing.assert_array_equal(
            found, np.pad(old, ((0, rows), (0, columns), (0, 0)), mode="edge")
        )


@pytest.mark.parametrize("pixel_format", FORMATS)
def test_even_pictures_are_not_copied(pixel_format: str, make_picture: MakePicture) -> None:
    picture = make_picture(pixel_format, 62, 46)

    assert pad_to_even(picture) is picture


def test_blank_picture_keeps_time_and_color_tags(make_picture: MakePicture) -> None:
    picture = make_picture("yuv422p10le")
    picture.pts, picture.time_base = 12345, Fraction(1001, 30000)
    picture.colorspace, picture.color_range = Colorspace.BT2020, ColorRange.JPEG
    picture.color_primaries, picture.color_trc = ColorPrimaries.BT2020, ColorTrc.SMPTE2084
    blank = blank_like(picture, 30, 20)

    assert (blank.width, blank.height, blank.format.name) == (30, 20, "yuv422p10le")
    assert (blank.pts, blank.time_base) == (12345, Fraction(1001, 30000))
    assert (blank.colorspace, blank.color_range) == (Colorspace.BT2020, ColorRange.JPEG)
    assert blank.color_primaries == ColorPrimaries.BT2020
    assert blank.color_trc == ColorTrc.SMPTE2084


def test_blank_picture_of_one_without_time(make_picture: MakePicture) -> None:
    picture = make_picture()
    assert picture.time_base is None
    blank = blank_like(picture, 30, 20)

    assert (blank.pts, blank.time_base) == (None, None)
