"""Looks at the passing pictures now and then, and sets which part of them is analysed.

That takes some ms once in a while, so it has a thread of its own: neither the picture nor the
network waits for it.
"""

import logging

from streamer.cores import give_way
from streamer.live.compositor import Compositor, Seen
from streamer.live.newest import NewestQueue
from streamer.view_watch import STEP_S, ViewWatch

logger = logging.getLogger(__name__)


class ViewLook:
    """A thread runs `work`; the raw loop offers pictures."""

    def __init__(self, watch: ViewWatch, compositor: Compositor) -> None:
        #: What it has seen; only to be read.
        self.watch = watch
        self._compositor = compositor
        self._waiting: NewestQueue[Seen] = NewestQueue(1)
        self._offered_s = float("-inf")
        self._session = 0

    def offer(self, seen: Seen) -> None:
        """Offer a picture with a signal in it; never waits."""
        time_s = _time_s(seen)
        if time_s - self._offered_s >= STEP_S:
            self._offered_s = time_s
            self._waiting.put(seen)

    def work(self) -> None:
        """Look at what is offered until `finish`."""
        give_way()
        try:
            for seen in self._waiting:
                self.look(seen)
        except Exception as error:
            # The picture and its masks go on as they are.
            logger.warning("view: it is looked for no more (%s)", error)
            self._waiting.abort()

    def look(self, seen: Seen) -> None:
        """Look at one picture."""
        if seen.session != self._session:
            self._session = seen.session
            self.watch.forget()
        if self.watch.look(seen.frame.picture, _time_s(seen)):
            self._compositor.view = self.watch.view

    def finish(self) -> None:
        """End `work`, after what is still waiting; nothing more is taken."""
        self._waiting.finish()


def _time_s(seen: Seen) -> float:
    """By the monotonic clock: a source's own time may jump."""
    return seen.frame.captured_ns / 1e9
