"""The bounded queue between two threads."""

import threading
from collections import deque
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.channel import Channel, ClosedError

#: Far more than any step takes; only a deadlock meets it.
PATIENCE_S = 20.0


class Worker:
    """A thread that says when it begins and keeps what its body returns or raises."""

    def __init__(self, body: Callable[[], object]) -> None:
        self.returned: object = None
        self.raised: BaseException | None = None
        self._body = body
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self.returned = self._body()
        except BaseException as error:
            self.raised = error

    def join(self) -> None:
        self._thread.join(PATIENCE_S)
        assert not self._thread.is_alive(), "the thread is stuck"


class Waiting(Channel[int]):
    """Tells when a thread waits in it: nobody can be inside the lock and not wait."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self.waits = threading.Event()
        inner = self._changed.wait

        def wait(timeout: float | None = None) -> bool:
            self.waits.set()
            return inner(timeout)

        self._changed.wait = wait  # type: ignore[method-assign]

    def until_somebody_waits(self) -> None:
        assert self.waits.wait(PATIENCE_S)
        with self._changed:
            # The lock is free only once the waiting thread has let go of it, asleep.
            self.waits.clear()


def test_items_come_out_in_order_while_both_ends_work() -> None:
    channel: Channel[int] = Channel(3)

    def produce() -> None:
        for number in range(500):
            channel.put(number)
        channel.finish()

    producer = Worker(produce)
    consumer = Worker(lambda: list(channel))
    producer.join()
    consumer.join()

    assert producer.raised is None
    assert consumer.returned == list(range(500))


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_a_full_channel_holds_up_its_producer(capacity: int) -> None:
    channel = Waiting(capacity)
    put: list[int] = []

    def produce() -> None:
        for number in range(capacity + 3):
            channel.put(number)
            put.append(number)

    producer = Worker(produce)
    items = iter(channel)
    for taken in range(3):
        channel.until_somebody_waits()
        assert put == list(range(capacity + taken))
        assert next(items) == taken
    producer.join()

    assert len(put) == capacity + 3


def test_finish_leaves_what_is_inside() -> None:
    channel: Channel[str] = Channel(2)
    channel.put("a")
    channel.put("b")
    channel.finish()

    assert list(channel) == ["a", "b"]
    assert list(channel) == []


def test_finish_releases_a_waiting_consumer() -> None:
    channel = Waiting(1)
    consumer = Worker(lambda: list(channel))
    channel.until_somebody_waits()
    channel.finish()
    consumer.join()

    assert consumer.returned == []


def test_abort_releases_a_waiting_producer() -> None:
    channel = Waiting(1)
    channel.put(0)
    producer = Worker(lambda: channel.put(1))
    channel.until_somebody_waits()
    channel.abort()
    producer.join()

    assert isinstance(producer.raised, ClosedError)
    assert list(channel) == []


def test_abort_releases_a_waiting_consumer() -> None:
    channel = Waiting(1)
    consumer = Worker(lambda: list(channel))
    channel.until_somebody_waits()
    channel.abort()
    consumer.join()

    assert consumer.raised is None
    assert consumer.returned == []


def test_nothing_can_be_put_after_abort() -> None:
    channel: Channel[int] = Channel(4)
    channel.put(0)
    channel.abort()

    with pytest.raises(ClosedError):
        channel.put(1)
    assert list(channel) == []


def test_abort_ends_an_iteration_under_way() -> None:
    channel: Channel[int] = Channel(4)
    for number in range(3):
        channel.put(number)
    items = iter(channel)
    first = next(items)
    channel.abort()

    assert first == 0
    assert list(items) == []


@given(
    st.integers(1, 4),
    st.lists(st.sampled_from(["put", "take", "finish", "abort"]), max_size=40),
)
def test_any_sequence_does_what_a_plain_queue_does(capacity: int, actions: list[str]) -> None:
    """One thread only, so actions that would wait are left out."""
    channel: Channel[int] = Channel(capacity)
    model: deque[int] = deque()
    finished = aborted = False
    for number, action in enumerate(actions):
        if action == "put" and aborted:
            with pytest.raises(ClosedError):
                channel.put(number)
        elif action == "put" and len(model) < capacity and not finished:
            channel.put(number)
            model.append(number)
        elif action == "take" and (model or finished or aborted):
            assert next(iter(channel), None) == (model.popleft() if model else None)
        elif action == "finish":
            channel.finish()
            finished = True
        elif action == "abort":
            channel.abort()
            model.clear()
            aborted = True
    channel.finish()

    assert list(channel) == list(model)
