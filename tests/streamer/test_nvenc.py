"""Encoding on a GPU, as far as it can be seen without one."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamer.errors import OutputError
from streamer.frame import Frame
from streamer.gpu import surface
from streamer.planes import DRAWABLE
from streamer.sinks import (
    Composed,
    EncoderChoice,
    RawSink,
    VideoSink,
    choose_encoder,
    nvenc,
    video,
)
from streamer.sinks.nvenc import nvenc_options, why_no_nvenc
from streamer.sources import SourceInfo

MakeInfo = Callable[..., SourceInfo]
MakeFrame = Callable[..., Frame]

#: No NVENC takes so small a picture as those of these tests.
ASKED = EncoderChoice("NVENC", "a test")
REPLACEABLE = EncoderChoice("NVENC", "a test", replaceable=True)


@pytest.fixture(autouse=True)
def _asked_anew() -> Iterator[None]:
    why_no_nvenc.cache_clear()
    yield
    why_no_nvenc.cache_clear()


class Probe:
    """Answers as it is told, and notes what it is asked."""

    def __init__(self, answer: str | None = None) -> None:
        self.asked: list[tuple[int, int, str]] = []
        self._answer = answer

    def __call__(self, width_px: int, height_px: int, layout: str) -> str | None:
        self.asked.append((width_px, height_px, layout))
        return self._answer


class TestProbe:
    def test_needs_a_gpu(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """FFmpeg would say that the operation is not permitted."""
        monkeypatch.setattr(nvenc, "has_gpu", lambda: False)
        assert why_no_nvenc() == "there is no NVIDIA GPU here"

    def test_says_in_one_line_why_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nvenc, "has_gpu", lambda: True)
        reason = why_no_nvenc(2, 2)
        assert reason is not None
        assert reason.startswith("NVENC cannot be used (")
        assert "\n" not in reason

    def test_an_ffmpeg_without_it_is_a_reason_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(nvenc, "has_gpu", lambda: True)
        monkeypatch.setattr(nvenc, "CODEC", "h264_of_nobody")
        assert why_no_nvenc() == "this FFmpeg has no NVENC"

    def test_one_picture_is_really_encoded(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """By x264 in the place of NVENC."""
        monkeypatch.setattr(nvenc, "has_gpu", lambda: True)
        monkeypatch.setattr(nvenc, "CODEC", "libx264")
        monkeypatch.setattr(nvenc, "nvenc_options", lambda quality: {"crf": str(quality)})
        assert why_no_nvenc(256, 256, "yuv420p") is None


@pytest.mark.parametrize("quality", [1, 51])
def test_options_are_those_of_nvenc(quality: int) -> None:
    supported = av.CodecContext.create("h264_nvenc", "w").supported_options
    known = {option.name: option for option in (*supported.generic, *supported.private)}
    for name, value in nvenc_options(quality).items():
        option = known[name]
        if value.isdigit():
            assert option.min <= int(value) <= option.max
        else:
            assert value in {choice.name for choice in option.choices}
    assert nvenc_options(quality)["qp"] == str(quality)


class TestChoice:
    def test_auto_takes_nvenc_next_to_the_network(self, make_info: MakeInfo) -> None:
        probe = Probe()
        choice = choose_encoder("auto", make_info(), probe=probe)
        assert (choice.name, choice.replaceable) == ("NVENC", True)
        assert str(choice) == "NVENC: the GPU has it"
        assert probe.asked == [(64, 48, "yuv420p")]

    def test_auto_stays_with_a_network_on_the_cpu(self, make_info: MakeInfo) -> None:
        probe = Probe()
        choice = choose_encoder("auto", make_info(), network_on_gpu=False, probe=probe)
        assert str(choice) == "x264: the network is on the CPU"
        assert probe.asked == []

    @pytest.mark.parametrize("exact", [False, True])
    def test_cpu_does_not_even_look(self, make_info: MakeInfo, exact: bool) -> None:
        probe = Probe()
        choice = choose_encoder("cpu", make_info(), exact=exact, probe=probe)
        assert str(choice) == ("FFV1: an exact recording" if exact else "x264: asked for")
        assert probe.asked == []

    def test_gpu_does_not_ask_where_the_network_is(self, make_info: MakeInfo) -> None:
        choice = choose_encoder("gpu", make_info(), network_on_gpu=False, probe=Probe())
        assert (str(choice), choice.replaceable) == ("NVENC: asked for", False)

    @pytest.mark.parametrize("asked", ["auto", "gpu"])
    @pytest.mark.parametrize("on_gpu", [False, True])
    def test_exact_is_the_cpus(self, make_info: MakeInfo, on_gpu: bool, asked: Any) -> None:
        """The option is of H.264."""
        choice = choose_encoder(
            asked, make_info(), exact=True, network_on_gpu=on_gpu, probe=Probe()
        )
        assert str(choice) == "FFV1: an exact recording"

    @pytest.mark.parametrize("pixel_format", sorted(DRAWABLE))
    def test_formats(self, make_info: MakeInfo, pixel_format: str) -> None:
        info, probe = make_info(pixel_format=pixel_format), Probe()
        choice = choose_encoder("auto", info, probe=probe)
        taken = pixel_format in ("nv12", "yuv420p")
        assert choice.name == ("NVENC" if taken else "x264")
        assert len(probe.asked) == taken
        assert taken or pixel_format in choice.reason

    @pytest.mark.parametrize(
        ("changes", "options", "reason"),
        [
            ({"width": 63}, {}, "63x48, and NVENC takes even sizes"),
            ({"height": 47}, {}, "64x47, and NVENC takes even sizes"),
            ({"pixel_format": "yuv444p"}, {}, "yuv444p, and NVENC takes nv12 and yuv420p"),
            ({}, {"quality": 0}, "quality 0 is lossless"),
            ({}, {"probe": Probe("no sessions left")}, "no sessions left"),
        ],
    )
    def test_what_auto_goes_around_is_an_error_where_gpu_is_asked_for(
        self,
        make_info: MakeInfo,
        changes: dict[str, Any],
        options: dict[str, Any],
        reason: str,
    ) -> None:
        options = {"probe": Probe()} | options
        choice = choose_encoder("auto", make_info(**changes), **options)
        assert choice.name != "NVENC"
        assert reason in choice.reason
        with pytest.raises(OutputError) as caught:
            choose_encoder("gpu", make_info(**changes), **options)
        assert str(caught.value).startswith("--encoder gpu: ")
        assert reason in str(caught.value)
        assert "\n" not in str(caught.value)


def compose(frame: Frame) -> Composed:
    return Composed(frame, frame.picture, None, [])


def luma(path: Path) -> list[float]:
    with av.open(str(path)) as container:
        return [float(picture.to_ndarray()[:48].mean()) for picture in container.decode(video=0)]


class TestSink:
    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
        """What is asked of each container; x264 is what encodes."""
        calls: list[dict[str, Any]] = []
        real = video.ContainerWriter

        def open_writer(path: Path, **options: Any) -> Any:
            calls.append(options)
            instead = {"codec": "libx264", "options": {}, "pixel_format": "yuv420p"}
            return real(path, **options | instead)

        monkeypatch.setattr(video, "ContainerWriter", open_writer)
        return calls

    @pytest.mark.parametrize("kind", [VideoSink, RawSink])
    def test_pictures_of_the_host_as_they_are(
        self, kind: type[VideoSink], asked: list[Any], tmp_path: Path, make_info: MakeInfo
    ) -> None:
        sink = kind(tmp_path / "o.mp4", make_info(), quality=23, encoder=ASKED)
        (options,) = asked
        assert (options["codec"], options["pixel_format"]) == ("h264_nvenc", "yuv420p")
        assert (options["width"], options["height"]) == (64, 48)
        assert options["options"] == nvenc_options(23)
        assert not sink.takes_gpu_pictures

    def test_pictures_on_the_gpu(
        self, asked: list[Any], tmp_path: Path, make_info: MakeInfo
    ) -> None:
        info = make_info(pixel_format="nv12", decoder="NVDEC")
        assert VideoSink(tmp_path / "o.mp4", info, encoder=ASKED).takes_gpu_pictures
        assert not VideoSink(tmp_path / "x.mp4", info).takes_gpu_pictures
        assert [options["pixel_format"] for options in asked] == ["cuda", "nv12"]

    def test_exact_recordings_stay_with_ffv1(
        self, asked: list[Any], tmp_path: Path, make_info: MakeInfo
    ) -> None:
        VideoSink(tmp_path / "o.mkv", make_info(), exact=True, encoder=ASKED)
        assert [options["codec"] for options in asked] == ["ffv1"]


class TestFallback:
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_x264_takes_over_from_the_first_picture_on(
        self,
        suffix: str,
        tmp_path: Path,
        make_info: MakeInfo,
        make_frame: MakeFrame,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        path, plain = tmp_path / f"o{suffix}", tmp_path / f"plain{suffix}"
        for target, encoder in ((path, REPLACEABLE), (plain, EncoderChoice("x264", "a test"))):
            sink = VideoSink(target, make_info(), encoder=encoder)
            for index in range(4):
                sink.write(compose(make_frame(index)))
            sink.close()

        assert len(luma(path)) == 4
        assert luma(path) == luma(plain)
        (warning,) = [each for each in caplog.records if each.levelno == logging.WARNING]
        assert warning.getMessage().startswith(f"{path}: cannot be written (the encoder refuses")
        assert warning.getMessage().endswith("; x264 takes over from NVENC")

    def test_where_nvenc_is_insisted_on_it_is_an_error(
        self, tmp_path: Path, make_info: MakeInfo, make_frame: MakeFrame
    ) -> None:
        sink = VideoSink(tmp_path / "o.mp4", make_info(), encoder=ASKED)
        with pytest.raises(OutputError, match="the encoder refuses"):
            sink.write(compose(make_frame()))
        sink.close()

    def test_later_on_nothing_takes_over(
        self,
        tmp_path: Path,
        make_info: MakeInfo,
        make_frame: MakeFrame,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """What is in the file by then would be lost."""
        monkeypatch.setattr(video, "CODEC", "libx264")
        monkeypatch.setattr(video, "nvenc_options", lambda quality: {"crf": str(quality)})
        sink = VideoSink(tmp_path / "o.mp4", make_info(), encoder=REPLACEABLE)
        sink.write(compose(make_frame(0)))
        sink.close()
        with pytest.raises(OutputError):
            sink.write(compose(make_frame(1)))
        assert len(luma(tmp_path / "o.mp4")) == 1
        assert caplog.messages == []

    def test_pictures_on_the_gpu_are_then_brought_to_the_host(
        self,
        tmp_path: Path,
        make_info: MakeInfo,
        make_frame: MakeFrame,
        make_picture: Callable[..., av.VideoFrame],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        brought = make_picture("nv12", codes=(90, 128, 128))
        monkeypatch.setattr(surface, "download", lambda picture: brought)
        info = make_info(pixel_format="nv12", decoder="NVDEC")
        sink = VideoSink(tmp_path / "o.mp4", info, encoder=REPLACEABLE)
        assert sink.takes_gpu_pictures
        there = av.VideoFrame(0, 0, "cuda")
        sink.write(compose(make_frame(picture=there)))
        assert not sink.takes_gpu_pictures
        sink.write(compose(make_frame(1, picture=there)))
        sink.close()
        assert luma(tmp_path / "o.mp4") == pytest.approx([90, 90], abs=1)
        assert np.ptp(luma(tmp_path / "o.mp4")) < 1
