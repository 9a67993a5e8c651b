"""The one live run of the page."""

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_network import DEADLINE_S, load_red

from demos.app.choices import Choices, Engine
from demos.app.live_desk import LiveBusyError, LiveDesk, LiveRun, offered_sources
from demos.app.live_process import BROWSER, STOP, Ended, LiveOrder, Serving, run_live
from demos.app.sample import SAMPLE
from streamer.errors import SourceError
from streamer.settings import Settings, SourceSettings

SMALL = "synthetic:size=160x120:rate=20"


def order(source: str) -> LiveOrder:
    return LiveOrder(source, Engine(), Choices())


def wait_for(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, "hangs"
        time.sleep(0.02)


class TestProcess:
    """`run_live`, in a thread of this process."""

    def start(self, source: str) -> tuple[Connection, threading.Thread]:
        ours, theirs = multiprocessing.Pipe()
        thread = threading.Thread(target=run_live, args=(theirs, load_red, order(source)))
        thread.start()
        assert isinstance(ours.recv(), Serving)
        return ours, thread

    def test_it_ends_when_told(self) -> None:
        connection, thread = self.start(SMALL)
        connection.send_bytes(STOP)

        assert connection.recv() == Ended("stopped by the user")
        thread.join(DEADLINE_S)
        assert not thread.is_alive()

    def test_it_ends_when_the_page_is_gone(self) -> None:
        connection, thread = self.start(SMALL)
        connection.close()

        thread.join(DEADLINE_S)
        assert not thread.is_alive()

    def test_it_says_why_it_cannot_begin(self) -> None:
        connection, thread = self.start("/dev/video77")

        ended = connection.recv()
        thread.join(DEADLINE_S)
        assert "no such device" in ended.reason


@pytest.fixture
def desk() -> Iterator[LiveDesk]:
    desk = LiveDesk(load_red, max_s=600)
    yield desk
    desk.close()


def test_a_run_is_served_and_ended(desk: LiveDesk) -> None:
    run = desk.start(order(SMALL), "anna")

    wait_for(lambda: run.figures()["state"] == "RUNNING")
    assert desk.find(run.token) is run
    assert desk.find("x" * 22) is None
    desk.leave("berta")
    assert run.ended is None
    desk.leave("anna")
    assert run.figures() == {"state": "STOPPED", "reason": "stopped by the visitor"}


def test_there_is_one_at_a_time(desk: LiveDesk) -> None:
    first = desk.start(order(SMALL), "anna")
    with pytest.raises(LiveBusyError):
        desk.start(order(SMALL), "berta")

    again = desk.start(order(SMALL), "anna")
    assert first.ended is not None
    assert desk.find(first.token) is None
    desk.leave("anna")
    assert desk.start(order(SMALL), "berta").token != again.token


def test_the_camera_of_a_browser_goes_through_the_pipeline(desk: LiveDesk) -> None:
    run = desk.start(order(BROWSER), "anna")
    jpeg = bytes(cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1])

    def seen() -> bool:
        run.put(jpeg)
        return bool(run.figures().get("frames"))

    wait_for(seen)


def test_a_run_that_nobody_looks_at_is_ended(
    desk: LiveDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    run: LiveRun = desk.start(order(SMALL), "anna")
    desk.sweep()
    assert run.ended is None
    monkeypatch.setattr("demos.app.live_desk.UNWATCHED_S", -1.0)
    desk.sweep()
    assert run.ended is not None
    assert "nobody" in run.ended.reason


class TestOffered:
    SETTINGS = Settings(Path("s.toml"), {"tower": SourceSettings(url="rtsp://tower/1")})

    def test_this_machine_sees_all_that_is_known(self) -> None:
        found = offered_sources(self.SETTINGS, ["synthetic:seed=3"], local=True)

        assert found[:5] == ["synthetic:seed=3", str(SAMPLE), "synthetic", "mock", "tower"]

    def test_others_see_what_was_named_for_them(self) -> None:
        found = offered_sources(self.SETTINGS, [], local=False)
        assert found == [str(SAMPLE), "synthetic", "mock"]
        assert "tower" in offered_sources(self.SETTINGS, ["tower"], local=False)

    def test_a_slip_of_the_pen_is_told(self) -> None:
        with pytest.raises(SourceError):
            offered_sources(self.SETTINGS, ["synthetic:size=large"], local=True)
