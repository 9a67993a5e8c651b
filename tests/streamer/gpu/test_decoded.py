"""Pictures that NVDEC has decoded, in file mode; made up: they lie in memory of the host."""

from collections.abc import Callable, Iterator
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.color import ColorDescription
from streamer.engine.base import EngineInfo
from streamer.engine.gpu import STREAMS, GpuSegmenter
from streamer.frame import Frame, View
from streamer.gpu import luma as luma_module
from streamer.gpu import surface
from streamer.motion import small_luma
from streamer.pipeline import Pipeline
from streamer.planes import planes, whole_samples
from streamer.rgb import SquareReader
from streamer.sinks import Composed
from streamer.sources import SourceInfo
from streamer.view_watch import ViewWatch

COLOR = ColorDescription("bt709", False, False)
WIDTH_PX, HEIGHT_PX, SIZE_PX = 320, 240, 32


class Decoded:
    """A picture whose samples only its planes' `__dlpack__` gives, as it is on a GPU."""

    def __init__(self, here: av.VideoFrame) -> None:
        self._here = here
        self.format = av.VideoFrame(0, 0, "cuda").format

    def __getattr__(self, name: str) -> Any:
        return getattr(self._here, name)


@pytest.fixture
def decoded() -> Callable[[NDArray[np.uint8]], av.VideoFrame]:
    def make(luma: NDArray[np.uint8]) -> av.VideoFrame:
        here = av.VideoFrame(luma.shape[1], luma.shape[0], "nv12")
        for plane, samples in zip(planes(here), (luma[..., None], 128), strict=True):
            plane.pixels[:] = samples
        return cast(av.VideoFrame, Decoded(here))

    return make


@pytest.fixture
def noise() -> NDArray[np.uint8]:
    rng = np.random.default_rng(2)
    return rng.integers(16, 236, (HEIGHT_PX, WIDTH_PX), np.uint8)


class Film:
    """An endoscope's round view of what moves, ten pictures a second."""

    damaged = converted = 0

    def __init__(self, info: SourceInfo, pictures: list[av.VideoFrame]) -> None:
        self.info, self._pictures = info, pictures

    def __iter__(self) -> Iterator[Frame]:
        for index, picture in enumerate(self._pictures):
            yield Frame(picture, index, 100 * index, self.info.time_base, 0, 0, COLOR)

    def close(self) -> None:
        pass


class Keeping:
    def __init__(self) -> None:
        self.kept: list[Composed] = []

    def write(self, composed: Composed) -> None:
        self.kept.append(composed)

    def write_audio(self, packet: object) -> None:
        pass

    def close(self) -> None:
        pass


def grey(image: Tensor) -> Tensor:
    return (image.float().mean(dim=1) + 1) / 2


def test_the_view_is_found_and_analysed(
    decoded: Callable[[NDArray[np.uint8]], av.VideoFrame],
    make_info: Callable[..., SourceInfo],
    fake_device: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(surface, "settle", lambda: None)
    rng = np.random.default_rng(1)
    tissue = cv2.GaussianBlur(rng.integers(0, 256, (HEIGHT_PX, 900), np.uint8), (0, 0), 5)
    tissue = cv2.normalize(tissue, None, 90, 220, cv2.NORM_MINMAX)
    disc = cv2.circle(np.zeros((HEIGHT_PX, WIDTH_PX), np.uint8), (161, 121), 100, 1, cv2.FILLED)
    pictures = [
        decoded(np.where(disc > 0, tissue[:, 10 * index : 10 * index + WIDTH_PX], 16))
        for index in range(50)
    ]
    info = make_info(width=WIDTH_PX, height=HEIGHT_PX, pixel_format="nv12", decoder="NVDEC")
    segmenter = GpuSegmenter(
        EngineInfo("grey", "0" * 64, "cuda", "fp32", "fake", SIZE_PX, STREAMS, 1),
        grey,
        fake_device(lazy=False),
        mean=(0.5,) * 3,
        std=(0.5,) * 3,
        blank=torch.zeros(1, 3, SIZE_PX, SIZE_PX),
    )
    sink = Keeping()
    watch = ViewWatch(WIDTH_PX, HEIGHT_PX)
    result = Pipeline(Film(info, pictures), segmenter, [sink], view=watch).run()

    assert result.frames_out == len(pictures)
    (change,) = result.view_changes
    view = change.view
    assert result.view == view
    assert (view.x % 2, view.y % 2) == (0, 0)
    assert view.x == pytest.approx(60, abs=3)
    assert view.width == pytest.approx(202, abs=6)
    assert sink.kept[-1].view == view
    # The corners of the view are drawn.
    drawn, bare = (planes(kept.picture)[1].pixels for kept in (sink.kept[-1], sink.kept[0]))
    assert (drawn != bare).any()


def test_a_part_begins_at_whole_samples(
    decoded: Callable[[NDArray[np.uint8]], av.VideoFrame], noise: NDArray[np.uint8]
) -> None:
    assert whole_samples(View(41, 11, 100, 90), decoded(noise)) == View(40, 10, 101, 91)


@pytest.mark.parametrize("view", [None, View(40, 20, 101, 90)], ids=["all", "part"])
def test_a_network_on_the_cpu_reads_them_too(
    decoded: Callable[[NDArray[np.uint8]], av.VideoFrame],
    noise: NDArray[np.uint8],
    view: View | None,
) -> None:
    picture = decoded(noise)
    np.testing.assert_array_equal(
        SquareReader(SIZE_PX).read(picture, COLOR, view),
        SquareReader(SIZE_PX).read(surface.download(picture), COLOR, view),
    )


@pytest.mark.parametrize("view", [View(0, 0, WIDTH_PX, HEIGHT_PX), View(40, 20, 202, 160)], ids=str)
def test_their_small_luma_is_that_of_the_host(
    decoded: Callable[[NDArray[np.uint8]], av.VideoFrame],
    noise: NDArray[np.uint8],
    view: View,
) -> None:
    picture = decoded(noise)
    mine = small_luma(picture, view).astype(int)
    theirs = small_luma(surface.download(picture), view).astype(int)
    assert np.abs(mine - theirs).max() <= 1


def test_small_luma_has_its_weights_brought_to_the_gpu_once(
    decoded: Callable[[NDArray[np.uint8]], av.VideoFrame],
    noise: NDArray[np.uint8],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    brought = []
    real = luma_module.Axis.of

    def bring(*arguments: Any) -> Any:
        brought.append(arguments)
        return real(*arguments)

    monkeypatch.setattr(luma_module.Axis, "of", bring)
    # Of a size that no other test has.
    view = View(0, 0, WIDTH_PX - 2, HEIGHT_PX - 2)
    for _ in range(3):
        small_luma(decoded(noise), view)
    assert len(brought) == 2
