"""When engines are loaded and given up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.live.backoff import Backoff
from streamer.live.engine_watch import MAX_LEFT, STEADY_NS, EngineWatch, Phase, Verdict

SECOND = 10**9
LOAD_NS, ANSWER_NS = 60 * SECOND, SECOND


def make(now_ns: int = 0) -> EngineWatch:
    return EngineWatch(
        now_ns, load_ns=LOAD_NS, answer_ns=ANSWER_NS, backoff=Backoff(0.5, 30.0, seed=1)
    )


def fail_again_and_again(watch: EngineWatch, now_ns: int, times: int) -> list[float]:
    """Seconds between each failure and the time when the next loading is due."""
    waits = []
    for _ in range(times):
        watch.failed(watch.load(now_ns), now_ns)
        failed_ns = now_ns
        while watch.check(now_ns, 0) is not Verdict.LOAD:
            now_ns += SECOND // 100
        waits.append((now_ns - failed_ns) / SECOND)
    return waits


def test_the_first_engine_is_loaded_at_once() -> None:
    assert make(5).check(5, 0) is Verdict.LOAD


@pytest.mark.parametrize(
    ("phase", "limit_ns", "words"),
    [(Phase.LOADING, LOAD_NS, "not ready within 60 s"), (Phase.BUSY, ANSWER_NS, "no answer")],
)
def test_gives_up_what_takes_too_long(phase: Phase, limit_ns: int, words: str) -> None:
    watch = make()
    generation = watch.load(7)
    if phase is Phase.BUSY:
        assert watch.ready(generation, 7)
        assert watch.busy(generation, 7)

    assert watch.check(7 + limit_ns - 1, 0) is Verdict.NOTHING
    assert watch.check(7 + limit_ns, 0) is Verdict.GIVE_UP
    assert words in watch.limit


def test_an_engine_without_a_picture_may_wait_for_ever() -> None:
    watch = make()
    watch.ready(watch.load(0), 0)

    assert watch.check(10**18, 0) is Verdict.NOTHING


def test_waits_longer_after_each_failure() -> None:
    waits = fail_again_and_again(make(), 0, 9)

    assert waits == pytest.approx([0.5, 1, 2, 4, 8, 16, 30, 30, 30], rel=0.12)


def test_a_failure_after_steady_work_is_a_new_one() -> None:
    watch = make()
    fail_again_and_again(watch, 0, 5)
    generation = watch.load(0)
    watch.ready(generation, 0)
    watch.busy(generation, STEADY_NS - ANSWER_NS // 2)
    watch.answered(generation, STEADY_NS)
    watch.failed(generation, STEADY_NS)

    assert watch.check(STEADY_NS + SECOND, 0) is Verdict.LOAD


def test_no_more_than_so_many_are_left_hanging() -> None:
    watch = make()

    assert watch.check(0, MAX_LEFT) is Verdict.BLOCKED
    assert watch.check(0, MAX_LEFT - 1) is Verdict.LOAD


@given(st.lists(st.tuples(st.sampled_from("lrbafc"), st.integers(0, 3)), max_size=60))
def test_what_an_engine_out_of_favour_says_changes_nothing(steps: list[tuple[str, int]]) -> None:
    """Reports of all generations in any order: only the newest one that has not failed counts."""
    watch = make()
    now_ns = 0
    for step, back in steps:
        now_ns += SECOND // 5
        if step == "c":
            watch.check(now_ns, 0)
            continue
        if step == "l":
            if watch.phase is Phase.DOWN:
                watch.load(now_ns)
            continue
        generation = watch.generation - back
        before = watch.phase
        method = {"r": watch.ready, "b": watch.busy, "a": watch.answered, "f": watch.failed}[step]
        counted = method(generation, now_ns)
        assert counted == (back == 0 and before is not Phase.DOWN)
        if not counted:
            assert watch.phase is before
