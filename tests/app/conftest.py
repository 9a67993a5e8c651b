"""What the tests of the demo share: a desk with a fake network, and requests without a network."""

import multiprocessing
import sys
import threading
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

# Processes of their own have to be able to import the fake network.
sys.path.insert(0, str(Path(__file__).parent))

from fake_network import DEADLINE_S, load_red

from demos.app.choices import Engine
from demos.app.desk import Desk
from demos.app.worker import serve


class ThreadWorker:
    """`Worker` as a thread of this process."""

    def __init__(self) -> None:
        self.connection: Connection
        self.connection, theirs = multiprocessing.Pipe()

        def work() -> None:
            serve(theirs, load_red, Engine())
            theirs.close()

        self._thread = threading.Thread(target=work, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.connection.close()
        self._thread.join(DEADLINE_S)


@pytest.fixture
def make_desk() -> Iterator[Callable[..., Desk]]:
    """Makes desks whose orders run in a thread of this process."""
    made: list[Desk] = []

    def make(*, max_waiting: int = 2, max_work_s: float = DEADLINE_S) -> Desk:
        made.append(Desk(ThreadWorker, max_waiting=max_waiting, max_work_s=max_work_s))
        return made[-1]

    yield make
    for desk in made:
        desk.close()
