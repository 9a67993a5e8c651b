"""Looks at the passing pictures now and then, and sets which part of them is analysed.

That takes some ms once in a while, so it has a thread of its own: neither the picture nor the
network waits for it.
"""

from streamer.live.compositor import Compositor, Seen
from streamer.live.newest import NewestQueue
from streamer.view_watch import STEP_S, ViewWatch


class ViewLook:
    """A thread runs `work`; the raw loop offers pictures."""

    def __init__(self, watch: ViewWatch, compositor: Compositor) -> None:
        #: What it has seen; only to be read.
        self.watch = watch
        self._compositor = compositor
        self._waiting: NewestQueue[Seen] = NewestQueue(1)
        self._offered_s = float("-inf")

    def offer(self, seen: Seen) -> None:
        """Offer a picture with a signal in it; never waits."""
        time_s = _time_s(seen)
        if time_s - self._offered_s >= STEP_S:
            self._offered_s = time_s
            self._waiting.put(seen)

    def work(self) -> None:
        """Look at what is offered until `stop`."""
        session = 0
        for seen in self._waiting:
            if seen.session != session:
                session = seen.session
                self.watch.forget()
            if self.watch.look(seen.frame.picture, _time_s(seen)):
                self._compositor.view = self.watch.view

    def stop(self) -> None:
        """End `work`."""
        self._waiting.abort()


def _time_s(seen: Seen) -> float:
    """By the monotonic clock: a source's own time may jump."""
    return seen.frame.captured_ns / 1e9
