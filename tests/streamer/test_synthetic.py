"""The endless made-up endoscopy with known masks."""

import threading
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.clock import MonotonicClock
from streamer.errors import SourceEndedError, SourceError
from streamer.frame import Frame
from streamer.planes import planes
from streamer.rgb import RgbReader
from streamer.settings import Settings, SourceSettings
from streamer.sources import SourceInfo, open_live
from streamer.sources import synthetic as module
from streamer.sources.synthetic import SyntheticSource

#: Far more than any step takes; only a deadlock meets it.
PATIENCE_S = 60.0
MS = 10**6
START_NS = 7 * 10**12
RATE = 20.0
STEP_MS = 50
#: Frames that are rendered ahead in these tests.
STRETCH = 9


class FakeClock:
    """Waiting takes no time but moves the clock on."""

    def __init__(self) -> None:
        self.ns = START_NS

    def now_ns(self) -> int:
        return self.ns

    def wait_until(self, due_ns: int, cancelled: threading.Event) -> bool:
        if not cancelled.is_set():
            self.ns = max(self.ns, due_ns)
        return cancelled.is_set()

    def advance(self, ms: float) -> None:
        self.ns += round(ms * MS)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch, clock: FakeClock) -> Callable[..., SyntheticSource]:
    """A small source with a short stretch; its shots are as long as that of a real one."""

    def open_it(**options: object) -> SyntheticSource:
        arguments = {"width": 96, "height": 64, "rate": RATE, "clock": clock} | options
        return SyntheticSource(**arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "MOST_FRAMES", STRETCH)
    return open_it


def rgb(frame: Frame) -> NDArray[np.uint8]:
    picture = frame.picture
    return RgbReader().read(picture, frame.color, picture.width, picture.height)


class TestTimes:
    def test_frames_come_when_they_are_due(
        self, make: Callable[..., SyntheticSource], clock: FakeClock
    ) -> None:
        source = make()
        clock.advance(333)  # time begins to run with the first reading

        begun_ns = clock.ns
        found, read_ns = [], []
        for _ in range(30):
            found.append(source.read())
            read_ns.append(clock.ns)

        assert read_ns == [begun_ns + STEP_MS * MS * index for index in range(30)]
        assert [frame.captured_ns for frame in found] == read_ns
        assert [frame.decoded_ns for frame in found] == read_ns
        assert [frame.index for frame in found] == list(range(30))
        assert [frame.time_s for frame in found] == pytest.approx(np.arange(30) / RATE)
        assert [frame.picture.pts for frame in found] == [frame.pts for frame in found]
        assert source.missed == 0

    def test_late_reader_gets_the_newest(
        self, make: Callable[..., SyntheticSource], clock: FakeClock
    ) -> None:
        source = make()
        source.read()
        clock.advance(4 * STEP_MS + 20)
        late = source.read()

        assert (late.index, source.missed) == (4, 3)
        assert late.decoded_ns - late.captured_ns == 20 * MS
        assert (source.read().index, clock.ns) == (5, START_NS + 5 * STEP_MS * MS)

    def test_rate_of_television(
        self, make: Callable[..., SyntheticSource], clock: FakeClock
    ) -> None:
        source = make(rate=30000 / 1001)
        found = [source.read() for _ in range(5)]

        assert source.info.rate == Fraction(30000, 1001)
        assert [frame.pts for frame in found] == [0, 1, 2, 3, 4]
        assert clock.ns - START_NS == round(4 * 1001 / 30000 * 1e9)


class TestContent:
    def test_what_is_known_of_it(self, make: Callable[..., SyntheticSource]) -> None:
        source = make()
        frame = source.read()
        info = source.info

        assert (info.width, info.height, info.pixel_format) == (96, 64, "yuv420p")
        assert (info.live, info.frames, info.audio) == (True, None, None)
        assert str(info.color) == str(frame.color) == "bt601 limited range"
        assert (frame.picture.width, frame.picture.height) == (96, 64)
        assert frame.picture.format.name == "yuv420p"

    def test_pictures_are_those_of_the_scene_and_masks_belong_to_them(
        self, make: Callable[..., SyntheticSource]
    ) -> None:
        source = make()
        for _ in range(STRETCH):
            frame = source.read()
            image, mask = source._scene.render(frame.index)

            assert np.abs(rgb(frame).astype(int) - image).mean() < 6
            assert np.array_equal(source.truth(frame.index), mask)

    def test_polyp_is_there_and_is_not(self, make: Callable[..., SyntheticSource]) -> None:
        source = make(prerender=False)
        covered = [(source.truth(index) == 255).mean() for index in range(0, 120, 6)]

        assert set(np.unique(source.truth(0))) <= {0, 255}
        assert max(covered) > 0.02
        assert min(covered) == 0

    def test_stretch_is_played_to_and_fro(self, make: Callable[..., SyntheticSource]) -> None:
        source = make()
        luma = [planes(source.read().picture)[0].pixels.copy() for _ in range(3 * STRETCH)]
        masks = [source.truth(index) for index in range(3 * STRETCH)]
        last = STRETCH - 1

        for index in range(last + 1):
            for content in (luma, masks):
                assert np.array_equal(content[index], content[2 * last - index])
                assert np.array_equal(content[index], content[2 * last + index])
        assert not np.array_equal(luma[0], luma[last])

    def test_without_a_stretch_it_does_not_repeat_itself(
        self, make: Callable[..., SyntheticSource]
    ) -> None:
        source, ahead = make(prerender=False), make()
        luma = [planes(source.read().picture)[0].pixels.copy() for _ in range(2 * STRETCH)]
        known = [planes(ahead.read().picture)[0].pixels.copy() for _ in range(STRETCH)]

        assert all(map(np.array_equal, luma, known))
        assert not np.array_equal(luma[STRETCH - 2], luma[STRETCH])

    def test_pictures_belong_to_the_caller(self, make: Callable[..., SyntheticSource]) -> None:
        source = make()
        first = source.read().picture
        before = planes(first)[0].pixels.copy()
        planes(first)[0].pixels[:] = 77
        for _ in range(2 * (STRETCH - 1)):
            again = source.read().picture

        assert np.array_equal(planes(again)[0].pixels, before)

    def test_memory_is_bounded(
        self, make: Callable[..., SyntheticSource], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "MOST_BYTES", 1)
        source = make()
        luma = [planes(source.read().picture)[0].pixels.copy() for _ in range(3)]

        assert len(source._pictures) == 1
        assert np.array_equal(luma[0], luma[2])

    def test_seed_chooses_it(self, make: Callable[..., SyntheticSource]) -> None:
        one, same, other = (rgb(make(seed=seed).read()) for seed in (1, 1, 2))

        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    @pytest.mark.parametrize("size", [(32, 32), (97, 65)])
    def test_odd_and_least_size(
        self, make: Callable[..., SyntheticSource], size: tuple[int, int]
    ) -> None:
        source = make(width=size[0], height=size[1])
        frame = source.read()

        assert (frame.picture.width, frame.picture.height) == size
        assert source.truth(0).shape == size[::-1]

    def test_size_format_and_times_of_before(
        self, make: Callable[..., SyntheticSource], make_info: Callable[..., SourceInfo]
    ) -> None:
        like = make_info(width=64, height=48, pixel_format="yuv422p")
        source = make(like=like)
        found = [source.read() for _ in range(3)]

        assert (source.info.width, source.info.height) == (64, 48)
        assert {frame.picture.format.name for frame in found} == {"yuv422p"}
        assert [frame.pts for frame in found] == [0, 50, 100]
        assert found[0].time_base == like.time_base

    @pytest.mark.parametrize(
        "options", [{"width": 31}, {"height": 16}, {"rate": 0.0}, {"rate": float("nan")}]
    )
    def test_what_cannot_be_shown(
        self, make: Callable[..., SyntheticSource], options: dict[str, float]
    ) -> None:
        with pytest.raises(SourceError, match="cannot be shown"):
            make(**options)

    def test_format_that_cannot_be_drawn_into(
        self, make: Callable[..., SyntheticSource], make_info: Callable[..., SourceInfo]
    ) -> None:
        with pytest.raises(SourceError, match="no pictures of format rgb24"):
            make(like=make_info(pixel_format="rgb24"))


class TestClose:
    def test_closed(self, make: Callable[..., SyntheticSource]) -> None:
        source = make()
        source.read()
        source.close()
        source.close()

        with pytest.raises(SourceEndedError, match="closed"):
            source.read()

    def test_closing_wakes_a_reader(self, make: Callable[..., SyntheticSource]) -> None:
        # The second frame would be due in a thousand seconds.
        source = make(rate=0.001, clock=MonotonicClock())
        source.read()
        outcome: list[Exception] = []
        begun = threading.Event()

        def read() -> None:
            begun.set()
            try:
                source.read()
            except SourceEndedError as error:
                outcome.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        assert begun.wait(PATIENCE_S)
        source.close()
        reader.join(PATIENCE_S)

        assert not reader.is_alive()
        assert len(outcome) == 1


class TestOpen:
    def test_by_its_address(self, make: Callable[..., SyntheticSource], clock: FakeClock) -> None:
        opened = open_live("synthetic:size=96x64:rate=20:seed=3", settings=Settings(), clock=clock)(
            None
        )
        first, second = opened.read(), opened.read()

        assert np.array_equal(rgb(first), rgb(make(seed=3).read()))
        assert second.captured_ns == clock.ns == START_NS + STEP_MS * MS

    def test_by_the_settings(self, make: Callable[..., SyntheticSource], clock: FakeClock) -> None:
        alias = SourceSettings(url="synthetic", size=(64, 48), rate=10)
        settings = Settings(sources={"scene": alias})
        info = open_live("scene", settings=settings, clock=clock)(None).info

        assert (info.width, info.height, info.rate) == (64, 48, 10)
