"""Whether packets are whole pictures."""

import pytest

from streamer.errors import SourceLostError
from streamer.sources.whole import NotWholeError, WholePictures

DELIMITER = b"\0\0\0\1\x09\xf0"
KEY = DELIMITER + b"\0\0\0\1\x67parameters\0\0\1\x65picture"
OTHER = DELIMITER + b"\0\0\1\x41picture"


def test_key_pictures_bring_their_parameters() -> None:
    whole = WholePictures()

    assert [whole.check("h264", packet) for packet in (KEY, OTHER, KEY)] == [True, False, True]
    assert whole.check("hevc", b"\0\0\1\x46\1\x10\0\0\1\x42\1parameters")


@pytest.mark.parametrize("packet", [KEY + OTHER, OTHER[6:], b"", b"\0\0\1"])
def test_first_packet_decides(packet: bytes) -> None:
    whole = WholePictures()
    with pytest.raises(NotWholeError) as caught:
        whole.check("h264", packet)

    assert whole.refuted
    # For the pipeline it is a source that was lost.
    assert isinstance(caught.value, SourceLostError)


def test_single_damaged_packets_prove_nothing() -> None:
    whole = WholePictures()
    for number in range(2000):
        whole.check("h264", b"damage" if number % 20 == 10 else OTHER)

    assert not whole.refuted


def test_sender_that_begins_to_do_otherwise() -> None:
    whole = WholePictures()
    for _ in range(100):
        whole.check("h264", OTHER)
    for _ in range(3):
        whole.check("h264", OTHER * 2)
    with pytest.raises(NotWholeError):
        whole.check("h264", OTHER * 2)


def test_codec_without_delimiters() -> None:
    whole = WholePictures()
    with pytest.raises(NotWholeError, match="mpeg2video"):
        whole.check("mpeg2video", KEY)

    assert whole.refuted
