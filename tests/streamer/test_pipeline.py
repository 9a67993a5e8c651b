"""File mode, with sources, engines and sinks that are made up and can be held up or broken."""

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import cast

import av
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer import pipeline as pipeline_module
from streamer.audio import AudioPacket
from streamer.channel import Channel
from streamer.confidence import Calibration, Scaling
from streamer.engine import EngineInfo
from streamer.errors import EngineError, OutputError, SourceError
from streamer.frame import Frame, Segmentation, View
from streamer.motion import small_luma
from streamer.objects import find_objects, full_size_mask
from streamer.overlay import Style
from streamer.pipeline import CHANNEL_CAPACITY, Pipeline
from streamer.rgb import SquareReader
from streamer.run_result import RunResult
from streamer.sinks import Composed
from streamer.sources import Item, SourceInfo, open_source
from streamer.temporal import PRESETS, Stabiliser, Temporal
from streamer.view_watch import ViewChange, ViewWatch

#: Far more than any step takes; only a deadlock meets it.
PATIENCE_S = 20.0
INPUT_SIZE_PX = 32
STREAMS = pytest.mark.parametrize("streams", [1, 2, 4])
OFF = PRESETS["off"]

Image = NDArray[np.uint8]
Probability = NDArray[np.float32]
MakeFrame = Callable[..., Frame]
MakeInfo = Callable[..., SourceInfo]


class FakeSource:
    """Yields what it is given; counts what it has yielded."""

    def __init__(self, info: SourceInfo, items: Iterable[Item]) -> None:
        self.info = info
        self.damaged = 0
        self.converted = 0
        self.yielded = 0
        self._items = items

    def __iter__(self) -> Iterator[Item]:
        for item in self._items:
            self.yielded += 1
            yield item

    def close(self) -> None:
        pass


class FakePending:
    def __init__(self, probability: Probability, wait: Callable[[], None]) -> None:
        self._probability = probability
        self._wait = wait

    def result(self) -> Probability:
        self._wait()
        return self._probability


class FakeSegmenter:
    """Its probability is the picture's green channel; hooks hold up or break a frame."""

    def __init__(self, streams: int = 1) -> None:
        self.info = EngineInfo(
            "fake", "0" * 64, "openvino", "fp32", "cpu", INPUT_SIZE_PX, streams, 1
        )
        self.images: list[Image] = []
        self.threads: set[int] = set()
        self.on_submit: Callable[[int], None] = lambda index: None
        self.on_result: Callable[[int], None] = lambda index: None

    def reader(self) -> SquareReader:
        """See `Segmenter.reader`."""
        return SquareReader(self.info.input_size)

    def submit(self, image: Image) -> FakePending:
        index = len(self.images)
        self.images.append(image)
        self.threads.add(threading.get_ident())
        self.on_submit(index)
        probability = (image[..., 1] / 255).astype(np.float32)
        return FakePending(probability, lambda: self.on_result(index))

    def close(self) -> None:
        pass


class FakeSink:
    """Keeps what it gets; a hook is called with the number of frames so far."""

    def __init__(self, on_write: Callable[[int], None] = lambda count: None) -> None:
        self.items: list[Composed | AudioPacket] = []
        self.closed = 0
        self._on_write = on_write

    @property
    def frames(self) -> list[Composed]:
        return [item for item in self.items if isinstance(item, Composed)]

    def write(self, composed: Composed) -> None:
        self._on_write(len(self.frames))
        self.items.append(composed)

    def write_audio(self, packet: AudioPacket) -> None:
        self.items.append(packet)

    def close(self) -> None:
        self.closed += 1


class BrokenAtCloseSink(FakeSink):
    def close(self) -> None:
        super().close()
        raise OutputError("cannot be finished")


def wait_for(event: threading.Event) -> None:
    assert event.wait(PATIENCE_S), "nothing happened: deadlock"


def fail_at(number: int, error: BaseException) -> Callable[[int], None]:
    def fail(index: int) -> None:
        if index == number:
            raise error

    return fail


@pytest.fixture(autouse=True)
def _no_thread_outlives_its_run() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert set(threading.enumerate()) <= before


@pytest.fixture
def source_of(make_info: MakeInfo) -> Callable[[Iterable[Item]], FakeSource]:
    def make(items: Iterable[Item]) -> FakeSource:
        return FakeSource(make_info(), items)

    return make


@pytest.fixture
def frames(make_frame: MakeFrame) -> Callable[[int], list[Frame]]:
    """Frames at uneven times: 7, 47, 88, …"""

    def make(count: int) -> list[Frame]:
        return [make_frame(index, 7 + 40 * index + index**2) for index in range(count)]

    return make


SourceOf = Callable[[Iterable[Item]], FakeSource]
Frames = Callable[[int], list[Frame]]


class TestOrder:
    @STREAMS
    def test_every_frame_reaches_every_sink_once_in_order(
        self, streams: int, source_of: SourceOf, frames: Frames
    ) -> None:
        inputs = frames(25)
        sinks = [FakeSink(), FakeSink()]
        result = Pipeline(source_of(inputs), FakeSegmenter(streams), sinks).run()

        for sink in sinks:
            assert [composed.frame for composed in sink.frames] == inputs
            assert [composed.frame.pts for composed in sink.frames] == [f.pts for f in inputs]
            assert sink.closed == 1
        assert (result.frames_in, result.frames_out) == (25, 25)
        assert result.dropped == {}
        assert not result.interrupted

    def test_every_frame_gets_its_own_map(self, source_of: SourceOf, make_frame: MakeFrame) -> None:
        inputs = []
        for index in range(12):
            picture = av.VideoFrame.from_ndarray(
                np.full((48, 64, 3), 20 * index, np.uint8), format="rgb24"
            ).reformat(format="yuv420p")
            inputs.append(make_frame(index, picture=picture))
        sink = FakeSink()
        Pipeline(source_of(inputs), FakeSegmenter(3), [sink], temporal=OFF).run()

        for composed in sink.frames:
            expected = 20 * composed.frame.index / 255
            np.testing.assert_allclose(composed.segmentation.probability, expected, atol=2 / 255)

    @STREAMS
    def test_audio_keeps_its_place_between_the_frames(
        self, streams: int, source_of: SourceOf, frames: Frames
    ) -> None:
        audio = [cast(AudioPacket, av.Packet(bytes([number]))) for number in range(8)]
        inputs: list[Item] = [*audio[:2]]
        for index, frame in enumerate(frames(9)):
            inputs += [frame, *audio[2:][index : index + 1]]
        inputs += audio[:2]
        sink = FakeSink()
        result = Pipeline(source_of(inputs), FakeSegmenter(streams), [sink]).run()
        outputs = [item.frame if isinstance(item, Composed) else item for item in sink.items]

        assert len(outputs) == len(inputs)
        assert all(out is item for out, item in zip(outputs, inputs, strict=True))
        assert (result.frames_in, result.frames_out) == (9, 9)

    def test_source_without_a_frame(self, source_of: SourceOf) -> None:
        sink = FakeSink()
        result = Pipeline(source_of([]), FakeSegmenter(), [sink]).run()

        assert (result.frames_in, result.frames_out, result.rate) == (0, 0, 0.0)
        assert sink.closed == 1


class TestOverlap:
    @STREAMS
    def test_first_frame_is_written_while_the_source_still_reads(
        self, streams: int, source_of: SourceOf, frames: Frames
    ) -> None:
        """Whoever reads all of a source before writing stands still here."""
        written = threading.Event()

        def read() -> Iterator[Item]:
            for frame in frames(streams + 6):
                if frame.index == streams:
                    wait_for(written)
                yield frame

        sink = FakeSink(lambda count: written.set())
        result = Pipeline(source_of(read()), FakeSegmenter(streams), [sink]).run()

        assert result.frames_out == streams + 6

    def test_the_network_works_while_a_frame_is_written(
        self, source_of: SourceOf, frames: Frames
    ) -> None:
        third = threading.Event()
        segmenter = FakeSegmenter()
        segmenter.on_submit = lambda index: third.set() if index == 2 else None
        sink = FakeSink(lambda count: wait_for(third) if count == 0 else None)
        result = Pipeline(source_of(frames(6)), segmenter, [sink]).run()

        assert result.frames_out == 6

    @STREAMS
    def test_as_many_frames_at_once_as_the_engine_has_streams(
        self, streams: int, source_of: SourceOf, frames: Frames
    ) -> None:
        """A frame is ready only when `streams - 1` further ones are under way."""
        count = 11
        submitted = [threading.Event() for _ in range(count + streams)]
        segmenter = FakeSegmenter(streams)
        segmenter.on_submit = lambda index: submitted[index].set()
        segmenter.on_result = lambda index: wait_for(submitted[index + streams - 1])

        def read() -> Iterator[Item]:
            yield from frames(count)
            for event in submitted[count:]:
                event.set()

        sink = FakeSink()
        result = Pipeline(source_of(read()), segmenter, [sink]).run()

        assert [composed.frame.index for composed in sink.frames] == list(range(count))
        assert result.frames_out == count

    @STREAMS
    def test_source_is_held_up_by_a_slow_sink(
        self,
        streams: int,
        source_of: SourceOf,
        frames: Frames,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        held_up = threading.Event()

        class Watched(Channel[object]):
            def put(self, item: object) -> None:
                with self._changed:
                    if len(self._items) >= self._capacity:
                        held_up.set()
                super().put(item)

        monkeypatch.setattr(pipeline_module, "Channel", Watched)
        leads = []

        def read() -> Iterator[Item]:
            for frame in frames(80):
                leads.append(frame.index + 1 - len(sink.frames))
                yield frame
            held_up.set()

        # The first frame is only written when the source waits, or has read everything.
        sink = FakeSink(lambda count: wait_for(held_up))
        result = Pipeline(source_of(read()), FakeSegmenter(streams), [sink]).run()

        assert result.frames_out == 80
        # All channels, the engine's places, and one frame in the hands of each of five threads.
        assert CHANNEL_CAPACITY < max(leads) <= 4 * CHANNEL_CAPACITY + streams + 5

    def test_one_thread_owns_the_segmenter(self, source_of: SourceOf, frames: Frames) -> None:
        segmenter = FakeSegmenter(2)
        Pipeline(source_of(frames(9)), segmenter, [FakeSink()]).run()

        assert len(segmenter.threads) == 1
        assert threading.get_ident() not in segmenter.threads


class TestFailure:
    @STREAMS
    @pytest.mark.parametrize("error", [SourceError("unplugged"), ValueError("a mistake")])
    def test_of_the_source(
        self, streams: int, error: Exception, source_of: SourceOf, frames: Frames
    ) -> None:
        def read() -> Iterator[Item]:
            yield from frames(7)
            raise error

        sinks = [FakeSink(), FakeSink()]
        pipeline = Pipeline(source_of(read()), FakeSegmenter(streams), sinks)
        with pytest.raises(type(error)) as caught:
            pipeline.run()

        assert caught.value is error
        # What came before the failure is kept.
        assert [len(sink.frames) for sink in sinks] == [7, 7]
        assert [sink.closed for sink in sinks] == [1, 1]
        assert pipeline.result.frames_out == 7
        assert pipeline.result.error == str(error)

    @pytest.mark.parametrize(
        ("error", "told"),
        [
            (torch.OutOfMemoryError("CUDA out of memory.\nTried"), "CUDA out of memory."),
            (RuntimeError("CUDA error: launch failure\nCompile"), "CUDA error: launch failure"),
            (RuntimeError("dictionary changed size"), None),
        ],
    )
    def test_of_a_gpu_wherever_it_shows(
        self, error: Exception, told: str | None, source_of: SourceOf, frames: Frames
    ) -> None:
        """PyTorch's errors are many lines long, and come where a result is first needed."""

        def fail(_: int) -> None:
            raise error

        sink = FakeSink(fail)
        pipeline = Pipeline(source_of(frames(3)), FakeSegmenter(), [sink])
        with pytest.raises(EngineError if told else type(error)) as caught:
            pipeline.run()
        assert str(caught.value) == (f"the GPU failed ({told})" if told else str(error))
        assert pipeline.result.error == str(caught.value)
        assert sink.closed == 1

    @STREAMS
    @pytest.mark.parametrize("hook", ["on_submit", "on_result"])
    def test_of_the_segmenter(
        self, hook: str, streams: int, source_of: SourceOf, frames: Frames
    ) -> None:
        segmenter = FakeSegmenter(streams)
        setattr(segmenter, hook, fail_at(5, EngineError("no memory")))
        sinks = [FakeSink(), FakeSink()]
        pipeline = Pipeline(source_of(frames(60)), segmenter, sinks)
        with pytest.raises(EngineError, match="no memory"):
            pipeline.run()

        result = pipeline.result
        for sink in sinks:
            assert [composed.frame.index for composed in sink.frames] == list(
                range(result.frames_out)
            )
            assert sink.closed == 1
        assert result.frames_out <= 5
        assert result.dropped == {"failed": result.frames_in - result.frames_out}

    @STREAMS
    @pytest.mark.parametrize("error", [OutputError("disk is full"), RuntimeError("a mistake")])
    def test_of_a_sink(
        self, error: Exception, streams: int, source_of: SourceOf, frames: Frames
    ) -> None:
        first, broken, last = FakeSink(), FakeSink(fail_at(4, error)), FakeSink()
        pipeline = Pipeline(source_of(frames(60)), FakeSegmenter(streams), [first, broken, last])
        with pytest.raises(type(error)) as caught:
            pipeline.run()

        result = pipeline.result
        assert caught.value is error
        assert [sink.closed for sink in (first, broken, last)] == [1, 1, 1]
        assert [len(sink.frames) for sink in (first, broken, last)] == [5, 4, 4]
        assert result.frames_out == 4
        assert result.dropped == {"failed": result.frames_in - 4}
        assert result.error == str(error)

    def test_of_a_sinks_end(self, source_of: SourceOf, frames: Frames) -> None:
        sinks = [FakeSink(), BrokenAtCloseSink(), FakeSink()]
        pipeline = Pipeline(source_of(frames(5)), FakeSegmenter(), sinks)
        with pytest.raises(OutputError, match="cannot be finished"):
            pipeline.run()

        assert [sink.closed for sink in sinks] == [1, 1, 1]
        assert [len(sink.frames) for sink in sinks] == [5, 5, 5]

    def test_the_first_of_several_is_told(self, source_of: SourceOf, frames: Frames) -> None:
        broken = FakeSink(fail_at(2, OutputError("disk is full")))
        sinks = [BrokenAtCloseSink(), broken, FakeSink()]
        pipeline = Pipeline(source_of(frames(30)), FakeSegmenter(), sinks)
        with pytest.raises(OutputError, match="disk is full"):
            pipeline.run()

        assert [sink.closed for sink in sinks] == [1, 1, 1]

    def test_of_the_progress_display(self, source_of: SourceOf, frames: Frames) -> None:
        def fail(result: RunResult) -> None:
            raise RuntimeError("terminal is gone")

        sink = FakeSink()
        with pytest.raises(RuntimeError, match="terminal is gone"):
            Pipeline(source_of(frames(30)), FakeSegmenter(), [sink]).run(fail)

        assert (len(sink.frames), sink.closed) == (1, 1)


class TestEnd:
    @STREAMS
    def test_interrupt_in_a_sink_ends_cleanly(
        self, streams: int, source_of: SourceOf, frames: Frames
    ) -> None:
        sink, other = FakeSink(fail_at(6, KeyboardInterrupt())), FakeSink()
        pipeline = Pipeline(source_of(frames(60)), FakeSegmenter(streams), [sink, other])
        with pytest.raises(KeyboardInterrupt):
            pipeline.run()

        result = pipeline.result
        assert result.interrupted
        assert result.frames_out == len(sink.frames) == len(other.frames) == 6
        assert result.dropped == {"stopped": result.frames_in - 6}
        assert (sink.closed, other.closed) == (1, 1)

    @STREAMS
    def test_stop_ends_after_the_frame_at_hand(
        self, streams: int, source_of: SourceOf, frames: Frames
    ) -> None:
        def stop(count: int) -> None:
            if count == 3:
                pipeline.stop()

        sink, other = FakeSink(stop), FakeSink()
        pipeline = Pipeline(source_of(frames(60)), FakeSegmenter(streams), [sink, other])
        result = pipeline.run()

        assert result.interrupted
        # All sinks have the same frames: none is cut off in the middle of one.
        assert len(sink.frames) == len(other.frames) == result.frames_out == 4
        assert result.dropped == {"stopped": result.frames_in - 4}
        assert (sink.closed, other.closed) == (1, 1)

    def test_counts_of_the_source_are_passed_on(self, source_of: SourceOf, frames: Frames) -> None:
        source = source_of(frames(4))
        source.damaged, source.converted = 3, 2
        seen: list[int] = []
        result = Pipeline(source, FakeSegmenter(), [FakeSink()]).run(
            lambda result: seen.append(result.frames_out)
        )

        assert seen == [1, 2, 3, 4]
        assert (result.damaged, result.converted) == (3, 2)
        assert result.latency_ms.keys() == {
            "decode",
            "convert",
            "motion",
            "segment",
            "steady",
            "draw",
            "write",
            "total",
        }
        assert result.wall_s > 0
        assert result.rate == 4 / result.wall_s

    def test_frames_with_objects_are_counted(
        self, source_of: SourceOf, make_frame: MakeFrame, make_picture: Callable[..., av.VideoFrame]
    ) -> None:
        bright, dark = (235, 128, 128), (16, 128, 128)
        inputs = [
            make_frame(index, picture=make_picture(codes=codes))
            for index, codes in enumerate([dark, bright, bright, dark, bright])
        ]
        sink = FakeSink()
        result = Pipeline(
            source_of(inputs), FakeSegmenter(2), [sink], threshold=0.7, temporal=OFF
        ).run()

        assert result.frames_with_objects == 3
        assert [len(composed.objects) for composed in sink.frames] == [0, 1, 1, 0, 1]
        assert {composed.segmentation.threshold for composed in sink.frames} == {0.7}

    def test_confidence_is_by_the_engines_calibration(
        self, source_of: SourceOf, make_frame: MakeFrame, make_picture: Callable[..., av.VideoFrame]
    ) -> None:
        bright = make_frame(0, picture=make_picture(codes=(200, 128, 128)))
        segmenter, sink = FakeSegmenter(), FakeSink()
        calibration = Calibration(Scaling(0.2), Scaling(2.0, -3.0))
        segmenter.info = replace(segmenter.info, calibration=calibration)
        Pipeline(source_of([bright]), segmenter, [sink], temporal=OFF).run()

        (composed,) = sink.frames
        assert composed.objects == find_objects(composed.segmentation, calibration)
        assert composed.objects[0].confidence is not None


class TestSteadyMasks:
    def test_are_what_the_stabiliser_makes_of_the_frames_in_order(
        self, tmp_path: Path, write_clip: Callable[..., Path]
    ) -> None:
        clip = write_clip(tmp_path / "clip.mp4")
        source, segmenter, sink = open_source(str(clip)), FakeSegmenter(3), FakeSink()
        with closing(source):
            Pipeline(source, segmenter, [sink], threshold=0.6).run()
        view = View(0, 0, 160, 96)
        alone = Stabiliser(PRESETS["balanced"], view, 0.6)
        source = open_source(str(clip))
        with closing(source):
            inputs = [item for item in source if isinstance(item, Frame)]
        for composed, frame, image in zip(sink.frames, inputs, segmenter.images, strict=True):
            probability = (image[..., 1] / 255).astype(np.float32)
            expected = alone.steady(probability, small_luma(frame.picture, view), frame.time_s)
            np.testing.assert_array_equal(composed.segmentation.probability, expected.probability)
            assert composed.objects == find_objects(expected)

    def test_detections_are_counted(
        self, source_of: SourceOf, make_frame: MakeFrame, make_picture: Callable[..., av.VideoFrame]
    ) -> None:
        bright, dark = (235, 128, 128), (16, 128, 128)
        inputs = [
            make_frame(index, picture=make_picture(codes=codes))
            for index, codes in enumerate([*[dark] * 3, *[bright] * 5, *[dark] * 20])
        ]
        steady = Temporal(confirm_ms=80, window_ms=400, hold_ms=100)
        sink = FakeSink()
        result = Pipeline(source_of(inputs), FakeSegmenter(), [sink], temporal=steady).run()

        assert result.detections == 1
        # Sure, so confirmed at once; held for two frames.
        assert result.frames_with_objects == 5 + 2
        counts = [any(each.confirmed for each in composed.objects) for composed in sink.frames]
        assert counts == [False] * 3 + [True] * 7 + [False] * 18


class TestView:
    def test_network_sees_the_view_only(
        self, source_of: SourceOf, make_frame: MakeFrame, make_picture: Callable[..., av.VideoFrame]
    ) -> None:
        picture = make_picture(codes=(16, 128, 128))
        luma = picture.planes[0]
        rows = np.full((luma.height, luma.line_size), 16, np.uint8)
        rows[8:40, 32:64] = 235
        luma.update(rows.tobytes())
        view = View(32, 8, 32, 32)
        segmenter, sink = FakeSegmenter(), FakeSink()
        Pipeline(
            source_of([make_frame(0, picture=picture)]),
            segmenter,
            [sink],
            style=Style(badge=False),
            view=view,
            temporal=OFF,
        ).run()
        (composed,) = sink.frames

        assert segmenter.images[0].shape == (INPUT_SIZE_PX, INPUT_SIZE_PX, 3)
        assert segmenter.images[0].min() >= 253
        assert composed.segmentation.view == view
        assert [found.box for found in composed.objects] == [(32, 8, 32, 32)]

    def test_without_a_view_it_is_the_whole_picture(
        self, source_of: SourceOf, frames: Frames
    ) -> None:
        sink = FakeSink()
        Pipeline(source_of(frames(1)), FakeSegmenter(), [sink]).run()

        assert sink.frames[0].segmentation.view == View(0, 0, 64, 48)


class FixedWatch(ViewWatch):
    """Finds a part in a frame of its own choice."""

    def __init__(self, at_s: float, view: View) -> None:
        super().__init__(64, 48)
        self._at_s, self._found = at_s, view

    def look(self, picture: av.VideoFrame, time_s: float) -> ViewChange | None:
        if self.view == self._found or time_s < self._at_s:
            return None
        return self._change(self._found, time_s, "found: rectangle")


class TestWatch:
    VIEW = View(8, 4, 32, 30)

    @STREAMS
    def test_the_part_changes_with_a_frame_and_none_is_lost(
        self, source_of: SourceOf, frames: Frames, streams: int
    ) -> None:
        inputs, sink = frames(9), FakeSink()
        watch = FixedWatch(inputs[5].time_s, self.VIEW)
        segmenter = FakeSegmenter(streams)
        result = Pipeline(
            source_of(inputs), segmenter, [sink], style=Style(badge=False), view=watch
        ).run()

        assert [each.frame.index for each in sink.frames] == list(range(9))
        whole = View(0, 0, 64, 48)
        views = [each.segmentation.view for each in sink.frames]
        assert views == [whole] * 5 + [self.VIEW] * 4
        assert [each.view for each in sink.frames] == [None] * 5 + [self.VIEW] * 4
        assert result.view == self.VIEW
        assert [change.view for change in result.view_changes] == [self.VIEW]
        # What the network saw: the whole picture, then the part.
        reader, fresh = SquareReader(INPUT_SIZE_PX), frames(9)
        for number, view in ((4, None), (8, self.VIEW)):
            expected = reader.read(fresh[number].picture, fresh[number].color, view)
            np.testing.assert_array_equal(segmenter.images[number], expected)

    def test_masks_begin_anew_with_another_part(self, source_of: SourceOf, frames: Frames) -> None:
        def run(inputs: list[Frame], view: View | ViewWatch) -> list[Probability]:
            sink = FakeSink()
            Pipeline(source_of(inputs), FakeSegmenter(), [sink], view=view, threshold=0.6).run()
            return [each.segmentation.probability.copy() for each in sink.frames]

        inputs = frames(9)
        watched = run(inputs, FixedWatch(inputs[5].time_s, self.VIEW))

        for found, alone in zip(watched[5:], run(frames(9)[5:], self.VIEW), strict=True):
            np.testing.assert_array_equal(found, alone)


@given(
    st.integers(0, 60), st.integers(0, 40), st.integers(16, 60), st.integers(16, 50), st.booleans()
)
def test_masks_map_back_to_the_part_they_are_of(
    x: int, y: int, width: int, height: int, sure: bool
) -> None:
    view = View(x, y, width, height)
    probability = np.full((32, 32), 0.9 if sure else 0.1, np.float32)
    mask = full_size_mask(Segmentation(probability, view, 0.5), 130, 100)

    expected = np.zeros((100, 130), np.uint8)
    expected[y : y + height, x : x + width] = 255 if sure else 0
    np.testing.assert_array_equal(mask, expected)


def test_empty_map_without_badge_leaves_every_pixel(
    source_of: SourceOf,
    frames: Frames,
    read_planes: Callable[[av.VideoFrame], list[NDArray[np.int64]]],
) -> None:
    inputs = frames(6)
    expected = [read_planes(frame.picture) for frame in inputs]
    sink = FakeSink()
    style = Style(badge=False)
    Pipeline(source_of(inputs), FakeSegmenter(), [sink], style=style, threshold=1.1).run()

    for composed, planes in zip(sink.frames, expected, strict=True):
        for found, wanted in zip(read_planes(composed.picture), planes, strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize("view", [None, View(33, 11, 101, 67)])
def test_same_clip_same_masks(
    view: View | None, tmp_path: Path, write_clip: Callable[..., Path]
) -> None:
    clip = write_clip(tmp_path / "clip.mp4")

    def run(streams: int) -> list[Probability]:
        source, sink = open_source(str(clip)), FakeSink()
        try:
            Pipeline(source, FakeSegmenter(streams), [sink], view=view).run()
        finally:
            source.close()
        return [composed.segmentation.probability.copy() for composed in sink.frames]

    first = run(1)

    assert len(first) == 12
    assert first[0].std() > 0.05
    for again in (run(1), run(3)):
        np.testing.assert_array_equal(again, first)
