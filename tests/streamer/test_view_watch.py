"""Which part is analysed when: two stretches must agree, and nothing is hidden without that."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import av
import numpy as np
import pytest

from streamer import view_watch
from streamer.field_of_view import FieldOfView, whole_picture
from streamer.frame import Frame, View
from streamer.view_watch import PAUSE_S, STEP_S, STRETCH_S, ViewChange, ViewWatch, look_ahead

WIDTH, HEIGHT = 200, 120
WHOLE = View(0, 0, WIDTH, HEIGHT)
PICTURE = av.VideoFrame(WIDTH, HEIGHT, "yuv420p")
ALL = whole_picture(WIDTH, HEIGHT)


def box(x: float, y: float, width: float, height: float) -> FieldOfView:
    corners = np.array([(x, y), (x + width, y), (x + width, y + height), (x, y + height)]) - 0.5
    return FieldOfView(corners, WIDTH, HEIGHT)


A, B = box(41, 10, 120, 100), box(11, 10, 120, 100)


@dataclass
class Script:
    """What each stretch to come finds, and whether what lies beside the part moves in it."""

    found: list[FieldOfView | None] = field(default_factory=list)
    lively: bool = False


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Script:
    script = Script()

    class Stretch:
        def __init__(self) -> None:
            self.count = 0

        def add(self, picture: av.VideoFrame) -> None:
            self.count += 1

        def view(self) -> FieldOfView | None:
            return script.found.pop(0)

        def is_lively_beyond(self, view: View) -> bool:
            return script.lively

    monkeypatch.setattr(view_watch, "Stretch", Stretch)
    return script


class Player:
    """Shows a watch pictures, 30 a second."""

    def __init__(self, watch: ViewWatch) -> None:
        self.watch = watch
        self.frame = 0

    def until_used_up(self, script: Script) -> list[ViewChange]:
        changes = []
        while script.found:
            change = self.watch.look(PICTURE, self.frame / 30)
            self.frame += 1
            changes += [change] if change else []
        return changes


def play(script: Script, watch: ViewWatch, *found: FieldOfView | None) -> list[ViewChange]:
    script.found = list(found)
    return Player(watch).until_used_up(script)


def test_it_begins_with_the_whole_picture() -> None:
    assert ViewWatch(WIDTH, HEIGHT).view == WHOLE


def test_two_stretches_that_agree_are_believed(script: Script) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)
    assert play(script, watch, A) == []
    assert watch.view == WHOLE
    watch = ViewWatch(WIDTH, HEIGHT)
    (change,) = play(script, watch, A, A)

    # Whole chroma samples.
    assert change.view == watch.view == View(40, 10, 121, 100)
    assert 2 * STRETCH_S <= change.time_s <= 2 * (STRETCH_S + STEP_S) + 0.1
    assert (watch.changes, watch.count, watch.is_sure) == ((change,), 1, True)


@pytest.mark.parametrize("found", [(A, B, A, B), (A, None, A), (None, None), (ALL, A, ALL)])
def test_without_agreement_it_stays(script: Script, found: tuple[FieldOfView | None]) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)

    assert play(script, watch, *found) == []
    assert watch.view == WHOLE


def test_what_was_dark_once_belongs_to_the_view(script: Script) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)
    play(script, watch, box(40, 10, 120, 94), box(42, 10, 118, 100))

    assert watch.view == View(40, 10, 120, 100)


def test_a_change_must_be_seen_twice(script: Script) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)
    first, second = play(script, watch, A, A, B, A, B, B, A)

    assert (first.view, second.view) == (View(40, 10, 121, 100), View(10, 10, 121, 100))
    assert watch.view == second.view


def test_a_view_that_fills_the_picture_is_the_whole(script: Script) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)
    *_, last = play(script, watch, A, A, ALL, ALL)

    assert last.view == watch.view == WHOLE
    assert watch.is_sure


def test_an_edge_that_moves_by_a_px_is_no_change(script: Script) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)

    assert len(play(script, watch, A, A, box(42, 11, 119, 99), box(42, 11, 119, 99))) == 1


def test_an_edge_that_moves_outwards_by_more_is_a_change(script: Script) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)
    grown = box(41, 10, 126, 100)
    *_, last = play(script, watch, A, A, grown, grown)

    assert last.view == View(40, 10, 127, 100)


def test_a_view_that_is_the_picture_but_for_a_px_is_the_whole(script: Script) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)

    assert play(script, watch, *[box(2, 1, 197, 118)] * 4) == []


def test_a_dark_or_still_scene_changes_nothing(script: Script) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)

    assert len(play(script, watch, A, A, None, None, None, None)) == 1


def test_it_is_the_whole_picture_when_the_margin_moves(script: Script) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)
    play(script, watch, A, A)
    script.lively = True
    (change,) = play(script, watch, None, None)

    assert change.view == watch.view == WHOLE
    assert "lost" in change.reason
    assert not watch.is_sure


def test_known_views_are_looked_at_again_after_a_pause(script: Script) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)
    player = Player(watch)
    script.found = [A, A, A]
    player.until_used_up(script)
    known_s = player.frame / 30
    script.found = [A]
    player.until_used_up(script)

    assert player.frame / 30 - known_s == pytest.approx(PAUSE_S + STRETCH_S, abs=0.1)


def test_it_looks_ten_times_a_second_at_most() -> None:
    watch = ViewWatch(WIDTH, HEIGHT)
    times_s = [frame / 60 for frame in range(90)]
    looked = [time_s for time_s in times_s if _looks(watch, time_s)]

    assert len(looked) == 15


def _looks(watch: ViewWatch, time_s: float) -> bool:
    wanted = watch.wants(time_s)
    watch.look(PICTURE, time_s)
    return wanted


@pytest.mark.parametrize("again", ["forget", "back"])
def test_what_was_seen_of_another_session_does_not_count(script: Script, again: str) -> None:
    watch = ViewWatch(WIDTH, HEIGHT)
    play(script, watch, A)
    if again == "forget":
        watch.forget()
    # Times that go back mean the same.
    play(script, watch, A)
    assert watch.view == WHOLE
    watch.forget()
    play(script, watch, A, A)

    assert watch.view == View(40, 10, 121, 100)


def test_a_file_is_looked_at_ahead(script: Script, make_frame: Callable[..., Frame]) -> None:
    script.found = [A, A]
    read = []

    def items() -> Iterator[object]:
        yield "sound"
        for number in range(3000):
            read.append(number)
            yield make_frame(number, picture=PICTURE)

    watch = look_ahead(items(), WIDTH, HEIGHT)

    assert watch.view == View(40, 10, 121, 100)
    assert len(read) < 3000
    # That is how the run begins, and no change during it.
    assert watch.changes == ()


def test_a_file_without_a_view_is_not_read_to_its_end(
    script: Script, make_frame: Callable[..., Frame]
) -> None:
    script.found = [None] * 100
    read = []
    for_ever = (read.append(n) or make_frame(n, picture=PICTURE) for n in range(100_000))

    assert look_ahead(for_ever, WIDTH, HEIGHT).view == WHOLE
    assert len(read) < 100_000


def test_who_waits_need_not_wait_for_long(script: Script, make_frame: Callable[..., Frame]) -> None:
    script.found = [A, A]
    read = []
    items = (read.append(n) or make_frame(n, picture=PICTURE) for n in range(100_000))

    assert look_ahead(items, WIDTH, HEIGHT, within_s=0).view == WHOLE
    assert len(read) == 1
