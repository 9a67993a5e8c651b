"""Decoding on a GPU, as far as it can be seen without one."""

import logging
from collections.abc import Callable, Container, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest

from streamer.errors import SourceError
from streamer.frame import Frame
from streamer.planes import planes
from streamer.sources import FileSource, open_source
from streamer.sources import file as file_module
from streamer.sources.nvdec import MOST_REFUSED, check_on_gpu, nvdec


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


@pytest.fixture
def no_acceleration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opens for NVDEC what the CPU then decodes."""
    real = av.open
    monkeypatch.setattr(
        file_module.av,
        "open",
        lambda *arguments, hwaccel=None, **options: real(*arguments, **options),
    )


@pytest.fixture
def stand_in(no_acceleration: None, monkeypatch: pytest.MonkeyPatch) -> list[av.VideoFrame]:
    """Frames of the host take the place of those of a GPU; those that were checked."""
    checked: list[av.VideoFrame] = []
    monkeypatch.setattr(file_module, "check_on_gpu", lambda picture, _: checked.append(picture))
    monkeypatch.setattr(file_module, "adopt", lambda picture: picture.reformat(format="nv12"))
    return checked


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


@pytest.mark.usefixtures("stand_in")
def test_pictures_are_taken_over_and_announced_as_they_are(clip: Path) -> None:
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


@pytest.fixture
def foreign(film: Any, tmp_path: Path) -> Path:
    """Of a codec that no NVDEC has; PyAV finds that out with no GPU."""
    path: Path = film(tmp_path / "clip.mkv", count=5, codec="ffv1")
    return path


def test_auto_takes_the_cpu_for_a_codec_that_nvdec_lacks(
    foreign: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        source = open_source(str(foreign), decode="auto")
    assert source.info.decoder == "CPU"
    source.close()
    (line,) = caplog.messages
    assert line.startswith(f"decoding on the CPU: {foreign}: NVDEC cannot be used (Hardware")


def test_gpu_says_in_one_line_that_nvdec_lacks_a_codec(foreign: Path) -> None:
    with pytest.raises(SourceError, match=r"^.*NVDEC cannot be used \(.*no stream is compatible"):
        open_source(str(foreign), decode="gpu")


def test_what_cuda_says_at_length_is_cut_to_one_line(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`")

    monkeypatch.setattr(file_module, "nvdec", fail)
    with pytest.raises(SourceError) as caught:
        open_source(str(clip), decode="gpu")
    assert str(caught.value) == f"{clip}: NVDEC cannot be used (CUDA error: out of memory)"


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, no_acceleration: None) -> Callable[..., list[object]]:
    """Has NVDEC refuse some of the packets, and the CPU none; gives all that are read."""
    real = FileSource._packets

    def fail() -> None:
        raise av.error.InvalidDataError(1, "Invalid data found")

    def prepare(which: Container[int]) -> list[object]:
        packets: list[object] = []

        def some_refused(source: FileSource) -> Iterator[object]:
            for index, packet in enumerate(real(source)):
                packets.append(packet)
                refused = source._on_gpu and index in which
                yield SimpleNamespace(stream=packet.stream, decode=fail) if refused else packet

        monkeypatch.setattr(FileSource, "_packets", some_refused)
        return packets

    return prepare


ALL = range(1000)


def test_what_nvdec_refuses_is_not_read_to_its_end(
    film: Any, tmp_path: Path, refuse: Callable[..., list[object]]
) -> None:
    path, read = film(tmp_path / "long.mp4", count=3 * MOST_REFUSED), refuse(ALL)
    with pytest.raises(SourceError, match=r"NVDEC does not decode it \(Invalid data found\)"):
        open_source(str(path), decode="gpu")
    assert len(read) == MOST_REFUSED


def test_nor_is_a_short_file_called_damaged_alone(
    clip: Path, refuse: Callable[..., list[object]]
) -> None:
    read = refuse(ALL)
    with pytest.raises(SourceError, match="NVDEC does not decode it, or it is damaged"):
        open_source(str(clip), decode="gpu")
    assert 5 <= len(read) < MOST_REFUSED


@pytest.mark.parametrize("count", [5, 3 * MOST_REFUSED])
def test_auto_has_the_cpu_decode_what_nvdec_refuses(
    film: Any,
    tmp_path: Path,
    refuse: Callable[..., list[object]],
    count: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = film(tmp_path / "clip.mp4", count=count)
    refuse(ALL)
    with caplog.at_level(logging.INFO):
        source = open_source(str(path), decode="auto")
    assert (source.info.decoder, source.damaged) == ("CPU", 0)
    assert sum(isinstance(item, Frame) for item in source) == count
    source.close()
    assert "NVDEC does not decode it" in caplog.messages[0]


@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize(
    "which",
    [range(1, MOST_REFUSED + 15), [*range(MOST_REFUSED - 1), *range(MOST_REFUSED, 25)]],
    ids=["after a picture", "not in a row"],
)
def test_damage_is_no_refusal(
    film: Any, tmp_path: Path, refuse: Callable[..., list[object]], which: Container[int]
) -> None:
    # Each picture is whole by itself.
    path = film(tmp_path / "clip.mp4", count=30, options={"g": "1"})
    refuse(which)
    source = open_source(str(path), decode="gpu")
    frames = sum(isinstance(item, Frame) for item in source)
    source.close()
    assert (frames, source.damaged) == (6, 24)


def _decoded(width: int, height: int, layout: str = "nv12") -> Any:
    """All that is looked at of a picture on a GPU."""
    kind, stored = (SimpleNamespace(name=name) for name in ("cuda", layout))
    return SimpleNamespace(width=width, height=height, format=kind, sw_format=stored)


def test_odd_sides_are_refused_where_the_cpu_can_still_take_over() -> None:
    check_on_gpu(_decoded(64, 48), "clip")
    for width, height in ((63, 48), (64, 47)):
        with pytest.raises(SourceError, match=f"clip: .*{width}x{height} px.*even"):
            check_on_gpu(_decoded(width, height), "clip")


def test_every_picture_is_checked(clip: Path, stand_in: list[av.VideoFrame]) -> None:
    """A stream can change its layout half-way."""
    source = open_source(str(clip), decode="gpu")
    first = list(stand_in)
    frames = sum(isinstance(item, Frame) for item in source)
    source.close()
    assert len(first) == 1
    assert len(stand_in) == 1 + frames


@pytest.mark.usefixtures("stand_in")
def test_a_change_of_size_half_way_names_the_way_out(film: Any, tmp_path: Path) -> None:
    parts = [film(tmp_path / f"{width}.h264", count=5, size=(width, 64)) for width in (96, 64)]
    path = tmp_path / "both.h264"
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = open_source(str(path), decode="gpu")
    with pytest.raises(SourceError, match="changes its size half-way, which needs --decode cpu"):
        list(source)
    source.close()
