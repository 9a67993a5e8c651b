"""Drawing is held against the plain form in all planes, also where two of them lie in one."""

import pytest
import torch

from demos.gpu_check.pictures import (
    PICTURE_BYTES,
    compare_drawing,
    copy_of,
    disc,
    noise,
    pictures_for,
)
from streamer.gpu.drawing import Marking, draw_plain
from streamer.gpu.picture import YuvPicture

CPU = torch.device("cpu")
WIDTH_PX, HEIGHT_PX = 192, 108
LAYOUTS = pytest.mark.parametrize("layout", ["nv12", "yuv420p"])


def small(layout: str) -> YuvPicture:
    return noise(layout, CPU, width_px=WIDTH_PX, height_px=HEIGHT_PX)


def small_disc() -> Marking:
    return disc(CPU, WIDTH_PX, HEIGHT_PX)


@LAYOUTS
def test_drawing_that_is_right(layout: str) -> None:
    picture = small(layout)
    before = picture.luma.clone()
    found = compare_drawing(layout, picture, small_disc())
    assert found["drawn_px"] > 100
    assert found["differing_samples"] == {"luma": 0, "blue": 0, "red": 0}
    assert torch.equal(picture.luma, before)


@LAYOUTS
def test_chroma_that_is_off_is_noticed(layout: str) -> None:
    """As by a kernel that takes the samples of a plane to lie side by side."""

    def draw_wrong(picture: YuvPicture, marking: Marking) -> None:
        draw_plain(picture, marking)
        picture.red[20:22, 20:30] ^= 128

    found = compare_drawing(layout, small(layout), small_disc(), draw_wrong)
    assert found["differing_samples"] == {"luma": 0, "blue": 0, "red": 20}


@pytest.mark.parametrize(("layout", "stride"), [("nv12", 2), ("yuv420p", 1)])
def test_copies_keep_the_layout(layout: str, stride: int) -> None:
    picture = small(layout)
    copy = copy_of(layout, picture)
    assert copy.red.stride(1) == picture.red.stride(1) == stride
    assert torch.equal(copy.red, picture.red)
    assert torch.equal(copy.blue, picture.blue)
    assert copy.luma.data_ptr() != picture.luma.data_ptr()


def test_pictures_in_turn_are_larger_than_the_cache() -> None:
    cache_bytes = 50 * 2**20
    assert (pictures_for(cache_bytes) - 1) * PICTURE_BYTES >= 3 * cache_bytes
