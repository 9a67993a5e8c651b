"""Pictures that look unlike those of the training."""

import json
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer import familiar
from streamer.color import ColorDescription
from streamer.familiar import HOLD_S, NAMES, STEP_S, Familiar, FamiliarWatch, bundled, features_of
from streamer.frame import Frame, View
from streamer.gpu import surface
from streamer.motion import small_luma

Image = NDArray[np.uint8]
MakeFrame = Callable[..., Frame]

SAMPLES = Path(__file__).parents[2] / "demos" / "samples"
FULL_601 = ColorDescription("bt601", full_range=True, guessed=False)


def picture_of(image: Image, pixel_format: str = "yuv420p", full: bool = True) -> av.VideoFrame:
    """RGB (H, W, 3) as a picture of a video, BT.601."""
    ranges = av.video.reformatter.ColorRange
    return av.VideoFrame.from_ndarray(image, format="rgb24").reformat(
        format=pixel_format,
        dst_colorspace=av.video.reformatter.Colorspace.ITU601,
        dst_color_range=ranges.JPEG if full else ranges.MPEG,
    )


def distance(picture: av.VideoFrame, color: ColorDescription = FULL_601) -> float:
    view = View(0, 0, picture.width, picture.height)
    return bundled().distance(features_of(picture, view, small_luma(picture, view), color))


@pytest.fixture(scope="module")
def tissue() -> Image:
    """A frame of the sample video as RGB."""
    with av.open(str(SAMPLES / "colonoscopy.mp4")) as container:
        for index, frame in enumerate(container.decode(video=0)):
            if index == 40:
                return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)
    raise AssertionError("the sample is too short")


class TestDistance:
    def test_the_sample_is_familiar(self, tissue: Image) -> None:
        assert distance(picture_of(tissue)) < 1

    def test_what_is_no_endoscopy_is_not(self, tissue: Image) -> None:
        rng = np.random.default_rng(0)
        bluish = tissue[..., ::-1].copy()
        for image in (
            np.zeros_like(tissue),
            np.full_like(tissue, 255),
            rng.integers(0, 256, tissue.shape, np.uint8),
            bluish,
        ):
            assert distance(picture_of(image)) > 1

    @pytest.mark.parametrize("share", [0.04, 0.08, 0.2])
    def test_a_blurred_one_is_not(self, tissue: Image, share: float) -> None:
        sigma = share * tissue.shape[0]
        blurred = np.asarray(cv2.GaussianBlur(tissue, (0, 0), sigma), np.uint8)
        assert distance(picture_of(blurred)) > 1

    @pytest.mark.parametrize(
        "pixel_format", ["yuv420p", "yuv422p", "yuv444p", "nv12", "yuv420p10le"]
    )
    @pytest.mark.parametrize("full", [True, False])
    def test_format_and_range_matter_little(
        self, tissue: Image, pixel_format: str, full: bool
    ) -> None:
        expected = distance(picture_of(tissue))
        color = replace(FULL_601, full_range=full)
        found = distance(picture_of(tissue, pixel_format, full), color)
        assert found == pytest.approx(expected, abs=0.05)

    def test_a_gray_picture_has_no_colour(self, tissue: Image) -> None:
        picture = av.VideoFrame.from_ndarray(
            np.asarray(cv2.cvtColor(tissue, cv2.COLOR_RGB2GRAY), np.uint8), format="gray"
        )
        view = View(0, 0, picture.width, picture.height)
        found = features_of(picture, view, small_luma(picture, view), FULL_601)
        colors = [value for name, value in zip(NAMES, found, strict=True) if "mean" in name][1:]
        assert colors == [0, 0]
        assert distance(picture) > 1

    def test_only_the_view_is_looked_at(self, tissue: Image) -> None:
        height, width = (side // 4 * 2 for side in tissue.shape[:2])
        image = np.full((2 * height, 2 * width, 3), 255, np.uint8)
        image[:height, width:] = cv2.resize(tissue, (width, height), interpolation=cv2.INTER_AREA)
        picture = picture_of(image)
        view = View(width, 0, width, height)
        found = features_of(picture, view, small_luma(picture, view), FULL_601)
        alone = picture_of(np.ascontiguousarray(image[:height, width:]))
        assert bundled().distance(found) == pytest.approx(distance(alone), abs=0.1)


def test_round_trip() -> None:
    whitening, least = np.array([[2.0, 0.0], [0.5, 1.0]]), np.array([-np.inf, -2.0])
    familiar = Familiar(np.array([1.0, 2.0]), whitening, 3.0, least)
    again = Familiar.from_dict(json.loads(json.dumps(familiar.to_dict())))
    assert again.distance(np.array([4.0, 2.0])) == pytest.approx(np.hypot(6, 1.5) / 3)
    # A quarter farther than to the least.
    assert again.distance(np.array([1.0, -3.0])) == pytest.approx(max(5 / 3, 5 / 4))
    assert again.distance(np.array([3.5, -3.0])) == pytest.approx(max(np.hypot(5, 3.75) / 3, 5 / 4))


class TestWatch:
    def test_one_odd_picture_is_not_told(self) -> None:
        watch = FamiliarWatch()
        assert not watch.take(True, 0.0)
        assert not watch.take(False, HOLD_S / 2)
        assert not watch.take(True, HOLD_S)
        assert not watch.take(True, 1.4 * HOLD_S)

    def test_it_is_told_after_a_while_and_taken_back_after_a_while(self) -> None:
        watch = FamiliarWatch()
        told = [watch.take(10 <= index < 30, index * HOLD_S / 10) for index in range(60)]
        assert told == [20 <= index < 40 for index in range(60)]

    def test_time_that_jumps_back_begins_anew(self) -> None:
        watch = FamiliarWatch()
        assert not watch.take(True, 9.0)
        assert not watch.take(True, 0.0)
        assert watch.take(True, HOLD_S)

    def test_a_frame_is_looked_at(self, tissue: Image, make_frame: MakeFrame) -> None:
        watch = FamiliarWatch()
        white = picture_of(np.full((48, 64, 3), 255, np.uint8))
        view = View(0, 0, 64, 48)
        frames = [replace(make_frame(pts, picture=white), color=FULL_601) for pts in (0, 100)]
        assert frames[1].time_s - frames[0].time_s >= HOLD_S
        told = [watch.look(frame, view, small_luma(white, view)) for frame in frames]
        assert told == [False, True]

    def test_a_frame_on_a_gpu_is_looked_at_in_memory_of_the_host(
        self, make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        here = picture_of(np.full((48, 64, 3), 255, np.uint8), "nv12")
        on_gpu = cast(av.VideoFrame, SimpleNamespace(format=SimpleNamespace(name="cuda")))
        brought = []

        def download(picture: av.VideoFrame) -> av.VideoFrame:
            brought.append(picture)
            return here

        monkeypatch.setattr(surface, "download", download)
        watch, view = FamiliarWatch(), View(0, 0, 64, 48)
        frames = [replace(make_frame(pts), picture=on_gpu, color=FULL_601) for pts in (0, 1, 100)]
        told = [watch.look(frame, view, small_luma(here, view)) for frame in frames]
        assert told == [False, False, True]
        # The one in the middle came too soon after the first.
        assert brought == [on_gpu, on_gpu]

    def test_not_every_frame_is_looked_at(
        self, make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        looked_at: list[float] = []

        def features(picture: av.VideoFrame, *_: object) -> object:
            looked_at.append(float(picture.pts * picture.time_base))
            return bundled().mean

        monkeypatch.setattr(familiar, "features_of", features)
        watch, view, luma = FamiliarWatch(), View(0, 0, 64, 48), np.zeros((4, 4), np.uint8)
        frames = [make_frame(pts) for pts in [*range(25), 0]]
        for frame in frames:
            frame.picture.pts, frame.picture.time_base = frame.pts, frame.time_base
            assert not watch.look(frame, view, luma)

        *first, again = looked_at
        assert all(after - before >= STEP_S for before, after in pairwise(first))
        assert 2 <= len(first) <= 11
        # Where time jumps back it begins anew.
        assert again == 0
