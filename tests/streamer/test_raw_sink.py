"""The untouched pictures on record, and what live mode asks of recordings."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from streamer.errors import OutputError
from streamer.frame import Frame
from streamer.planes import DRAWABLE, copy_picture
from streamer.sinks import Composed, RawSink, VideoSink
from streamer.sinks.video import laid_out
from streamer.sources import SourceInfo

LIVE = Fraction(1, 90_000)
#: With a gap of ten minutes and one of a single unit.
PTS = [7, 3003, 6007, 54_006_007, 54_006_008, 54_012_000]

MakePicture = Callable[..., av.VideoFrame]
MakeInfo = Callable[..., SourceInfo]
ReadPlanes = Callable[[av.VideoFrame], list[NDArray[np.int64]]]


@pytest.fixture
def compose(make_frame: Callable[..., Frame], make_picture: MakePicture) -> Callable[..., Composed]:
    """A frame of noise, with a picture of other noise to be shown in its place."""

    def make(index: int, pts: int, pixel_format: str = "yuv420p", *size: int) -> Composed:
        raw = make_picture(pixel_format, *(size or (64, 48)), seed=index)
        shown = make_picture(pixel_format, *(size or (64, 48)), seed=1000 + index)
        frame = make_frame(index, pts, time_base=LIVE, picture=raw)
        return Composed(frame, shown, None, [])

    return make


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def samples(found: list[NDArray[np.int64]], like: list[NDArray[np.int64]]) -> list[list[int]]:
    """All samples of each component, without what was added to make sides even."""
    components = [plane[..., part] for plane in found for part in range(plane.shape[2])]
    wanted = [plane[..., part] for plane in like for part in range(plane.shape[2])]
    return [
        component[: shape.shape[0], : shape.shape[1]].ravel().tolist()
        for component, shape in zip(components, wanted, strict=False)
    ]


@pytest.mark.parametrize("size", [(64, 48), (63, 47)])
@pytest.mark.parametrize("pixel_format", sorted(DRAWABLE))
def test_exact_is_exact(
    pixel_format: str,
    size: tuple[int, int],
    tmp_path: Path,
    compose: Callable[..., Composed],
    make_info: MakeInfo,
    read_planes: ReadPlanes,
) -> None:
    path = tmp_path / "raw.mkv"
    info = make_info(
        width=size[0], height=size[1], pixel_format=pixel_format, time_base=LIVE, live=True
    )
    frames = [compose(index, pts, pixel_format, *size) for index, pts in enumerate(PTS)]
    sink = RawSink(path, info, exact=True)
    for composed in frames:
        sink.write(composed)
    sink.close()
    found = decoded(path)

    assert len(found) == len(frames)
    assert {(picture.width, picture.height) for picture in found} == {size}
    for picture, composed in zip(found, frames, strict=True):
        expected = read_planes(composed.frame.picture)
        assert samples(read_planes(picture), expected) == samples(expected, expected)
    if pixel_format.startswith("yuvj"):
        assert found[0].color_range == ColorRange.JPEG


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_pictures_without_markers_and_their_times(
    suffix: str,
    tmp_path: Path,
    compose: Callable[..., Composed],
    make_info: MakeInfo,
    read_planes: ReadPlanes,
) -> None:
    path = tmp_path / f"raw{suffix}"
    frames = [compose(index, pts) for index, pts in enumerate(PTS)]
    if suffix == ".mkv":
        # It counts in ms.
        frames = [composed for composed in frames if composed.frame.index != 4]
    sink = RawSink(path, make_info(time_base=LIVE, live=True), quality=0)
    for composed in frames:
        sink.write(composed)
    sink.close()
    found = decoded(path)
    times = [picture.pts * picture.time_base for picture in found]  # type: ignore[operator]

    unit = Fraction(1, 2000) if suffix == ".mkv" else Fraction(0)
    assert all(
        abs(time - composed.frame.pts * LIVE) <= unit
        for time, composed in zip(times, frames, strict=True)
    )
    for picture, composed in zip(found, frames, strict=True):
        expected = read_planes(composed.frame.picture)
        assert samples(read_planes(picture), expected) == samples(expected, expected)


def test_near_is_near(
    tmp_path: Path, compose: Callable[..., Composed], make_info: MakeInfo
) -> None:
    """Tissue is smooth, unlike the noise of the other tests."""
    rows, columns = np.mgrid[:288, :256]
    pixels = (128 + 60 * np.sin(columns / 20) * np.cos(rows / 15)).astype(np.uint8)
    picture = av.VideoFrame.from_ndarray(pixels, "yuv420p")
    composed = compose(0, 0)
    composed = replace(composed, frame=replace(composed.frame, picture=picture))
    path = tmp_path / "raw.mp4"
    sink = RawSink(path, make_info(width=256, height=192, time_base=LIVE, live=True))
    sink.write(composed)
    sink.close()
    (found,) = decoded(path)
    away = np.abs(found.to_ndarray().astype(int) - pixels)

    assert away.mean() < 1
    assert away.max() <= 6


@pytest.mark.parametrize("name", ["raw.mp4", "raw", "raw.avi"])
def test_exact_needs_matroska(name: str, tmp_path: Path, make_info: MakeInfo) -> None:
    with pytest.raises(OutputError, match=r"exact recordings need a \.mkv file"):
        RawSink(tmp_path / name, make_info(), exact=True)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("kind", [VideoSink, RawSink])
def test_pictures_that_others_hold_are_left_alone(
    kind: type[VideoSink],
    exact: bool,
    tmp_path: Path,
    compose: Callable[..., Composed],
    make_info: MakeInfo,
) -> None:
    """Several sinks encode one picture at the same time, each with times of its own."""
    sink = kind(tmp_path / "raw.mkv", make_info(time_base=LIVE, live=True), exact=exact)
    for index in range(3):
        composed = compose(index, 9000 * index)
        shared = replace(composed, picture=composed.frame.picture)
        picture = shared.picture
        picture.pts, picture.time_base = 42, Fraction(1, 7)
        picture.pict_type = av.video.frame.PictureType.P
        before = picture.to_ndarray().copy()
        sink.write(shared)

        assert (picture.pts, picture.time_base) == (42, Fraction(1, 7))
        assert picture.pict_type == av.video.frame.PictureType.P
        np.testing.assert_array_equal(picture.to_ndarray(), before)
    sink.close()


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("kind", [VideoSink, RawSink])
def test_which_picture(
    kind: type[VideoSink],
    exact: bool,
    tmp_path: Path,
    compose: Callable[..., Composed],
    make_info: MakeInfo,
) -> None:
    composed = compose(0, 0)
    sink = kind(tmp_path / "one.mkv", make_info(time_base=LIVE, live=True), quality=0, exact=exact)
    sink.write(composed)
    sink.close()
    (found,) = decoded(tmp_path / "one.mkv")
    expected = composed.frame.picture if kind is RawSink else composed.picture

    np.testing.assert_array_equal(
        found.to_ndarray(format="yuv420p"), expected.to_ndarray(format="yuv420p")
    )


class TestCopy:
    @pytest.mark.parametrize(
        ("pixel_format", "other"),
        [
            *((name, None) for name in sorted(DRAWABLE)),
            ("nv12", "yuv420p"),
            ("yuv420p", "nv12"),
            ("yuvj422p", "yuv422p"),
        ],
    )
    def test_holds_the_same_in_memory_of_its_own(
        self,
        pixel_format: str,
        other: str | None,
        make_picture: MakePicture,
        read_planes: ReadPlanes,
        write_planes: Callable[..., None],
    ) -> None:
        picture = make_picture(pixel_format, 63, 47)
        expected = read_planes(picture)
        copy = laid_out(picture, other) if other else copy_picture(picture)
        assert copy.format.name == (other or pixel_format)
        assert samples(read_planes(copy), read_planes(copy)) == samples(expected, expected)
        write_planes(copy, [plane * 0 for plane in read_planes(copy)])

        for plane, content in zip(read_planes(picture), expected, strict=True):
            np.testing.assert_array_equal(plane, content)

    def test_says_the_same_of_its_colours(self, make_picture: MakePicture) -> None:
        picture = make_picture("nv12")
        picture.colorspace, picture.color_range = Colorspace.ITU709, ColorRange.JPEG
        picture.color_primaries, picture.color_trc = ColorPrimaries.BT2020, ColorTrc.LINEAR

        for copy in (copy_picture(picture), laid_out(picture, "yuv420p")):
            assert (copy.colorspace, copy.color_range) == (Colorspace.ITU709, ColorRange.JPEG)
            assert copy.color_primaries == ColorPrimaries.BT2020
            assert copy.color_trc == ColorTrc.LINEAR
