"""Live sources by way of FFmpeg: test patterns, network streams on loopback, made-up devices."""

import errno
import io
import random
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import count, pairwise
from pathlib import Path
from time import monotonic_ns
from typing import Any

import av
import numpy as np
import pytest

from streamer.errors import SourceEndedError, SourceError, SourceLostError
from streamer.frame import Frame
from streamer.settings import Settings, SourceSettings
from streamer.sources import ffmpeg_live, open_live, packets
from streamer.sources.address import Address, Kind
from streamer.sources.base import LiveSource, OpenLive
from streamer.sources.ffmpeg_live import OpenFFmpeg
from streamer.sources.times import LIVE_TIME_BASE, LiveTimes

#: Whatever has not happened by then hangs, in seconds.
DEADLINE_S = 60

PATTERN = "lavfi:testsrc2=size=96x64:rate=200"

Open = Callable[..., LiveSource]
Encode = Callable[..., bytes]


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streams of these tests are sent at once: on a busy machine that looks like being late."""
    monkeypatch.setattr(packets, "_TOO_LATE_NS", 10**15)


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens sources and closes them at the end."""
    sources: list[LiveSource] = []

    def open_it(place: str | OpenLive, like: Any = None, **settings: Any) -> LiveSource:
        opener = opener_of(place, **settings) if isinstance(place, str) else place
        sources.append(opener(like))
        return sources[-1]

    yield open_it
    for source in sources:
        source.close()


def opener_of(url: str, *, patience_s: float = 30, **settings: Any) -> OpenLive:
    asked = SourceSettings(url=url, **{"read_timeout_s": patience_s, **settings})
    return open_live("stream", settings=Settings(None, {"stream": asked}))


def read_all(source: LiveSource) -> tuple[list[Frame], SourceError]:
    """Everything until the source is lost or ends, and how it did."""
    frames = []
    try:
        while True:
            frames.append(source.read())
    except SourceError as error:
        return frames, error


@pytest.fixture(scope="session")
def encode() -> Encode:
    """Makes a transport stream of so many pictures of rising brightness."""

    def make(
        pictures: int = 30,
        *,
        size: tuple[int, int] = (96, 64),
        options: dict[str, str] | None = None,
        sound: bool = False,
        vision: bool = True,
        lengths: bool = False,
    ) -> bytes:
        buffer = io.BytesIO()
        # With its length in front, a picture's end is known before the next one begins.
        muxing = {"omit_video_pes_length": "0"} if lengths else {}
        with av.open(buffer, "w", format="mpegts", container_options=muxing) as output:
            tone = output.add_stream("mp2", rate=48000) if sound else None
            video = (
                output.add_stream("libx264", rate=25, options=options or {"tune": "zerolatency"})
                if vision
                else None
            )
            if video is not None:
                video.width, video.height = size
                video.pix_fmt, video.gop_size = "yuv420p", 5
            if tone is not None:
                tone.codec_context.layout = "mono"
                quiet = av.AudioFrame.from_ndarray(
                    np.zeros((1, 1152), np.int16), format="s16", layout="mono"
                )
                quiet.rate = 48000
                for number in range(pictures):
                    quiet.pts = 1152 * number
                    output.mux(tone.encode(quiet))
            if video is not None:
                for number in range(pictures):
                    level = np.full((size[1], size[0], 3), 20 + 5 * (number % 40), np.uint8)
                    picture = av.VideoFrame.from_ndarray(level)
                    picture.pts = number
                    output.mux(video.encode(picture))
                output.mux(video.encode(None))
        return buffer.getvalue()

    return make


class Sender:
    """Sends what it is given to whoever connects by TCP, then falls silent, or hangs up.

    contents: for the first who connects, for the second, …; the last for all others.
    """

    def __init__(self, *contents: bytes, hang_up: bool = False) -> None:
        self._contents, self._hang_up = contents, hang_up
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._connected: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"

    def _serve(self) -> None:
        for number in count():
            try:
                connected, _ = self._listening.accept()
                self._connected.append(connected)
                connected.sendall(self._contents[min(number, len(self._contents) - 1)])
                if self._hang_up:
                    connected.close()
            except OSError:
                return

    def end(self) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        for connected in self._connected:
            connected.close()
        self._thread.join(DEADLINE_S)
        self._listening.close()


@pytest.fixture
def sender() -> Iterator[Callable[..., Sender]]:
    senders: list[Sender] = []

    def start(*contents: bytes, hang_up: bool = False) -> Sender:
        senders.append(Sender(*contents, hang_up=hang_up))
        return senders[-1]

    yield start
    for one in senders:
        one.end()


class Broadcast:
    """Sends datagrams over and over until it is told to stop, at the pace of a stream."""

    def __init__(self, port: int) -> None:
        self._to = ("127.0.0.1", port)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, content: bytes) -> None:
        self.stop()
        self._stopping.clear()
        self._thread = threading.Thread(target=self._send, args=[content])
        self._thread.start()

    def _send(self, content: bytes) -> None:
        size = 7 * 188
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
            while True:
                for start in range(0, len(content), size):
                    out.sendto(content[start : start + size], self._to)
                    if self._stopping.wait(0.002):
                        return

    def stop(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(DEADLINE_S)


@pytest.fixture
def broadcast() -> Iterator[tuple[Broadcast, str]]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    sending = Broadcast(port)
    yield sending, f"udp://127.0.0.1:{port}"
    sending.stop()


def level(frame: Frame) -> float:
    return float(frame.picture.to_ndarray()[: frame.picture.height].mean())


class TestTestPattern:
    def test_reads_pictures(self, opened: Open) -> None:
        source = opened("lavfi:testsrc2=size=96x64:rate=200")
        frames = [source.read() for _ in range(10)]
        info = source.info

        assert (info.width, info.height, info.pixel_format) == (96, 64, "yuv420p")
        assert (info.rate, info.time_base, info.live) == (200, LIVE_TIME_BASE, True)
        assert (info.frames, info.audio) == (None, None)
        assert [frame.index for frame in frames] == list(range(10))
        assert frames[0].pts == 0
        assert all(before.pts < after.pts for before, after in pairwise(frames))
        assert {frame.time_base for frame in frames} == {LIVE_TIME_BASE}
        assert all(frame.color == info.color for frame in frames)
        for frame in frames:
            assert frame.captured_ns <= frame.decoded_ns <= monotonic_ns()
        assert len({bytes(frame.picture.planes[0]) for frame in frames}) == 10

    def test_has_the_pace_of_its_rate(self, opened: Open) -> None:
        begun_ns = monotonic_ns()
        source = opened("lavfi:testsrc2=size=96x64:rate=50")
        frames = [source.read() for _ in range(11)]

        # Never sooner; later on a busy machine.
        assert frames[-1].captured_ns - begun_ns >= 10 * 20_000_000

    def test_comes_to_its_end(self, opened: Open) -> None:
        source = opened(f"{PATTERN}:duration=0.1")
        frames, error = read_all(source)

        assert len(frames) == 20
        assert isinstance(error, SourceEndedError)
        assert "has come to its end" in str(error)
        with pytest.raises(SourceEndedError):
            source.read()

    def test_without_any_picture(self, opened: Open) -> None:
        with pytest.raises(SourceError, match="ended before its first picture") as caught:
            opened("lavfi:testsrc2=size=96x64:duration=1,select=0")
        assert not isinstance(caught.value, SourceEndedError)

    def test_is_no_graph(self, opened: Open) -> None:
        with pytest.raises(SourceError, match=r"stream \(lavfi:nosuch=1\): is not a graph"):
            opened("lavfi:nosuch=1")

    def test_only_sound(self, opened: Open) -> None:
        with pytest.raises(SourceError, match="sends no video that can be decoded"):
            opened("lavfi:anullsrc")

    def test_rgb_gets_a_format_that_can_be_drawn_into(self, opened: Open) -> None:
        source = opened(f"{PATTERN},format=rgb24")
        frame = source.read()

        assert source.info.pixel_format == frame.picture.format.name == "yuv420p"
        assert source.converted == 1

    def test_packed_pixels_lose_nothing(self, opened: Open) -> None:
        source = opened(f"{PATTERN},format=yuyv422")
        frame = source.read()

        assert source.info.pixel_format == frame.picture.format.name == "yuv422p"
        assert source.converted == 0

    def test_monstrous_size_is_refused(self, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(ffmpeg_live, "MAX_PIXELS", 96 * 64 - 1)

        with pytest.raises(SourceError, match="96x64 px; that is refused"):
            opened(PATTERN)


class TestInterlaced:
    #: Moves, and is woven from the top field of one picture and the bottom field of the next.
    WOVEN = (
        "lavfi:testsrc2=size=96x64:rate=200,scroll=horizontal=0.02,separatefields,"
        "select='not(mod(n,4))+eq(mod(n,4),3)',weave"
    )

    @pytest.mark.parametrize("method", ["bob", "blend"])
    def test_flagged(self, opened: Open, method: str) -> None:
        source = opened(f"{PATTERN},setfield=tff", deinterlace=method)
        frames = [source.read() for _ in range(12)]

        assert source.info.rate == (400 if method == "bob" else 200)
        assert [frame.index for frame in frames] == list(range(12))
        assert all(before.pts < after.pts for before, after in pairwise(frames))
        captured = len({frame.captured_ns for frame in frames})
        assert captured == (6 if method == "bob" else 12)

    def test_fields_are_half_a_frame_apart(
        self, opened: Open, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        asked: list[tuple[int, int | None]] = []
        take = LiveTimes.take

        def record(self: LiveTimes, clock_ns: int, step_ns: int | None = None) -> int:
            asked.append((clock_ns, step_ns))
            return take(self, clock_ns, step_ns)

        monkeypatch.setattr(LiveTimes, "take", record)
        source = opened("lavfi:testsrc2=size=96x64:rate=50,setfield=bff")
        frames = [source.read() for _ in range(8)]

        half_ns = 10_000_000
        assert [step_ns for _, step_ns in asked[1:]] == [half_ns] * 7
        later = [
            clock_ns - frame.captured_ns for frame, (clock_ns, _) in zip(frames, asked, strict=True)
        ]
        assert later == [0, half_ns] * 4

    def test_not_flagged_but_combed(self, opened: Open) -> None:
        source = opened(f"{self.WOVEN},setfield=prog")
        before = source.info.rate
        for _ in range(40):
            source.read()

        assert source.info.rate == 2 * before

    def test_not_combed(self, opened: Open) -> None:
        source = opened(f"{PATTERN},scroll=horizontal=0.02")
        for _ in range(40):
            source.read()

        assert source.info.rate == 200

    def test_asked_for_or_not(self, opened: Open) -> None:
        asked = opened(PATTERN, interlaced="yes")
        refused = opened(f"{PATTERN},setfield=tff", interlaced="no")
        asked.read()
        refused.read()

        assert asked.info.rate == 400
        assert refused.info.rate == 200


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


class TestLate:
    """What waits on its way, by a clock that the test holds in its hands."""

    STEP_NS = 40_000_000

    def read(
        self,
        opened: Open,
        url: str,
        monkeypatch: pytest.MonkeyPatch,
        clock_ns: Callable[[int], int],
    ) -> LiveSource:
        calls = count()
        monkeypatch.setattr(packets, "monotonic_ns", lambda: clock_ns(next(calls)))
        monkeypatch.setattr(packets, "_TOO_LATE_NS", 300_000_000)
        return opened(url)

    def test_what_waited_too_long_is_left_out(
        self,
        opened: Open,
        sender: Callable[..., Sender],
        encode: Encode,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        # After ten pictures nobody reads for 2 s; then all the others are there.
        def clock_ns(number: int) -> int:
            return number * self.STEP_NS if number < 10 else 60 * self.STEP_NS

        url = sender(encode(60), hang_up=True).url
        source = self.read(opened, url, monkeypatch, clock_ns)
        frames, error = read_all(source)
        levels = [round(level(frame)) for frame in frames]

        # Every fifth is a key picture, and number 58 is no longer late.
        assert len(frames) == 10 + 5
        assert source.missed == 45  # type: ignore[attr-defined]
        assert levels[:10] == sorted(levels[:10])
        assert source.damaged == 0
        assert "pictures wait too long to be read, 45 left out" in caplog.text
        assert isinstance(error, SourceLostError)
        # Those that are shown are not passed off as new ones.
        assert {frame.captured_ns for frame in frames[10:]} == {60 * self.STEP_NS}

    def test_the_way_has_become_longer(
        self,
        opened: Open,
        sender: Callable[..., Sender],
        encode: Encode,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def clock_ns(number: int) -> int:
            return number * self.STEP_NS + (number >= 10) * 2_000_000_000

        url = sender(encode(60), hang_up=True).url
        source = self.read(opened, url, monkeypatch, clock_ns)
        frames, _ = read_all(source)

        # It looks for what waits once, not with each picture.
        assert len(frames) >= 60 - 10
        assert source.missed == 60 - len(frames)  # type: ignore[attr-defined]

    def test_lost_while_the_way_is_cleared(
        self,
        opened: Open,
        sender: Callable[..., Sender],
        encode: Encode,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        def clock_ns(number: int) -> int:
            return number * self.STEP_NS if number < 10 else 100 * self.STEP_NS

        url = sender(encode(60), hang_up=True).url
        frames, error = read_all(self.read(opened, url, monkeypatch, clock_ns))

        assert len(frames) == 10 + 5
        assert "ended by the sender" in str(error)


class TestAgain:
    def test_another_size_is_converted_and_time_goes_on(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        first_one, second_one = encode(30), encode(30, size=(192, 128))
        opener = opener_of(sender(first_one, second_one, hang_up=True).url)
        first = opened(opener)
        before, _ = read_all(first)
        second = opened(opener, first.info)
        after, _ = read_all(second)

        assert replace(second.info, rate=first.info.rate) == first.info
        assert {(f.picture.width, f.picture.height) for f in after} == {(96, 64)}
        assert (first.converted, second.converted) == (0, 30)
        assert after[0].index == 0
        assert after[0].pts > before[-1].pts
        gap_s = (after[0].captured_ns - before[0].captured_ns) / 1e9
        assert abs(after[0].time_s - gap_s) < 0.25

    def test_the_time_base_is_that_of_before(self, opened: Open) -> None:
        first = opened(PATTERN)
        like = replace(first.info, time_base=Fraction(1, 1000))
        frame = opened(opener_of(PATTERN), like).read()

        assert frame.time_base == Fraction(1, 1000)

    def test_the_colour_is_that_of_before(self, opened: Open) -> None:
        first = opened(f"{PATTERN},format=gray", color_matrix="bt709", color_range="full")
        second = opened(opener_of("lavfi:color=white:size=96x64:rate=200"), first.info)
        frame = second.read()

        assert frame.color == second.info.color == first.info.color
        assert frame.picture.format.name == "gray"
        assert level(frame) > 250


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


class Waiter:
    """A thread that reads a source to its end."""

    def __init__(self, source: LiveSource) -> None:
        self._source = source
        self.error: BaseException | None = None
        self.count = 0
        self._reading = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        try:
            while True:
                self._source.read()
                self.count += 1
                self._reading.set()
        except BaseException as error:
            self.error = error
            self._reading.set()

    def wait_for_picture(self) -> None:
        assert self._reading.wait(DEADLINE_S), "hangs"

    def finish(self) -> BaseException | None:
        self._thread.join(DEADLINE_S)
        assert not self._thread.is_alive(), "hangs"
        return self.error


class TestClose:
    def test_twice_and_reading_after_it(self, opened: Open) -> None:
        source = opened(PATTERN)
        source.read()
        source.close()
        source.close()

        with pytest.raises(SourceEndedError, match="closed"):
            source.read()

    def test_while_another_waits_for_the_network(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        source = opened(sender(encode(30)).url, patience_s=1.0)
        waiter = Waiter(source)
        waiter.wait_for_picture()
        source.close()

        assert isinstance(waiter.finish(), SourceError)
        # The reading thread has released it.
        with pytest.raises(AssertionError, match="not open"):
            source._reader._container.demux(0).__next__()  # type: ignore[attr-defined]

    def test_while_another_waits_for_the_next_picture_of_a_pattern(self, opened: Open) -> None:
        source = opened("lavfi:testsrc2=size=96x64:rate=0.2")
        waiter = Waiter(source)
        waiter.wait_for_picture()
        source.close()

        assert isinstance(waiter.finish(), SourceEndedError)
        assert waiter.count < 3

    def test_at_any_moment(self, opened: Open) -> None:
        rng = random.Random(4)
        for _ in range(25):
            source = opened("lavfi:testsrc2=size=96x64:rate=1000")
            waiter = Waiter(source)
            threading.Event().wait(0.01 * rng.random())
            closers = [threading.Thread(target=source.close) for _ in range(3)]
            for closer in closers:
                closer.start()
            for closer in closers:
                closer.join(DEADLINE_S)

            assert isinstance(waiter.finish(), SourceEndedError)

    def test_nothing_stays_open(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        url = sender(encode(30)).url
        opened(url).close()
        before = {entry.resolve() for entry in Path("/proc/self/fd").iterdir()}
        threads = threading.active_count()
        for _ in range(5):
            opened(url).close()
        after = {entry.resolve() for entry in Path("/proc/self/fd").iterdir()}

        # The sender's own ends are still there.
        assert len(after) <= len(before) + 5
        assert threading.active_count() == threads


class Card:
    """A container as a capture card without frames in between makes it: mostly it has nothing."""

    def __init__(self, container: Any, *, pictures: int) -> None:
        self._container = container
        self._packets = container.demux()
        self._left = pictures
        self._asked = 0
        self.streams = container.streams

    def demux(self) -> Iterator[Any]:
        while True:
            self._asked += 1
            if self._asked % 3 or not self._left:
                raise av.BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            self._left -= 1
            yield next(self._packets)

    def close(self) -> None:
        self._container.close()


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., OpenFFmpeg]:
    """A capture card that has so many pictures and then falls silent."""

    def make(pictures: int, **settings: Any) -> OpenFFmpeg:
        real = av.open

        def fake(url: str, format: str, **_: Any) -> Card:  # noqa: A002
            assert format == "v4l2"
            assert Path(url).exists()
            return Card(real("testsrc2=size=96x64:rate=25", format="lavfi"), pictures=pictures)

        monkeypatch.setattr(av, "open", fake)
        path = tmp_path / "video0"
        path.touch()
        asked = SourceSettings(device=str(path), **{"read_timeout_s": 30, **settings})
        return OpenFFmpeg(Address(Kind.DEVICE, str(path)), asked, "card", devices=tmp_path)

    return make


class TestDevice:
    def test_without_a_picture_yet_it_is_asked_again(
        self, opened: Open, card: Callable[..., OpenFFmpeg]
    ) -> None:
        source = opened(card(20))

        assert [source.read().index for _ in range(20)] == list(range(20))

    def test_without_a_signal(self, opened: Open, card: Callable[..., OpenFFmpeg]) -> None:
        frames, error = read_all(opened(card(5, read_timeout_s=0.2)))

        assert len(frames) == 5
        assert isinstance(error, SourceLostError)
        assert str(error) == "card: silent for 0.2 s"

    def test_without_a_signal_from_the_start(
        self, opened: Open, card: Callable[..., OpenFFmpeg]
    ) -> None:
        with pytest.raises(SourceError, match=r"card: silent for 0\.2 s"):
            opened(card(0, read_timeout_s=0.2))

    def test_closed_while_another_waits(
        self, opened: Open, card: Callable[..., OpenFFmpeg]
    ) -> None:
        source = opened(card(3, read_timeout_s=3600))
        waiter = Waiter(source)
        waiter.wait_for_picture()
        source.close()

        assert isinstance(waiter.finish(), SourceEndedError)

    def test_pulled_out_while_it_is_read(
        self, opened: Open, card: Callable[..., OpenFFmpeg], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = opened(card(20))
        source.read()

        def gone(self: Card) -> Iterator[Any]:
            raise av.FFmpegError(errno.ENODEV, "No such device")
            yield

        monkeypatch.setattr(Card, "demux", gone)
        reader = source._reader  # type: ignore[attr-defined]
        reader._packets = reader._container.demux()
        with pytest.raises(SourceLostError, match=r"card: lost \(No such device\)"):
            read_all_or_raise(source)

    def test_is_no_capture_device(self, opened: Open) -> None:
        with pytest.raises(SourceError, match="null: is not a capture device"):
            opened(OpenFFmpeg(Address(Kind.DEVICE, "/dev/null"), SourceSettings(), "null"))

    def test_is_not_there(self, opened: Open, tmp_path: Path) -> None:
        opener = OpenFFmpeg(
            Address(Kind.DEVICE, str(tmp_path / "video0")),
            SourceSettings(),
            "card",
            devices=tmp_path,
        )
        with pytest.raises(SourceError, match="card: no such device; no capture device"):
            opened(opener)

    @pytest.mark.parametrize(
        ("number", "said"),
        [(errno.EACCES, "group video"), (errno.EBUSY, "in use by another program")],
    )
    def test_cannot_be_had(
        self, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
    ) -> None:
        path = tmp_path / "video0"
        path.touch()

        def refuse(*_: Any, **__: Any) -> None:
            raise av.FFmpegError(number, "no", str(path))

        monkeypatch.setattr(av, "open", refuse)
        with pytest.raises(SourceError, match=f"card: .*{said}"):
            opened(
                OpenFFmpeg(
                    Address(Kind.DEVICE, str(path)), SourceSettings(), "card", devices=tmp_path
                )
            )

    def test_another_one_in_its_place_is_left_alone(
        self, opened: Open, card: Callable[..., OpenFFmpeg], tmp_path: Path
    ) -> None:
        links = tmp_path / "v4l" / "by-id"
        links.mkdir(parents=True)
        (links / "usb-Acme").symlink_to("../../video0")
        opener = card(20)
        opened(opener).close()
        (links / "usb-Acme").unlink()

        with pytest.raises(SourceError, match="is another device now and is left alone"):
            opener(None)

        (tmp_path / "video7").touch()
        (links / "usb-Acme").symlink_to("../../video7")
        assert opened(opener).read().index == 0


def read_all_or_raise(source: LiveSource) -> None:
    raise read_all(source)[1]


@pytest.mark.parametrize("place", ["screen:", "screen:99"])
def test_screen_that_is_not_there(
    opened: Open, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("DISPLAY", ":98")

    with pytest.raises(SourceError, match=r"no such X display, .* DISPLAY"):
        opened(place)
