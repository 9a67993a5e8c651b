"""Decides on the state of a live run from facts and times; it has no clock and no thread.

Trouble with the picture counts for more than trouble with the network: RECONNECTING before
NO_SIGNAL before FROZEN before DEGRADED. On a frozen picture masks are still drawn, since they
belong to what is shown (an examiner may well have stopped the picture to look at it); the badge
says FROZEN. On flat pictures nothing is drawn, and the network does not see them.
"""

import threading
from dataclasses import dataclass

from streamer.live.state import State, StateChange, StateMachine

#: Pictures in a row with a valid mask from which on the masks count as running.
GOOD_PICTURES = 3

_SHOWING = frozenset({State.WARMING, State.RUNNING, State.DEGRADED})


@dataclass(frozen=True, slots=True)
class Limits:
    """How long something must hold until it is a state of its own.

    Attributes:
        late_ns: pictures without a row of valid masks, for DEGRADED. A failed engine is that at
            once.
        frozen_ns: the same picture again and again, for FROZEN.
        no_signal_ns: no picture, or flat ones only, for NO_SIGNAL.
    """

    late_ns: int
    frozen_ns: int
    no_signal_ns: int


class Supervisor:
    """Takes facts from all threads. A time that lies before the last fact's counts as that one.

    Args:
        now_ns: when the run begins, with a source that is open and an engine that is loading.
    """

    def __init__(self, now_ns: int, limits: Limits) -> None:
        self._lock = threading.Lock()
        self._limits = limits
        self._now_ns = now_ns
        self._machine = StateMachine(now_ns)
        self._reason = "started"
        self._news = list(self._machine.changes)
        # The source.
        self._lost: str | None = None
        self._waiting = True
        self._heard_ns = now_ns
        self._flat_ns: int | None = None
        self._same_ns: int | None = None
        # The network.
        self._engine_new = True
        self._engine_trouble: str | None = None
        self._ready_ns = now_ns
        self._good = 0
        self._unsteady_ns: int | None = None

    @property
    def state(self) -> State:
        """The state now."""
        with self._lock:
            return self._machine.state

    @property
    def reason(self) -> str:
        """Why it is in that state, as far as is known by now."""
        with self._lock:
            return self._reason

    @property
    def changes(self) -> list[StateChange]:
        """The states so far, in order; see `StateMachine`."""
        with self._lock:
            return list(self._machine.changes)

    @property
    def change_count(self) -> int:
        """How many states there were so far."""
        with self._lock:
            return self._machine.count

    def take_news(self) -> list[StateChange]:
        """What has changed since the last call: states, and new reasons of the same state."""
        with self._lock:
            news, self._news = self._news, []
            return news

    def opened(self, now_ns: int) -> None:
        """The source is open; its first picture is awaited."""
        with self._lock:
            self._lost, self._waiting = None, True
            self._heard_ns = self._advance(now_ns)
            self._flat_ns = self._same_ns = None
            self._forget_masks()
            self._decide()

    def lost(self, now_ns: int, reason: str) -> None:
        """The source has gone, or is still gone."""
        with self._lock:
            self._advance(now_ns)
            self._lost = reason
            self._decide()

    def picture(self, now_ns: int, *, mask: bool, flat: bool, repeated: bool) -> State:
        """A picture is about to be shown.

        Args:
            mask: with a valid mask, which may be empty.
            flat, repeated: see `Look`.

        Returns:
            The state to show it with.
        """
        with self._lock:
            now_ns = self._heard_ns = self._advance(now_ns)
            self._waiting = False
            if self._same_ns is None or not repeated:
                self._same_ns = now_ns
            if flat:
                self._flat_ns = now_ns if self._flat_ns is None else self._flat_ns
                self._forget_masks()
            else:
                self._flat_ns = None
                self._good = self._good + 1 if mask else 0
                if self._good >= GOOD_PICTURES:
                    self._unsteady_ns = None
                elif self._unsteady_ns is None:
                    self._unsteady_ns = now_ns
            self._decide()
            return self._machine.state

    def engine_ready(self, now_ns: int) -> None:
        """An engine has been loaded."""
        with self._lock:
            self._engine_new, self._engine_trouble = False, None
            self._ready_ns = self._advance(now_ns)
            self._forget_masks()
            self._decide()

    def engine_failed(self, now_ns: int, reason: str) -> None:
        """The engine cannot be loaded, failed or hangs."""
        with self._lock:
            self._advance(now_ns)
            self._engine_new, self._engine_trouble = False, reason
            self._forget_masks()
            self._decide()

    def tick(self, now_ns: int) -> None:
        """Nothing but time has passed."""
        with self._lock:
            self._advance(now_ns)
            self._decide()

    def stop(self, now_ns: int, reason: str) -> None:
        """The run ends; no later fact counts."""
        with self._lock:
            self._advance(now_ns)
            self._go(State.STOPPED, reason)

    def _advance(self, now_ns: int) -> int:
        self._now_ns = max(self._now_ns, now_ns)
        return self._now_ns

    def _forget_masks(self) -> None:
        self._good = 0
        self._unsteady_ns = None

    def _decide(self) -> None:
        if self._machine.state is not State.STOPPED:
            self._go(*self._judge())

    def _go(self, state: State, reason: str) -> None:
        if self._machine.go(state, self._now_ns, reason) or reason != self._reason:
            self._reason = reason
            self._news.append(StateChange(state, self._now_ns, reason))

    def _judge(self) -> tuple[State, str]:
        now_ns, limits, state = self._now_ns, self._limits, self._machine.state
        stay = state, self._reason
        if self._lost is not None:
            return State.RECONNECTING, f"source: {self._lost}"
        if now_ns - self._heard_ns >= limits.no_signal_ns:
            return State.NO_SIGNAL, "no picture comes"
        if self._waiting:
            return stay
        if self._flat_ns is not None:
            if now_ns - self._flat_ns >= limits.no_signal_ns:
                return State.NO_SIGNAL, "the picture is of one tone"
            return stay
        # By the last picture's time: between two pictures of a slow source nothing stands still.
        if self._same_ns is not None and self._heard_ns - self._same_ns >= limits.frozen_ns:
            return State.FROZEN, "the picture stands still"
        return self._judge_masks()

    def _judge_masks(self) -> tuple[State, str]:
        state = self._machine.state
        if self._engine_trouble is not None:
            return State.DEGRADED, f"engine: {self._engine_trouble}"
        if self._engine_new:
            begun = state in (State.WARMING, State.RECONNECTING)
            return State.WARMING if begun else State.DEGRADED, "engine: loading"
        if self._good >= GOOD_PICTURES:
            return State.RUNNING, "masks are up to date"
        if self._unsteady_ns is not None:
            unsteady_ns = self._now_ns - max(self._unsteady_ns, self._ready_ns)
            if unsteady_ns >= self._limits.late_ns:
                return State.DEGRADED, "masks come too late"
        if state in _SHOWING:
            return state, self._reason
        return State.DEGRADED, "the picture is back, its mask is awaited"
