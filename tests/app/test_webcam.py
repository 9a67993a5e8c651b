"""The camera of a browser as a live source."""

import cv2
import numpy as np
import pytest

from demos.app import webcam as module
from demos.app.webcam import Webcam
from streamer.errors import SourceEndedError, SourceError, SourceLostError


def jpeg(level: int, width: int = 64, height: int = 48) -> bytes:
    picture = np.full((height, width, 3), level, np.uint8)
    return bytes(cv2.imencode(".jpg", picture)[1])


@pytest.fixture
def webcam(monkeypatch: pytest.MonkeyPatch) -> Webcam:
    monkeypatch.setattr(module, "FIRST_PICTURE_S", 0.0)
    monkeypatch.setattr(module, "SILENT_S", 0.0)
    return Webcam()


def test_pictures_come_as_they_were_sent(webcam: Webcam) -> None:
    webcam.put(jpeg(40))
    source = webcam(None)
    first = source.read()
    webcam.put(jpeg(200))
    second = source.read()

    assert (source.info.width, source.info.height, source.info.live) == (64, 48, True)
    levels = [frame.picture.to_ndarray(format="rgb24").mean() for frame in (first, second)]
    assert levels == pytest.approx([40, 200], abs=3)
    assert [first.index, second.index] == [0, 1]
    assert first.pts < second.pts
    assert first.captured_ns < second.captured_ns


def test_the_newest_is_read_and_the_others_are_counted(webcam: Webcam) -> None:
    webcam.put(jpeg(40))
    source = webcam(None)
    source.read()
    for level in (80, 120, 200):
        webcam.put(jpeg(level))

    assert source.read().picture.to_ndarray(format="rgb24").mean() == pytest.approx(200, abs=3)
    assert source.missed == 2


def test_silence_is_a_lost_source(webcam: Webcam) -> None:
    webcam.put(jpeg(40))
    source = webcam(None)
    source.read()

    with pytest.raises(SourceLostError):
        source.read()
    with pytest.raises(SourceError):
        webcam(source.info)


def test_it_comes_back_in_the_same_size(webcam: Webcam) -> None:
    webcam.put(jpeg(40))
    before = webcam(None)
    webcam.put(jpeg(200, width=100, height=100))
    source = webcam(before.info)

    picture = source.read().picture
    assert source.info is before.info
    assert (picture.width, picture.height) == (64, 48)
    assert source.converted == 1


def test_closed(webcam: Webcam) -> None:
    webcam.put(jpeg(40))
    source = webcam(None)
    source.read()
    webcam.close()

    with pytest.raises(SourceEndedError):
        source.read()


@pytest.mark.parametrize("content", [b"", b"no picture", jpeg(40)[:50]])
def test_what_is_no_picture_is_damage(content: bytes, webcam: Webcam) -> None:
    webcam.put(jpeg(40))
    source = webcam(None)
    source.read()
    webcam.put(content)

    with pytest.raises(SourceLostError):
        source.read()
    assert source.damaged == 1


@pytest.mark.parametrize("content", [b"no picture", jpeg(40, 4000, 3000)])
def test_a_first_picture_that_cannot_be_is_refused(content: bytes, webcam: Webcam) -> None:
    webcam.put(content)

    with pytest.raises(SourceError):
        webcam(None)
