"""Orders, one at a time, in a process that may die."""

import threading
from collections.abc import Callable, Iterator

import pytest
from fake_network import DEADLINE_S, Die, Hang, Raise, Say, WaitForCancel, load_red

from demos.app import desk as module
from demos.app.choices import Engine
from demos.app.desk import BusyError, Desk, State, Ticket
from demos.app.worker import Order, Worker
from pranet.errors import PranetError


def ignore(news: object) -> None:
    """News that nobody waits for."""


class Running:
    """An order that is known to be under way."""

    def __init__(self, desk: Desk) -> None:
        begun = threading.Event()
        self.ticket = desk.submit(WaitForCancel(), lambda news: begun.set())
        assert begun.wait(DEADLINE_S)


def finished(desk: Desk, order: Order) -> Ticket:
    ticket = desk.submit(order, ignore)
    assert ticket.wait(DEADLINE_S)
    return ticket


def test_news_come_before_the_outcome(make_desk: Callable[..., Desk]) -> None:
    told: list[object] = []
    ticket = make_desk().submit(Say("one"), told.append)

    assert ticket.wait(DEADLINE_S)
    assert (ticket.state, ticket.outcome) == (State.DONE, "done one")
    assert told == ["telling one"]


def test_everyone_is_told_their_place(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    running = Running(desk).ticket
    second, third = desk.submit(Say("two"), ignore), desk.submit(Say("three"), ignore)

    assert [desk.place(ticket) for ticket in (running, second, third)] == [0, 1, 2]
    assert second.state == State.WAITING
    desk.cancel(running)
    assert third.wait(DEADLINE_S)
    assert (second.outcome, third.outcome) == ("done two", "done three")
    assert running.outcome == "stopped"


def test_more_than_may_wait_are_turned_away(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk(max_waiting=1)
    running = Running(desk).ticket
    desk.submit(Say("two"), ignore)

    with pytest.raises(BusyError, match="1 others"):
        desk.submit(Say("three"), ignore)
    desk.cancel(running)


def test_what_waits_can_be_cancelled(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    running = Running(desk).ticket
    waiting, last = desk.submit(Say("two"), ignore), desk.submit(Say("three"), ignore)
    desk.cancel(waiting)

    assert waiting.state == State.CANCELLED
    assert desk.place(last) == 1
    desk.cancel(running)
    assert last.wait(DEADLINE_S)


def test_a_cancellation_that_comes_late_harms_nobody(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    first = finished(desk, Say("one"))
    desk.cancel(first)

    assert first.state == State.DONE
    assert finished(desk, Say("two")).outcome == "done two"


@pytest.mark.parametrize(
    ("error", "told"),
    [(PranetError("no video in it"), "no video in it"), (ZeroDivisionError(), "not your fault")],
)
def test_an_error_fails_one_order_only(
    error: Exception, told: str, make_desk: Callable[..., Desk]
) -> None:
    desk = make_desk()
    failed = finished(desk, Raise(error))

    assert failed.state == State.FAILED
    assert told in failed.reason
    assert finished(desk, Say("next")).outcome == "done next"


def test_closing_gives_everything_up(make_desk: Callable[..., Desk]) -> None:
    desk = make_desk()
    running = Running(desk).ticket
    waiting = desk.submit(Say("two"), ignore)
    desk.close()
    desk.close()

    assert running.is_over
    assert waiting.state == State.CANCELLED


class TestProcess:
    @pytest.fixture
    def desk(self) -> Iterator[Desk]:
        desk = Desk(lambda: Worker(load_red, Engine()), max_waiting=2, max_work_s=DEADLINE_S)
        yield desk
        desk.close()

    def test_one_that_dies_fails_one_order_only(self, desk: Desk) -> None:
        died = finished(desk, Die())

        assert died.state == State.FAILED
        assert "broke down" in died.reason
        assert finished(desk, Say("next")).outcome == "done next"

    def test_one_that_hangs_is_ended(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "CANCEL_S", 0.0)
        hanging = desk.submit(Hang(), ignore)
        hanging.cancelled.set()

        assert hanging.wait(DEADLINE_S)
        assert hanging.state == State.CANCELLED
        assert finished(desk, Say("next")).outcome == "done next"

    def test_one_that_takes_too_long_is_ended(self) -> None:
        desk = Desk(lambda: Worker(load_red, Engine()), max_waiting=2, max_work_s=0.0)
        try:
            late = finished(desk, Hang())
            assert late.state == State.FAILED
            assert "too long" in late.reason
        finally:
            desk.close()
