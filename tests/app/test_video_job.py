"""One upload through the pipeline into its folder."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from demos.app import video_job
from demos.app.choices import Choices, Engine
from demos.app.video_job import VideoDone, VideoLimits, VideoNews, VideoOrder
from pranet.errors import PranetError
from streamer.frame import Frame, View
from streamer.view_watch import ViewWatch

Film = Callable[..., Path]


@pytest.fixture
def order(tmp_path: Path, film: Film) -> VideoOrder:
    film(tmp_path / "film.mp4", count=40, audio="aac").rename(tmp_path / video_job.UPLOAD)
    choices = Choices(preset="prompt", color="#0000ff")
    return VideoOrder(tmp_path, "film.mp4", Engine(), choices, VideoLimits())


def run(
    order: VideoOrder, segmenter: Any, cancelled: Callable[[], bool] = lambda: False
) -> tuple[VideoDone, list[VideoNews]]:
    told: list[VideoNews] = []
    return order.run(segmenter, told.append, cancelled), told


def test_all_files_are_there(
    order: VideoOrder, segmenter: Any, play: Callable[[Path], Any]
) -> None:
    done, told = run(order, segmenter)

    assert done == VideoDone()
    overlay, original = (
        play(order.folder / name) for name in (video_job.FINAL_OVERLAY, video_job.FINAL_ORIGINAL)
    )
    masks = play(order.folder / video_job.MASKS)
    assert len(overlay.pictures) == len(original.pictures) == len(masks.pictures) == 40
    assert overlay.times_s == original.times_s
    assert overlay.audio
    poster = cv2.imread(str(order.folder / video_job.POSTER))
    assert poster is not None
    assert poster.shape[:2] == (64, 96)
    lines = (order.folder / video_job.EVENTS).read_text().splitlines()
    assert sum(json.loads(line)["type"] == "frame" for line in lines) == 40
    report = json.loads((order.folder / video_job.REPORT).read_text())
    assert report["source"]["name"] == "film.mp4"
    assert report["frames"]["out"] == 40
    assert str(order.folder) not in json.dumps(report)
    assert told[-1].frames_out == 40
    assert told[-1].left_s == 0
    assert sum(len(news.found.samples) for news in told) == 40


def test_the_view_is_looked_for_ahead(
    order: VideoOrder, segmenter: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first pictures are analysed as the later ones are."""
    seen: list[object] = []

    def look_ahead(source: Any, width: int, height: int, *, within_s: float) -> ViewWatch:
        seen.extend(source)
        assert 0 < within_s <= 2
        return ViewWatch(width, height, View(10, 4, 80, 56))

    monkeypatch.setattr(video_job, "look_ahead", look_ahead)
    run(order, segmenter)

    assert sum(isinstance(item, Frame) for item in seen) == 40
    report = json.loads((order.folder / video_job.REPORT).read_text())
    assert report["view"] == [10, 4, 80, 56]
    assert report["view_changes"] == []


def test_the_original_has_no_marker(
    order: VideoOrder, segmenter: Any, play: Callable[[Path], Any]
) -> None:
    run(order, segmenter)
    source, overlay, original = (
        play(order.folder / name).pictures[-1].to_ndarray(format="rgb24").astype(int)
        for name in (video_job.UPLOAD, video_job.FINAL_OVERLAY, video_job.FINAL_ORIGINAL)
    )

    def blue(picture: np.ndarray[Any, Any]) -> int:
        return int((picture[..., 2] > picture[..., :2].max(axis=2) + 60).sum())

    assert blue(source) == blue(original) == 0
    assert blue(overlay) > 20


def test_cancelled_keeps_what_was_made(
    order: VideoOrder, segmenter: Any, play: Callable[[Path], Any]
) -> None:
    asked = 0

    def cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked >= 10

    done, told = run(order, segmenter, cancelled)

    assert done.stopped
    assert told[-1].frames_out == 10
    assert len(play(order.folder / video_job.FINAL_OVERLAY).pictures) == 10


def test_what_takes_too_long_is_ended(order: VideoOrder, segmenter: Any) -> None:
    done, told = run(replace(order, limits=VideoLimits(max_work_s=0.0)), segmenter)

    assert "ended after" in done.note
    assert not done.stopped
    assert told[-1].frames_out == 1


@pytest.mark.parametrize(
    "content",
    [
        b"This is no film.\n" * 1000,
        b"PK\x03\x04" + bytes(5000),
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile /etc/passwd\n",
        bytes(5000),
    ],
)
def test_what_is_no_video_is_refused(content: bytes, order: VideoOrder, segmenter: Any) -> None:
    (order.folder / video_job.UPLOAD).write_bytes(content)

    with pytest.raises(PranetError):
        run(order, segmenter)
    assert not (order.folder / video_job.OVERLAY).exists()


def test_longer_than_allowed_is_refused_before_anything_is_written(
    order: VideoOrder, segmenter: Any
) -> None:
    with pytest.raises(PranetError, match="at most 1 seconds"):
        run(replace(order, limits=VideoLimits(max_s=1.0)), segmenter)
    assert sorted(path.name for path in order.folder.iterdir()) == [video_job.UPLOAD]
