"""A bounded queue that keeps the newest: whoever puts never waits."""

from collections import deque
from collections.abc import Iterator
from threading import Condition
from typing import Generic, TypeVar

Item = TypeVar("Item")


class NewestQueue(Generic[Item]):
    """First in, first out, at most `capacity` items; the oldest falls out where one too many comes.

    One end puts and ends the stream with `finish`, the other takes by iterating. Either may
    `abort`.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._items: deque[Item] = deque()
        self._changed = Condition()
        self._closed = False

    def put(self, item: Item) -> Item | None:
        """Add an item.

        Returns:
            What is lost by that: the oldest item where the queue was full, this one where it is
            closed, else None.
        """
        with self._changed:
            if self._closed:
                return item
            oldest = self._items.popleft() if len(self._items) == self._capacity else None
            self._items.append(item)
            self._changed.notify_all()
            return oldest

    def finish(self) -> None:
        """Close it; what is inside can still be taken."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def abort(self) -> list[Item]:
        """Close it and give back what was inside."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        return self.clear()

    def clear(self) -> list[Item]:
        """Empty it and give back what was inside."""
        with self._changed:
            left = list(self._items)
            self._items.clear()
            return left

    def __iter__(self) -> Iterator[Item]:
        """Items as they come, until the queue is closed and empty."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._closed)
                if not self._items:
                    return
                item = self._items.popleft()
            yield item
