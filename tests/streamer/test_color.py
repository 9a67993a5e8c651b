"""Colour: what a stream says or leaves unsaid, overlay colours, the network's RGB input."""

import av
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from hypothesis import given
from hypothesis import strategies as st

from streamer.color import LUMA_WEIGHTS, ColorDescription, describe, rgb_to_yuv
from streamer.planes import DRAWABLE, bit_depth, planes
from streamer.rgb import RgbReader

# AVColorSpace values of ITU-T H.273.
RGB, BT709, UNSPECIFIED, FCC, BT470BG, SMPTE170M, BT2020_NCL, BT2020_CL = 0, 1, 2, 4, 5, 6, 9, 10

SWSCALE = {
    "bt601": Colorspace.ITU601,
    "bt709": Colorspace.ITU709,
    "bt2020": Colorspace.BT2020,
}
COLORS = [
    (0, 0, 0),
    (255, 255, 255),
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 0),
    (0, 255, 255),
    (255, 0, 255),
    (128, 128, 128),
    (190, 92, 71),
    (64, 128, 255),
]
DESCRIPTIONS = [
    ColorDescription(matrix, full_range, guessed=False)
    for matrix in LUMA_WEIGHTS
    for full_range in (False, True)
]
#: Invariant 9: ±2 of 255.
TOLERANCE = 2


def tagged(
    width: int = 64,
    height: int = 48,
    pixel_format: str = "yuv420p",
    *,
    matrix: int = UNSPECIFIED,
    color_range: ColorRange = ColorRange.UNSPECIFIED,
) -> av.VideoFrame:
    picture = av.VideoFrame(width, height, pixel_format)
    picture.colorspace, picture.color_range = matrix, color_range
    return picture


def filled(picture: av.VideoFrame, rgb: tuple[int, int, int], color: ColorDescription) -> None:
    bits = picture.format.components[0].bits
    code = rgb_to_yuv(rgb, color, bits)
    for plane in planes(picture):
        plane.pixels[:] = [code[part] for part in plane.components]


@pytest.mark.parametrize(
    ("height", "expected"), [(480, "bt601"), (576, "bt601"), (720, "bt709"), (1080, "bt709")]
)
def test_untagged_is_decided_by_size(height: int, expected: str) -> None:
    assert describe(tagged(64, height)) == ColorDescription(expected, False, guessed=True)


@pytest.mark.parametrize("height", [48, 1080])
@pytest.mark.parametrize(
    ("matrix", "expected"),
    [
        (BT709, "bt709"),
        (BT470BG, "bt601"),
        (SMPTE170M, "bt601"),
        (BT2020_NCL, "bt2020"),
        (BT2020_CL, "bt2020"),
    ],
)
@pytest.mark.parametrize("color_range", [ColorRange.MPEG, ColorRange.JPEG])
def test_tags_win_over_size(
    height: int, matrix: int, expected: str, color_range: ColorRange
) -> None:
    picture = tagged(64, height, matrix=matrix, color_range=color_range)

    assert describe(picture) == ColorDescription(
        expected, color_range == ColorRange.JPEG, guessed=False
    )


@pytest.mark.parametrize(
    ("matrix", "color_range"),
    [(BT709, ColorRange.UNSPECIFIED), (UNSPECIFIED, ColorRange.MPEG), (RGB, ColorRange.JPEG)],
)
def test_half_a_tag_is_still_a_guess(matrix: int, color_range: ColorRange) -> None:
    assert describe(tagged(matrix=matrix, color_range=color_range)).guessed


@pytest.mark.parametrize("pixel_format", ["yuvj420p", "yuvj422p", "yuvj444p"])
def test_full_range_formats_are_full_range_without_a_tag(pixel_format: str) -> None:
    assert describe(tagged(pixel_format=pixel_format)).full_range


def test_overrides_win_over_tags() -> None:
    picture = tagged(matrix=BT709, color_range=ColorRange.MPEG)

    assert describe(picture, matrix="bt2020") == ColorDescription("bt2020", False, False)
    assert describe(picture, full_range=True) == ColorDescription("bt709", True, False)
    assert describe(picture, matrix="bt601", full_range=True) == ColorDescription(
        "bt601", True, False
    )


def test_overrides_of_all_that_is_unsaid_leave_no_guess() -> None:
    assert describe(tagged(), matrix="bt709").guessed
    assert describe(tagged(), full_range=False).guessed
    assert not describe(tagged(), matrix="bt709", full_range=False).guessed


def test_a_full_range_format_can_be_overridden() -> None:
    assert not describe(tagged(pixel_format="yuvj420p"), full_range=False).full_range


def test_text_says_matrix_range_and_whether_it_is_a_guess() -> None:
    assert str(ColorDescription("bt709", False, True)) == "bt709 limited range (assumed)"
    assert str(ColorDescription("bt601", True, False)) == "bt601 full range"


@pytest.mark.parametrize("bits", [8, 10])
@pytest.mark.parametrize("color", DESCRIPTIONS, ids=str)
def test_overlay_colors_are_those_of_swscale(color: ColorDescription, bits: int) -> None:
    for rgb in COLORS:
        source = av.VideoFrame.from_ndarray(np.full((16, 16, 3), rgb, np.uint8), format="rgb24")
        converted = source.reformat(
            format="yuv444p" if bits == 8 else "yuv444p10le",
            dst_colorspace=SWSCALE[color.matrix],
            src_color_range=ColorRange.JPEG,
            dst_color_range=ColorRange.JPEG if color.full_range else ColorRange.MPEG,
            interpolation=Interpolation.BILINEAR | Interpolation.ACCURATE_RND,
        )
        expected = [plane.pixels[8, 8, 0] for plane in planes(converted)]
        scale = 1 << (bits - 8)

        np.testing.assert_allclose(
            rgb_to_yuv(rgb, color, bits), expected, rtol=0, atol=TOLERANCE * scale, err_msg=str(rgb)
        )


@given(
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255)),
    st.sampled_from(DESCRIPTIONS),
    st.sampled_from([8, 10]),
)
def test_overlay_colors_are_legal_codes(
    rgb: tuple[int, int, int], color: ColorDescription, bits: int
) -> None:
    scale = 1 << (bits - 8)
    y, u, v = rgb_to_yuv(rgb, color, bits)
    low, high_y, high_c = (
        (0, 256 * scale - 1, 256 * scale - 1)
        if color.full_range
        else (16 * scale, 235 * scale, 240 * scale)
    )

    assert low <= y <= high_y
    assert low <= u <= high_c
    assert low <= v <= high_c


@pytest.mark.parametrize("size", [(352, 288), (704, 576), (357, 201)])
@pytest.mark.parametrize("color", DESCRIPTIONS, ids=str)
@pytest.mark.parametrize("pixel_format", sorted(DRAWABLE - {"gray"}))
def test_network_sees_the_true_colors(
    pixel_format: str, color: ColorDescription, size: tuple[int, int]
) -> None:
    reader = RgbReader()
    picture = tagged(*size, pixel_format)
    for rgb in COLORS[::3]:
        filled(picture, rgb, color)
        image = reader.read(picture, color, 96, 96)

        np.testing.assert_allclose(image.astype(int) - rgb, 0, atol=TOLERANCE, err_msg=str(rgb))


@pytest.mark.parametrize("pixel_format", sorted(DRAWABLE))
def test_threads_of_the_reader_change_no_sample(pixel_format: str) -> None:
    picture = tagged(357, 201, pixel_format)
    for index, plane in enumerate(planes(picture)):
        largest = (1 << bit_depth(picture)) - 1
        plane.pixels[:] = np.random.default_rng(index).integers(0, largest, plane.pixels.shape)
    for color in DESCRIPTIONS:
        images = [RgbReader(threads).read(picture, color, 96, 96) for threads in (1, 2, 3)]

        np.testing.assert_array_equal(images[1], images[0])
        np.testing.assert_array_equal(images[2], images[0])


@pytest.mark.parametrize("full_range", [False, True])
def test_network_sees_the_true_grays(full_range: bool) -> None:
    color = ColorDescription("bt601", full_range, guessed=False)
    reader = RgbReader()
    picture = tagged(70, 50, "gray")
    for level in (0, 60, 128, 200, 255):
        filled(picture, (level,) * 3, color)
        image = reader.read(picture, color, 32, 32)

        np.testing.assert_allclose(image.astype(int), level, atol=TOLERANCE)


def test_description_counts_and_not_the_pictures_own_tags() -> None:
    color = ColorDescription("bt601", False, guessed=False)
    picture = tagged(matrix=BT2020_NCL, color_range=ColorRange.JPEG)
    filled(picture, (190, 92, 71), color)
    image = RgbReader().read(picture, color, 32, 32)

    np.testing.assert_allclose(image.astype(int) - (190, 92, 71), 0, atol=TOLERANCE)
    assert (picture.colorspace, picture.color_range) == (BT2020_NCL, ColorRange.JPEG)


def test_one_reader_takes_pictures_of_changing_kinds() -> None:
    reader = RgbReader()
    for pixel_format, color in zip(
        ("yuv420p", "yuvj420p", "nv12", "yuv420p10le"), DESCRIPTIONS, strict=False
    ):
        picture = tagged(128, 96, pixel_format)
        filled(picture, (30, 160, 90), color)
        image = reader.read(picture, color, 64, 64)

        np.testing.assert_allclose(image.astype(int) - (30, 160, 90), 0, atol=TOLERANCE)


@pytest.mark.parametrize("size_px", [352, 97, 64])
def test_reducing_averages_and_does_not_alias(size_px: int) -> None:
    picture = tagged(704, 704)
    luma, *chroma = planes(picture)
    rows, columns = np.mgrid[:704, :704]
    luma.pixels[..., 0] = np.where((rows + columns) % 2, 235, 16)
    for plane in chroma:
        plane.pixels[:] = 128
    image = RgbReader().read(picture, ColorDescription("bt601", False, False), size_px, size_px)

    np.testing.assert_allclose(image[2:-2, 2:-2].astype(int), 127.5, atol=TOLERANCE)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv420p10le", "gray", "yuvj422p"])
@pytest.mark.parametrize("source", [(1, 1), (2, 3), (33, 17), (161, 91), (96, 64)])
def test_image_has_the_asked_size_and_is_rgb_bytes(
    pixel_format: str, source: tuple[int, int]
) -> None:
    picture = tagged(*source, pixel_format)
    color = ColorDescription("bt709", False, False)
    filled(picture, (200, 200, 200), color)
    image = RgbReader().read(picture, color, 96, 64)

    assert image.shape == (64, 96, 3)
    assert image.dtype == np.uint8
    np.testing.assert_allclose(image.astype(int), 200, atol=TOLERANCE)


def test_images_of_two_pictures_do_not_share_memory() -> None:
    reader, color = RgbReader(), ColorDescription("bt601", True, False)
    first, second = tagged(), tagged()
    filled(first, (10, 10, 10), color)
    filled(second, (240, 240, 240), color)
    image = reader.read(first, color, 32, 32)
    before = image.copy()
    reader.read(second, color, 32, 32)

    np.testing.assert_array_equal(image, before)


def test_reading_leaves_the_picture_alone() -> None:
    picture = tagged()
    rng = np.random.default_rng(2)
    for plane in planes(picture):
        plane.pixels[:] = rng.integers(0, 256, plane.pixels.shape)
    before = [plane.pixels.copy() for plane in planes(picture)]
    RgbReader().read(picture, describe(picture), 20, 20)

    for plane, old in zip(planes(picture), before, strict=True):
        np.testing.assert_array_equal(plane.pixels, old)


def test_left_and_upper_half_stay_where_they_are() -> None:
    """No mirror, no transposition, no shift: colour edges in the middle stay in the middle."""
    picture = tagged(640, 480)
    color = ColorDescription("bt601", True, False)
    filled(picture, (0, 0, 0), color)
    planes(picture)[0].pixels[:, :320] = 100
    planes(picture)[0].pixels[:240] += 100
    image = RgbReader().read(picture, color, 64, 64)[..., 1].astype(int)

    for rows, columns, level in (
        (slice(0, 31), slice(0, 31), 200),
        (slice(0, 31), slice(33, 64), 100),
        (slice(33, 64), slice(0, 31), 100),
        (slice(33, 64), slice(33, 64), 0),
    ):
        np.testing.assert_allclose(image[rows, columns], level, atol=TOLERANCE)
    np.testing.assert_allclose(image[10, 31] + image[10, 32], 300, atol=2 * TOLERANCE)
