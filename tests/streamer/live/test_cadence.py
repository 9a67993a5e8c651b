"""Which pictures are worth taking."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.live.cadence import Cadence

MS = 10**6
BEAT_MS = 40


def learnt(answer_ms: float, beat_ms: float = BEAT_MS) -> Cadence:
    cadence = Cadence()
    for number in range(60):
        cadence.came(round(number * beat_ms * MS))
        cadence.answered(round(answer_ms * MS))
    return cadence


@pytest.mark.parametrize("waited_ms", [0, 30, 500])
def test_as_long_as_nothing_is_known_everything_is_worth_it(waited_ms: int) -> None:
    assert Cadence().is_worth_taking(waited_ms * MS)


@pytest.mark.parametrize(
    ("answer_ms", "waited_ms", "worth"),
    [
        (20, 0, True),
        (20, 19, True),  # out within the beat, as a fresh one would be
        (20, 21, False),  # out in the second beat: the next picture is out then, too
        (60, 19, True),
        (60, 21, False),
        (79, 0, True),
        (79, 2, False),
    ],
)
def test_taken_where_it_comes_out_a_beat_earlier(
    answer_ms: int, waited_ms: int, worth: bool
) -> None:
    assert learnt(answer_ms).is_worth_taking(waited_ms * MS) == worth


def test_the_time_before_it_was_offered_counts_for_both() -> None:
    cadence = learnt(30)

    assert cadence.is_worth_taking(5 * MS, 4 * MS)
    assert not cadence.is_worth_taking(7 * MS, 4 * MS)


@given(
    answer_ms=st.floats(0, 500),
    beat_ms=st.floats(5, 100),
    shown_after_ms=st.floats(0, 30),
)
def test_a_fresh_picture_is_always_worth_taking(
    answer_ms: float, beat_ms: float, shown_after_ms: float
) -> None:
    cadence = learnt(answer_ms, beat_ms)

    assert cadence.is_worth_taking(0, round(shown_after_ms * MS))


@pytest.mark.parametrize(("answers_ms", "worth"), [((30, 50), True), ((30, 30, 50), False)])
def test_of_answers_that_vary_the_more_frequent_decide(
    answers_ms: tuple[float, ...], worth: bool
) -> None:
    """Waiting 15 ms, what takes 30 comes out a beat later, and what takes 50 comes out the same."""
    cadence = Cadence()
    for number in range(60):
        cadence.came(number * BEAT_MS * MS)
        cadence.answered(round(answers_ms[number % len(answers_ms)] * MS))

    assert cadence.is_worth_taking(15 * MS) == worth


def test_a_stall_and_an_absence_are_no_measure() -> None:
    cadence = learnt(20)
    cadence.came(10**12)
    cadence.answered(10**12)

    assert cadence.is_worth_taking(5 * MS)
    assert not cadence.is_worth_taking(39 * MS)
