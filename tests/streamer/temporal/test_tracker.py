"""Who is who from frame to frame."""

import math
from dataclasses import replace

import pytest

from streamer.confidence import Scaling
from streamer.temporal.presets import Temporal
from streamer.temporal.regions import Region
from streamer.temporal.tracker import Matched, Tracker

SETTINGS = Temporal(confirm_ms=80, window_ms=200, hold_ms=200)
FRAME_S = 0.04


def region(
    label: int, x: float = 50, y: float = 50, area_px: int = 400, mean: float = 0.9
) -> Region:
    return Region(label, area_px, x, y, 1.0, mean, 1.0)


class Film:
    """A tracker and its time."""

    def __init__(self, temporal: Temporal = SETTINGS) -> None:
        self.tracker = Tracker(temporal)
        self.time_s = 0.0

    def show(self, *regions: Region, overlaps: dict[tuple[int, int], int] | None = None) -> Matched:
        self.time_s += FRAME_S
        return self.tracker.update(self.time_s, regions, overlaps or {})

    def settle(self, *regions: Region) -> Matched:
        """Show them until they are confirmed."""
        for _ in range(6):
            matched = self.show(*regions)
        return matched


def test_confirmed_when_seen_for_long_enough() -> None:
    film = Film()
    confirmed = [film.show(region(1)).tracks[1].confirmed for _ in range(4)]

    assert confirmed == [False, False, True, True]  # 0, 40, 80, 120 ms


@pytest.mark.parametrize(("mean", "frames"), [(0.99, 1), (0.94, 2), (0.9, 3), (0.86, 4), (0.6, 7)])
def test_the_surer_the_network_the_sooner(mean: float, frames: int) -> None:
    film = Film(Temporal(confirm_ms=80, window_ms=1000))
    confirmed = [film.show(region(1, mean=mean)).tracks[1].confirmed for _ in range(10)]

    assert confirmed == [False] * (frames - 1) + [True] * (11 - frames)


def test_what_is_not_trusted_never_counts_however_long_it_is_seen() -> None:
    film = Film(replace(SETTINGS, trust=0.6))
    # Its 0.9 is right in three of five.
    film.tracker.confidence = Scaling(1.0, math.log(1.5) - math.log(9))
    confirmed = [film.show(region(1, mean=0.89)).tracks[1].confirmed for _ in range(20)]
    confirmed += [film.show(region(1, mean=0.901)).tracks[1].confirmed]

    assert confirmed == [False] * 20 + [True]


def test_what_counts_goes_on_to_do_so_whatever_it_becomes() -> None:
    film = Film(replace(SETTINGS, trust=0.9))
    film.tracker.confidence = Scaling(1.0)
    film.settle(region(1, mean=0.95))
    confirmed = [
        film.show(region(1, mean=mean), overlaps={(1, 1): 400}).tracks[1].confirmed
        for mean in (0.8, 0.6, 0.9)
    ]

    assert confirmed == [True, True, True]


def test_what_a_network_does_not_tell_is_trusted() -> None:
    film = Film(replace(SETTINGS, trust=0.99))
    confirmed = [film.show(region(1, mean=0.6)).tracks[1].confirmed for _ in range(20)]

    assert confirmed[-1]


def test_what_has_shrunk_away_is_not_held() -> None:
    film = Film()
    film.settle(region(1))
    for area_px in (300, 200, 100, 50):
        film.show(region(1, area_px=area_px), overlaps={(1, 1): area_px})
    matched = film.show()

    assert matched.held == []
    assert matched.tracks[1].confirmed


def test_seen_in_part_of_the_window() -> None:
    film = Film()
    film.show(region(1))
    film.show()
    film.show(region(1))
    matched = film.show(region(1))

    assert matched.tracks[1].confirmed  # 2 of the last 3 frames


def test_sightings_outside_the_window_do_not_count() -> None:
    film = Film(Temporal(confirm_ms=120, window_ms=200))
    matched = [film.show(region(1)) if index % 2 == 0 else film.show() for index in range(13)]

    # Never more than three of them, of which the first of all counts nothing, within 200 ms.
    assert [each.tracks[1].confirmed for each in matched[4::2]] == [False] + [True] * 4


def test_tentative_objects_are_not_held() -> None:
    film = Film()
    film.show(region(1))
    matched = film.show()

    assert matched.held == []
    assert not matched.tracks[1].confirmed


def test_what_was_not_seen_within_the_window_is_forgotten() -> None:
    film = Film()
    film.show(region(1))
    known = [set(film.show().tracks) for _ in range(6)]

    assert known == [{1}] * 5 + [set()]  # 200 ms


def test_what_comes_back_within_the_window_counts_at_once() -> None:
    film = Film(Temporal(confirm_ms=80, window_ms=400, hold_ms=100))
    film.settle(region(1))
    held = [film.show().held for _ in range(6)]
    matched = film.show(region(1))

    assert held == [[1]] * 2 + [[]] * 4
    assert matched.seen == {1: 1}
    assert matched.tracks[1].confirmed


def test_confirmed_objects_are_held_for_their_time() -> None:
    film = Film()
    film.settle(region(1))
    film.settle(region(1))
    held = [film.show().held for _ in range(7)]

    assert held == [[1]] * 5 + [[], []]  # 200 ms


def test_what_was_there_for_a_moment_is_held_for_a_moment() -> None:
    film = Film()
    for _ in range(4):
        film.show(region(1))
    held = [film.show().held for _ in range(3)]

    assert held == [[1], [], []]  # known for 120 ms


def test_found_again_by_where_it_was_going() -> None:
    film = Film()
    for step in range(6):
        film.show(region(1, x=20 + 6 * step), overlaps={(1, 1): 300} if step else None)
    film.show()
    film.show()
    matched = film.show(region(1, x=20 + 6 * 8))

    assert matched.seen == {1: 1}


def test_something_elsewhere_is_something_new() -> None:
    film = Film()
    film.settle(region(1))
    matched = film.show(region(1, x=150, y=150))

    assert matched.seen == {1: 2}
    assert matched.held == [1]


def test_something_of_another_size_is_something_new() -> None:
    film = Film()
    film.settle(region(1))
    matched = film.show(region(1, area_px=4000))

    assert matched.seen == {1: 2}


def test_two_that_merge_go_on_as_the_one_with_more_in_common() -> None:
    film = Film()
    film.settle(region(1, x=30), region(2, x=80))
    matched = film.show(region(1, x=55, area_px=900), overlaps={(1, 1): 300, (2, 1): 350})

    assert matched.seen == {1: 2}
    assert matched.held == []
    assert set(matched.tracks) == {2}


def test_what_is_confirmed_outlives_what_is_not_in_a_merger() -> None:
    film = Film()
    film.settle(region(1, x=30, area_px=100))
    film.show(region(1, x=30, area_px=100), region(2, x=80), overlaps={(1, 1): 100})
    matched = film.show(region(1, x=55, area_px=900), overlaps={(1, 1): 90, (2, 1): 390})

    assert matched.seen == {1: 1}


def test_the_parts_of_a_split_count_at_once() -> None:
    film = Film()
    film.settle(region(1))
    matched = film.show(
        region(1, x=40, area_px=250),
        region(2, x=65, area_px=120),
        overlaps={(1, 1): 240, (1, 2): 110},
    )

    assert matched.seen == {1: 1, 2: 2}
    assert matched.tracks[2].confirmed


def test_a_part_that_is_not_trusted_does_not_count_for_what_it_was_part_of() -> None:
    film = Film(replace(SETTINGS, trust=0.6))
    # Its 0.9 is right in three of five.
    film.tracker.confidence = Scaling(1.0, math.log(1.5) - math.log(9))
    film.settle(region(1, mean=0.95))
    matched = film.show(
        region(1, x=40, area_px=250, mean=0.95),
        region(2, x=65, area_px=120, mean=0.89),
        overlaps={(1, 1): 240, (1, 2): 110},
    )

    assert matched.tracks[1].confirmed
    assert not matched.tracks[2].confirmed


def test_ids_are_never_used_again() -> None:
    film = Film()
    film.settle(region(1))
    film.tracker.forget()
    matched = film.show(region(1))

    assert set(matched.tracks) == {2}


def test_age_and_confidence() -> None:
    film = Film()
    film.settle(region(1))
    track = film.show().tracks[1]

    assert track.age_ms == pytest.approx(6 * 40)
    assert track.confidence == 0.9
    assert track.start_s == FRAME_S
