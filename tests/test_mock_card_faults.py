"""The benchmark of a failing capture card: that it would notice what it looks for."""

import sys
import threading
from pathlib import Path

import pytest

from demos.benchmarks.fault_run import FaultRun, Settings, check_states, stretches
from demos.benchmarks.idle_clock import IdleClock
from streamer.live.state import State, StateChange
from streamer.sources.mock_schedule import (
    Black,
    Drift,
    Freeze,
    Gap,
    Interlaced,
    Resize,
    Run,
    Schedule,
    Unplug,
)

#: Far more than any step takes; only a deadlock meets it.
PATIENCE_S = 60.0
START_NS = 10**12


def changes(*states: tuple[float, State]) -> list[StateChange]:
    return [StateChange(state, START_NS + round(at_s * 1e9), "") for at_s, state in states]


def problems(schedule: Schedule, *states: tuple[float, State]) -> list[str]:
    return check_states(changes(*states), schedule, START_NS)[0]


class TestStates:
    SCHEDULE = (Run(3), Freeze(3), Run(3))
    RIGHT = (
        (-0.5, State.WARMING),
        (0.9, State.RUNNING),
        (3.9, State.FROZEN),
        (6.9, State.RUNNING),
        (9.0, State.STOPPED),
    )

    def test_what_is_right_when(self) -> None:
        steps = (Run(1), Resize(1, 8, 8), Drift(1, 0.1), Interlaced(1), Gap(1), Black(1), Unplug(1))

        assert [(each.state, each.start_s, each.end_s) for each in stretches(steps)] == [
            (State.RUNNING, 0, 4),
            (State.NO_SIGNAL, 4, 6),
            (State.RECONNECTING, 6, 7),
        ]

    def test_right(self) -> None:
        assert problems(self.SCHEDULE, *self.RIGHT) == []
        lags = check_states(changes(*self.RIGHT), self.SCHEDULE, START_NS)[1]
        assert lags[State.FROZEN] == pytest.approx([900])
        assert lags[State.RUNNING] == pytest.approx([900, 900])

    @pytest.mark.parametrize(
        ("place", "at_s"), [(1, 1.1), (2, 4.1), (3, 7.1)], ids=["start", "fault", "recovery"]
    )
    def test_late(self, place: int, at_s: float) -> None:
        states = list(self.RIGHT)
        states[place] = (at_s, states[place][1])

        (problem,) = problems(self.SCHEDULE, *states)
        assert "reached after 1.10 s" in problem

    @pytest.mark.parametrize("place", [1, 2, 3])
    def test_never(self, place: int) -> None:
        states = [*self.RIGHT[:place], *self.RIGHT[place + 1 :]]

        assert any("never reached" in problem for problem in problems(self.SCHEDULE, *states))

    def test_other_state_in_between(self) -> None:
        wrong = (4.5, State.NO_SIGNAL), (4.6, State.FROZEN)
        states = sorted([*self.RIGHT, *wrong])

        assert problems(self.SCHEDULE, *states) == [
            "FROZEN from 3.00 to 6.00 s: NO_SIGNAL from 4.50 to 4.60 s"
        ]

    def test_state_that_comes_before_its_fault(self) -> None:
        states = list(self.RIGHT)
        states[2] = (2.8, State.FROZEN)

        assert problems(self.SCHEDULE, *states) == [
            "RUNNING from 0.00 to 3.00 s: FROZEN from 2.80 to 3.00 s"
        ]

    def test_short_fault_need_not_show(self) -> None:
        short = (Run(2), Gap(0.6), Run(2))
        running = (0.1, State.RUNNING)

        assert problems(short, running) == []
        assert len(problems((Run(2), Gap(0.7), Run(2)), running)) == 1
        assert len(problems((Run(2), Unplug(0.2), Run(2)), running)) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestIdleClock:
    def test_leaps_to_what_is_due_first(self) -> None:
        clock, never = IdleClock(), threading.Event()
        start_ns = clock.now_ns()
        woken: list[tuple[int, int]] = []

        def wait(due_s: int) -> None:
            clock.wait_until(start_ns + due_s * 10**9, never)
            woken.append((due_s, clock.now_ns() - start_ns))

        threads = [threading.Thread(target=wait, args=(due_s,)) for due_s in (3000, 1000, 2000)]
        for thread in threads:
            thread.start()
        with clock:
            for thread in threads:
                thread.join(PATIENCE_S)

        assert woken == [(due_s, due_s * 10**9) for due_s in (1000, 2000, 3000)]

    def test_stands_still_while_anything_works(self) -> None:
        clock, never = IdleClock(), threading.Event()
        start_ns = clock.now_ns()
        seen: list[int] = []

        def work() -> None:
            clock.wait_until(start_ns + 10**9, never)
            sum(range(300_000))
            seen.append(clock.now_ns() - start_ns)

        def wait() -> None:
            clock.wait_until(start_ns + 10**9, never)
            clock.wait_until(start_ns + 10**9 + 1, never)

        threads = [threading.Thread(target=target) for target in (work, wait)]
        for thread in threads:
            thread.start()
        with clock:
            for thread in threads:
                thread.join(PATIENCE_S)

        assert seen == [10**9]

    def test_cancelled(self) -> None:
        clock, cancelled = IdleClock(), threading.Event()
        found: list[bool] = []
        due_ns = clock.now_ns() + 10**18
        assert not clock.wait_until(clock.now_ns(), cancelled)
        cancelled.set()
        with clock:
            found.append(clock.wait_until(due_ns, cancelled))

        assert found == [True]
        assert clock.now_ns() < due_ns


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_schedule_in_full(tmp_path: Path) -> None:
    settings = Settings(duration_s=6.0, width=96, height=64, rate=20.0, patient=True)
    outcome = FaultRun(5, settings, tmp_path).run()

    assert outcome.problems == []
    assert outcome.frames_in == outcome.frames_out > 40
    assert outcome.parts == 2
    assert State.RUNNING in outcome.lags_ms
