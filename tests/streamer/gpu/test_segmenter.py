"""What runs on a GPU's streams, in an order that CUDA would be free to choose."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import av
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.color import ColorDescription
from streamer.engine import gpu
from streamer.engine.base import EngineInfo
from streamer.engine.gpu import STREAMS, GpuSegmenter
from streamer.errors import EngineError
from streamer.frame import View
from streamer.gpu.upload import Uploader
from streamer.planes import planes
from streamer.rgb import SquareReader

SIZE_PX = 32
COLOR = ColorDescription("bt709", False, False)


def mean_of_rgb(image: Tensor) -> Tensor:
    """A network: grey of an image that was normalised to −1…1."""
    return (image.float().mean(dim=1) + 1) / 2


def picture(level: int, layout: str = "yuv420p", size: tuple[int, int] = (64, 48)) -> av.VideoFrame:
    """All of one luma code value, with a brighter right half."""
    made = av.VideoFrame(*size, layout)
    for plane in planes(made):
        plane.pixels[:] = level if 0 in plane.components else 128
        if 0 in plane.components:
            plane.pixels[:, size[0] // 2 :] += 40
    return made


@pytest.fixture(params=[True, False], ids=["late", "at once"])
def segmenter(request: pytest.FixtureRequest, fake_device: Any) -> GpuSegmenter:
    return load(mean_of_rgb, fake_device(lazy=request.param))


def load(network: Callable[[Tensor], Tensor], device: Any) -> GpuSegmenter:
    info = EngineInfo("grey", "0" * 64, "cuda", "fp32", "fake", SIZE_PX, STREAMS, 1)
    return GpuSegmenter(
        info,
        network,
        device,
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        blank=torch.zeros(1, 3, SIZE_PX, SIZE_PX),
    )


def expected(seen: av.VideoFrame, view: View | None = None) -> NDArray[np.float32]:
    rgb = SquareReader(SIZE_PX).read(seen, COLOR, view)
    return rgb.mean(axis=2, dtype=np.float32) / 255


@pytest.mark.parametrize("layout", ["yuv420p", "nv12", "yuv422p", "gray"])
def test_many_frames_under_way_each_get_their_own_answer(
    segmenter: GpuSegmenter, layout: str
) -> None:
    reader = segmenter.reader()
    pictures = [picture(20 + 15 * number, layout) for number in range(12)]
    pending = [segmenter.submit(reader.read(one, COLOR)) for one in pictures]
    for one, answer in zip(pictures, pending, strict=True):
        np.testing.assert_allclose(answer.result(), expected(one), atol=2 / 255)


def test_pictures_of_the_decoder_may_change_after_they_were_read(segmenter: GpuSegmenter) -> None:
    reader = segmenter.reader()
    one = picture(60)
    wanted = expected(one)
    first = segmenter.submit(reader.read(one, COLOR))
    planes(one)[0].pixels[:] = 16
    second = segmenter.submit(reader.read(one, COLOR))
    np.testing.assert_allclose(first.result(), wanted, atol=2 / 255)
    assert second.result().max() < 2 / 255


def test_an_answer_is_the_callers_own(segmenter: GpuSegmenter) -> None:
    reader = segmenter.reader()
    first = segmenter.submit(reader.read(picture(60), COLOR)).result()
    before = first.copy()
    for level in range(100, 200, 10):
        segmenter.submit(reader.read(picture(level), COLOR)).result()
    np.testing.assert_array_equal(first, before)


def test_a_result_can_be_asked_for_twice(segmenter: GpuSegmenter) -> None:
    pending = segmenter.submit(segmenter.reader().read(picture(60), COLOR))
    assert pending.result() is pending.result()


def test_only_the_view_is_read(segmenter: GpuSegmenter) -> None:
    view = View(32, 8, 24, 32)
    one = picture(60)
    got = segmenter.submit(segmenter.reader().read(one, COLOR, view)).result()
    np.testing.assert_allclose(got, expected(one, view), atol=2 / 255)
    assert np.ptp(got) < 2 / 255


def test_size_and_colour_may_change_on_the_way(segmenter: GpuSegmenter) -> None:
    reader = segmenter.reader()
    one, other = picture(60), picture(60, "nv12", (96, 80))
    pending = [segmenter.submit(reader.read(each, COLOR)) for each in (one, other, one)]
    for each, answer in zip((one, other, one), pending, strict=True):
        np.testing.assert_allclose(answer.result(), expected(each), atol=2 / 255)
    full = ColorDescription("bt709", True, False)
    brighter = segmenter.submit(reader.read(picture(60), full)).result()
    assert abs(brighter[0, 0] - 60 / 255) < 2 / 255


def test_rgb_images_are_taken_too(segmenter: GpuSegmenter) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8) for _ in range(7)]
    pending = [segmenter.submit(image) for image in images]
    for image, answer in zip(images, pending, strict=True):
        np.testing.assert_allclose(answer.result(), image.mean(axis=2) / 255, atol=1e-5)


def test_a_failing_gpu_is_an_engine_error(fake_device: Any) -> None:
    def fail(image: Tensor) -> Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    late = load(fail, fake_device(lazy=True))
    pending = late.submit(np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8))
    with pytest.raises(EngineError, match=r"the GPU failed on a frame .*illegal memory access"):
        pending.result()
    late.close()
    at_once = load(fail, fake_device(lazy=False))
    with pytest.raises(EngineError, match="the GPU does not take the frame"):
        at_once.submit(np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8))


@pytest.mark.parametrize("failed", [True, False])
def test_memory_that_a_failed_gpu_used_is_not_given_back(
    fake_device: Any, monkeypatch: pytest.MonkeyPatch, failed: bool
) -> None:
    """PyTorch would end the process; after running out of memory it would not."""
    left: list[object] = []
    monkeypatch.setattr(gpu, "_left_behind", left)

    def fail(image: Tensor) -> Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    device = fake_device(lazy=True)
    segmenter = load(fail, device)
    pending = segmenter.submit(np.zeros((SIZE_PX, SIZE_PX, 3), np.uint8))
    device.failed = failed
    with pytest.raises(EngineError):
        pending.result()
    assert bool(left) == failed


def test_a_reader_that_fails_is_an_engine_error(
    segmenter: GpuSegmenter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

    monkeypatch.setattr(Uploader, "upload", fail)
    with pytest.raises(EngineError, match=r"cannot read a frame \(CUDA out of memory\.\)$"):
        segmenter.reader().read(picture(60), COLOR)


def test_what_was_closed_is_gone_at_once(fake_device: Any) -> None:
    """The next engine may need its memory; nobody waits for the garbage collector."""
    segmenter = load(mean_of_rgb, fake_device(lazy=True))
    segmenter.submit(segmenter.reader().read(picture(60), COLOR)).result()
    segmenter.close()
    there = weakref.ref(segmenter)
    gc.disable()
    try:
        del segmenter
        assert there() is None
    finally:
        gc.enable()


def test_memory_on_the_gpu_is_of_the_stream_that_writes_to_it(fake_device: Any) -> None:
    """Else another stream's work, put there before, may still read what it held."""
    device = fake_device(lazy=False)
    reader = load(mean_of_rgb, device).reader()
    before = device.allocated
    reader.read(picture(60, size=(96, 80)), COLOR)
    # The tables of that size, and the picture.
    assert device.allocated - before == 2


def test_close_waits_and_may_be_called_twice(segmenter: GpuSegmenter) -> None:
    pending = segmenter.submit(segmenter.reader().read(picture(60), COLOR))
    segmenter.close()
    segmenter.close()
    np.testing.assert_allclose(pending.result(), expected(picture(60)), atol=2 / 255)
