"""The states of a live run and the ways between them."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What a live run can be in; the badge, the log, the events and the metrics all show it."""

    WARMING = "WARMING"
    RUNNING = "RUNNING"
    DEGRADED = "DEGRADED"
    NO_SIGNAL = "NO_SIGNAL"
    FROZEN = "FROZEN"
    RECONNECTING = "RECONNECTING"
    STOPPED = "STOPPED"


_PICTURE = frozenset({State.RUNNING, State.DEGRADED, State.FROZEN})
_TROUBLE = frozenset({State.NO_SIGNAL, State.RECONNECTING, State.STOPPED})

#: From each state, where a run may go next.
TRANSITIONS: dict[State, frozenset[State]] = {
    State.WARMING: _PICTURE | _TROUBLE,
    State.RUNNING: _PICTURE - {State.RUNNING} | _TROUBLE,
    State.DEGRADED: _PICTURE - {State.DEGRADED} | _TROUBLE,
    State.FROZEN: _PICTURE - {State.FROZEN} | _TROUBLE,
    State.NO_SIGNAL: _PICTURE | {State.RECONNECTING, State.STOPPED},
    State.RECONNECTING: _PICTURE | {State.WARMING, State.NO_SIGNAL, State.STOPPED},
    State.STOPPED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class StateChange:
    """One step of a run.

    Attributes:
        state: the state it went into.
        at_ns: when, on the monotonic clock.
        reason: why, in words for the user.
    """

    state: State
    at_ns: int
    reason: str


#: Changes that are kept: the first one, and the newest. A state that flaps for days must not fill
#: the memory.
MOST_CHANGES = 2000


class StateMachine:
    """Keeps the state and how it came about.

    Attributes:
        changes: in order; of more than `MOST_CHANGES` those after the first are let go.
        count: all changes so far.
    """

    def __init__(self, now_ns: int) -> None:
        self.changes = [StateChange(State.WARMING, now_ns, "started")]
        self.count = 1

    @property
    def state(self) -> State:
        """The state now."""
        return self.changes[-1].state

    def go(self, state: State, now_ns: int, reason: str) -> bool:
        """Go to a state.

        Returns:
            Whether that is a change.

        Raises:
            ValueError: there is no way from here to there.
        """
        if state == self.state:
            return False
        if state not in TRANSITIONS[self.state]:
            raise ValueError(f"no way from {self.state} to {state}")
        self.changes.append(StateChange(state, now_ns, reason))
        self.count += 1
        if len(self.changes) > MOST_CHANGES:
            del self.changes[1]
        return True
