"""The state of a live run, from facts and times alone."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.live.state import MOST_CHANGES, TRANSITIONS, State, StateMachine
from streamer.live.supervisor import GOOD_PICTURES, Limits, Supervisor

MS = 10**6
LIMITS = Limits(late_ns=240 * MS, frozen_ns=1000 * MS, no_signal_ns=500 * MS)
FRAME_MS = 40
#: No state is reported later than this after its cause has held for its time.
LATE_MS = 1000


@dataclass
class Run:
    """A supervisor and the time it is told."""

    supervisor: Supervisor
    now_ms: int = 0

    @property
    def state(self) -> State:
        return self.supervisor.state

    def picture(
        self, *, mask: bool = False, flat: bool = False, repeated: bool = False, after: int = 0
    ) -> State:
        self.now_ms += after
        return self.supervisor.picture(self.now_ms * MS, mask=mask, flat=flat, repeated=repeated)

    def pictures(self, for_ms: int, **kind: bool) -> list[State]:
        return [self.picture(after=FRAME_MS, **kind) for _ in range(for_ms // FRAME_MS)]

    def silence(self, for_ms: int) -> None:
        for _ in range(for_ms // 50):
            self.now_ms += 50
            self.supervisor.tick(self.now_ms * MS)

    def ready(self) -> None:
        self.supervisor.engine_ready(self.now_ms * MS)

    def failed(self) -> None:
        self.supervisor.engine_failed(self.now_ms * MS, "it broke")

    def lost(self) -> None:
        self.supervisor.lost(self.now_ms * MS, "unplugged")

    def opened(self) -> None:
        self.supervisor.opened(self.now_ms * MS)

    def states(self) -> list[State]:
        return [change.state for change in self.supervisor.changes]


@pytest.fixture
def run() -> Run:
    return Run(Supervisor(0, LIMITS))


@pytest.fixture
def running(run: Run) -> Run:
    run.ready()
    run.pictures(200, mask=True)
    assert run.state is State.RUNNING
    return run


def test_the_picture_passes_while_the_engine_loads(run: Run) -> None:
    assert set(run.pictures(5000)) == {State.WARMING}
    assert run.supervisor.reason == "engine: loading"

    run.ready()
    run.pictures(GOOD_PICTURES * FRAME_MS, mask=True)

    assert run.states() == [State.WARMING, State.RUNNING]


def test_an_engine_that_cannot_be_loaded(run: Run) -> None:
    run.pictures(200)
    run.failed()

    assert run.state is State.DEGRADED
    assert run.supervisor.changes[-1].reason == "engine: it broke"
    assert set(run.pictures(3000)) == {State.DEGRADED}


def test_an_engine_that_is_always_too_late(run: Run) -> None:
    run.pictures(2000)
    run.ready()

    assert run.pictures(200)[-1] is State.WARMING
    assert run.pictures(80)[-1] is State.DEGRADED
    assert run.supervisor.reason == "masks come too late"


def test_a_missing_mask_is_not_yet_a_state(running: Run) -> None:
    for _ in range(20):
        running.pictures(160)
        running.pictures(120, mask=True)

    assert running.states() == [State.WARMING, State.RUNNING]


def test_masks_now_and_then_are_not_enough(running: Run) -> None:
    for _ in range(20):
        running.pictures(80)
        running.pictures(80, mask=True)

    assert running.states() == [State.WARMING, State.RUNNING, State.DEGRADED]


def test_back_from_late_masks_after_some_good_pictures(running: Run) -> None:
    running.pictures(400)
    assert running.state is State.DEGRADED

    states = [running.picture(mask=True, after=FRAME_MS) for _ in range(GOOD_PICTURES)]

    assert states == [State.DEGRADED] * (GOOD_PICTURES - 1) + [State.RUNNING]


def test_a_failed_engine_degrades_at_once_and_comes_back(running: Run) -> None:
    running.failed()
    assert running.state is State.DEGRADED
    # Masks that were made before are still drawn for a moment.
    assert set(running.pictures(120, mask=True)) == {State.DEGRADED}
    running.pictures(800)
    running.ready()
    running.pictures(200, mask=True)

    assert running.states()[-3:] == [State.RUNNING, State.DEGRADED, State.RUNNING]


def test_a_new_reason_of_the_same_state_is_news(running: Run) -> None:
    running.pictures(400)
    running.supervisor.take_news()
    running.failed()

    news = running.supervisor.take_news()

    assert [(change.state, change.reason) for change in news] == [
        (State.DEGRADED, "engine: it broke")
    ]
    assert running.supervisor.take_news() == []


def test_frozen_and_back(running: Run) -> None:
    states = running.pictures(1200, mask=True, repeated=True)
    # From the first of the equal pictures on.
    assert states.index(State.FROZEN) * FRAME_MS == 1000 - FRAME_MS
    assert set(states) == {State.RUNNING, State.FROZEN}

    assert running.picture(mask=True, after=FRAME_MS) is State.RUNNING


def test_a_source_that_shows_each_picture_twice_is_not_frozen(running: Run) -> None:
    for _ in range(100):
        running.pictures(40, mask=True)
        running.pictures(40, mask=True, repeated=True)

    assert running.states() == [State.WARMING, State.RUNNING]


def test_a_slow_source_is_not_frozen() -> None:
    run = Run(Supervisor(0, Limits(late_ns=240 * MS, frozen_ns=1000 * MS, no_signal_ns=10**12)))
    for _ in range(5):
        run.picture()
        run.silence(3000)

    assert run.states() == [State.WARMING]


def test_frozen_with_a_failed_engine_is_frozen(running: Run) -> None:
    running.failed()
    running.pictures(1200, repeated=True)

    assert running.state is State.FROZEN
    assert running.picture(after=FRAME_MS) is State.DEGRADED


def test_flat_pictures_are_no_signal_and_not_late_masks(running: Run) -> None:
    running.pictures(2000, flat=True, repeated=True)
    assert running.states()[-2:] == [State.RUNNING, State.NO_SIGNAL]
    flat_for_ns = running.supervisor.changes[-1].at_ns - running.supervisor.changes[-2].at_ns
    assert flat_for_ns < (200 + 500 + 2 * FRAME_MS) * MS

    assert running.picture(after=FRAME_MS) is State.DEGRADED
    running.pictures(200, mask=True)
    assert running.state is State.RUNNING


def test_no_picture_is_no_signal(running: Run) -> None:
    running.silence(450)
    assert running.state is State.RUNNING
    running.silence(50)
    assert running.state is State.NO_SIGNAL


def test_lost_and_back(running: Run) -> None:
    running.lost()
    assert running.state is State.RECONNECTING
    assert running.supervisor.changes[-1].reason == "source: unplugged"
    # However long it takes, it is that and not the lack of pictures.
    running.silence(60_000)
    assert running.state is State.RECONNECTING

    running.opened()
    running.silence(300)
    assert running.state is State.RECONNECTING
    running.pictures(200, mask=True)

    assert running.states()[-3:] == [State.RECONNECTING, State.DEGRADED, State.RUNNING]


def test_opened_again_but_no_picture_comes(running: Run) -> None:
    running.lost()
    running.opened()
    running.silence(500)

    assert running.state is State.NO_SIGNAL


def test_lost_while_the_first_engine_loads(run: Run) -> None:
    run.pictures(200)
    run.lost()
    run.silence(1000)
    run.opened()
    run.pictures(200)

    assert run.states() == [State.WARMING, State.RECONNECTING, State.WARMING]


def test_no_signal_while_the_first_engine_loads(run: Run) -> None:
    run.silence(1000)
    run.pictures(200)

    # There is no way back to WARMING from there.
    assert run.states() == [State.WARMING, State.NO_SIGNAL, State.DEGRADED]
    assert run.supervisor.reason == "engine: loading"


def test_stopped_is_the_end(running: Run) -> None:
    running.supervisor.stop(running.now_ms * MS, "stopped by the user")
    before = running.supervisor.changes
    running.lost()
    running.opened()
    running.ready()
    running.failed()
    running.pictures(400, mask=True)
    running.silence(5000)

    assert running.supervisor.changes == before
    assert before[-1].reason == "stopped by the user"


def test_times_out_of_order_do_no_harm(running: Run) -> None:
    running.supervisor.tick(0)
    running.supervisor.picture(0, mask=True, flat=False, repeated=False)
    running.silence(100)

    assert running.state is State.RUNNING
    times = [change.at_ns for change in running.supervisor.changes]
    assert times == sorted(times)


Step = Callable[[Run], object]

_FACTS: list[Step] = [
    Run.ready,
    Run.failed,
    Run.lost,
    Run.opened,
    Run.picture,
    lambda run: run.picture(mask=True),
    lambda run: run.picture(mask=True, repeated=True),
    lambda run: run.picture(flat=True),
    lambda run: run.picture(flat=True, repeated=True),
    lambda run: run.pictures(400, mask=True),
    lambda run: run.pictures(1200, mask=True, repeated=True),
    lambda run: run.pictures(600, flat=True),
    lambda run: run.pictures(600),
    lambda run: run.silence(600),
    lambda run: run.silence(100),
]

HISTORIES = st.lists(st.tuples(st.sampled_from(_FACTS), st.integers(0, 700)), max_size=40)


def after_history(history: list[tuple[Step, int]]) -> Run:
    run = Run(Supervisor(0, LIMITS))
    for fact, wait_ms in history:
        run.now_ms += wait_ms
        fact(run)
    return run


@settings(max_examples=300)
@given(HISTORIES)
def test_no_history_breaks_it(history: list[tuple[Step, int]]) -> None:
    run = after_history(history)
    states = run.states()

    for before, after in itertools.pairwise(states):
        assert after in TRANSITIONS[before]
    run.supervisor.stop(run.now_ms * MS, "enough")
    assert run.state is State.STOPPED


def engine_works(run: Run) -> None:
    run.opened()
    run.ready()


def source_is_there(run: Run) -> None:
    run.opened()


def engine_is_broken(run: Run) -> None:
    run.opened()
    run.failed()


@settings(max_examples=200)
@given(history=HISTORIES)
@pytest.mark.parametrize(
    ("before", "cause", "holds_ms", "state"),
    [
        (engine_works, {"mask": True}, 0, State.RUNNING),
        (engine_works, {}, 240, State.DEGRADED),
        (engine_is_broken, {}, 0, State.DEGRADED),
        (engine_works, {"mask": True, "repeated": True}, 1000, State.FROZEN),
        (engine_is_broken, {"repeated": True}, 1000, State.FROZEN),
        (source_is_there, {"flat": True, "repeated": True}, 500, State.NO_SIGNAL),
        (source_is_there, None, 500, State.NO_SIGNAL),
        (Run.lost, None, 0, State.RECONNECTING),
    ],
)
def test_whatever_came_before_the_state_is_right_in_time(
    history: list[tuple[Step, int]],
    before: Step,
    cause: dict[str, bool] | None,
    holds_ms: int,
    state: State,
) -> None:
    run = after_history(history)
    before(run)
    if cause is None:
        run.silence(holds_ms + LATE_MS)
    else:
        run.pictures(holds_ms + LATE_MS, **cause)
    assert run.state is state

    # And it stays.
    if cause is None:
        run.silence(3000)
    else:
        assert set(run.pictures(3000, **cause)) == {state}
    assert run.state is state


@settings(max_examples=200)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 100)), max_size=80))
def test_running_means_masks(pictures: list[tuple[bool, int]]) -> None:
    """RUNNING is entered with a row of masks only, and not kept for long without one."""
    run = Run(Supervisor(0, LIMITS))
    run.ready()
    row, row_ms = 0, 0
    for mask, wait_ms in pictures:
        before = run.state
        state = run.picture(mask=mask, after=wait_ms)
        row = row + 1 if mask else 0
        if row >= GOOD_PICTURES:
            row_ms = run.now_ms
        if state is State.RUNNING and before is not State.RUNNING:
            assert row >= GOOD_PICTURES
        if state is State.RUNNING:
            assert run.now_ms - row_ms <= 240 + 100


def test_a_state_that_flaps_for_days_does_not_fill_the_memory() -> None:
    machine = StateMachine(0)
    for number in range(1, 3 * MOST_CHANGES):
        machine.go(State.RUNNING if number % 2 else State.DEGRADED, number, str(number))

    assert machine.count == 3 * MOST_CHANGES
    assert len(machine.changes) == MOST_CHANGES
    assert machine.changes[0].reason == "started"
    assert [change.at_ns for change in machine.changes[1:]] == list(
        range(2 * MOST_CHANGES + 1, 3 * MOST_CHANGES)
    )
