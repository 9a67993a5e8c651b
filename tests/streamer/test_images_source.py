"""A folder of pictures as a source."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer import Pipeline, VideoSink, open_source
from streamer.errors import SourceError
from streamer.frame import Frame
from streamer.sources import ImageSource

Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Writes a picture of one RGB colour into the folder ``pictures``."""

    def write(
        name: str,
        rgb: tuple[int, int, int] = (200, 60, 60),
        size: tuple[int, int] = (64, 48),
        *,
        gray: bool = False,
    ) -> Path:
        path = tmp_path / "pictures" / name
        path.parent.mkdir(exist_ok=True)
        pixels = np.full((size[1], size[0], 3), rgb[::-1], np.uint8)
        suffix = Path(name).suffix
        done, content = cv2.imencode(suffix, pixels[..., 0] if gray else pixels)
        assert done
        path.write_bytes(content.tobytes())
        return path

    return write


def frames(source: ImageSource) -> list[Frame]:
    return [item for item in source if isinstance(item, Frame)]


def middle(frame: Frame) -> list[int]:
    rgb: NDArray[np.uint8] = frame.picture.to_ndarray(
        format="rgb24",
        src_colorspace={"bt601": 5, "bt709": 1}[frame.color.matrix],
        src_color_range=2 if frame.color.full_range else 1,
        dst_color_range=2,
    )
    return [int(value) for value in rgb[24, 32]]


class TestOrder:
    def test_numbers_count_by_value(self, save: Save, tmp_path: Path) -> None:
        names = ["a2.png", "A10.png", "a1.PNG", "b.png", "a02.png", "9.png", "10.png", "a2b1.png"]
        for level, name in enumerate(names):
            save(name, (8 * level, 8 * level, 8 * level))
        found = frames(ImageSource(str(tmp_path / "pictures")))
        order = [names[round(middle(frame)[0] / 8)] for frame in found]

        assert order == [
            "9.png", "10.png", "a1.PNG", "a02.png", "a2.png", "a2b1.png", "A10.png", "b.png",
        ]  # fmt: skip

    def test_other_files_are_left_out(self, save: Save, tmp_path: Path) -> None:
        path = save("one.png")
        (path.parent / "notes.txt").write_text("x")
        (path.parent / ".hidden.png").write_bytes(path.read_bytes())
        (path.parent / "folder.png").mkdir()

        assert open_source(str(path.parent)).info.frames == 1


class TestContent:
    def test_times_follow_the_rate(self, save: Save, tmp_path: Path) -> None:
        for number in range(3):
            save(f"{number}.png")
        source = ImageSource(str(tmp_path / "pictures"), rate=Fraction(10))
        found = frames(source)

        assert [frame.time_s for frame in found] == [0, 0.1, 0.2]
        assert [frame.index for frame in found] == [0, 1, 2]
        assert (source.info.rate, source.info.frames, source.info.live) == (10, 3, False)

    @pytest.mark.parametrize("suffix", ["png", "jpg", "jpeg", "bmp", "tif", "tiff", "webp"])
    def test_formats(self, save: Save, tmp_path: Path, suffix: str) -> None:
        save(f"one.{suffix}", (200, 60, 90))
        (frame,) = frames(ImageSource(str(tmp_path / "pictures")))

        assert np.abs(np.subtract(middle(frame), (200, 60, 90))).max() <= 5

    def test_all_have_the_size_format_and_colour_of_the_first(
        self, save: Save, tmp_path: Path
    ) -> None:
        save("1.jpg", (200, 60, 90))
        save("2.png", (60, 200, 90), (1280, 720))
        save("3.png", (90, 90, 90), gray=True)
        save("4.jpg", (60, 60, 200), (32, 24))
        source = ImageSource(str(tmp_path / "pictures"))
        found = frames(source)

        assert {(f.picture.width, f.picture.height) for f in found} == {(64, 48)}
        assert {frame.picture.format.name for frame in found} == {source.info.pixel_format}
        assert {frame.color for frame in found} == {source.info.color}
        for frame, rgb in zip(
            found, [(200, 60, 90), (60, 200, 90), (90, 90, 90), (60, 60, 200)], strict=True
        ):
            assert np.abs(np.subtract(middle(frame), rgb)).max() <= 5
        assert source.converted == 3

    def test_override_of_the_colour(self, save: Save, tmp_path: Path) -> None:
        save("1.jpg")
        source = ImageSource(str(tmp_path / "pictures"), color_matrix="bt709", full_range=False)

        assert str(source.info.color) == "bt709 limited range"

    def test_name_with_a_pattern_is_a_name(self, save: Save, tmp_path: Path) -> None:
        save("a%03d.png", (200, 60, 90))
        save("b*[1].png", (200, 60, 90))

        assert len(frames(ImageSource(str(tmp_path / "pictures")))) == 2


class TestDamage:
    def test_broken_files_leave_a_gap(self, save: Save, tmp_path: Path) -> None:
        good = save("3.png")
        folder = good.parent
        save("5.png")
        (folder / "1.png").write_bytes(b"")
        (folder / "2.png").write_bytes(b"no picture " * 50)
        (folder / "4.png").write_bytes(good.read_bytes()[:60])
        source = ImageSource(str(folder))
        found = frames(source)

        assert source.damaged == 3
        assert [(frame.index, frame.pts) for frame in found] == [(0, 2), (1, 4)]

    def test_script_that_names_other_files_is_no_picture(self, save: Save, tmp_path: Path) -> None:
        save("1.png")
        script = "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n1.png\n#EXT-X-ENDLIST\n"
        (tmp_path / "pictures" / "2.png").write_text(script)
        source = ImageSource(str(tmp_path / "pictures"))

        assert len(frames(source)) == 1
        assert source.damaged == 1

    def test_picture_of_monstrous_size(
        self, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("streamer.sources.images.MAX_PIXELS", 64 * 48)
        save("1.png")
        save("2.png", size=(65, 48))
        source = ImageSource(str(tmp_path / "pictures"))

        assert len(frames(source)) == 1
        assert source.damaged == 1

    def test_nothing_that_can_be_read(self, tmp_path: Path) -> None:
        (tmp_path / "1.png").write_bytes(b"")

        with pytest.raises(SourceError, match="none of its 1 pictures can be read"):
            ImageSource(str(tmp_path))

    def test_folder_without_pictures(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match="is a folder without pictures"):
            ImageSource(str(tmp_path))

    def test_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(SourceError, match=r"gone: cannot be opened \(No such file"):
            ImageSource(str(tmp_path / "gone"))

    def test_closed_half_way(self, save: Save, tmp_path: Path) -> None:
        for number in range(3):
            save(f"{number}.png")
        source = ImageSource(str(tmp_path / "pictures"))
        next(iter(source))
        source.close()
        source.close()

        assert frames(source) == []


def test_runs_through_the_pipeline(
    save: Save, tmp_path: Path, segmenter: Any, play: Callable[[Path], Any]
) -> None:
    for number in range(5):
        save(f"{number}.png", size=(96, 64))
    source = open_source(str(tmp_path / "pictures"))
    output = tmp_path / "out.mkv"
    result = Pipeline(source, segmenter, [VideoSink(output, source.info)]).run()

    assert (result.frames_out, result.damaged) == (5, 0)
    assert play(output).size == (96, 64)
    with av.open(str(output)) as container:
        assert container.streams.video[0].average_rate == 25
