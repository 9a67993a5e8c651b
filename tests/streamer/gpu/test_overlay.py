"""Markers drawn by tensors, held against those that OpenCV draws on the CPU."""

from collections.abc import Callable

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.utils.dlpack import from_dlpack

from streamer.color import ColorDescription
from streamer.frame import Segmentation, Track, Tracks, View
from streamer.gpu.picture import YuvPicture
from streamer.gpu.surface import adopt, as_tensors, download
from streamer.overlay import Overlay, Style
from streamer.planes import planes
from streamer.sinks.video import laid_out

COLOR = ColorDescription("bt709", False, False)
WIDTH_PX, HEIGHT_PX, SIZE_PX = 320, 240, 88


@pytest.fixture
def picture() -> Callable[[], av.VideoFrame]:
    def make() -> av.VideoFrame:
        made = av.VideoFrame(WIDTH_PX, HEIGHT_PX, "nv12")
        rng = np.random.default_rng(0)
        for plane in planes(made):
            plane.pixels[:] = rng.integers(16, 236, plane.pixels.shape)
        return made

    return make


def blob(*, confirmed: bool = True, view: View | None = None) -> Segmentation:
    y, x = np.mgrid[:SIZE_PX, :SIZE_PX]
    distance = np.hypot(x - 40, 1.3 * (y - 45)) - 22 - 5 * np.sin(x / 6)
    probability = (1 / (1 + np.exp(distance / 1.5))).astype(np.float32)
    track = Track(1, 0.0, 40.0, 0.9, confirmed)
    tracks = Tracks((probability >= 0.5).astype(np.uint8), (track,))
    return Segmentation(probability, view or View(0, 0, WIDTH_PX, HEIGHT_PX), 0.5, tracks)


def by_tensors(
    overlay: Overlay, made: av.VideoFrame, seen: Segmentation | None, view: View | None = None
) -> av.VideoFrame:
    """What `Overlay.draw` does with a picture on the GPU, on one of the host."""
    return overlay._draw_on_gpu(made, seen, "RUNNING", view)


def changed(made: av.VideoFrame, before: av.VideoFrame, plane: int = 0) -> NDArray[np.bool_]:
    pairs = zip(planes(made), planes(before), strict=True)
    pixels = [(one.pixels != other.pixels).any(axis=2) for one, other in pairs]
    return pixels[plane]


def grown(where: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return cv2.dilate(where.astype(np.uint8), np.ones((3, 3), np.uint8)).astype(bool)


def strength(made: av.VideoFrame) -> NDArray[np.float64]:
    """How much of each luma sample a white line covers, on a black picture."""
    return (planes(made)[0].pixels[..., 0].astype(float) - 16) / 219


@pytest.mark.parametrize("confirmed", [True, False], ids=["confirmed", "tentative"])
@pytest.mark.parametrize("view", [None, View(80, 40, 160, 160)], ids=["all", "part"])
@pytest.mark.parametrize("width_px", [1, 2, 4, 5, 8])
def test_lines_are_as_opencv_draws_them(confirmed: bool, view: View | None, width_px: int) -> None:
    style = Style(badge=False, line_width_px=width_px, color=(255, 255, 255))
    overlay = Overlay(style, COLOR)
    seen = blob(confirmed=confirmed, view=view)
    mine = strength(by_tensors(overlay, black(), seen))
    theirs = strength(overlay.draw(black(), seen, "RUNNING"))
    assert mine.sum() == pytest.approx(theirs.sum(), rel=0.08)
    assert not ((mine > 0.5) & ~grown(theirs > 0)).any()
    assert not ((theirs > 0.5) & ~grown(mine > 0)).any()


def black() -> av.VideoFrame:
    made = av.VideoFrame(WIDTH_PX, HEIGHT_PX, "nv12")
    for plane, level in zip(planes(made), (16, 128), strict=True):
        plane.pixels[:] = level
    return made


@pytest.mark.parametrize("plane", [0, 1], ids=["luma", "chroma"])
def test_away_from_the_lines_nothing_changes(
    picture: Callable[[], av.VideoFrame], plane: int
) -> None:
    overlay = Overlay(Style(badge=False, line_width_px=3), COLOR)
    mine = changed(by_tensors(overlay, picture(), blob()), picture(), plane)
    theirs = changed(overlay.draw(picture(), blob(), "RUNNING"), picture(), plane)
    assert mine.any()
    assert not (mine & ~grown(theirs)).any()


def test_what_is_filled_is_filled_alike(picture: Callable[[], av.VideoFrame]) -> None:
    overlay = Overlay(Style(badge=False, fill_opacity=0.4), COLOR)
    mine = planes(by_tensors(overlay, picture(), blob()))[0].pixels.astype(int)
    theirs = planes(overlay.draw(picture(), blob(), "RUNNING"))[0].pixels.astype(int)
    apart = np.abs(mine - theirs)[..., 0]
    middle = np.s_[110:130, 110:150]
    assert changed(overlay.draw(picture(), blob(), ""), picture())[middle].mean() > 0.9
    assert apart[middle].max() <= 1


def test_the_badge_has_the_same_bits(picture: Callable[[], av.VideoFrame]) -> None:
    overlay = Overlay(Style(), COLOR)
    mine = by_tensors(overlay, picture(), None)
    theirs = overlay.draw(picture(), None, "RUNNING")
    for one, other, before in zip(planes(mine), planes(theirs), planes(picture()), strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert (one.pixels != before.pixels).any()


def test_corners_have_the_same_bits(picture: Callable[[], av.VideoFrame]) -> None:
    overlay, view = Overlay(Style(badge=False), COLOR), View(80, 40, 161, 160)
    mine = by_tensors(overlay, picture(), None, view)
    theirs = overlay.draw(picture(), None, "RUNNING", view=view)
    for one, other, before in zip(planes(mine), planes(theirs), planes(picture()), strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
        assert (one.pixels != before.pixels).any()


def test_nothing_found_leaves_every_bit(picture: Callable[[], av.VideoFrame]) -> None:
    empty = Segmentation(
        np.zeros((SIZE_PX, SIZE_PX), np.float32), View(0, 0, WIDTH_PX, HEIGHT_PX), 0.5
    )
    overlay = Overlay(Style(badge=False), COLOR)
    made = by_tensors(overlay, picture(), empty)
    assert not any(changed(made, picture(), plane).any() for plane in (0, 1))


@pytest.mark.parametrize("layout", ["nv12", "yuv420p"])
def test_a_picture_of_the_host_gets_what_its_copy_on_the_gpu_got(
    picture: Callable[[], av.VideoFrame], layout: str
) -> None:
    overlay = Overlay(Style(line_width_px=3, fill_opacity=0.2), COLOR)
    expected = by_tensors(overlay, picture(), blob())
    made = picture() if layout == "nv12" else laid_out(picture(), layout)
    copied = {
        component: torch.from_numpy(plane.pixels[..., place].copy())
        for plane in planes(made)
        for place, component in enumerate(plane.components)
    }
    on_gpu = YuvPicture(copied[0], copied[1], copied[2])
    drawn = overlay.draw(made, blob(), "RUNNING", on_gpu)
    back = drawn if layout == "nv12" else laid_out(drawn, "nv12")
    for one, other in zip(planes(back), planes(expected), strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)


class TestSurface:
    """Frames in and out of tensors; those of the host stand for those of a GPU."""

    def test_tensors_are_windows_into_the_picture(
        self, picture: Callable[[], av.VideoFrame]
    ) -> None:
        made = picture()
        tensors = as_tensors(made)
        luma, chroma = (plane.pixels for plane in planes(made))
        np.testing.assert_array_equal(tensors.luma.numpy(), luma[..., 0])
        np.testing.assert_array_equal(tensors.blue.numpy(), chroma[..., 0])
        np.testing.assert_array_equal(tensors.red.numpy(), chroma[..., 1])
        tensors.luma[5, 7] = 99
        assert planes(made)[0].pixels[5, 7, 0] == 99

    @pytest.mark.parametrize("take", [adopt, download])
    def test_another_picture_with_the_same_samples_and_tags(
        self, picture: Callable[[], av.VideoFrame], take: Callable[..., av.VideoFrame]
    ) -> None:
        made = picture()
        made.pts, made.colorspace, made.color_range = 42, 1, 2
        own = take(made)
        assert (own.width, own.height, own.format.name) == (WIDTH_PX, HEIGHT_PX, "nv12")
        assert (own.pts, int(own.colorspace), int(own.color_range)) == (42, 1, 2)
        planes(made)[0].pixels[:] = 0
        for one, other in zip(planes(own), planes(picture()), strict=True):
            np.testing.assert_array_equal(one.pixels, other.pixels)

    def test_planes_of_an_own_picture_are_one_piece_of_memory(
        self, picture: Callable[[], av.VideoFrame]
    ) -> None:
        """NVENC is told where the luma begins, and takes the chroma to lie right below it."""
        own = adopt(picture())
        luma, chroma = own.planes
        begin, below = (from_dlpack(plane.__dlpack__()).data_ptr() for plane in (luma, chroma))

        assert luma.line_size == chroma.line_size == 512
        assert below - begin == 512 * HEIGHT_PX
