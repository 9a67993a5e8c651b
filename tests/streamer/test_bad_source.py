"""Files that are no video, or a damaged one: refused in one line, or used as far as they go."""

import json
import os
import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from fractions import Fraction
from itertools import islice, pairwise
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from pranet.errors import PranetError
from streamer import Frame, Pipeline, VideoSink, open_mask_sink, open_source

Film = Callable[..., Path]
Play = Callable[[Path], Any]


def _patched(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def _flipped(content: bytes, *, start: float, end: float, count: int, seed: int) -> bytes:
    """Some bytes between two shares of the length, each with other bits."""
    rng = random.Random(seed)
    damaged = bytearray(content)
    for _ in range(count):
        place = rng.randrange(int(start * len(damaged)), int(end * len(damaged)))
        damaged[place] ^= rng.randrange(1, 256)
    return bytes(damaged)


class TestRefused:
    """What holds no video ends with one line, before any output is made."""

    @pytest.fixture
    def refused(self, refuse: Callable[..., str], tmp_path: Path) -> Callable[[Path | str], str]:
        def run(source: Path | str) -> str:
            output = tmp_path / "refused.mp4"
            complaint = refuse("--source", source, "--output", output)
            assert str(source) in complaint
            assert not output.exists()
            return complaint

        return run

    def test_missing_file(self, refused: Callable[[Path], str], tmp_path: Path) -> None:
        assert "no such file" in refused(tmp_path / "nowhere.mp4")

    def test_file_of_unknown_user(self, refused: Callable[[str], str]) -> None:
        assert "no such file" in refused("~nobody-of-this-name/clip.mp4")

    def test_name_that_is_too_long(self, refused: Callable[[str], str]) -> None:
        assert "name too long" in refused("x" * 300 + ".mp4")

    def test_folder(self, refused: Callable[[Path], str], tmp_path: Path) -> None:
        assert "is a folder" in refused(tmp_path)

    def test_pipe(self, refused: Callable[[Path], str], tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe.mp4")

        assert "not a plain file" in refused(tmp_path / "pipe.mp4")

    def test_empty_file(self, refused: Callable[[Path], str], tmp_path: Path) -> None:
        assert "empty file" in refused(_patched(tmp_path / "empty.mp4", b""))

    def test_text_with_the_name_of_a_video(
        self, refused: Callable[[Path], str], tmp_path: Path
    ) -> None:
        text = b"Patient 12, second part.\n" * 400

        assert "not a video" in refused(_patched(tmp_path / "notes.mp4", text))

    def test_picture_with_the_name_of_a_video(
        self, refused: Callable[[Path], str], tmp_path: Path
    ) -> None:
        _, png = cv2.imencode(".png", np.full((64, 96, 3), 90, np.uint8))

        assert "not a video" in refused(_patched(tmp_path / "still.mp4", png.tobytes()))

    def test_sound_alone(
        self, refused: Callable[[Path], str], record: Film, tmp_path: Path
    ) -> None:
        assert "holds no video" in refused(record(tmp_path / "sound.mp4"))

    def test_sound_with_a_cover_picture(
        self, refused: Callable[[Path], str], record: Film, tmp_path: Path
    ) -> None:
        _, jpeg = cv2.imencode(".jpg", np.full((64, 96, 3), 90, np.uint8))
        source = record(tmp_path / "sound.mkv", cover=jpeg.tobytes())
        with av.open(str(source)) as container:
            assert container.streams.video  # the cover poses as one

        assert "holds no video" in refused(source)

    def test_mp4_that_was_cut_before_its_index(
        self, refused: Callable[[Path], str], film: Film, tmp_path: Path
    ) -> None:
        whole = film(tmp_path / "whole.mp4").read_bytes()

        assert "not a video" in refused(_patched(tmp_path / "cut.mp4", whole[:-2000]))

    @pytest.mark.parametrize(
        "script",
        [
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{url}\n#EXT-X-ENDLIST\n",
            "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nother.ts\n#EXT-X-ENDLIST\n",
            "ffconcat version 1.0\nfile {url}\n",
            "ffconcat version 1.0\nfile other.ts\n",
        ],
        ids=["play list of an address", "play list", "script of an address", "script"],
    )
    def test_list_of_other_files(
        self, refused: Callable[[Path], str], film: Film, tmp_path: Path, script: str
    ) -> None:
        film(tmp_path / "other.ts")
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            url = f"http://127.0.0.1:{server.getsockname()[1]}/other.ts"
            source = _patched(tmp_path / "list.mp4", script.format(url=url).encode())

            assert "not a video" in refused(source)

            with pytest.raises(BlockingIOError):
                server.accept()  # nobody has called


class TestHeader:
    """Headers that claim what cannot be."""

    @pytest.fixture
    def uncompressed(self, film: Film, tmp_path: Path) -> Callable[[int, int], Path]:
        """An AVI file of uncompressed pictures that claims another size."""
        whole = film(tmp_path / "plain.avi", count=3, codec="rawvideo").read_bytes()

        def claim(width: int, height: int) -> Path:
            place = whole.index(b"strf") + 12
            size = struct.pack("<ii", width, height)
            return _patched(tmp_path / "claim.avi", whole[:place] + size + whole[place + 8 :])

        return claim

    @pytest.mark.parametrize(
        "size", [(0, 64), (96, 0), (0, 0), (-96, 64), (2**31 - 1, 2**31 - 1), (30000, 30000)]
    )
    def test_impossible_size_is_refused(
        self, refuse: Callable[..., str], uncompressed: Any, tmp_path: Path, size: tuple[int, int]
    ) -> None:
        source = uncompressed(*size)

        assert str(source) in refuse("--source", source, "--output", tmp_path / "out.mp4")

    def test_giant_size_is_refused_by_its_number(
        self, refuse: Callable[..., str], uncompressed: Any, tmp_path: Path
    ) -> None:
        source = uncompressed(16000, 8000)

        complaint = refuse("--source", source, "--output", tmp_path / "out.mp4")

        assert "16000x8000 px; that is refused" in complaint

    def test_giant_size_inside_the_stream_is_refused(
        self, refuse: Callable[..., str], film: Film, tmp_path: Path
    ) -> None:
        whole = film(
            tmp_path / "whole.avi", count=3, codec="mjpeg", pixel_format="yuvj420p"
        ).read_bytes()
        here, giant = struct.pack(">HH", 64, 96), struct.pack(">HH", 9000, 9000)
        marker = b"\xff\xc0\x00\x11\x08"
        assert whole.count(marker + here) == 3
        source = _patched(tmp_path / "x.avi", whole.replace(marker + here, marker + giant))

        complaint = refuse("--source", source, "--output", tmp_path / "out.mp4")

        assert "no frame can be decoded" in complaint

    def test_giant_picture_half_way_is_damage(self, convert: Any, tmp_path: Path) -> None:
        source = tmp_path / "giant.mov"
        with av.open(str(source), "w") as output:
            stream = output.add_stream("png", rate=25)
            stream.width, stream.height, stream.pix_fmt = 96, 64, "gray"
            output.mux(
                stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 96), np.uint8), "gray"))
            )
            _, giant = cv2.imencode(".png", np.zeros((8200, 8200), np.uint8))
            packet = av.Packet(giant.tobytes())
            packet.stream, packet.time_base, packet.pts = stream, Fraction(1, 25), 1
            packet.dts = packet.pts
            output.mux(packet)

        result, _ = convert(source)

        assert (result.frames_out, result.damaged) == (1, 1)

    def test_frames_that_would_last_for_years_are_shown_at_a_usual_rate(
        self, convert: Any, play: Play, clips: dict[str, Path], tmp_path: Path
    ) -> None:
        whole = clips["avi"].read_bytes()
        place = whole.index(b"vids") + 20  # scale and rate of the first stream
        claim = whole[:place] + struct.pack("<II", 2**31 - 1, 25) + whole[place + 8 :]

        result, output = convert(_patched(tmp_path / "slow.avi", claim), "out.mp4")

        assert result.frames_out == 50
        assert play(output).times_s[-1] == Fraction(49, 25)

    def test_title_in_another_encoding(self, convert: Any, film: Film, tmp_path: Path) -> None:
        whole = film(tmp_path / "whole.mkv", metadata={"title": "Darm_spiegelung"}).read_bytes()
        latin = whole.replace(b"Darm_spiegelung", "Darm\u00fcspiegelung".encode("latin-1"))
        assert latin != whole

        result, _ = convert(_patched(tmp_path / "latin.mkv", latin))

        assert result.frames_out == 25


class TestDamage:
    """Damage inside a stream costs what it hits and no more."""

    @pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi"])
    @pytest.mark.parametrize("seed", [1, 2, 3])
    def test_flipped_bytes(
        self,
        command: Callable[..., Any],
        play: Play,
        clips: dict[str, Path],
        tmp_path: Path,
        kind: str,
        seed: int,
    ) -> None:
        content = clips[kind].read_bytes()
        damaged = _flipped(content, start=0.4, end=0.7, count=12, seed=seed)
        source = _patched(tmp_path / f"damaged.{kind}", damaged)
        output, report = tmp_path / "out.mp4", tmp_path / "report.json"

        outcome = command("--source", source, "--output", output, "--report", report)

        assert outcome.code == 0, outcome
        counts = json.loads(report.read_text())["frames"]
        assert counts["in"] == counts["out"] == len(play(output).pictures)
        assert 40 <= counts["out"] <= 52

    def test_damaged_packets_are_counted(
        self, command: Callable[..., Any], film: Film, tmp_path: Path
    ) -> None:
        whole = film(tmp_path / "whole.mov", count=20, codec="png", pixel_format="rgb24")
        content = bytearray(whole.read_bytes())
        place = 0
        for index in range(20):
            place = content.index(b"\x89PNG", place + 1)
            if index in (5, 6, 11):
                content[place : place + 4] = b"GONE"
        source, report = _patched(tmp_path / "damaged.mov", content), tmp_path / "report.json"

        outcome = command("--source", source, "--report", report)

        frames = json.loads(report.read_text())["frames"]
        assert (outcome.code, frames["out"], frames["damaged"]) == (0, 17, 3)
        assert "note    3 damaged frames or packets in the source" in outcome.errors

    @pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi"])
    @pytest.mark.parametrize("share", [0.5, 0.6, 0.7, 0.8])
    def test_file_that_was_cut(
        self,
        convert: Any,
        play: Play,
        clips: dict[str, Path],
        tmp_path: Path,
        kind: str,
        share: float,
    ) -> None:
        content = clips[kind].read_bytes()
        source = _patched(tmp_path / f"cut.{kind}", content[: int(len(content) * share)])
        whole = 0
        with av.open(str(source)) as container, suppress(av.FFmpegError):
            for packet in container.demux(video=0):
                whole += packet.size > 0

        result, output = convert(source)

        # The last packet may be broken; those that the decoder still held before it are not.
        assert 15 < whole - 1 <= result.frames_out == len(play(output).pictures) <= whole

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_clock_that_leaps_by_hours_goes_on_by_one_frame(
        self, convert: Any, play: Play, film: Film, tmp_path: Path, suffix: str
    ) -> None:
        parts = [
            film(
                tmp_path / f"{hour}.ts",
                audio="mp2",
                pts=range(90000 * 3600 * hour, 90000 * (3600 * hour + 1), 3600),
                time_base=Fraction(1, 90000),
            )
            for hour in (1, 9, 5)
        ]
        spliced = _patched(tmp_path / "spliced.ts", b"".join(map(Path.read_bytes, parts)))

        result, output = convert(spliced, f"out{suffix}")

        content = play(output)
        assert result.frames_out == len(content.pictures) == 75
        assert len(content.audio) >= 3 * 35
        steps_s = {after - before for before, after in pairwise(content.times_s)}
        assert steps_s == {Fraction(1, 25)}

    def test_container_that_cannot_be_read_on_gives_all_before(
        self, monkeypatch: pytest.MonkeyPatch, clips: dict[str, Path]
    ) -> None:
        class Breaking:
            """A container that fails after 30 packets, while the decoder holds two pictures."""

            def __init__(self, container: Any) -> None:
                self._container = container

            def __getattr__(self, name: str) -> Any:
                return getattr(self._container, name)

            def demux(self, streams: Any) -> Iterator[Any]:
                yield from islice(self._container.demux(self._container.streams.video), 30)
                raise av.error.InvalidDataError(0, "broken")

        open_whole = av.open
        monkeypatch.setattr(av, "open", lambda *_, **__: Breaking(open_whole(*_, **__)))
        source = open_source(str(clips["mp4"]))

        frames = [item for item in source if isinstance(item, Frame)]

        assert (len(frames), source.damaged) == (30, 1)

    @pytest.mark.parametrize("kind", ["mp4", "mkv", "ts", "avi"])
    def test_any_damage_ends_well_or_with_one_of_our_errors(
        self, segmenter: Any, clips: dict[str, Path], tmp_path: Path, kind: str
    ) -> None:
        content = clips[kind].read_bytes()
        ran, complaints = 0, []
        for seed in range(15):
            reach = (0.02, 0.1, 1.0)[seed % 3]
            damaged = _flipped(content, start=0, end=reach, count=1 + seed, seed=seed)
            path = _patched(tmp_path / f"damaged.{kind}", damaged)
            output = tmp_path / ("out.mp4" if seed % 2 else "out.mkv")
            try:
                source = open_source(str(path))
                sinks = [
                    VideoSink(output, source.info),
                    open_mask_sink(tmp_path / "masks.mkv", source.info),
                ]
                Pipeline(source, segmenter, sinks).run()
                ran += 1
            except PranetError as error:
                complaints.append(str(error))
        assert ran > 0
        assert not any("\n" in complaint for complaint in complaints)


class TestName:
    """Names that mean something to a terminal, a shell or FFmpeg are names all the same."""

    @pytest.mark.parametrize(
        "name", ["[/b] [red]x.mp4", ":smile:.mp4", "-%03d.mp4", "a:b|c.mp4", "Ä'\"&; x.mp4"]
    )
    def test_shown_and_opened_as_it_is(
        self, command: Callable[..., Any], film: Film, tmp_path: Path, name: str
    ) -> None:
        source = film(tmp_path / "in" / name)
        output = tmp_path / "out" / name

        outcome = command("--source", source, "--output", output)

        assert outcome.code == 0, outcome
        assert any(line.startswith(f"source  {source}: 96x64") for line in outcome.errors)
        assert f"output  {output}" in outcome.errors
        assert output.stat().st_size > 1000

    def test_that_is_no_text(self, launch: Callable[..., Any], film: Film, tmp_path: Path) -> None:
        source, output = (tmp_path / os.fsdecode(b"caf\xe9" + end) for end in (b".mp4", b".mkv"))
        film(tmp_path / "source.mp4").rename(source)

        outcome = launch("--source", source, "--output", output).finish()

        assert outcome.code == 0, outcome
        assert output.stat().st_size > 1000
