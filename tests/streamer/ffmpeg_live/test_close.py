"""Live sources that are closed, also while another thread reads them."""

import random
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from streams import (
    DEADLINE_S,
    PATTERN,
    Encode,
    Open,
    Sender,
    Waiter,
)

from streamer.errors import SourceEndedError, SourceError


class TestClose:
    def test_twice_and_reading_after_it(self, opened: Open) -> None:
        source = opened(PATTERN)
        source.read()
        source.close()
        source.close()

        with pytest.raises(SourceEndedError, match="closed"):
            source.read()

    def test_while_another_waits_for_the_network(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        source = opened(sender(encode(30)).url, patience_s=1.0)
        waiter = Waiter(source)
        waiter.wait_for_picture()
        source.close()

        assert isinstance(waiter.finish(), SourceError)
        # The reading thread has released it.
        with pytest.raises(AssertionError, match="not open"):
            source._reader._container.demux(0).__next__()  # type: ignore[attr-defined]

    def test_while_another_waits_for_the_next_picture_of_a_pattern(self, opened: Open) -> None:
        source = opened("lavfi:testsrc2=size=96x64:rate=0.2")
        waiter = Waiter(source)
        waiter.wait_for_picture()
        source.close()

        assert isinstance(waiter.finish(), SourceEndedError)
        assert waiter.count < 3

    def test_at_any_moment(self, opened: Open) -> None:
        rng = random.Random(4)
        for _ in range(25):
            source = opened("lavfi:testsrc2=size=96x64:rate=1000")
            waiter = Waiter(source)
            threading.Event().wait(0.01 * rng.random())
            closers = [threading.Thread(target=source.close) for _ in range(3)]
            for closer in closers:
                closer.start()
            for closer in closers:
                closer.join(DEADLINE_S)

            assert isinstance(waiter.finish(), SourceEndedError)

    def test_nothing_stays_open(
        self, opened: Open, sender: Callable[..., Sender], encode: Encode
    ) -> None:
        url = sender(encode(30)).url
        opened(url).close()
        before = {entry.resolve() for entry in Path("/proc/self/fd").iterdir()}
        threads = threading.active_count()
        for _ in range(5):
            opened(url).close()
        after = {entry.resolve() for entry in Path("/proc/self/fd").iterdir()}

        # The sender's own ends are still there.
        assert len(after) <= len(before) + 5
        assert threading.active_count() == threads
