"""Decoding on a GPU, as far as it can be seen without one."""

import logging
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamer.errors import SourceError
from streamer.frame import Frame
from streamer.planes import planes
from streamer.sources import file as file_module
from streamer.sources import open_source
from streamer.sources.nvdec import check_on_gpu, nvdec


@pytest.fixture
def clip(film: Any, tmp_path: Path) -> Path:
    path: Path = film(tmp_path / "clip.mp4", count=5)
    return path


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """As FFmpeg says it on a machine without a GPU."""
    real = av.open

    def refuse(*arguments: Any, **options: Any) -> Any:
        if options.get("hwaccel") is not None:
            raise av.error.PermissionError(1, "Operation not permitted")
        return real(*arguments, **options)

    monkeypatch.setattr(file_module.av, "open", refuse)


@pytest.mark.usefixtures("no_gpu")
def test_auto_takes_the_cpu_and_says_why(clip: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        source = open_source(str(clip), decode="auto")
    assert source.info.decoder == "CPU"
    assert sum(isinstance(item, Frame) for item in source) == 5
    source.close()
    (line,) = caplog.messages
    assert line == f"decoding on the CPU: {clip}: NVDEC cannot be used (Operation not permitted)"


@pytest.mark.usefixtures("no_gpu")
def test_gpu_insists(clip: Path) -> None:
    with pytest.raises(SourceError, match="NVDEC cannot be used"):
        open_source(str(clip), decode="gpu")


def test_decoder_shares_the_context_that_torch_has_made() -> None:
    """FFmpeg refuses it as the primary context, which PyAV asks for where nothing else is said."""
    assert nvdec().options == {"primary_ctx": "0", "current_ctx": "1"}


def test_pictures_that_came_from_the_cpu_after_all_are_noticed() -> None:
    with pytest.raises(SourceError, match=r"clip: NVDEC gives yuv420p pictures of it, not nv12"):
        check_on_gpu(av.VideoFrame(64, 48, "yuv420p"), "clip")


def test_pictures_are_taken_over_and_announced_as_they_are(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With frames of the host in the place of those of a GPU."""
    real = av.open
    monkeypatch.setattr(
        file_module.av,
        "open",
        lambda *arguments, hwaccel=None, **options: real(*arguments, **options),
    )
    monkeypatch.setattr(file_module, "check_on_gpu", lambda *_: None)
    monkeypatch.setattr(file_module, "adopt", lambda picture: picture.reformat(format="nv12"))
    source = open_source(str(clip), decode="gpu")
    assert (source.info.decoder, source.info.pixel_format) == ("NVDEC", "nv12")
    frames = [item for item in source if isinstance(item, Frame)]
    source.close()
    assert [frame.picture.format.name for frame in frames] == ["nv12"] * 5
    plain = open_source(str(clip))
    for frame, other in zip(
        frames, (item for item in plain if isinstance(item, Frame)), strict=True
    ):
        assert frame.pts == other.pts
        np.testing.assert_array_equal(
            planes(frame.picture)[0].pixels, planes(other.picture)[0].pixels
        )
    plain.close()
