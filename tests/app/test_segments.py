"""A video that is followed while it grows, and made seekable when it is done."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import pytest

from demos.app.segments import follow, make_seekable, media_type, wait_for_head
from streamer import Pipeline, VideoSink, open_source

Film = Callable[..., Path]


def overlaid(source: Path, target: Path, segmenter: Any) -> Path:
    opened = open_source(str(source))
    try:
        Pipeline(opened, segmenter, [VideoSink(target, opened.info)]).run()
    finally:
        opened.close()
    return target


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, film: Film) -> Path:
    return film(tmp_path_factory.mktemp("clip") / "clip.mp4", count=75, audio="aac")


@pytest.fixture
def made(clip: Path, tmp_path: Path, segmenter: Any) -> Path:
    return overlaid(clip, tmp_path / "made.mp4", segmenter)


def boxes(path: Path) -> list[str]:
    """Names of the boxes of an MP4 file, in order (ISO 14496-12)."""
    content, place, names = path.read_bytes(), 0, []
    while place < len(content):
        size = int.from_bytes(content[place : place + 4], "big")
        names.append(content[place + 4 : place + 8].decode())
        place += size
    return names


class TestMediaType:
    def test_as_the_file_itself_says(self, made: Path) -> None:
        kind = media_type(made.read_bytes())

        assert kind is not None
        with av.open(str(made)) as container:
            context = container.streams.video[0].codec_context
            extra = context.extradata
        assert extra is not None
        assert kind == f'video/mp4; codecs="avc1.{extra[1:4].hex().upper()},mp4a.40.2"'

    def test_without_sound(self, tmp_path: Path, film: Film, segmenter: Any) -> None:
        made = overlaid(film(tmp_path / "mute.mp4"), tmp_path / "made.mp4", segmenter)
        kind = media_type(made.read_bytes())

        assert kind is not None
        assert "mp4a" not in kind

    def test_not_known_before_the_header_is_complete(self, made: Path) -> None:
        content = made.read_bytes()
        first = content.index(b"moof")

        assert media_type(content[: first - 4]) is None
        assert media_type(content[: first + 4]) is not None
        assert media_type(b"") is None


class TestFollow:
    def test_all_bytes_come_in_order_while_it_grows(self, made: Path, tmp_path: Path) -> None:
        content, growing = made.read_bytes(), tmp_path / "growing.mp4"
        written = 0

        def is_over() -> bool:
            nonlocal written
            # Between two looks a part is added; the last look finds nothing new.
            part = content[written : written + 5000]
            with growing.open("ab") as file:
                file.write(part)
            written += len(part)
            return not part

        async def read() -> bytes:
            return b"".join([part async for part in follow(growing, is_over)])

        assert asyncio.run(read()) == content

    def test_what_never_came_ends(self, tmp_path: Path) -> None:
        async def read() -> list[bytes]:
            return [part async for part in follow(tmp_path / "none.mp4", lambda: True)]

        assert asyncio.run(read()) == []
        assert asyncio.run(wait_for_head(tmp_path / "none.mp4", lambda: True)) is None

    def test_the_head_is_waited_for(self, made: Path, tmp_path: Path) -> None:
        growing, looks = tmp_path / "growing.mp4", 0

        def is_over() -> bool:
            nonlocal looks
            looks += 1
            if looks == 3:
                growing.write_bytes(made.read_bytes())
            return False

        assert asyncio.run(wait_for_head(growing, is_over)) == media_type(made.read_bytes())
        assert looks == 3


class TestSeekable:
    def test_the_index_comes_first_and_the_pictures_stay(
        self, made: Path, tmp_path: Path, play: Callable[[Path], Any]
    ) -> None:
        whole = tmp_path / "whole.mp4"
        make_seekable(made, whole)

        names = boxes(whole)
        assert "moof" in boxes(made)
        assert "moof" not in names
        assert names.index("moov") < names.index("mdat")
        before, after = play(made), play(whole)
        assert after.times_s == before.times_s
        assert after.audio == before.audio
        assert [bytes(each.planes[0]) for each in after.pictures] == [
            bytes(each.planes[0]) for each in before.pictures
        ]
