"""A capture card that fails on purpose, and what live mode makes of it."""

import threading
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.cli import live_mode
from streamer.clock import MonotonicClock
from streamer.errors import SourceEndedError, SourceError, SourceLostError
from streamer.frame import Frame
from streamer.live.pipeline import LivePipeline
from streamer.live.signal import SignalWatch, sample_luma
from streamer.live.state import State
from streamer.planes import planes
from streamer.rgb import RgbReader
from streamer.settings import Settings, SourceSettings
from streamer.sinks import Composed
from streamer.sources import SourceInfo, open_live, resolve_source
from streamer.sources.mock_card import MockCard, MockSlot
from streamer.sources.mock_schedule import (
    Black,
    Drift,
    Format,
    Freeze,
    Gap,
    Interlaced,
    Resize,
    Run,
    Schedule,
    Unplug,
    random_schedule,
)

#: Far more than any step takes; only a deadlock meets it.
PATIENCE_S = 60.0
MS = 10**6
START_NS = 3 * 10**12
SIZE = (96, 64)
STEP_MS = 40

Luma = NDArray[np.int64]


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
def make_slot(clock: FakeClock) -> Callable[..., MockSlot]:
    def make(*steps: Run, **options: Any) -> MockSlot:
        size = {"width": SIZE[0], "height": SIZE[1]}
        return MockSlot(steps, **({"clock": clock} | size | options))

    return make


def read_all(card: MockCard) -> list[Frame]:
    """Everything up to the end or the loss of the card."""
    found = []
    while True:
        try:
            found.append(card.read())
        except (SourceEndedError, SourceLostError):
            return found


def dues_ms(frames: list[Frame]) -> list[float]:
    return [(frame.captured_ns - START_NS) / MS for frame in frames]


def luma(frame: Frame) -> Luma:
    return planes(frame.picture)[0].pixels[..., 0].astype(np.int64)


class TestPictures:
    def test_they_come_when_they_are_due(
        self, make_slot: Callable[..., MockSlot], clock: FakeClock
    ) -> None:
        card = make_slot(Run(0.4))(None)
        found, read_ms = [], []
        for _ in range(10):
            found.append(card.read())
            read_ms.append((clock.ns - START_NS) / MS)

        assert read_ms == dues_ms(found) == [STEP_MS * index for index in range(10)]
        assert [frame.decoded_ns for frame in found] == [frame.captured_ns for frame in found]
        assert [frame.index for frame in found] == list(range(10))
        assert [frame.time_s for frame in found] == pytest.approx(np.arange(10) / 25)
        assert (card.missed, card.converted, card.damaged) == (0, 0, 0)

    def test_what_is_known_of_it(self, make_slot: Callable[..., MockSlot]) -> None:
        card = make_slot(Run(0.4), rate=30000 / 1001)(None)
        frame = card.read()
        info = card.info

        assert (info.width, info.height, info.pixel_format) == (*SIZE, "yuv420p")
        assert (info.live, info.audio, info.rate) == (True, None, Fraction(30000, 1001))
        assert (frame.picture.width, frame.picture.height) == SIZE
        assert frame.color == info.color

    def test_they_move_and_carry_noise(self, make_slot: Callable[..., MockSlot]) -> None:
        watch = SignalWatch()
        looks = [watch.look(sample_luma(f.picture)) for f in read_all(make_slot(Run(2.0))(None))]

        assert not any(look.flat or look.repeated for look in looks)

    def test_late_reader_gets_the_newest(
        self, make_slot: Callable[..., MockSlot], clock: FakeClock
    ) -> None:
        card = make_slot(Run(0.4))(None)
        card.read()
        clock.advance(3 * STEP_MS + 10)
        late = card.read()

        assert dues_ms([late]) == [120]
        assert late.decoded_ns - late.captured_ns == 10 * MS
        assert (late.index, card.missed) == (1, 2)
        assert dues_ms([card.read()]) == [160]

    def test_same_seed_same_pictures(self, clock: FakeClock) -> None:
        one, same, other = (
            luma(MockCard(seed, clock=FakeClock(), width=96, height=64).read())
            for seed in (4, 4, 5)
        )

        assert np.array_equal(one, same)
        assert not np.array_equal(one, other)

    def test_end(self, make_slot: Callable[..., MockSlot], clock: FakeClock) -> None:
        slot = make_slot(Run(0.1))
        card = slot(None)
        for _ in range(3):
            card.read()

        for _ in range(2):
            with pytest.raises(SourceEndedError, match="schedule is over"):
                card.read()
        assert clock.ns == START_NS + 100 * MS
        with pytest.raises(SourceEndedError, match="schedule is over"):
            slot(card.info)


class TestFaults:
    def test_gap(self, make_slot: Callable[..., MockSlot]) -> None:
        found = read_all(make_slot(Run(0.08), Gap(1.5), Run(0.08))(None))

        assert dues_ms(found) == [0, 40, 1600, 1640]
        # The gap is one in the recording too.
        assert [frame.time_s for frame in found] == pytest.approx([0, 0.04, 1.6, 1.64])

    @pytest.mark.parametrize("before", [Run(0.12), Black(0.12), Resize(0.12, 40, 30)])
    def test_freeze_repeats_the_last_picture(
        self, make_slot: Callable[..., MockSlot], before: Run
    ) -> None:
        found = read_all(make_slot(before, Freeze(0.12), Run(0.04))(None))

        assert all(np.array_equal(luma(found[2]), luma(frame)) for frame in found[3:6])
        assert not np.array_equal(luma(found[5]), luma(found[6]))

    @pytest.mark.parametrize(("blue", "rgb"), [(False, (0, 0, 0)), (True, (0, 0, 255))])
    def test_tone_instead_of_a_picture(
        self, make_slot: Callable[..., MockSlot], blue: bool, rgb: tuple[int, int, int]
    ) -> None:
        frame = read_all(make_slot(Black(0.04, blue=blue))(None))[0]
        image = RgbReader().read(frame.picture, frame.color, *SIZE)

        assert np.abs(image.reshape(-1, 3).astype(int) - rgb).max() <= 3
        assert SignalWatch().look(sample_luma(frame.picture)).flat

    @pytest.mark.parametrize(("width", "height"), [(640, 480), (176, 144), (400, 226)])
    def test_other_size_is_brought_back(
        self, make_slot: Callable[..., MockSlot], width: int, height: int
    ) -> None:
        slot = make_slot(Resize(0.12, width, height), width=320, height=240)
        card = slot(None)
        found = read_all(card)

        assert {(frame.picture.width, frame.picture.height) for frame in found} == {(320, 240)}
        assert card.converted == 3
        for number, frame in enumerate(found):
            meant = planes(slot.camera.picture(number))[0].pixels[..., 0].astype(int)
            assert np.abs(luma(frame) - meant).mean() < 4

    @pytest.mark.parametrize(
        "pixel_format", ["nv12", "yuv422p", "yuv420p10le", "rgb24", "gray", "yuvj420p"]
    )
    def test_other_format_is_brought_back(
        self, make_slot: Callable[..., MockSlot], pixel_format: str
    ) -> None:
        slot = make_slot(Format(0.12, pixel_format))
        card = slot(None)
        found = read_all(card)

        assert {frame.picture.format.name for frame in found} == {"yuv420p"}
        assert card.converted == 3
        for number, frame in enumerate(found):
            meant = planes(slot.camera.picture(number))[0].pixels[..., 0].astype(int)
            # The range is the right one too: wrongly read, it would be off by 16 and more.
            assert np.abs(luma(frame) - meant).mean() < 2

    @pytest.mark.parametrize("flagged", [True, False])
    def test_interlaced(self, make_slot: Callable[..., MockSlot], flagged: bool) -> None:
        slot = make_slot(Interlaced(0.12, flagged=flagged))
        for number, frame in enumerate(read_all(slot(None))):
            early, late = (slot.camera.picture(number + shift) for shift in (0, 0.5))
            for plane, even, odd in zip(
                planes(frame.picture), planes(early), planes(late), strict=True
            ):
                assert np.array_equal(plane.pixels[::2], even.pixels[::2])
                assert np.array_equal(plane.pixels[1::2], odd.pixels[1::2])
            assert frame.picture.interlaced_frame == flagged

    def test_drift(self, make_slot: Callable[..., MockSlot]) -> None:
        found = read_all(make_slot(Drift(4.0, 0.05))(None))

        assert np.diff(dues_ms(found)) == pytest.approx([STEP_MS / 1.05] * (len(found) - 1))
        # The times follow the clock in the end, though the card's steps are longer.
        assert found[-1].time_s == pytest.approx(dues_ms(found)[-1] / 1000, abs=0.1)
        assert all(b.pts > a.pts for a, b in pairwise(found))

    def test_all_of_them_keep_to_what_was_announced(self, clock: FakeClock) -> None:
        slot = MockSlot(random_schedule(2), clock=clock, width=96, height=64)
        found: list[Frame] = []
        like = None
        while True:
            try:
                card = slot(like)
            except SourceEndedError:
                break
            except SourceError:
                clock.advance(100)
                continue
            like = card.info
            found += read_all(card)

        assert len({type(step) for step in slot.schedule}) == 9  # every kind
        assert len({(f.picture.width, f.picture.height, f.picture.format.name) for f in found}) == 1
        assert {frame.time_base for frame in found} == {slot.info.time_base}
        assert all(b.pts > a.pts for a, b in pairwise(found))
        assert all(b.captured_ns > a.captured_ns for a, b in pairwise(found))


class TestPlugging:
    SCHEDULE = (Run(0.2), Unplug(1.0), Run(0.2))

    def test_unplugged_and_plugged_in_again(
        self, make_slot: Callable[..., MockSlot], clock: FakeClock
    ) -> None:
        slot = make_slot(*self.SCHEDULE)
        card = slot(None)
        for _ in range(5):
            card.read()

        for _ in range(2):
            with pytest.raises(SourceLostError, match="was unplugged"):
                card.read()
        assert clock.ns == START_NS + 200 * MS
        with pytest.raises(SourceError, match="is not plugged in") as caught:
            slot(card.info)
        assert not isinstance(caught.value, SourceEndedError)
        clock.advance(1010)
        found = read_all(slot(card.info))

        # The schedule went on while the card was away, and so did the times.
        assert dues_ms(found) == [1240, 1280, 1320, 1360]
        assert [frame.time_s for frame in found] == pytest.approx([1.24, 1.28, 1.32, 1.36])

    def test_late_reader_sees_nothing_beyond_the_loss(
        self, make_slot: Callable[..., MockSlot], clock: FakeClock
    ) -> None:
        card = make_slot(*self.SCHEDULE)(None)
        card.read()
        clock.advance(1300)

        with pytest.raises(SourceLostError):
            card.read()
        assert card.missed == 4

    def test_unplugged_from_the_start(
        self, make_slot: Callable[..., MockSlot], clock: FakeClock
    ) -> None:
        slot = make_slot(Unplug(1.0), Run(0.2))
        with pytest.raises(SourceError, match="is not plugged in"):
            slot(None)
        clock.advance(1000)

        assert dues_ms([slot(None).read()]) == [1000]

    def test_size_format_and_times_of_before(
        self, make_slot: Callable[..., MockSlot], make_info: Callable[..., SourceInfo]
    ) -> None:
        like = make_info(width=64, height=48, pixel_format="yuv422p10le")
        card = make_slot(Run(0.2))(like)
        found = read_all(card)

        assert (card.info.width, card.info.height) == (64, 48)
        assert {frame.picture.format.name for frame in found} == {"yuv422p10le"}
        assert [frame.pts for frame in found] == [0, 40, 80, 120, 160]
        assert found[0].time_base == like.time_base

    def test_closed(self, make_slot: Callable[..., MockSlot]) -> None:
        card = make_slot(Run(1.0))(None)
        card.read()
        card.close()
        card.close()

        with pytest.raises(SourceEndedError, match="closed"):
            card.read()

    def test_closing_wakes_a_reader(self, make_slot: Callable[..., MockSlot]) -> None:
        card = make_slot(Run(0.04), Gap(1000.0), Run(0.04), clock=MonotonicClock())(None)
        card.read()
        outcome: list[Exception] = []
        begun = threading.Event()

        def read() -> None:
            begun.set()
            try:
                card.read()
            except SourceEndedError as error:
                outcome.append(error)

        reader = threading.Thread(target=read, daemon=True)
        reader.start()
        assert begun.wait(PATIENCE_S)
        card.close()
        reader.join(PATIENCE_S)

        assert not reader.is_alive()
        assert len(outcome) == 1


class TestOpen:
    def test_one_schedule_for_all_openings(self, clock: FakeClock) -> None:
        open_it = open_live("mock:2", settings=Settings(), clock=clock)
        first = open_it(None)
        begun = read_all(first)
        clock.advance(4000)
        after = open_it(first.info).read()

        assert isinstance(random_schedule(2)[1], Unplug)
        assert dues_ms(begun)[-1] < 1000
        # Time counts from the first opening, and the card shows what it would have shown.
        assert after.time_s == pytest.approx(dues_ms([after])[0] / 1000)
        assert after.time_s > 4

    @pytest.mark.parametrize(
        ("name", "longest_s"),
        [
            ("mock:1", 0.5),
            ("/dev/video0", 0.5),
            ("screen:", 0.5),
            ("card", 0.5),
            ("rtsp://192.0.2.1/view", 5.0),
            ("room", 5.0),
        ],
    )
    def test_what_is_attached_is_asked_for_more_often_than_a_server(
        self, name: str, longest_s: float
    ) -> None:
        aliases = {
            "card": SourceSettings(device="/dev/x"),
            "room": SourceSettings(url="rtsp://192.0.2.1/view"),
        }

        assert resolve_source(name, Settings(sources=aliases)).longest_retry_s == longest_s

    def test_the_command_does_so(
        self,
        command: Callable[..., Any],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        seen: dict[str, Any] = {}

        class Spy(LivePipeline):
            def __init__(self, *arguments: Any, **options: Any) -> None:
                seen.update(options)
                super().__init__(*arguments, **options)

        monkeypatch.setattr(live_mode, "LivePipeline", Spy)
        events = tmp_path / "events.jsonl"

        assert command("--source", "mock:1", "--max-frames", "2", "--events", events).code == 0
        assert seen["longest_retry_s"] == 0.5


class StepClock:
    """Time that goes on when the grabber waits: in steps, each when all others are done.

    A picture is handed on, and the run has looked at the clock, before the next step. Without that
    a fast source would leave the others behind.
    """

    STEP_NS = 20 * MS

    def __init__(self) -> None:
        self.ns = START_NS
        self.ticks = 0
        self.done: Callable[[], bool] = lambda: True
        self._ticked = threading.Condition()

    def now_ns(self) -> int:
        return self.ns

    def wait_until(self, due_ns: int, cancelled: threading.Event) -> bool:
        if threading.current_thread().name != "live-grab":
            with self._ticked:
                self.ticks += 1
                self._ticked.notify_all()
            return cancelled.wait(0.001)
        while self.ns < due_ns and not cancelled.is_set():
            self.ns = min(self.ns + self.STEP_NS, due_ns)
            with self._ticked:
                # The first look may have begun before this step.
                goal = self.ticks + 2
                assert self._ticked.wait_for(
                    lambda goal=goal: cancelled.is_set() or (self.ticks >= goal and self.done()),
                    PATIENCE_S,
                )
        return cancelled.is_set()


class Nowhere:
    """Takes everything."""

    def write(self, composed: Composed) -> None:
        pass

    def write_audio(self, packet: object) -> None:
        raise AssertionError("cards have no sound")

    def close(self) -> None:
        pass


class TestPipeline:
    """What becomes of faults in a whole live run; `demos.benchmarks.mock_card_faults` has more."""

    def run(
        self, segmenter: Any, schedule: Schedule, **options: Any
    ) -> tuple[list[tuple[State, float]], LivePipeline]:
        """States with the time of each, in s from the start."""
        clock = StepClock()
        slot = MockSlot(schedule, clock=clock, width=96, height=64)
        options = {"longest_retry_s": 0.5, "clock": clock} | options
        pipeline = LivePipeline(slot, lambda: segmenter, [("nowhere", Nowhere())], **options)

        def done() -> bool:
            now = pipeline.snapshot()
            return now.frames_in == now.frames_out + sum(now.dropped.values())

        clock.done = done
        result = pipeline.run()
        states = [(change.state, (change.at_ns - START_NS) / 1e9) for change in result.changes]
        assert result.frames_in == result.frames_out + sum(result.dropped.values()) > 0
        assert result.state is State.STOPPED
        return states, pipeline

    @pytest.mark.parametrize(
        ("fault", "state"),
        [
            (Gap(1.5), State.NO_SIGNAL),
            (Black(1.5, blue=True), State.NO_SIGNAL),
            (Freeze(1.5), State.FROZEN),
            (Unplug(1.5), State.RECONNECTING),
        ],
    )
    def test_state_is_right_within_a_second(self, segmenter: Any, fault: Run, state: State) -> None:
        states, _ = self.run(segmenter, (Run(0.4), fault, Run(1.2)))
        (begun_s,) = (at_s for found, at_s in states if found is state)
        back_s = states[[found for found, _ in states].index(state) + 1][1]

        assert 0.4 - 1e-6 <= begun_s <= 1.4
        assert 1.9 - 1e-6 <= back_s <= 2.9

    def test_pictures_that_only_look_different_are_no_trouble(self, segmenter: Any) -> None:
        harmless = (
            Resize(0.4, 640, 480),
            Format(0.4, "rgb24"),
            Interlaced(0.4),
            Drift(0.4, 0.05),
            Gap(0.2),
            Freeze(0.4),
            Black(0.2),
        )
        states, _ = self.run(
            segmenter, (Run(0.2), *(step for fault in harmless for step in (fault, Run(0.2))))
        )

        troubles = {State.NO_SIGNAL, State.FROZEN, State.RECONNECTING}
        assert not troubles & {state for state, _ in states}

    @pytest.mark.parametrize("away_s", [0.1, 2.2, 7.3])
    @pytest.mark.parametrize("seed", [0, 3])
    def test_card_is_back_soon_however_long_it_was_away(
        self, segmenter: Any, away_s: float, seed: int
    ) -> None:
        schedule = (Run(0.2), Unplug(away_s), Run(1.0))
        states, pipeline = self.run(segmenter, schedule, seed=seed)
        lost = [state for state, _ in states].index(State.RECONNECTING)

        assert states[lost + 1][1] - (0.2 + away_s) <= 0.65
        assert pipeline.snapshot().reconnects == 1


def test_info_of_a_slot_is_that_of_its_cards(make_slot: Callable[..., MockSlot]) -> None:
    slot = make_slot(Run(0.2))

    assert slot(None).info == replace(slot.info)
