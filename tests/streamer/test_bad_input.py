"""Files that are not what they should be: refused in one line, or used as far as they go."""

import json
import os
import pickle
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
from streamer import Frame, Pipeline, RunResult, VideoSink, open_mask_sink, open_source
from streamer.color import RgbReader

Film = Callable[..., Path]
Play = Callable[[Path], Any]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory, film: Film) -> dict[str, Path]:
    """One clip of 50 frames for each container, most of them with sound."""
    folder = tmp_path_factory.mktemp("clips")
    two_b_frames = {"bf": "2", "g": "10"}
    return {
        "mp4": film(
            folder / "clip.mp4",
            count=50,
            audio="aac",
            options=two_b_frames,
            container_options={"movflags": "faststart"},
        ),
        "mkv": film(folder / "clip.mkv", count=50, audio="mp2", options=two_b_frames),
        "ts": film(folder / "clip.ts", count=50, audio="aac", options=two_b_frames),
        "avi": film(folder / "clip.avi", count=50, codec="mpeg4", audio="pcm_s16le"),
    }


@pytest.fixture
def convert(segmenter: Any, tmp_path: Path) -> Callable[..., tuple[RunResult, Path]]:
    """Runs a source through the pipeline into a video."""

    def run(source: Path, name: str = "out.mkv", **options: Any) -> tuple[RunResult, Path]:
        opened = open_source(str(source))
        output = tmp_path / name
        try:
            sink = VideoSink(output, opened.info, **options)
            return Pipeline(opened, segmenter, [sink]).run(), output
        finally:
            opened.close()

    return run


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


class TestSize:
    """Every size of picture that an encoder can take."""

    @pytest.mark.parametrize(
        ("size", "pixel_format", "expected"),
        [
            ((351, 241), "yuv420p", (352, 242)),
            ((353, 240), "yuv420p", (354, 240)),
            ((352, 241), "yuv422p", (352, 242)),
            ((351, 241), "yuv444p", (351, 241)),
            ((351, 241), "gray", (351, 241)),
            ((1, 1), "yuv420p", (2, 2)),
            ((16, 16), "yuv420p", (16, 16)),
            ((8, 4000), "yuv420p", (8, 4000)),
        ],
    )
    def test_pixels_are_kept_and_odd_sides_padded(
        self,
        command: Callable[..., Any],
        film: Film,
        play: Play,
        tmp_path: Path,
        size: tuple[int, int],
        pixel_format: str,
        expected: tuple[int, int],
    ) -> None:
        source = film(
            tmp_path / "odd.mkv", count=3, size=size, codec="ffv1", pixel_format=pixel_format
        )
        output = tmp_path / "out.mkv"

        outcome = command(
            *("--source", source, "--output", output, "--masks", tmp_path / "masks.mkv"),
            *("--quality", "0", "--no-badge", "--threshold", "0.99"),
        )

        assert outcome.code == 0, outcome
        shown = play(output)
        assert shown.size == expected
        for before, after in zip(play(source).pictures, shown.pictures, strict=True):
            for old, new in zip(_planes(before), _planes(after), strict=False):
                np.testing.assert_array_equal(new[: old.shape[0], : old.shape[1]], old)
        assert play(tmp_path / "masks.mkv").size == size

    def test_size_beyond_the_encoder_is_refused(
        self, refuse: Callable[..., str], film: Film, tmp_path: Path
    ) -> None:
        source = film(tmp_path / "wide.mkv", count=1, size=(17000, 16), codec="ffv1")

        complaint = refuse("--source", source, "--output", tmp_path / "out.mp4")

        assert "the encoder refuses the size of the pictures" in complaint


def _planes(picture: av.VideoFrame) -> Iterator[np.ndarray[Any, Any]]:
    """The planes of a planar 8-bit picture."""
    for plane in picture.planes:
        rows = np.frombuffer(bytes(plane), np.uint8).reshape(plane.height, -1)
        yield rows[:, : plane.width]


class TestChange:
    """Sources whose pictures are of another size or format from some frame on."""

    @pytest.mark.parametrize(
        ("container", "suffix", "change"),
        [
            ("h264", ".h264", {"size": (128, 96)}),
            ("mpegts", ".ts", {"size": (48, 32)}),
            ("h264", ".h264", {"pixel_format": "yuv422p"}),
            ("h264", ".h264", {"pixel_format": "yuv444p"}),
            ("h264", ".h264", {"pixel_format": "yuv420p10le"}),
        ],
        ids=["larger", "smaller", "4:2:2", "4:4:4", "10 bit"],
    )
    def test_every_frame_becomes_like_the_first(
        self,
        convert: Any,
        film: Film,
        play: Play,
        tmp_path: Path,
        container: str,
        suffix: str,
        change: dict[str, Any],
    ) -> None:
        first = film(tmp_path / "first", count=10, container=container)
        then = film(tmp_path / "then", count=10, container=container, **change)
        source = _patched(tmp_path / f"both{suffix}", first.read_bytes() + then.read_bytes())

        result, output = convert(source)

        shown = play(output)
        assert result.frames_out == len(shown.pictures) == 20
        assert result.converted == 10
        assert {(p.width, p.height, p.format.name) for p in shown.pictures} == {(96, 64, "yuv420p")}
        # The same scene from its start, so the pictures after the change look like those before.
        before, after = (next(_planes(shown.pictures[index])) for index in (3, 13))
        assert np.abs(before.astype(int) - after).mean() < 6


class TestPixelFormat:
    """Formats that can be encoded stay, all others become 8-bit 4:2:0 of the same colours."""

    @pytest.mark.parametrize(
        "pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv422p10le"]
    )
    def test_kept(
        self, convert: Any, film: Film, play: Play, tmp_path: Path, pixel_format: str
    ) -> None:
        source = film(tmp_path / "source.mp4", count=3, pixel_format=pixel_format)

        result, output = convert(source)

        assert result.converted == 0
        assert play(output).pictures[0].format.name == pixel_format

    def test_semi_planar_is_kept(self, film: Film, tmp_path: Path, convert: Any) -> None:
        source = film(tmp_path / "source.avi", count=3, codec="rawvideo", pixel_format="nv12")

        result, _ = convert(source)

        assert open_source(str(source)).info.pixel_format == "nv12"
        assert (result.frames_out, result.converted) == (3, 0)

    @pytest.mark.parametrize(
        ("suffix", "codec", "pixel_format"),
        [
            (".avi", "png", "rgb24"),
            (".mov", "qtrle", "rgb24"),
            (".mkv", "ffv1", "bgr0"),
            (".avi", "rawvideo", "bgr24"),
        ],
    )
    @pytest.mark.parametrize("size", [(96, 64), (96, 720)], ids=["SD", "HD"])
    def test_rgb_is_converted_with_its_colours(
        self,
        film: Film,
        tmp_path: Path,
        suffix: str,
        codec: str,
        pixel_format: str,
        size: tuple[int, int],
    ) -> None:
        path = tmp_path / f"source{suffix}"
        film(path, count=1, size=size, codec=codec, pixel_format=pixel_format)
        with av.open(str(path)) as container:
            expected = next(container.decode(video=0)).to_ndarray(format="rgb24")

        (frame,) = (item for item in open_source(str(path)) if isinstance(item, Frame))

        assert frame.picture.format.name == "yuv420p"
        seen = RgbReader().read(frame.picture, frame.color, *size)
        inside = np.s_[size[1] // 2 - 4 : size[1] // 2 + 4, 26:32]  # of the red disc
        difference = seen[inside].astype(int) - expected[inside]
        assert np.abs(difference).max() <= 4

    @pytest.mark.parametrize(
        ("suffix", "codec", "pixel_format"),
        [(".avi", "png", "monob"), (".mkv", "ffv1", "yuv411p"), (".mkv", "ffv1", "gray10le")],
    )
    def test_odd_one_is_converted(
        self,
        convert: Any,
        film: Film,
        play: Play,
        tmp_path: Path,
        suffix: str,
        codec: str,
        pixel_format: str,
    ) -> None:
        source = film(tmp_path / f"a{suffix}", count=3, codec=codec, pixel_format=pixel_format)

        result, output = convert(source)

        assert (result.frames_out, result.converted) == (3, 3)
        assert len(play(output).pictures) == 3

    def test_palette_is_converted(self, convert: Any, play: Play, tmp_path: Path) -> None:
        source = tmp_path / "palette.avi"
        with av.open(str(source), "w") as output:
            stream = output.add_stream("rawvideo", rate=25)
            stream.width, stream.height, stream.pix_fmt = 32, 16, "pal8"
            indices = np.arange(512, dtype=np.uint8).reshape(16, 32)
            palette = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 4, axis=1)
            for index in range(3):
                picture = av.VideoFrame.from_ndarray((indices, palette), format="pal8")
                picture.pts = index
                output.mux(stream.encode(picture))
            output.mux(stream.encode(None))

        result, video = convert(source)

        assert result.frames_out == len(play(video).pictures) == 3

    @pytest.mark.parametrize("audio", [None, "aac"], ids=["silent", "with sound"])
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_colour_tags_and_shape_of_pixels_are_kept(
        self, convert: Any, film: Film, tmp_path: Path, suffix: str, audio: str | None
    ) -> None:
        tags = {
            "colorspace": 1,
            "color_range": 2,
            "color_primaries": 1,
            "color_trc": 1,
            "sample_aspect_ratio": Fraction(16, 15),
        }
        source = film(tmp_path / "tagged.mp4", count=2, tags=tags, audio=audio)

        _, output = convert(source, f"out{suffix}")

        with av.open(str(output)) as container:
            context = container.streams.video[0].codec_context
            assert {name: getattr(context, name) for name in tags} == tags


class TestTimes:
    """Times are those of the source wherever they rise."""

    VARIABLE_MS = (0, 40, 41, 80, 240, 1240, 1250, 5000, 5033)

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_variable_rate_is_kept_to_the_unit(
        self, convert: Any, film: Film, play: Play, tmp_path: Path, suffix: str
    ) -> None:
        source = film(tmp_path / "variable.mkv", pts=self.VARIABLE_MS, time_base=Fraction(1, 1000))

        _, output = convert(source, f"out{suffix}")

        assert play(output).times_s == [Fraction(ms, 1000) for ms in self.VARIABLE_MS]

    def test_start_and_steps_of_mp4_are_kept_to_the_unit(
        self, convert: Any, film: Film, play: Play, tmp_path: Path
    ) -> None:
        pts = [12345 + step for step in (0, 3003, 3010, 90000, 93001)]
        source = film(
            tmp_path / "late.ts", pts=pts, time_base=Fraction(1, 90000), options={"bf": "0"}
        )
        expected = play(source).times_s

        _, output = convert(source, "out.mp4")

        assert play(output).times_s == expected

    def test_missing_times_follow_the_rate(
        self, convert: Any, film: Film, play: Play, tmp_path: Path
    ) -> None:
        source = film(tmp_path / "bare.h264", count=10, options={"bf": "2"}, container="h264")
        assert play(source).pictures[0].pts is None

        _, output = convert(source, "out.mp4")

        assert play(output).times_s == [Fraction(index, 25) for index in range(10)]

    def test_backward_and_repeated_times_follow_the_one_before(
        self, film: Film, tmp_path: Path
    ) -> None:
        # In Matroska each picture's time stands before it, relative to its cluster's.
        whole = film(tmp_path / "whole.mkv", count=7, codec="mjpeg", pixel_format="yuvj420p")
        content = bytearray(whole.read_bytes())
        place = 0
        for index, ms in enumerate((0, 40, 40, 20, 160, 140, 240)):
            place = content.index(b"\xff\xd8\xff", place + 1)
            field = slice(place - 3, place - 1)
            (relative_ms,) = struct.unpack(">h", content[field])
            content[field] = struct.pack(">h", relative_ms + ms - 40 * index)
        source = open_source(str(_patched(tmp_path / "patched.mkv", content)))

        times_ms = [frame.pts for frame in source if isinstance(frame, Frame)]

        assert times_ms == [0, 40, 41, 42, 160, 161, 240]

    def test_spliced_streams_go_on_in_time(
        self, convert: Any, film: Film, play: Play, tmp_path: Path
    ) -> None:
        part = film(tmp_path / "part.ts", options={"bf": "0"}).read_bytes()

        result, output = convert(_patched(tmp_path / "spliced.ts", part * 3), "out.mp4")

        times_s = play(output).times_s
        assert result.frames_out == 75
        assert {after - before for before, after in pairwise(times_s)} == {Fraction(1, 25)}


class TestSound:
    """The source's sound is copied as it is wherever the container takes it."""

    @pytest.mark.parametrize(
        ("source", "audio", "output"),
        [
            ("a.mp4", "aac", "out.mp4"),
            ("a.mp4", "aac", "out.mkv"),
            ("a.mkv", "mp2", "out.mkv"),
            ("a.mkv", "mp2", "out.mp4"),
            ("a.avi", "pcm_s16le", "out.mkv"),
            ("a.avi", "pcm_s16le", "out.mp4"),
        ],
    )
    def test_copied_bit_by_bit(
        self,
        convert: Any,
        film: Film,
        play: Play,
        tmp_path: Path,
        source: str,
        audio: str,
        output: str,
    ) -> None:
        path = film(tmp_path / source, audio=audio, codec="libx264")

        _, copied = convert(path, output)

        before, after = play(path), play(copied)
        assert b"".join(after.audio) == b"".join(before.audio) != b""
        assert len(after.pictures) == 25

    @pytest.mark.parametrize("output", ["out.mp4", "out.mkv"])
    def test_broadcast_framing_of_aac_is_undone(
        self, convert: Any, film: Film, tmp_path: Path, output: str
    ) -> None:
        source = film(tmp_path / "a.ts", audio="aac")

        _, copied = convert(source, output)

        before, after = (_sound(path) for path in (source, copied))
        assert before.size > 40000
        np.testing.assert_array_equal(after, before)

    def test_what_does_not_fit_is_left_out_with_a_warning(
        self,
        convert: Any,
        film: Film,
        play: Play,
        tmp_path: Path,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        source = film(tmp_path / "a.mkv", audio="wavpack")

        _, output = convert(source, "out.mp4")

        content = play(output)
        assert (len(content.pictures), content.audio) == (25, [])
        (record,) = caplog.records
        assert "audio (wavpack, stereo) does not fit and is left out" in record.getMessage()

    def test_unknown_codec_is_left_out(
        self, convert: Any, film: Film, play: Play, tmp_path: Path
    ) -> None:
        whole = film(tmp_path / "a.mkv", audio="mp2").read_bytes()
        assert whole.count(b"A_MPEG/L2") == 1
        source = _patched(tmp_path / "b.mkv", whole.replace(b"A_MPEG/L2", b"A_NOTHING"))

        result, output = convert(source)

        assert result.frames_out == 25
        assert play(output).audio == []


def _sound(path: Path) -> np.ndarray[Any, Any]:
    with av.open(str(path)) as container:
        parts = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return np.concatenate(parts)


class TestCheckpoint:
    """Files of weights that cannot be used, through the command and its real engines."""

    @pytest.fixture
    def refused(
        self, refuse: Callable[..., str], clips: dict[str, Path], tmp_path: Path
    ) -> Callable[[Path | str], str]:
        def run(model: Path | str) -> str:
            report = tmp_path / "report.json"
            complaint = refuse(
                *("--source", clips["mp4"], "--report", report, "--model", model),
                *("--backend", "eager"),
                fake=False,
            )
            assert str(model) in complaint
            assert not report.exists()
            return complaint

        return run

    def test_unknown_name(self, refused: Callable[[str], str]) -> None:
        assert "no checkpoint 'pranet_v9'" in refused("pranet_v9")

    def test_folder(self, refused: Callable[[Path], str], tmp_path: Path) -> None:
        assert "no checkpoint" in refused(tmp_path)

    @pytest.mark.parametrize(
        "content", [b"", b"weights", struct.pack("<Q", 2**60) + b"{}", b"\0" * 4096]
    )
    @pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
    def test_damaged_file(
        self, refused: Callable[[Path], str], tmp_path: Path, content: bytes, suffix: str
    ) -> None:
        refused(_patched(tmp_path / f"damaged{suffix}", content))

    def test_pickle_that_would_run_code(
        self, refused: Callable[[Path], str], tmp_path: Path
    ) -> None:
        victim = tmp_path / "victim"

        class Hostile:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(victim),)

        complaint = refused(_patched(tmp_path / "hostile.pth", pickle.dumps(Hostile(), protocol=2)))

        assert "refused" in complaint
        assert not victim.exists()

    def test_configuration_that_is_not_understood(
        self, refused: Callable[[Path], str], tmp_path: Path
    ) -> None:
        config = json.dumps({"name": "x", "encoder": "resnet18", "surprise": 1})
        metadata = {"format": "pranet-stream/1", "config": config, "training": "{}"}
        header = json.dumps({"__metadata__": metadata}).encode()
        content = struct.pack("<Q", len(header)) + header

        complaint = refused(_patched(tmp_path / "odd.safetensors", content))

        assert "configuration is not understood" in complaint


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
