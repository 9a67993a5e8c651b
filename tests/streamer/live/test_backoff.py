"""Waits that double."""

import itertools

import pytest

from streamer.live.backoff import JITTER, Backoff

FIRST_S, LONGEST_S = 0.25, 5.0


def waits_s(backoff: Backoff, count: int) -> list[float]:
    return [backoff.next_ns() / 1e9 for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
def test_doubles_up_to_the_longest(seed: int) -> None:
    plain = [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0, 5.0]

    assert waits_s(Backoff(FIRST_S, LONGEST_S, seed), 8) == pytest.approx(plain, rel=JITTER)


def test_begins_anew() -> None:
    backoff = Backoff(FIRST_S, LONGEST_S)
    waits_s(backoff, 6)

    backoff.reset()

    assert waits_s(backoff, 2) == pytest.approx([0.25, 0.5], rel=JITTER)


def test_jitter_is_by_seed() -> None:
    rows = [waits_s(Backoff(FIRST_S, LONGEST_S, seed), 6) for seed in range(8)]

    assert rows[3] == waits_s(Backoff(FIRST_S, LONGEST_S, 3), 6)
    assert all(one != other for one, other in itertools.combinations(rows, 2))
