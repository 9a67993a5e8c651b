"""The media time of live pictures."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamer.sources.times import LIVE_TIME_BASE, Lag, LiveTimes, Pace

SECOND_NS = 1_000_000_000
FRAME_NS = 40_000_000


def in_s(pts: int) -> float:
    return float(pts * LIVE_TIME_BASE)


class TestLiveTimes:
    def test_begins_at_zero_and_follows_the_clock(self) -> None:
        times = LiveTimes()
        taken = [times.take(7 * SECOND_NS + index * FRAME_NS) for index in range(4)]

        assert taken == [0, 3600, 7200, 10800]

    def test_another_time_base(self) -> None:
        times = LiveTimes(Fraction(1, 1000))

        assert [times.take(index * FRAME_NS) for index in range(3)] == [0, 40, 80]

    def test_steps_of_the_source_smooth_the_hiccups_of_its_way(self) -> None:
        rng = np.random.default_rng(1)
        times = LiveTimes()
        late_ns = rng.integers(0, 30_000_000, 500)
        taken = [
            in_s(times.take(index * FRAME_NS + int(late), FRAME_NS if index else None))
            for index, late in enumerate(late_ns)
        ]
        steps = np.diff(taken)

        assert np.abs(steps - 0.04).max() < 0.002
        assert abs(taken[-1] - 499 * 0.04) < 0.05

    def test_source_with_a_slower_crystal_stays_with_the_clock(self) -> None:
        times = LiveTimes()
        behind_s = [
            in_s(times.take(round(index * FRAME_NS * 1.001), FRAME_NS)) - index * 0.04 * 1.001
            for index in range(20_000)
        ]

        assert max(map(abs, behind_s)) < 0.005

    def test_gap_while_the_source_was_lost_is_a_gap(self) -> None:
        times = LiveTimes()
        for index in range(3):
            times.take(index * FRAME_NS, FRAME_NS)

        assert in_s(times.take(60 * SECOND_NS, None)) == 60

    def test_wild_times_of_the_source_are_not_believed(self) -> None:
        times = LiveTimes()
        times.take(0)

        assert in_s(times.take(FRAME_NS, 10**15)) == 0.04
        assert in_s(times.take(2 * FRAME_NS, -(10**15))) == 0.08

    def test_a_bunch_that_was_waiting_keeps_its_order(self) -> None:
        times = LiveTimes()
        taken = [times.take(index, FRAME_NS) for index in range(50)]

        # Recordings count in ms.
        assert all(after - before >= 90 for before, after in pairwise(taken))
        assert in_s(taken[-1]) < 0.2 + 50 * 0.001
        assert in_s(times.take(2 * SECOND_NS, FRAME_NS)) == 2

    @given(
        st.lists(
            st.tuples(
                st.integers(0, 3 * SECOND_NS),
                st.none() | st.integers(-(2**62), 2**62),
            ),
            max_size=60,
        )
    )
    def test_never_goes_back(self, pictures: list[tuple[int, int | None]]) -> None:
        times, now_ns, taken = LiveTimes(), 5 * SECOND_NS, []
        for pause_ns, step_ns in pictures:
            now_ns += pause_ns
            taken.append(times.take(now_ns, step_ns))
            ahead_s = in_s(taken[-1]) - (now_ns - 5 * SECOND_NS - pictures[0][0]) / SECOND_NS
            assert ahead_s < 0.21 + 0.001 * len(taken)

        assert all(before < after for before, after in pairwise(taken))


class TestLag:
    def test_what_comes_late_is_late(self) -> None:
        lag = Lag()
        late_ns = [0, 30_000_000, 5_000_000, 2 * SECOND_NS]
        found = [
            lag.take(10**15 + index * FRAME_NS + late, index * FRAME_NS)
            for index, late in enumerate(late_ns)
        ]

        assert np.abs(np.subtract(found, late_ns)).max() < 2_000_000

    def test_the_first_ones_came_in_one_bunch(self) -> None:
        lag = Lag()

        assert [lag.take(SECOND_NS + index, index * FRAME_NS) for index in range(10)] == [0] * 10
        assert lag.take(2 * SECOND_NS, 10 * FRAME_NS) > 0.9 * SECOND_NS

    def test_crystals_run_apart(self) -> None:
        lag = Lag()

        assert not any(lag.take(round(i * FRAME_NS * 1.0004), i * FRAME_NS) for i in range(50_000))

    def test_a_queue_grows_slowly(self) -> None:
        lag = Lag()
        found = [lag.take(round(i * FRAME_NS * 1.01), i * FRAME_NS) for i in range(2_000)]

        assert found[-1] > 0.7 * SECOND_NS

    def test_leap_begins_anew(self) -> None:
        lag = Lag()
        lag.take(0, 60 * SECOND_NS)

        assert lag.take(FRAME_NS, 0) == 0
        assert lag.take(2 * FRAME_NS, 60 * SECOND_NS) == 0

    def test_accepted(self) -> None:
        lag = Lag()
        lag.take(0, 0)
        lag.take(SECOND_NS, FRAME_NS)
        lag.accept()

        assert lag.take(SECOND_NS + FRAME_NS, 2 * FRAME_NS) == 0


class TestPace:
    def test_pictures_keep_their_distance(self) -> None:
        pace = Pace()

        assert pace.due_ns(500, 1000) == 1000
        assert pace.due_ns(540, 1001) == 1040
        assert pace.due_ns(580, 1050) == 1080

    def test_what_is_late_is_not_caught_up(self) -> None:
        pace = Pace()
        pace.due_ns(0, 1000)

        assert pace.due_ns(40, 9000) == 9000
        assert pace.due_ns(80, 9001) == 9040

    def test_leap_in_the_times(self) -> None:
        pace = Pace()
        pace.due_ns(10**12, 1000)

        assert pace.due_ns(0, 2000) == 2000
        assert pace.due_ns(10**12, 3000) == 3000
        assert pace.due_ns(10**12 + 40, 3001) == 3040
