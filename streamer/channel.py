"""A bounded queue between two threads that can be closed from either end."""

from collections import deque
from collections.abc import Iterator
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class ClosedError(Exception):
    """The other end has gone; nothing more can be put."""


class Channel(Generic[Item]):
    """First in, first out, at most `capacity` items; `put` waits for room.

    The producer ends the stream with `finish`: the consumer still gets what is inside. Either
    end gives up with `abort`: what is inside is dropped and a waiting producer is released.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = Condition()
        self._finished = False
        self._aborted = False

    def put(self, item: Item) -> None:
        """Add an item, waiting for room.

        Raises:
            ClosedError: the channel was aborted.
        """
        with self._changed:
            self._changed.wait_for(lambda: len(self._items) < self._capacity or self._aborted)
            if self._aborted:
                raise ClosedError
            self._items.append(item)
            self._changed.notify_all()

    def finish(self) -> None:
        """No more items will come."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def abort(self) -> None:
        """Drop everything and release whoever waits."""
        with self._changed:
            self._aborted = True
            self._items.clear()
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        """Items until the channel is finished and empty, or aborted."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._finished or self._aborted)
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
