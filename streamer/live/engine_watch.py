"""When an engine is given up and when the next one is loaded: decisions without threads."""

from enum import Enum, auto

from streamer.live.backoff import Backoff

#: Engines that were given up and whose threads have not come back. A thread that hangs in native
#: code cannot be ended, and its engine keeps its memory; with so many no further one is loaded.
MAX_LEFT = 3
#: An engine that has answered for so long is sound: the next failure is a new one.
STEADY_NS = 10_000_000_000


class Phase(Enum):
    """What the engine at hand does."""

    DOWN = auto()
    LOADING = auto()
    READY = auto()
    BUSY = auto()


class Verdict(Enum):
    """What is to be done."""

    NOTHING = auto()
    LOAD = auto()
    GIVE_UP = auto()
    #: It is time to load one, but too many hang.
    BLOCKED = auto()


class EngineWatch:
    """Follows one engine after the other; each has a number, its generation.

    Whoever reports names its generation, and is told whether it is still the one that counts.

    Args:
        load_ns: how long loading may take.
        answer_ns: how long an answer may take.
        backoff: waits between a failure and the next loading.
    """

    def __init__(self, now_ns: int, *, load_ns: int, answer_ns: int, backoff: Backoff) -> None:
        self.generation = 0
        self.phase = Phase.DOWN
        self._load_ns = load_ns
        self._answer_ns = answer_ns
        self._backoff = backoff
        self._due_ns = now_ns
        self._since_ns = now_ns
        self._ready_ns = now_ns

    def check(self, now_ns: int, left: int) -> Verdict:
        """What is to be done now.

        Args:
            left: threads of earlier engines that have not come back.
        """
        if self.phase is Phase.DOWN:
            if now_ns < self._due_ns:
                return Verdict.NOTHING
            return Verdict.LOAD if left < MAX_LEFT else Verdict.BLOCKED
        limit_ns = {Phase.LOADING: self._load_ns, Phase.BUSY: self._answer_ns}.get(self.phase)
        late = limit_ns is not None and now_ns - self._since_ns >= limit_ns
        return Verdict.GIVE_UP if late else Verdict.NOTHING

    @property
    def limit(self) -> str:
        """What an engine that is given up now did not keep to."""
        if self.phase is Phase.BUSY:
            return f"no answer within {self._answer_ns / 1e9:g} s"
        return f"not ready within {self._load_ns / 1e9:g} s"

    def load(self, now_ns: int) -> int:
        """A new engine is being loaded; its generation is returned."""
        self.generation += 1
        self._enter(Phase.LOADING, now_ns)
        return self.generation

    def ready(self, generation: int, now_ns: int) -> bool:
        """It is loaded."""
        if not self._counts(generation):
            return False
        self._ready_ns = now_ns
        self._enter(Phase.READY, now_ns)
        return True

    def busy(self, generation: int, now_ns: int) -> bool:
        """It begins with a picture."""
        if not self._counts(generation):
            return False
        self._enter(Phase.BUSY, now_ns)
        return True

    def answered(self, generation: int, now_ns: int) -> bool:
        """It has answered."""
        if not self._counts(generation):
            return False
        if now_ns - self._ready_ns >= STEADY_NS:
            self._backoff.reset()
        self._enter(Phase.READY, now_ns)
        return True

    def failed(self, generation: int, now_ns: int) -> bool:
        """It failed, or is given up."""
        if not self._counts(generation):
            return False
        self._due_ns = now_ns + self._backoff.next_ns()
        self._enter(Phase.DOWN, now_ns)
        return True

    def _counts(self, generation: int) -> bool:
        return generation == self.generation and self.phase is not Phase.DOWN

    def _enter(self, phase: Phase, now_ns: int) -> None:
        self.phase, self._since_ns = phase, now_ns
