"""Outputs: what is written can be read back, exactly and with its times."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import av
import cv2
import numpy as np
import pytest
from av.video.frame import PictureType
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc
from numpy.typing import NDArray

from streamer import report
from streamer.audio import AudioPacket
from streamer.engine import EngineInfo
from streamer.errors import OutputError
from streamer.frame import Frame, Segmentation, View
from streamer.objects import find_objects, full_size_mask
from streamer.run_result import RunResult
from streamer.sinks import (
    Composed,
    EventSink,
    MaskFolderSink,
    MaskVideoSink,
    Sink,
    VideoSink,
    open_mask_sink,
)
from streamer.sources import SourceInfo
from streamer.view_watch import ViewChange

TIME_BASES = [Fraction(1, 90000), Fraction(1, 15360), Fraction(1001, 30000), Fraction(1, 1000)]
#: Matroska counts in this unit.
MILLISECOND = Fraction(1, 1000)

Content = list[NDArray[np.int64]]
MakeComposed = Callable[..., Composed]
MakeInfo = Callable[..., SourceInfo]
MakePicture = Callable[..., av.VideoFrame]
ReadPlanes = Callable[[av.VideoFrame], Content]


@pytest.fixture
def make_composed(
    make_frame: Callable[..., Frame], soft_disc: Callable[..., Segmentation]
) -> MakeComposed:
    """A frame with a disc that wanders with its index; none in every fourth frame."""

    def make(index: int = 0, pts: int | None = None, **changes: Any) -> Composed:
        frame = make_frame(index, pts, **changes)
        segmentation = soft_disc(
            32,
            x=10 + index % 12,
            y=16,
            radius=-9 if index % 4 == 3 else 6,
            softness=3,
            view=View(0, 0, frame.picture.width, frame.picture.height),
        )
        return Composed(frame, frame.picture, segmentation, find_objects(segmentation))

    return make


def write_all(sink: Sink, frames: Sequence[Composed]) -> None:
    for composed in frames:
        sink.write(composed)
    sink.close()


def uneven_pts(time_base: Fraction, count: int = 9) -> list[int]:
    """Times that begin at 1.4 s and are 1 to 4 steps of a 30th of a second apart."""
    step = max(1, round(Fraction(1, 30) / time_base))
    first = round(Fraction(7, 5) / time_base)
    return [
        first + step * place for place in np.cumsum([0, 1, 1, 3, 1, 2, 4, 1, 1])[:count].tolist()
    ]


def decoded(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


def times(pictures: Sequence[av.VideoFrame]) -> list[Fraction]:
    found = []
    for picture in pictures:
        assert picture.pts is not None
        assert picture.time_base is not None
        found.append(picture.pts * picture.time_base)
    return found


def assert_same_times(path: Path, pts: list[int], time_base: Fraction) -> None:
    found = times(decoded(path))
    expected = [value * time_base for value in pts]
    unit = MILLISECOND if path.suffix == ".mkv" else Fraction(0)

    assert len(found) == len(expected)
    assert all(abs(a - b) <= unit / 2 for a, b in zip(found, expected, strict=True))


class TestEvents:
    def test_one_line_for_each_frame(self, tmp_path: Path, make_composed: MakeComposed) -> None:
        path = tmp_path / "new folder" / "events.jsonl"
        frames = [
            make_composed(index, 90 * index + 5, time_base=Fraction(1, 90000)) for index in range(5)
        ]
        write_all(EventSink(path), frames)
        lines = [json.loads(line) for line in path.read_text().splitlines()]

        assert [line["frame"] for line in lines] == [0, 1, 2, 3, 4]
        assert [line["pts"] for line in lines] == [5, 95, 185, 275, 365]
        assert lines[1]["time_s"] == pytest.approx(95 / 90000, abs=1e-6)
        assert {line["type"] for line in lines} == {"frame"}
        assert [len(line["objects"]) for line in lines] == [1, 1, 1, 0, 1]
        (found,) = frames[2].objects
        assert lines[2]["objects"] == [
            {
                "box": list(found.box),
                "area_px": found.area_px,
                "mean_probability": found.mean_probability,
                "id": None,
                "age_ms": None,
                "confirmed": True,
                "confidence": None,
            }
        ]

    def test_another_view_is_told_before_its_first_frame(
        self, tmp_path: Path, make_composed: MakeComposed
    ) -> None:
        path, part = tmp_path / "events.jsonl", View(8, 4, 32, 30)
        views = [None, None, part, part, None]
        frames = [replace(make_composed(n, n), view=view) for n, view in enumerate(views)]
        write_all(EventSink(path), frames)
        lines = [json.loads(line) for line in path.read_text().splitlines()]

        told = [(place, line["view"]) for place, line in enumerate(lines) if line["type"] == "view"]
        assert told == [(2, [8, 4, 32, 30]), (5, None)]
        assert [line["frame"] for line in lines if line["type"] == "frame"] == [0, 1, 2, 3, 4]

    def test_detections_are_told_when_they_begin_and_when_they_end(
        self, tmp_path: Path, make_composed: MakeComposed
    ) -> None:
        path = tmp_path / "events.jsonl"
        frames = []
        for index in range(4):
            composed = make_composed(index, 100 * index)
            (found,) = make_composed(0).objects
            objects = [replace(found, id=3, age_ms=0.0)] if index in (1, 2) else []
            frames.append(replace(composed, objects=objects))
        write_all(EventSink(path), frames)
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        begun, ended = (line for line in lines if line["type"] == "detection")

        assert [line["type"] for line in lines] == [
            *("frame", "frame", "detection", "frame", "frame", "detection")
        ]
        assert (begun["phase"], begun["id"], begun["start_s"], begun["end_s"]) == (
            *("start", 3, 0.1),
            None,
        )
        assert (ended["phase"], ended["id"], ended["start_s"], ended["end_s"]) == (
            *("end", 3, 0.1),
            0.2,
        )
        assert (ended["duration_s"], ended["frames"]) == (0.1, 2)
        assert ended["mean_area_px"] == found.area_px
        assert "wall_time" not in ended

    def test_out_of_view_is_told_when_it_begins_and_when_it_ends(
        self, tmp_path: Path, make_composed: MakeComposed
    ) -> None:
        path = tmp_path / "events.jsonl"
        frames = [
            replace(make_composed(index, 100 * index), out_of_view=index in (1, 2))
            for index in range(4)
        ]
        write_all(EventSink(path), frames)
        lines = [json.loads(line) for line in path.read_text().splitlines()]

        assert [line["type"] for line in lines] == [
            *("frame", "out_of_view", "frame", "frame", "out_of_view", "frame")
        ]
        begun, ended = (line for line in lines if line["type"] == "out_of_view")
        assert begun == {"type": "out_of_view", "phase": "start", "time_s": 0.1}
        assert ended == {"type": "out_of_view", "phase": "end", "time_s": 0.3}
        told = [line["out_of_view"] for line in lines if line["type"] == "frame"]
        assert told == [False, True, True, False]

    def test_a_line_is_in_the_file_at_once(
        self, tmp_path: Path, make_composed: MakeComposed
    ) -> None:
        path = tmp_path / "events.jsonl"
        sink = EventSink(path)
        for index in range(3):
            sink.write(make_composed(index))
            assert path.read_text().count("\n") == index + 1
        sink.close()

    def test_end(self, tmp_path: Path, make_composed: MakeComposed) -> None:
        sink = EventSink(tmp_path / "events.jsonl")
        sink.write_audio(cast(AudioPacket, av.Packet(b"sound")))
        sink.close()
        sink.close()

        assert (tmp_path / "events.jsonl").read_text() == ""
        with pytest.raises(OutputError, match=r"events\.jsonl: cannot be written"):
            sink.write(make_composed())

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
    def test_full_disk(self, make_composed: MakeComposed) -> None:
        sink = EventSink("/dev/full")
        with pytest.raises(OutputError, match="no space left"):
            sink.write(make_composed())


class TestMasks:
    @pytest.mark.parametrize("time_base", TIME_BASES, ids=str)
    @pytest.mark.parametrize("size", [(64, 48), (63, 47)])
    def test_video_is_lossless_and_keeps_the_times(
        self,
        size: tuple[int, int],
        time_base: Fraction,
        tmp_path: Path,
        make_composed: MakeComposed,
        make_info: MakeInfo,
        make_picture: MakePicture,
    ) -> None:
        path = tmp_path / "masks.mkv"
        pts = uneven_pts(time_base)
        frames = [
            make_composed(index, value, time_base=time_base, picture=make_picture("yuv420p", *size))
            for index, value in enumerate(pts)
        ]
        sink = open_mask_sink(path, make_info(width=size[0], height=size[1], time_base=time_base))
        write_all(sink, frames)
        pictures = decoded(path)

        assert isinstance(sink, MaskVideoSink)
        assert {picture.format.name for picture in pictures} == {"gray"}
        assert_same_times(path, pts, time_base)
        for picture, composed in zip(pictures, frames, strict=True):
            mask = picture.to_ndarray()
            assert set(np.unique(mask)) == ({0, 255} if composed.objects else {0})
            np.testing.assert_array_equal(mask, full_size_mask(composed.segmentation, *size))

    def test_folder_has_an_image_for_each_frame(
        self, tmp_path: Path, make_composed: MakeComposed, make_info: MakeInfo
    ) -> None:
        folder = tmp_path / "new" / "masks"
        frames = [make_composed(index) for index in (0, 1, 3, 123456)]
        sink = open_mask_sink(folder, make_info())
        write_all(sink, frames)
        names = sorted(path.name for path in folder.iterdir())

        assert isinstance(sink, MaskFolderSink)
        assert names == ["000000.png", "000001.png", "000003.png", "123456.png"]
        for name, composed in zip(names, frames, strict=True):
            mask = cv2.imread(str(folder / name), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(mask, full_size_mask(composed.segmentation, 64, 48))

    @pytest.mark.parametrize("name", ["masks.mp4", "masks.png", "masks.jsonl"])
    def test_other_kinds_are_refused(self, name: str, tmp_path: Path, make_info: MakeInfo) -> None:
        with pytest.raises(OutputError, match=r"\.mkv file or to a folder"):
            open_mask_sink(tmp_path / name, make_info())

        assert list(tmp_path.iterdir()) == []

    def test_file_in_place_of_the_folder(self, tmp_path: Path, make_info: MakeInfo) -> None:
        (tmp_path / "masks").write_bytes(b"")
        with pytest.raises(OutputError, match="masks"):
            open_mask_sink(tmp_path / "masks", make_info())


class TestVideo:
    @pytest.mark.parametrize("time_base", TIME_BASES, ids=str)
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_times_are_kept(
        self,
        suffix: str,
        time_base: Fraction,
        tmp_path: Path,
        make_composed: MakeComposed,
        make_info: MakeInfo,
    ) -> None:
        path = tmp_path / f"overlay{suffix}"
        pts = uneven_pts(time_base)
        sink = VideoSink(path, make_info(rate=Fraction(30), time_base=time_base))
        write_all(
            sink,
            [make_composed(index, value, time_base=time_base) for index, value in enumerate(pts)],
        )

        assert_same_times(path, pts, time_base)

    def test_pictures_own_times_do_not_matter(
        self, tmp_path: Path, make_composed: MakeComposed, make_info: MakeInfo
    ) -> None:
        frames = [make_composed(index, 40 * index) for index in range(4)]
        for composed in frames:
            composed.picture.pts, composed.picture.time_base = 7, Fraction(1, 3)
        write_all(VideoSink(tmp_path / "overlay.mp4", make_info()), frames)

        assert_same_times(tmp_path / "overlay.mp4", [0, 40, 80, 120], Fraction(1, 1000))

    @pytest.mark.parametrize("kind", [PictureType.I, PictureType.P, PictureType.B])
    def test_frame_types_of_the_source_are_not_repeated(
        self,
        kind: PictureType,
        tmp_path: Path,
        make_composed: MakeComposed,
        make_info: MakeInfo,
    ) -> None:
        path = tmp_path / "overlay.mp4"
        frames = [make_composed(index, 40 * index) for index in range(60)]
        for composed in frames:
            composed.picture.pict_type = kind
        write_all(VideoSink(path, make_info()), frames)
        pictures = decoded(path)
        keys_s = [
            float(time) for time, p in zip(times(pictures), pictures, strict=True) if p.key_frame
        ]

        assert PictureType.B not in {picture.pict_type for picture in pictures}
        # One at the beginning and then one a second, which is what a crash can cost.
        assert keys_s == pytest.approx([0, 1, 2], abs=0.05)

    @pytest.mark.parametrize("size", [(64, 48), (63, 47), (62, 47)])
    @pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p", "gray", "yuvj420p"])
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_lossless_is_lossless(
        self,
        suffix: str,
        pixel_format: str,
        size: tuple[int, int],
        tmp_path: Path,
        make_composed: MakeComposed,
        make_info: MakeInfo,
        make_picture: MakePicture,
        read_planes: ReadPlanes,
    ) -> None:
        path = tmp_path / f"overlay{suffix}"
        pictures = [make_picture(pixel_format, *size, seed=seed) for seed in range(3)]
        expected = [read_planes(picture) for picture in pictures]
        info = make_info(width=size[0], height=size[1], pixel_format=pixel_format)
        write_all(
            VideoSink(path, info, quality=0),
            [make_composed(index, picture=picture) for index, picture in enumerate(pictures)],
        )

        for picture, content in zip(decoded(path), expected, strict=True):
            luma, *chroma = read_planes(picture)
            if pixel_format == "gray":
                # A decoder may add colour planes, if only neutral ones.
                assert all((plane == 128).all() for plane in chroma)
                chroma = []
            for found, wanted in zip([luma, *chroma], content, strict=True):
                rows, columns = wanted.shape[:2]
                assert found.shape[0] - rows in (0, 1)
                assert found.shape[1] - columns in (0, 1)
                np.testing.assert_array_equal(found[:rows, :columns], wanted)

    def test_color_and_shape_of_the_pixels_are_passed_on(
        self,
        tmp_path: Path,
        make_composed: MakeComposed,
        make_info: MakeInfo,
        make_picture: MakePicture,
    ) -> None:
        path = tmp_path / "overlay.mp4"
        picture = make_picture()
        picture.colorspace, picture.color_range = Colorspace.ITU709, ColorRange.MPEG
        picture.color_primaries, picture.color_trc = ColorPrimaries.BT709, ColorTrc.BT709
        info = make_info(pixel_aspect=Fraction(16, 11))
        write_all(VideoSink(path, info), [make_composed(0, picture=picture)])
        with av.open(str(path)) as container:
            (found,) = container.decode(video=0)
            aspect = container.streams.video[0].sample_aspect_ratio

        assert (found.colorspace, found.color_range) == (Colorspace.ITU709, ColorRange.MPEG)
        assert (found.color_primaries, found.color_trc) == (ColorPrimaries.BT709, ColorTrc.BT709)
        assert aspect == Fraction(16, 11)

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_audio_is_copied(
        self, suffix: str, tmp_path: Path, make_composed: MakeComposed, make_info: MakeInfo
    ) -> None:
        spoken = tmp_path / "spoken.mkv"
        with av.open(str(spoken), "w") as container:
            stream = container.add_stream("aac", rate=48000, layout="mono")
            assert isinstance(stream, av.AudioStream)
            tone = np.sin(np.arange(48000) / 20).astype(np.float32)[None]
            frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 48000, 0
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))

        def packets(path: Path) -> list[bytes]:
            with av.open(str(path)) as container:
                return [bytes(packet) for packet in container.demux(audio=0) if packet.size]

        path = tmp_path / f"overlay{suffix}"
        with av.open(str(spoken)) as reader:
            (audio,) = reader.streams.audio
            sink = VideoSink(path, make_info(audio=audio))
            sink.write(make_composed(0))
            for packet in reader.demux(audio):
                if packet.dts is not None:
                    sink.write_audio(packet)
            sink.write(make_composed(25))
            sink.close()

        assert len(packets(spoken)) > 40
        assert packets(path) == packets(spoken)

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_end_without_a_frame_and_twice(
        self, suffix: str, tmp_path: Path, make_info: MakeInfo
    ) -> None:
        sink = VideoSink(tmp_path / f"overlay{suffix}", make_info())
        sink.close()
        sink.close()

    @pytest.mark.parametrize("name", ["overlay.avi", "overlay", "overlay.mp4.txt"])
    def test_unknown_kind_of_file(self, name: str, tmp_path: Path, make_info: MakeInfo) -> None:
        with pytest.raises(OutputError, match=r"use \.mp4 or \.mkv"):
            VideoSink(tmp_path / name, make_info())

        assert list(tmp_path.iterdir()) == []

    def test_paths_that_cannot_be_written_are_known_at_once(
        self, tmp_path: Path, make_info: MakeInfo
    ) -> None:
        (tmp_path / "folder.mp4").mkdir()
        (tmp_path / "file").write_bytes(b"")
        for name in ("folder.mp4", "file/overlay.mp4"):
            with pytest.raises(OutputError, match=name.split("/")[0]):
                VideoSink(tmp_path / name, make_info())

    def test_suffix_may_be_in_capitals(
        self, tmp_path: Path, make_composed: MakeComposed, make_info: MakeInfo
    ) -> None:
        write_all(VideoSink(tmp_path / "OVERLAY.MP4", make_info()), [make_composed()])

        assert len(decoded(tmp_path / "OVERLAY.MP4")) == 1


class TestReport:
    ENGINE = EngineInfo("model", "ab" * 32, "openvino", "bf16", "a CPU", 352, 2, 4)

    def result(self) -> RunResult:
        times_ms = {"p50": 1.0, "p95": 2.0, "p99": 3.0, "max": 4.0}
        return RunResult(
            frames_in=10,
            frames_out=8,
            damaged=1,
            converted=2,
            dropped={"stopped": 2},
            frames_with_objects=5,
            view=View(8, 4, 32, 30),
            view_changes=(ViewChange(1.25, View(8, 4, 32, 30), "found: rectangle"),),
            frames_out_of_view=3,
            wall_s=2.0,
            cpu_s=3.5,
            latency_ms={"total": times_ms},
            interrupted=True,
        )

    def test_holds_all_that_is_known(self, tmp_path: Path, make_info: MakeInfo) -> None:
        path = tmp_path / "new" / "report.json"
        info = make_info(name="clip.mp4", rate=Fraction(30000, 1001))
        built = report.build(info, self.ENGINE, self.result(), {"output": "overlay.mp4"})
        report.write(path, built)
        found = json.loads(path.read_text())

        assert found == built
        assert found["source"] == {
            "name": "clip.mp4",
            "width": 64,
            "height": 48,
            "pixel_format": "yuv420p",
            "rate": 29.97,
            "color": "bt601 limited range",
            "audio": None,
        }
        assert found["mode"] == "file"
        assert found["frames"] == {
            "in": 10,
            "out": 8,
            "damaged": 1,
            "converted": 2,
            "with_objects": 5,
            "out_of_view": 3,
            "dropped": {"stopped": 2},
        }
        assert (found["wall_s"], found["cpu_s"], found["fps"]) == (2.0, 3.5, 4.0)
        assert found["view"] == [8, 4, 32, 30]
        assert found["view_changes"] == [
            {"at_s": 1.25, "view": [8, 4, 32, 30], "reason": "found: rectangle"}
        ]
        assert found["interrupted"] is True
        assert found["latency_ms"]["total"]["p95"] == 2.0
        assert found["engine"] == asdict(self.ENGINE)
        assert found["outputs"] == {"output": "overlay.mp4"}
        assert {"python", "av", "openvino", "numpy"} <= found["versions"].keys()

    def test_nothing_run_yet(self, make_info: MakeInfo) -> None:
        built = report.build(make_info(), self.ENGINE, RunResult(), {})

        assert built["fps"] == 0
        assert built["frames"]["dropped"] == {}
        assert json.loads(json.dumps(built, allow_nan=False)) == built

    def test_folder_in_its_place(self, tmp_path: Path) -> None:
        with pytest.raises(OutputError, match="is a folder"):
            report.write(tmp_path, {})
