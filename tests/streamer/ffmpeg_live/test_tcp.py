"""Network streams over TCP on loopback."""

import random
import socket
from collections.abc import Callable
from itertools import pairwise

import pytest
from streams import (
    Encode,
    Open,
    Sender,
    level,
    read_all,
)

from streamer.errors import SourceError, SourceLostError
from streamer.sources import ffmpeg_live


class TestTcp:
    def test_every_picture_without_waiting_for_a_later_one(
        self,
        opened: Open,
        sender: Callable[..., Sender],
        encode: Encode,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        # On many cores, decoding by frames would keep some back.
        monkeypatch.setattr(ffmpeg_live, "usable_cores", lambda: 16)
        source = opened(sender(encode(30)).url, patience_s=0.5)
        frames, error = read_all(source)

        assert len(frames) == 30
        assert [round(level(frame)) for frame in frames] == sorted(
            round(level(frame)) for frame in frames
        )
        assert isinstance(error, SourceLostError)
        assert str(error).endswith("silent for 0.5 s")
        assert source.damaged == 0

    def test_sender_hangs_up(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        frames, error = read_all(opened(sender(encode(30), hang_up=True).url))

        assert len(frames) == 30
        assert isinstance(error, SourceLostError)
        assert "ended by the sender" in str(error)

    def test_picture_is_dated_by_its_own_packet(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        content = encode(30, options={"bf": "2", "b-adapt": "0"})
        frames, _ = read_all(opened(sender(content, hang_up=True).url))
        captured = [frame.captured_ns for frame in frames]

        assert len(frames) == 30
        # A picture that others are predicted from arrives before those that are shown before it.
        assert captured != sorted(captured)
        assert all(before.pts < after.pts for before, after in pairwise(frames))

    def test_joined_half_way(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        content = encode(60)
        cut = content[len(content) // 3 // 188 * 188 :]
        source = opened(sender(cut, hang_up=True).url)
        frames, _ = read_all(source)

        assert 30 < len(frames) <= 42
        assert source.damaged == 0

    def test_sound_beside_it(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        source = opened(sender(encode(30, sound=True), hang_up=True).url)

        assert len(read_all(source)[0]) == 30

    def test_sound_alone(self, opened: Open, sender: Callable[..., Sender], encode: Encode) -> None:
        content = encode(200, sound=True, vision=False)
        with pytest.raises(SourceError, match="no video that can be decoded"):
            opened(sender(content, hang_up=True).url)

    def test_no_video_at_all(self, opened: Open, sender: Callable[..., Sender]) -> None:
        with pytest.raises(SourceError, match="sends nothing that can be read as video"):
            opened(sender(b"HTTP/1.1 404\r\n\r\n" * 1000, hang_up=True).url)

    def test_never_says_a_word(self, opened: Open, sender: Callable[..., Sender]) -> None:
        with pytest.raises(SourceError, match=r"no answer within 0\.3 s"):
            opened(sender(b"").url, open_timeout_s=0.3)

    @pytest.mark.parametrize("seed", range(12))
    def test_damage_does_no_harm(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode, seed: int
    ) -> None:
        rng = random.Random(seed)
        content = bytearray(encode(60))
        for _ in range(60):
            place = rng.randrange(len(content))
            content[place] ^= rng.randrange(1, 256)
        packets = [bytes(content[at : at + 188]) for at in range(0, len(content), 188)]
        for _ in range(3):
            del packets[rng.randrange(len(packets))]
        packets.insert(rng.randrange(len(packets)), rng.choice(packets))
        try:
            source = opened(sender(b"".join(packets), hang_up=True).url, patience_s=1)
        except SourceError:
            return
        frames, error = read_all(source)

        assert isinstance(error, SourceLostError)
        assert all(before.pts < after.pts for before, after in pairwise(frames))

    def test_password_shows_nowhere(self, opened: Open, capfd: pytest.CaptureFixture[str]) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        with pytest.raises(SourceError) as caught:
            opened(f"rtsp://user:geheim@127.0.0.1:{port}/live?token=auchgeheim")

        shown = f"stream (rtsp://127.0.0.1:{port}/live?token=***)"
        assert str(caught.value) == f"{shown}: cannot be opened (Connection refused)"
        # Nor in what a traceback would show.
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None
        printed = capfd.readouterr()
        assert "geheim" not in printed.out + printed.err

    def test_what_ffmpeg_lacks(self, opened: Open) -> None:
        with pytest.raises(SourceError, match="cannot read this kind of address"):
            opened("srt://127.0.0.1:9")
