"""What a mock card is to do, as a timetable."""

from fractions import Fraction
from itertools import pairwise

import pytest

from streamer.sources.mock_schedule import (
    Black,
    Drift,
    Event,
    Format,
    Freeze,
    Gap,
    Interlaced,
    Resize,
    Run,
    Schedule,
    Unplug,
    plan,
    random_schedule,
)

MS = 10**6
FAULTS = (Gap, Freeze, Black, Resize, Format, Interlaced, Unplug, Drift)
RATE = Fraction(25)


def dues_ms(events: list[Event]) -> list[float]:
    return [event.due_ns / MS for event in events]


class TestRandomSchedule:
    def test_is_by_seed(self) -> None:
        assert random_schedule(7) == random_schedule(7)
        assert len({random_schedule(seed) for seed in range(30)}) == 30

    @pytest.mark.parametrize("duration_s", [3.0, 20.0, 60.0])
    def test_lasts_as_long_as_asked(self, duration_s: float) -> None:
        for seed in range(30):
            total_s = sum(step.duration_s for step in random_schedule(seed, duration_s=duration_s))

            assert total_s == pytest.approx(duration_s, abs=0.002)

    def test_good_stretches_lie_between_faults_and_at_both_ends(self) -> None:
        for seed in range(50):
            steps = random_schedule(seed)

            assert [type(step) is Run for step in steps] == [
                place % 2 == 0 for place in range(len(steps))
            ]
            assert all(step.duration_s >= 0.2 for step in steps)
            assert len(steps) % 2 == 1

    def test_every_kind_comes_up_in_all_its_ways(self) -> None:
        steps = [step for seed in range(60) for step in random_schedule(seed)]

        assert {type(step) for step in steps} == {Run, *FAULTS}
        assert {step.blue for step in steps if isinstance(step, Black)} == {True, False}
        assert {step.flagged for step in steps if isinstance(step, Interlaced)} == {True, False}
        assert {step.share > 0 for step in steps if isinstance(step, Drift)} == {True, False}
        assert len({step.width for step in steps if isinstance(step, Resize)}) == 3
        assert len({step.pixel_format for step in steps if isinstance(step, Format)}) == 4

    def test_too_short_for_a_fault(self) -> None:
        assert random_schedule(3, duration_s=0.3) == (Run(0.3),)


class TestPlan:
    def test_pictures_come_at_the_rate_and_then_it_is_over(self) -> None:
        step = Run(0.2)
        *pictures, end = plan((step,), RATE)

        assert dues_ms(pictures) == [0, 40, 80, 120, 160]
        assert [event.number for event in pictures] == [0, 1, 2, 3, 4]
        assert all(event.is_picture and event.shown is step for event in pictures)
        assert (end.due_ns, end.step, end.is_picture) == (200 * MS, None, False)

    def test_nothing_comes_in_a_gap_but_the_camera_goes_on(self) -> None:
        *pictures, end = plan((Run(0.08), Gap(0.1), Run(0.1)), RATE)

        assert dues_ms(pictures) == [0, 40, 200, 240]
        assert [event.number for event in pictures] == [0, 1, 5, 6]
        assert end.due_ns == 280 * MS

    def test_unplugging_is_an_event_of_its_own(self) -> None:
        events = plan((Run(0.1), Unplug(0.1), Run(0.1)), RATE)

        assert dues_ms(events) == [0, 40, 80, 100, 200, 240, 280, 300]
        assert [event.is_picture for event in events] == [True] * 3 + [False] + [True] * 3 + [False]
        assert isinstance(events[3].step, Unplug)

    @pytest.mark.parametrize(
        "before", [Run(0.08), Black(0.08), Resize(0.08, 40, 30), Interlaced(0.08)]
    )
    def test_freeze_repeats_what_came_last_as_it_came(self, before: Run) -> None:
        events = plan((before, Freeze(0.12), Run(0.04)), RATE)

        assert [(event.number, event.shown) for event in events[1:5]] == [(1, before)] * 4
        assert events[5].number == 5

    def test_freeze_goes_on_over_a_gap(self) -> None:
        events = plan((Run(0.08), Gap(0.08), Freeze(0.08)), RATE)

        assert [event.number for event in events[:-1]] == [0, 1, 1, 1]

    def test_freeze_at_the_start_shows_the_first_picture(self) -> None:
        events = plan((Freeze(0.08), Run(0.04)), RATE)

        assert [event.number for event in events[:-1]] == [0, 0, 2]

    @pytest.mark.parametrize(("share", "count"), [(0.05, 105), (-0.05, 95)])
    def test_drift_changes_the_rate_but_not_the_cards_own_time(
        self, share: float, count: int
    ) -> None:
        *pictures, _ = plan((Drift(3.99, share),), RATE)
        steps_ms = [(b.due_ns - a.due_ns) / MS for a, b in pairwise(pictures)]

        assert len(pictures) == count
        assert steps_ms == pytest.approx([40 / (1 + share)] * (count - 1), abs=1e-5)
        assert {b.card_ns - a.card_ns for a, b in pairwise(pictures)} == {40 * MS}

    def test_events_are_in_order_whatever_happens(self) -> None:
        for seed in range(40):
            dues = [event.due_ns for event in plan(random_schedule(seed), Fraction(30000, 1001))]

            assert dues == sorted(dues)

    def test_nothing_to_do(self) -> None:
        nothing: Schedule = ()

        assert plan(nothing, RATE) == [Event(0, None, None, 0, 0)]
