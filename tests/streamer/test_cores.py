"""Who goes first on the CPU."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from streamer.cores import give_way

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="threads are nice on Linux only")


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def of_a_new_thread() -> int:
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(niceness).result()


def test_a_thread_gives_way_with_all_that_it_starts_and_no_other_does() -> None:
    before = niceness()

    def work() -> tuple[int, int]:
        give_way()
        return niceness(), of_a_new_thread()

    with ThreadPoolExecutor(1) as pool:
        own, started = pool.submit(work).result()

    assert own == started == min(19, before + 10)
    assert niceness() == of_a_new_thread() == before


def test_where_it_is_forbidden_all_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbid(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", forbid)
    before = niceness()
    give_way()
    assert niceness() == before
