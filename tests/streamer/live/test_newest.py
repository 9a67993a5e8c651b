"""The queue that keeps the newest."""

import threading
from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from streamer.live.newest import NewestQueue

PATIENCE_S = 60.0


@given(
    capacity=st.integers(1, 4),
    steps=st.lists(st.sampled_from(["put", "take", "clear", "finish", "abort"]), max_size=40),
)
def test_is_like_its_model_and_loses_nothing_uncounted(capacity: int, steps: list[str]) -> None:
    queue: NewestQueue[int] = NewestQueue(capacity)
    items = iter(queue)
    model: deque[int] = deque()
    closed = False
    fate: list[int] = []
    for number, step in enumerate(steps):
        if step == "put":
            lost = queue.put(number)
            expected = number if closed else model.popleft() if len(model) == capacity else None
            assert lost == expected
            if not closed:
                model.append(number)
            fate += [lost] if lost is not None else []
        elif step == "take" and model:
            assert next(items) == model.popleft()
        elif step in ("clear", "abort"):
            left = queue.clear() if step == "clear" else queue.abort()
            assert left == list(model)
            model.clear()
            closed = closed or step == "abort"
        elif step == "finish":
            queue.finish()
            closed = True
        assert len(model) <= capacity
    queue.finish()
    assert list(items) == list(model)
    assert len(fate) == len(set(fate))


def test_the_taker_waits_for_what_comes_and_for_the_end() -> None:
    queue: NewestQueue[int] = NewestQueue(2)
    taken: list[int] = []
    got = threading.Semaphore(0)

    def take() -> None:
        for item in queue:
            taken.append(item)
            got.release()

    thread = threading.Thread(target=take, daemon=True)
    thread.start()
    for number in range(5):
        assert queue.put(number) is None
        assert got.acquire(timeout=PATIENCE_S)
    queue.finish()
    thread.join(PATIENCE_S)

    assert not thread.is_alive()
    assert taken == [0, 1, 2, 3, 4]
