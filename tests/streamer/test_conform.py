"""Pictures brought to what was announced."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import av
import numpy as np
import pytest
from av.video.reformatter import VideoReformatter
from numpy.typing import NDArray

from streamer.color import ColorDescription
from streamer.errors import SourceError
from streamer.planes import DRAWABLE
from streamer.sources import SourceInfo
from streamer.sources.conform import Conformer, Unpacker, drawable_format

MakePicture = Callable[..., av.VideoFrame]
MakeInfo = Callable[..., SourceInfo]
Read = Callable[[av.VideoFrame], list[NDArray[np.int64]]]

PACKED = ["yuyv422", "uyvy422", "yvyu422", "nv16", "nv21", "nv24", "p010le", "p210le", "y210le"]
LIMITED_709 = ColorDescription("bt709", full_range=False, guessed=False)


def noise(pixel_format: str) -> av.VideoFrame:
    """A picture of random legal samples in any format."""
    picture = av.VideoFrame(64, 48, pixel_format)
    rng = np.random.default_rng(3)
    for plane in picture.planes:
        if picture.format.components[0].bits > 8:
            # The ten bits are the upper ones of each word.
            words = rng.integers(0, 1024, plane.buffer_size // 2, np.uint16) << 6
            plane.update(words.astype(np.uint16).tobytes())
        else:
            plane.update(rng.integers(0, 256, plane.buffer_size, np.uint8).tobytes())
    return picture


def rows(picture: av.VideoFrame) -> list[bytes]:
    """The samples without the padding at the end of each line."""
    held = []
    for index, plane in enumerate(picture.planes):
        parts = [part for part in picture.format.components if part.plane == index]
        bits = 8 if picture.format.components[0].bits == 8 else 16
        # A packed 4:2:2 line has two samples per pixel, else each component one of its own.
        each = 2 if len(picture.planes) == 1 else len(parts)
        width = (picture.width if len(picture.planes) == 1 else plane.width) * each * bits // 8
        lines = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, -1)
        held.append(lines[:, :width].tobytes())
    return held


class TestUnpacker:
    @pytest.mark.parametrize("pixel_format", PACKED)
    def test_no_sample_changes(self, pixel_format: str) -> None:
        packed = noise(pixel_format)
        unpacked = Unpacker().unpack(packed)
        again = VideoReformatter().reformat(unpacked, format=pixel_format)

        assert unpacked.format.name in DRAWABLE
        assert rows(again) == rows(packed)

    def test_packed_pixels_land_in_their_planes(self, read_planes: Read) -> None:
        packed = av.VideoFrame(4, 2, "yuyv422")
        packed.planes[0].update(
            b"".join(
                bytes([1 + line, 50, 2 + line, 90, 3 + line, 51, 4 + line, 91]).ljust(
                    packed.planes[0].line_size, b"\0"
                )
                for line in (0, 100)
            )
        )
        luma, blue, red = read_planes(Unpacker().unpack(packed))

        assert luma[..., 0].tolist() == [[1, 2, 3, 4], [101, 102, 103, 104]]
        assert blue[..., 0].tolist() == [[50, 51], [50, 51]]
        assert red[..., 0].tolist() == [[90, 91], [90, 91]]

    @pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "rgb24", "bgr0"])
    def test_others_pass(self, pixel_format: str) -> None:
        picture = av.VideoFrame(64, 48, pixel_format)

        assert Unpacker().unpack(picture) is picture


class TestConformer:
    def test_what_fits_is_the_very_same(
        self, make_picture: MakePicture, make_info: MakeInfo
    ) -> None:
        info, picture = make_info(), make_picture()

        assert Conformer(info).conform(picture, info.color) is picture

    def test_what_was_guessed_or_said_is_no_difference(
        self, make_picture: MakePicture, make_info: MakeInfo
    ) -> None:
        info, picture = make_info(), make_picture()

        assert Conformer(info).conform(picture, replace(info.color, guessed=True)) is picture

    @pytest.mark.parametrize(
        ("size", "pixel_format"), [((32, 24), "yuv420p"), ((64, 48), "nv12"), ((96, 32), "rgb24")]
    )
    def test_size_and_format(
        self, make_info: MakeInfo, size: tuple[int, int], pixel_format: str
    ) -> None:
        info = make_info()
        picture = av.VideoFrame(*size, pixel_format)
        conformed = Conformer(info).conform(picture, info.color)

        assert (conformed.width, conformed.height) == (info.width, info.height)
        assert conformed.format.name == info.pixel_format

    @pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12"])
    def test_gray_stays_gray_and_keeps_its_level_between_ranges(
        self, make_picture: MakePicture, make_info: MakeInfo, read_planes: Read, pixel_format: str
    ) -> None:
        info = make_info(pixel_format=pixel_format)
        picture = make_picture(pixel_format, codes=(255, 128, 128))
        full = replace(info.color, full_range=True)
        conformed = Conformer(info).conform(picture, full)

        assert np.abs(read_planes(conformed)[0] - 235).max() <= 1

    def test_matrix_is_converted(
        self, make_picture: MakePicture, make_info: MakeInfo, read_planes: Read
    ) -> None:
        info = make_info()
        # Red by BT.709 and by BT.601, as code values.
        picture = make_picture(codes=(63, 102, 240))
        luma, blue, red = read_planes(Conformer(info).conform(picture, LIMITED_709))

        for plane, code in ((luma, 81), (blue, 90), (red, 240)):
            assert np.abs(plane - code).max() <= 2

    @pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv444p", "yuv420p10le", "gray"])
    @pytest.mark.parametrize(
        ("size", "inner"),
        [
            ((128, 48), (slice(12, 36), slice(0, 64))),
            ((48, 96), (slice(0, 48), slice(20, 44))),
            ((720, 540), None),
            ((704, 540), None),
            ((640, 2), (slice(22, 26), slice(0, 64))),
        ],
    )
    def test_another_shape_is_not_stretched(
        self,
        make_picture: MakePicture,
        make_info: MakeInfo,
        read_planes: Read,
        pixel_format: str,
        size: tuple[int, int],
        inner: tuple[slice, slice] | None,
    ) -> None:
        info = make_info(pixel_format=pixel_format)
        scale = 4 if "10" in pixel_format else 1
        codes = (200 * scale, 128 * scale, 128 * scale)[: 1 if pixel_format == "gray" else 3]
        picture = make_picture(pixel_format, *size, codes=codes)
        conformed = Conformer(info, keep_shape=True).conform(picture, info.color)
        luma, *chroma = read_planes(conformed)
        expected = np.full((48, 64), 16)
        expected[inner if inner is not None else ...] = 200

        assert (conformed.width, conformed.height) == (64, 48)
        assert np.abs(luma[..., 0] / scale - expected).max() <= 1
        assert all(np.abs(plane / scale - 128).max() <= 1 for plane in chroma)

    def test_shape_counts_the_shape_of_pixels(
        self, make_picture: MakePicture, make_info: MakeInfo, read_planes: Read
    ) -> None:
        conformer = Conformer(make_info(width=1280, height=720), keep_shape=True)
        picture = make_picture("yuv420p", 720, 576, codes=(200, 128, 128))
        color = make_info().color
        wide = read_planes(conformer.conform(picture, color, Fraction(64, 45)))[0]
        narrow = read_planes(conformer.conform(picture, color, Fraction(16, 15)))[0]

        assert wide.min() > 190
        assert [narrow[0, x, 0] > 100 for x in (150, 170, 1110, 1130)] == [False, True, True, False]

    def test_bars_are_black_in_full_range(
        self, make_picture: MakePicture, make_info: MakeInfo, read_planes: Read
    ) -> None:
        color = replace(make_info().color, full_range=True)
        picture = make_picture("yuv420p", 128, 48, codes=(200, 128, 128))
        conformer = Conformer(make_info(color=color), keep_shape=True)

        assert read_planes(conformer.conform(picture, color))[0][0].max() == 0

    def test_time_goes_along(self, make_info: MakeInfo) -> None:
        info, picture = make_info(), av.VideoFrame(32, 24, "yuv420p")
        picture.pts = 7

        assert Conformer(info).conform(picture, info.color).pts == 7

    def test_impossible_format_is_an_error(self, make_info: MakeInfo) -> None:
        info = make_info(pixel_format="pal8")

        with pytest.raises(SourceError, match="made up: pictures of format yuv420p"):
            Conformer(info).conform(av.VideoFrame(64, 48, "yuv420p"), info.color)


def test_announced_format_can_be_drawn_into() -> None:
    assert drawable_format("yuv422p10le") == "yuv422p10le"
    assert drawable_format("bgr0") == "yuv420p"
