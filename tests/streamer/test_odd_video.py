"""Videos of unusual size, format, timing or sound come out as they should."""

import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from streamer import Frame, open_source
from streamer.rgb import RgbReader
from streamer.sources.file import _RisingTimes

Film = Callable[..., Path]
Play = Callable[[Path], Any]


def _patched(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


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
            ("h264", ".h264", {"size": (144, 96)}),
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

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ((0, 40, 10**9, 120, 150, 230), (0, 40, 80, 120, 150, 230)),  # one is damaged
            ((0, 40, 80, 0, 50, 130), (0, 40, 80, 120, 170, 250)),  # a splice, then uneven times
            ((0, 40, 10**9, 10**9 + 100, 10**9 + 130), (0, 40, 80, 180, 210)),  # a long pause
            ((None, None, 90, None), (0, 40, 90, 130)),
        ],
    )
    def test_times_after_a_broken_one_keep_their_distances(
        self, given: tuple[int | None, ...], expected: tuple[int, ...]
    ) -> None:
        times = _RisingTimes()

        assert tuple(times.take(time, 40, Fraction(1, 1000)) for time in given) == expected

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
