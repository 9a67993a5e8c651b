"""Pictures on a GPU go to each sink where it can reach them; made up, with no GPU."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import pytest

from streamer import pipeline as pipeline_module
from streamer.audio import AudioPacket
from streamer.frame import Frame
from streamer.gpu import surface
from streamer.pipeline import Pipeline
from streamer.sinks import Composed, EventSink, MaskFolderSink, MaskVideoSink, Sink
from streamer.sinks.handing import hand_out
from streamer.sources import SourceInfo, open_source


class KeepingSink:
    """A sink as anyone may have written it."""

    def __init__(self, log: list[str], name: str = "host") -> None:
        self.kept: list[Composed] = []
        self._log, self._name = log, name

    def write(self, composed: Composed) -> None:
        self.kept.append(composed)
        self._log.append(self._name)

    def write_audio(self, packet: AudioPacket) -> None:
        pass

    def close(self) -> None:
        pass


class GpuSink(KeepingSink):
    takes_gpu_pictures = True


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch, make_picture: Callable[..., av.VideoFrame]) -> list[str]:
    """What happens, in order; a download gives a picture of noise."""
    happened: list[str] = []

    def download(picture: av.VideoFrame) -> av.VideoFrame:
        assert picture.format.name == "cuda"
        happened.append("download")
        return make_picture("nv12")

    monkeypatch.setattr(surface, "settle", lambda: happened.append("settle"))
    monkeypatch.setattr(surface, "download", download)
    return happened


@pytest.fixture
def on_gpu(make_frame: Callable[..., Frame]) -> Composed:
    picture = av.VideoFrame(0, 0, "cuda")
    return Composed(make_frame(3, picture=picture), picture, None, [], state="AS IT CAME")


def test_one_download_for_all_that_need_it(log: list[str], on_gpu: Composed) -> None:
    first, second, there = KeepingSink(log), KeepingSink(log), GpuSink(log, "gpu")
    hand_out(on_gpu, [first, there, second])

    assert log == ["settle", "download", "host", "gpu", "host"]
    assert there.kept == [on_gpu]
    (composed,) = first.kept
    assert second.kept == [composed]
    assert composed.picture is composed.frame.picture
    assert composed.picture.format.name == "nv12"
    assert (composed.state, composed.frame.pts) == ("AS IT CAME", on_gpu.frame.pts)


def test_none_where_nobody_needs_it(log: list[str], on_gpu: Composed) -> None:
    sinks = [GpuSink(log, "gpu"), GpuSink(log, "gpu")]
    hand_out(on_gpu, sinks)

    assert log == ["settle", "gpu", "gpu"]
    assert all(sink.kept[0].picture is on_gpu.picture for sink in sinks)


def test_pictures_of_the_host_go_to_all_as_they_are(
    log: list[str], make_frame: Callable[..., Frame]
) -> None:
    frame = make_frame()
    composed = Composed(frame, frame.picture, None, [])
    sinks = [KeepingSink(log), GpuSink(log, "gpu")]
    hand_out(composed, sinks)

    assert log == ["host", "gpu"]
    assert all(sink.kept == [composed] for sink in sinks)


def test_a_sink_that_changes_its_mind_is_asked_for_every_frame(
    log: list[str], on_gpu: Composed
) -> None:
    sink = GpuSink(log, "sink")
    hand_out(on_gpu, [sink])
    sink.takes_gpu_pictures = False
    hand_out(on_gpu, [sink])

    assert log == ["settle", "sink", "settle", "download", "sink"]


def test_findings_and_masks_need_no_samples(
    log: list[str],
    tmp_path: Path,
    on_gpu: Composed,
    make_info: Callable[..., SourceInfo],
) -> None:
    """Of the picture there is but its size."""
    size_alone: Any = SimpleNamespace(width=64, height=48, format=SimpleNamespace(name="cuda"))
    composed = replace(on_gpu, picture=size_alone, frame=replace(on_gpu.frame, picture=size_alone))
    sinks: list[Sink] = [
        EventSink(tmp_path / "e.jsonl"),
        MaskFolderSink(tmp_path / "masks", make_info()),
        MaskVideoSink(tmp_path / "masks.mkv", make_info()),
    ]
    hand_out(composed, sinks)
    for sink in sinks:
        sink.close()

    assert log == ["settle"]
    assert '"frame": 3' in (tmp_path / "e.jsonl").read_text()
    assert cv2.imread(str(tmp_path / "masks" / "000003.png")).shape == (48, 64, 3)
    with av.open(str(tmp_path / "masks.mkv")) as container:
        assert [picture.width for picture in container.decode(video=0)] == [64]


def test_the_pipeline_hands_out_what_was_drawn_upon(
    log: list[str],
    film: Callable[..., Path],
    segmenter: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn: list[av.VideoFrame] = []

    def draw(*_: object) -> av.VideoFrame:
        drawn.append(av.VideoFrame(0, 0, "cuda"))
        return drawn[-1]

    monkeypatch.setattr(pipeline_module.Overlay, "draw", draw)
    source = open_source(str(film(tmp_path / "clip.mp4", count=3)))
    here, there = KeepingSink(log), GpuSink(log, "gpu")
    result = Pipeline(source, segmenter, [there, here]).run()
    source.close()

    assert result.frames_out == 3
    assert log == ["settle", "gpu", "download", "host"] * 3
    assert [composed.picture for composed in there.kept] == drawn
    assert {composed.picture.format.name for composed in here.kept} == {"nv12"}
