"""Packets that hold more or less than a picture."""

import io
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import av
import pytest
from streams import (
    DEADLINE_S,
    Encode,
    Open,
    Sender,
    opener_of,
    read_all,
)

from streamer.frame import Frame


def in_pairs(content: bytes) -> bytes:
    """The same transport stream with two pictures in each packet."""
    buffer = io.BytesIO()
    with av.open(io.BytesIO(content)) as given, av.open(buffer, "w", format="mpegts") as made:
        stream = made.add_stream_from_template(given.streams.video[0])
        coded = [packet for packet in given.demux(video=0) if packet.size]
        for first, second in zip(coded[::2], coded[1::2], strict=True):
            packet = av.Packet(bytes(first) + bytes(second))
            packet.pts, packet.dts, packet.time_base = first.pts, first.dts, first.time_base
            packet.stream = stream
            made.mux_one(packet)
    return buffer.getvalue()


class TestWholePictures:
    """Of a transport stream that is known as one."""

    @pytest.mark.parametrize("codec_options", [{"tune": "zerolatency"}, {"slices": "3", "bf": "0"}])
    def test_last_picture_does_not_wait_for_another(
        self,
        opened: Open,
        sender: Callable[..., Sender],
        encode: Encode,
        codec_options: dict[str, str],
    ) -> None:
        sending = sender(encode(30, lengths=True, options=codec_options))
        source = opened(sending.url, patience_s=3600, format="mpegts")
        got: list[Frame] = []
        thread = threading.Thread(target=lambda: got.extend(source.read() for _ in range(30)))
        thread.start()
        thread.join(DEADLINE_S)
        late = thread.is_alive()
        # Wakes it, should it wait.
        for connected in sending._connected:
            connected.shutdown(socket.SHUT_RDWR)
        thread.join(DEADLINE_S)

        assert not late
        assert len(got) == 30
        assert source.damaged == 0

    def test_two_in_one_packet(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        content = in_pairs(encode(30))
        # It is opened a second time, and then FFmpeg cuts them.
        opener = opener_of(sender(content, hang_up=True).url, format="mpegts")
        frames, _ = read_all(opened(opener))

        assert len(frames) == 30
        assert opener._whole.refuted  # type: ignore[attr-defined]

    def test_codec_without_delimiters(
        self, opened: Open, sender: Callable[..., Sender], film: Callable[..., Path], tmp_path: Path
    ) -> None:
        clip = film(tmp_path / "clip.ts", codec="mpeg2video", count=20)
        url = sender(clip.read_bytes(), hang_up=True).url

        assert len(read_all(opened(opener_of(url, format="mpegts")))[0]) == 20

    def test_sender_that_begins_to_do_otherwise(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        first, then = encode(30), in_pairs(encode(30))
        opener = opener_of(sender(first + then, then, hang_up=True).url, format="mpegts")
        source = opened(opener)
        before, error = read_all(source)
        after, _ = read_all(opened(opener, source.info))

        assert str(error).endswith("its packets are not whole pictures")
        assert 30 <= len(before) < 45
        assert len(after) == 30
