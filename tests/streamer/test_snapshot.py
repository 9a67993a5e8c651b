"""Snapshots: what was asked for, whole, and never over another one."""

import json
import logging
import os
import signal
from collections.abc import Callable
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from streamer.audio import AudioPacket
from streamer.color import ColorDescription
from streamer.errors import OutputError
from streamer.frame import Frame, Segmentation
from streamer.objects import find_objects
from streamer.rgb import RgbReader
from streamer.sinks import Composed, SnapshotSink, WallTime
from streamer.sinks.snapshot import BgrReader

SECOND_NS = 1_000_000_000
WALL = WallTime(
    int(datetime(2026, 1, 31, 14, 25, 30).timestamp()) * SECOND_NS + 250_000_000, 7 * SECOND_NS
)
NAME = "snapshot-20260131-142530-250"

MakePicture = Callable[..., av.VideoFrame]


@pytest.fixture
def compose(
    make_frame: Callable[..., Frame],
    make_picture: MakePicture,
    soft_disc: Callable[..., Segmentation],
) -> Callable[..., Composed]:
    """A frame of noise, captured at the start, with other noise to be shown in its place."""

    def make(index: int = 0, **changes: Any) -> Composed:
        frame = replace(make_frame(index), captured_ns=7 * SECOND_NS)
        shown = make_picture(seed=100 + index)
        segmentation = soft_disc(32)
        composed = Composed(frame, shown, segmentation, find_objects(segmentation), "FROZEN", 12.5)
        return replace(composed, **changes)

    return make


def rgb(picture: av.VideoFrame, color: ColorDescription) -> np.ndarray[Any, Any]:
    return RgbReader().read(picture, color, picture.width, picture.height)


def read(path: Path) -> np.ndarray[Any, Any]:
    found = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
    assert found is not None
    return found[..., ::-1]


def test_only_when_asked_and_only_once(tmp_path: Path, compose: Callable[..., Composed]) -> None:
    sink = SnapshotSink(tmp_path / "new" / "folder", wall=WALL)
    folder = tmp_path / "new" / "folder"
    sink.write(compose(0))
    assert list(folder.iterdir()) == []
    sink.request()
    sink.request()
    sink.write(compose(1))
    sink.write(compose(2))
    sink.close()

    assert sorted(path.name for path in folder.iterdir()) == [
        f"{NAME}-overlay.png",
        f"{NAME}-raw.png",
        f"{NAME}.json",
    ]
    assert json.loads((folder / f"{NAME}.json").read_text())["frame"] == 1


def test_holds_both_pictures_and_what_was_found(
    tmp_path: Path, compose: Callable[..., Composed], caplog: pytest.LogCaptureFixture
) -> None:
    composed = compose(3)
    sink = SnapshotSink(tmp_path, wall=WALL)
    sink.request()
    with caplog.at_level(logging.INFO):
        sink.write(composed)
    told = json.loads((tmp_path / f"{NAME}.json").read_text())
    frame = composed.frame

    np.testing.assert_array_equal(
        read(tmp_path / told["overlay"]), rgb(composed.picture, frame.color)
    )
    np.testing.assert_array_equal(read(tmp_path / told["raw"]), rgb(frame.picture, frame.color))
    assert datetime.fromisoformat(told["wall_time"]) == WALL.at(frame.captured_ns)
    assert datetime.fromisoformat(told["wall_time"]).utcoffset() is not None
    assert (told["frame"], told["pts"], told["time_s"]) == (3, 120, 0.12)
    assert (told["state"], told["mask_age_ms"]) == ("FROZEN", 12.5)
    assert told["objects"] == [asdict(each) | {"box": list(each.box)} for each in composed.objects]
    assert len(told["objects"]) == 1
    assert (told["width"], told["height"]) == (64, 48)
    assert str(tmp_path / f"{NAME}.json") in caplog.text


def test_without_a_mask(tmp_path: Path, compose: Callable[..., Composed]) -> None:
    sink = SnapshotSink(tmp_path, wall=WALL)
    sink.request()
    sink.write(compose(segmentation=None, objects=[], mask_age_ms=None))
    told = json.loads((tmp_path / f"{NAME}.json").read_text())

    assert (told["mask_age_ms"], told["objects"]) == (None, [])


def test_never_over_another_one(tmp_path: Path, compose: Callable[..., Composed]) -> None:
    taken = tmp_path / f"{NAME}-raw.png"
    taken.write_bytes(b"somebody's")
    sink = SnapshotSink(tmp_path, wall=WALL)
    for index in range(3):
        sink.request()
        sink.write(compose(index))
    stems = (f"{NAME}_2", f"{NAME}_3", f"{NAME}_4")

    assert taken.read_bytes() == b"somebody's"
    assert [json.loads((tmp_path / f"{stem}.json").read_text())["frame"] for stem in stems] == [
        0,
        1,
        2,
    ]
    assert len(list(tmp_path.iterdir())) == 10


def test_of_another_moment_has_another_name(
    tmp_path: Path, compose: Callable[..., Composed]
) -> None:
    sink = SnapshotSink(tmp_path, wall=WALL)
    for ms in (0, 1, 750):
        composed = compose()
        sink.request()
        sink.write(
            replace(
                composed,
                frame=replace(composed.frame, captured_ns=7 * SECOND_NS + ms * 1_000_000),
            )
        )

    assert sorted(path.stem for path in tmp_path.glob("*.json")) == [
        NAME,
        "snapshot-20260131-142530-251",
        "snapshot-20260131-142531-000",
    ]


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="the system has no SIGUSR1")
def test_asked_for_by_a_signal(tmp_path: Path, compose: Callable[..., Composed]) -> None:
    sink = SnapshotSink(tmp_path, wall=WALL)
    before = signal.signal(signal.SIGUSR1, lambda *_: sink.request())
    try:
        os.kill(os.getpid(), signal.SIGUSR1)
        sink.write(compose())
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert len(list(tmp_path.iterdir())) == 3


def test_that_cannot_be_written_is_said_and_the_next_one_is_tried(
    tmp_path: Path, compose: Callable[..., Composed], caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "stick"
    sink = SnapshotSink(folder, wall=WALL)
    folder.rmdir()
    sink.request()
    sink.write(compose(0))
    assert "overlay.png: cannot be written" in caplog.text
    folder.mkdir()
    sink.write(compose(1))
    assert list(folder.iterdir()) == []
    sink.request()
    sink.write(compose(2))

    assert json.loads((folder / f"{NAME}.json").read_text())["frame"] == 2


def test_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OutputError, match="a folder is needed"):
        SnapshotSink(tmp_path / "file")


def test_sound_is_nothing_to_it(tmp_path: Path) -> None:
    packet: AudioPacket = av.Packet(b"sound")  # type: ignore[assignment]
    SnapshotSink(tmp_path).write_audio(packet)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv422p10le", "gray", "yuvj444p"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
def test_colours_are_read_as_the_frame_says(
    matrix: str, full_range: bool, pixel_format: str, make_picture: MakePicture
) -> None:
    color = ColorDescription(matrix, full_range, guessed=False)
    codes = {"gray": (90,), "yuv422p10le": (400, 520, 700)}.get(pixel_format, (100, 130, 175))
    picture = make_picture(pixel_format, codes=codes)
    before = picture.to_ndarray().copy()
    tags = picture.colorspace, picture.color_range
    found = BgrReader().read(picture, color)

    assert found.shape == (48, 64, 3)
    np.testing.assert_array_equal(found[..., ::-1], rgb(picture, color))
    np.testing.assert_array_equal(picture.to_ndarray(), before)
    assert (picture.colorspace, picture.color_range) == tags
