"""What the tests of the streaming side share: pictures, maps, a tiny checkpoint, made-up clips."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings
from numpy.typing import NDArray

from pranet import build_model, save_model
from streamer import Pipeline, RunResult, VideoSink, open_source
from streamer.color import ColorDescription
from streamer.frame import Frame, Segmentation, View
from streamer.sources import SourceInfo

# As the command itself does it.
cv2.setNumThreads(1)

# The same examples every time, and no time limit on a busy machine.
settings.register_profile("steady", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("steady")

Film = Callable[..., Path]

LIMITED_601 = ColorDescription("bt601", full_range=False, guessed=False)


@pytest.fixture(scope="session")
def read_planes() -> Callable[[av.VideoFrame], list[NDArray[np.int64]]]:
    """Copies of a picture's planes (h, w, components), read without the code under test."""

    def read(picture: av.VideoFrame) -> list[NDArray[np.int64]]:
        dtype = np.uint16 if picture.format.components[0].bits > 8 else np.uint8
        copies = []
        for index, plane in enumerate(picture.planes):
            held = sum(part.plane == index for part in picture.format.components)
            rows = np.frombuffer(bytes(plane), dtype).reshape(plane.height, -1)
            samples = rows[:, : plane.width * held].reshape(plane.height, plane.width, held)
            copies.append(samples.astype(np.int64))
        return copies

    return read


@pytest.fixture(scope="session")
def write_planes() -> Callable[[av.VideoFrame, list[NDArray[np.int64]]], None]:
    """The inverse of `read_planes`."""

    def write(picture: av.VideoFrame, content: list[NDArray[np.int64]]) -> None:
        dtype = np.dtype(np.uint16 if picture.format.components[0].bits > 8 else np.uint8)
        for plane, samples in zip(picture.planes, content, strict=True):
            rows = np.zeros((plane.height, plane.line_size // dtype.itemsize), dtype)
            rows[:, : samples[0].size] = samples.reshape(plane.height, -1)
            plane.update(rows.tobytes())

    return write


@pytest.fixture(scope="session")
def make_picture(
    read_planes: Callable[[av.VideoFrame], list[NDArray[np.int64]]],
    write_planes: Callable[[av.VideoFrame, list[NDArray[np.int64]]], None],
) -> Callable[..., av.VideoFrame]:
    """A picture of noise of every legal code value, or of one code value per component."""

    def make(
        pixel_format: str = "yuv420p",
        width: int = 64,
        height: int = 48,
        *,
        seed: int = 0,
        codes: tuple[int, ...] | None = None,
    ) -> av.VideoFrame:
        picture = av.VideoFrame(width, height, pixel_format)
        top = 1 << picture.format.components[0].bits
        rng = np.random.default_rng(seed)
        content = [rng.integers(0, top, plane.shape) for plane in read_planes(picture)]
        if codes is not None:
            left = list(codes)
            for samples in content:
                samples[:] = [left.pop(0) for _ in range(samples.shape[2])]
        write_planes(picture, content)
        return picture

    return make


@pytest.fixture(scope="session")
def make_info() -> Callable[..., SourceInfo]:
    """What is known of a made-up source."""

    def make(**changes: Any) -> SourceInfo:
        info = SourceInfo(
            name="made up",
            width=64,
            height=48,
            pixel_format="yuv420p",
            rate=Fraction(25),
            time_base=Fraction(1, 1000),
            color=LIMITED_601,
            frames=None,
            audio=None,
        )
        return replace(info, **changes)

    return make


@pytest.fixture(scope="session")
def make_frame(make_picture: Callable[..., av.VideoFrame]) -> Callable[..., Frame]:
    """One frame of noise, its number also the seed of the noise."""

    def make(
        index: int = 0,
        pts: int | None = None,
        *,
        time_base: Fraction = Fraction(1, 1000),
        picture: av.VideoFrame | None = None,
    ) -> Frame:
        picture = picture or make_picture(seed=index)
        pts = 40 * index if pts is None else pts
        return Frame(picture, index, pts, time_base, 0, 0, LIMITED_601)

    return make


@pytest.fixture(scope="session")
def soft_disc() -> Callable[..., Segmentation]:
    """A disc whose probability falls from 1 to 0 along its radius, 0.5 exactly on the rim.

    The centre is given in px of the map from its left and upper edge, so that `size_px / 2` is
    the middle.
    """

    def make(
        size_px: int = 352,
        *,
        x: float | None = None,
        y: float | None = None,
        radius: float = 60.0,
        softness: float = 20.0,
        view: View | None = None,
        threshold: float = 0.5,
    ) -> Segmentation:
        rows, columns = np.mgrid[:size_px, :size_px] + 0.5
        away = np.hypot(
            columns - (size_px / 2 if x is None else x), rows - (size_px / 2 if y is None else y)
        )
        probability = (0.5 + (radius - away) / softness).clip(0, 1).astype(np.float32)
        return Segmentation(probability, view or View(0, 0, size_px, size_px), threshold)

    return make


@pytest.fixture(scope="session")
def write_clip() -> Callable[..., Path]:
    """Encodes made-up pictures of a moving pattern, with P-frames, into a file."""

    def write(
        path: Path,
        *,
        count: int = 12,
        width: int = 160,
        height: int = 96,
        codec: str = "libx264",
        b_frames: int = 0,
    ) -> Path:
        rows, columns = np.mgrid[:height, :width]
        with av.open(str(path), "w") as container:
            stream = container.add_stream(codec, rate=25, options={"bf": str(b_frames), "crf": "8"})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
            stream.gop_size = count + 1
            for index in range(count):
                wave = 128 + 90 * np.sin((columns + 3 * index) / 9) * np.cos(rows / 7)
                rgb = np.stack([wave, 255 - wave, 0.5 * wave], axis=2).astype(np.uint8)
                picture = av.VideoFrame.from_ndarray(rgb, format="rgb24")
                picture.pts = index
                container.mux(stream.encode(picture))
            container.mux(stream.encode(None))
        return path

    return write


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained network of small input whose probabilities vary over the picture."""
    path = tmp_path_factory.mktemp("checkpoint") / "tiny.safetensors"
    torch.manual_seed(3)
    model = build_model("pranet_v2_lite0", input_size=96)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean = torch.empty(module.num_features).normal_(0, 0.2)
            module.running_var = torch.empty(module.num_features).uniform_(0.5, 1.5)
            torch.nn.init.uniform_(module.weight, 0.6, 1.4)
            torch.nn.init.normal_(module.bias, 0, 0.3)
    save_model(model, path)
    return path


@pytest.fixture(scope="session")
def engine_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A cache folder of the tests' own, empty at first, used by all engines made meanwhile."""
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PRANET_STREAM_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def image() -> NDArray[np.uint8]:
    """What a network of the tiny checkpoint takes: RGB (96, 96, 3)."""
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (96, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, film: Film) -> dict[str, Path]:
    """One clip of 50 frames for each container, most of them with sound."""
    folder = tmp_path_factory.mktemp("clips")
    two_b_frames = {"bf": "2", "g": "10"}
    return {
        "mp4": film(
            folder / "clip.mp4",
            count=50,
            audio="aac",
            options=two_b_frames,
            container_options={"movflags": "faststart"},
        ),
        "mkv": film(folder / "clip.mkv", count=50, audio="mp2", options=two_b_frames),
        "ts": film(folder / "clip.ts", count=50, audio="aac", options=two_b_frames),
        "avi": film(folder / "clip.avi", count=50, codec="mpeg4", audio="pcm_s16le"),
    }


@pytest.fixture
def convert(segmenter: Any, tmp_path: Path) -> Callable[..., tuple[RunResult, Path]]:
    """Runs a source through the pipeline into a video."""

    def run(source: Path, name: str = "out.mkv", **options: Any) -> tuple[RunResult, Path]:
        opened = open_source(str(source))
        output = tmp_path / name
        try:
            sink = VideoSink(output, opened.info, **options)
            return Pipeline(opened, segmenter, [sink]).run(), output
        finally:
            opened.close()

    return run
