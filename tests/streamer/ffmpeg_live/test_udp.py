"""Network streams over UDP on loopback."""

import pytest
from streams import (
    Broadcast,
    Encode,
    Open,
    opener_of,
    read_all,
)

from streamer.errors import SourceError, SourceLostError


class TestUdp:
    def test_stops_and_comes_back_with_another_size(
        self, opened: Open, broadcast: tuple[Broadcast, str], encode: Encode
    ) -> None:
        sending, url = broadcast
        sending.start(encode(25))
        opener = opener_of(url, patience_s=0.5)
        first = opened(opener)
        frames = [first.read() for _ in range(30)]
        sending.stop()
        more, error = read_all(first)
        first.close()

        assert str(error).endswith("silent for 0.5 s")
        assert isinstance(error, SourceLostError)
        sending.start(encode(25, size=(192, 128)))
        second = opened(opener, first.info)
        again = [second.read() for _ in range(10)]
        assert {frame.picture.width for frame in again} == {96}
        assert second.converted == 10
        assert again[0].pts > (frames + more)[-1].pts

    def test_size_changes_while_it_is_read(
        self, opened: Open, broadcast: tuple[Broadcast, str], encode: Encode
    ) -> None:
        sending, url = broadcast
        sending.start(encode(25))
        source = opened(url)
        source.read()
        sending.start(encode(25, size=(192, 128)))
        while not source.converted:
            assert source.read().picture.width == 96

        assert source.info.width == 96

    def test_only_the_sound_goes_on(
        self, opened: Open, broadcast: tuple[Broadcast, str], encode: Encode
    ) -> None:
        sending, url = broadcast
        sending.start(encode(25, sound=True))
        source = opened(url, patience_s=0.5)
        source.read()
        sending.start(encode(200, sound=True, vision=False))
        _, error = read_all(source)

        assert str(error).endswith("sends no video any more")
        assert isinstance(error, SourceLostError)

    def test_key_picture_never_comes(
        self, opened: Open, broadcast: tuple[Broadcast, str], encode: Encode
    ) -> None:
        sending, url = broadcast
        # The parameters are there, but all pictures are predicted from one that is not.
        content = encode(25, options={"tune": "zerolatency", "g": "1000"})
        packets = [content[at : at + 188] for at in range(0, len(content), 188)]
        units = [packet for packet in packets if packet[1] & 0x40 and packet[2] == 0]
        sending.start(b"".join(units[1:] + packets[-len(packets) // 3 :]))

        with pytest.raises(SourceError, match="nothing that it sends makes a picture"):
            opened(url, open_timeout_s=1)

    def test_nobody_sends(self, opened: Open, broadcast: tuple[Broadcast, str]) -> None:
        with pytest.raises(SourceError, match=r"no answer within 0\.3 s"):
            opened(broadcast[1], open_timeout_s=0.3)
