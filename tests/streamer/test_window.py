"""The window: what is shown and what keys do, without a screen, and for real on a virtual one."""

import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.audio import AudioPacket
from streamer.errors import OutputError
from streamer.frame import Frame
from streamer.rgb import RgbReader
from streamer.sinks import Composed, WindowSink, window, window_child
from streamer.sinks.window import ChildScreen, QtEvents
from streamer.sinks.window_child import (
    EXPOSED,
    HEADER,
    HELP,
    QT,
    CvGui,
    News,
    read_pictures,
    run,
    with_help,
    with_margins,
)

#: Nothing takes so long; what does, hangs.
DEADLINE_S = 120

Bgr = NDArray[np.uint8]

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="there is no window on Windows")


class FakeScreen:
    """Keeps what it is shown."""

    def __init__(self, title: str, full_screen: bool, tell: Callable[[str], None]) -> None:
        self.title, self.full_screen, self.tell = title, full_screen, tell
        self.shown: list[Bgr] = []
        self.error: OutputError | None = None
        self.closed = False

    def show(self, picture: Bgr) -> None:
        if self.error is not None:
            raise self.error
        self.shown.append(picture)

    def close(self) -> None:
        self.closed = True


class Opened:
    """A window sink on a fake screen, and what it was asked for."""

    def __init__(self, *, snapshot: bool = True, full_screen: bool = False) -> None:
        self.wishes: list[str] = []
        self.screen: FakeScreen | None = None

        def open_screen(*arguments: Any) -> FakeScreen:
            self.screen = FakeScreen(*arguments)
            return self.screen

        self.sink = WindowSink(
            stop=lambda: self.wishes.append("stop"),
            snapshot=(lambda: self.wishes.append("snapshot")) if snapshot else None,
            full_screen=full_screen,
            open_screen=open_screen,
        )


@pytest.fixture
def composed(make_frame: Callable[..., Frame], make_picture: Callable[..., Any]) -> Composed:
    """A frame of one tone, to be shown as another one."""
    frame = make_frame(picture=make_picture(codes=(60, 128, 128)))
    return Composed(frame, make_picture(codes=(150, 100, 170)), None, [])


class TestSink:
    def test_shows_the_markers_in_their_colours(self, composed: Composed) -> None:
        opened = Opened()
        opened.sink.write(composed)
        opened.sink.close()
        assert opened.screen is not None
        (shown,) = opened.screen.shown
        rgb = RgbReader().read(composed.picture, composed.frame.color, 64, 48)

        np.testing.assert_array_equal(shown[..., ::-1], rgb)
        assert len(np.unique(rgb[0, 0])) == 3
        assert opened.screen.closed
        assert "not a medical device" in opened.screen.title

    @pytest.mark.parametrize("full_screen", [False, True])
    def test_full_screen_is_passed_on(self, full_screen: bool) -> None:
        screen = Opened(full_screen=full_screen).screen

        assert screen is not None
        assert screen.full_screen is full_screen

    def test_wishes(self, composed: Composed) -> None:
        opened = Opened()
        assert opened.screen is not None
        opened.screen.tell("snapshot")
        opened.sink.write(composed)
        opened.screen.tell("quit")

        assert opened.wishes == ["snapshot", "stop"]

    def test_snapshot_that_nobody_keeps(self) -> None:
        opened = Opened(snapshot=False)
        assert opened.screen is not None
        opened.screen.tell("snapshot")

        assert opened.wishes == []

    def test_after_the_user_has_left(self, composed: Composed) -> None:
        opened = Opened()
        assert opened.screen is not None
        opened.screen.tell("quit")
        opened.screen.error = OutputError("gone")
        opened.sink.write(composed)

        assert opened.screen.shown == []

    def test_screen_that_goes(self, composed: Composed) -> None:
        opened = Opened()
        assert opened.screen is not None
        opened.screen.error = OutputError("window: it has gone")
        with pytest.raises(OutputError, match="it has gone"):
            opened.sink.write(composed)

    def test_sound_is_nothing_to_it(self) -> None:
        packet: AudioPacket = av.Packet(b"sound")  # type: ignore[assignment]
        Opened().sink.write_audio(packet)


class FakeGui:
    """A window without a screen. Keys are pressed one after the other."""

    def __init__(self, keys: str = "") -> None:
        self.calls: list[Any] = []
        self.shown: list[Bgr] = []
        self.left_open = True
        self._keys = [ord(key) for key in keys]
        self._thread = threading.get_ident()

    def _note(self, *call: Any) -> None:
        assert threading.get_ident() == self._thread
        self.calls.append(call)

    def open(self, title: str) -> None:
        self._note("open", title)

    def show(self, picture: Bgr) -> None:
        self._note("show")
        self.shown.append(picture)

    def set_full_screen(self, on: bool) -> None:
        self._note("full screen", on)

    def key(self) -> int:
        assert threading.get_ident() == self._thread
        # The first time is while it opens.
        if not any(call[0] == "show" for call in self.calls):
            return -1
        return self._keys.pop(0) if self._keys else -1

    def is_open(self) -> bool:
        return self.left_open


def grey(level: int) -> Bgr:
    return np.full((120, 160, 3), level, np.uint8)


def play(gui: FakeGui, levels: list[int], *, full_screen: bool = False) -> list[str]:
    """What the process says while pictures come and the stream ends."""
    pictures: queue.Queue[Bgr | None] = queue.Queue()
    for level in levels:
        pictures.put(grey(level))
    pictures.put(None)
    said: list[str] = []
    run(gui, pictures, said.append, title="a window", full_screen=full_screen)
    return said


class TestProcess:
    def test_shows_what_comes_until_the_end(self) -> None:
        gui = FakeGui()

        assert play(gui, [10, 20, 30]) == ["ready", "shown", "shown", "shown"]
        assert gui.calls[0] == ("open", "a window")
        assert [int(picture[0, 0, 0]) for picture in gui.shown] == [10, 20, 30]
        assert not any(call[0] == "full screen" for call in gui.calls)

    @pytest.mark.parametrize("key", ["q", "Q", "\x1b"])
    def test_quit(self, key: str) -> None:
        gui = FakeGui(key)

        assert play(gui, [10, 20, 30]) == ["ready", "shown", "quit"]
        assert len(gui.shown) == 1

    def test_closing_the_window_is_quitting(self) -> None:
        gui = FakeGui()
        gui.left_open = False

        assert play(gui, [10, 20]) == ["ready", "shown", "quit"]

    def test_snapshot(self) -> None:
        assert play(FakeGui("sS"), [10, 20, 30]) == [
            *("ready", "shown", "snapshot", "shown", "snapshot", "shown")
        ]

    def test_full_screen_and_back(self) -> None:
        gui = FakeGui("ff")
        play(gui, [10, 20, 30])
        assert [call[1] for call in gui.calls if call[0] == "full screen"] == [True, False]
        gui = FakeGui("f")
        play(gui, [10, 20, 30], full_screen=True)
        assert [call[1] for call in gui.calls if call[0] == "full screen"] == [True, False]

    @pytest.mark.parametrize("key", ["h", "?"])
    def test_help_and_back(self, key: str) -> None:
        gui = FakeGui(key + " " + key)
        pictures = [10, 20, 30, 40]
        play(gui, pictures)
        plain = [bool((picture == picture[0, 0]).all()) for picture in gui.shown]

        # The picture is shown again when the help comes and when it goes.
        assert plain == [True, False, False, False, True, True]

    def test_other_keys_do_nothing(self) -> None:
        assert play(FakeGui("xyz\n\r0"), [10] * 7) == ["ready", *["shown"] * 7]

    def test_keys_are_heard_while_no_picture_comes(self) -> None:
        gui = FakeGui("s" + "q")
        pictures: queue.Queue[Bgr | None] = queue.Queue()
        pictures.put(grey(5))
        said: list[str] = []
        run(gui, pictures, said.append, title="", full_screen=False)

        assert said == ["ready", "shown", "snapshot", "quit"]

    @pytest.mark.parametrize("size", [(1080, 1920), (240, 352), (48, 64)])
    def test_help_is_drawn_on_a_copy(self, size: tuple[int, int]) -> None:
        picture = np.full((*size, 3), 200, np.uint8)
        helped = with_help(picture)

        assert (picture == 200).all()
        assert helped.shape == picture.shape
        assert (helped[: size[0] // 4] == 200).all() or size[0] < 200
        assert (helped[-1, :2] == 50).all()
        assert any("not a medical device" in text for line in HELP for text in line)

    @pytest.mark.parametrize(
        ("window", "shape"),
        [
            ((160, 90), (90, 160, 3)),
            ((160, 120), (120, 160, 3)),
            ((1920, 960), (90, 180, 3)),
            ((0, 0), (90, 160, 3)),
            ((-1, -1), (90, 160, 3)),
        ],
    )
    def test_margins_are_black_and_even(
        self, window: tuple[int, int], shape: tuple[int, int, int]
    ) -> None:
        picture = np.full((90, 160, 3), 200, np.uint8)

        shown = with_margins(picture, *window)

        top, left = (shape[0] - 90) // 2, (shape[1] - 160) // 2
        assert shown.shape == shape
        assert (shown[top : top + 90, left : left + 160] == 200).all()
        assert shown.sum() == picture.sum()

    @pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no memfd")
    def test_pictures_come_through_shared_memory(self) -> None:
        shared = os.memfd_create("test")
        sizes = [(4, 6), (4, 6), (40, 60), (2, 3)]
        os.ftruncate(shared, 40 * 60 * 3)
        rng = np.random.default_rng(0)
        content = rng.integers(0, 256, 40 * 60 * 3, np.uint8)
        os.pwrite(shared, content.tobytes(), 0)
        announced = HEADER.pack(0, QT) + b"".join(HEADER.pack(*size) for size in sizes)
        news = News()
        pictures: queue.Queue[Any] = queue.Queue()
        read_pictures(BytesIO(announced + b"\x01"), shared, pictures, news)
        got = [pictures.get_nowait() for _ in range(len(sizes) + 1)]
        os.close(shared)

        assert news.qt.is_set()
        assert not news.exposed.is_set()
        assert got.pop() is None
        for picture, size in zip(got, sizes, strict=True):
            np.testing.assert_array_equal(
                picture.ravel(), content[: size[0] * size[1] * 3], strict=True
            )
            assert picture.shape == (*size, 3)


#: Stands in for the window's process; what it is shown is in the file that the title names.
STAND_IN = """
import sys
sys.path.insert(0, {folder!r})
from window_child import HEADER
import os
print("a library says something", flush=True)
{before}
print("@ready", flush=True)
while header := sys.stdin.buffer.read(HEADER.size):
    height, width = HEADER.unpack(header)
    with open(sys.argv[1], "ab") as file:
        file.write(os.pread(int(sys.argv[3]), height * width * 3, 0))
    {after}
    print("@shown", flush=True)
"""


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    """Puts another program in the place of the window's process."""

    def place(before: str = "pass", after: str = "pass") -> None:
        path = tmp_path / "stand_in.py"
        folder = str(Path(window.__file__).parent)
        path.write_text(STAND_IN.format(folder=folder, before=before, after=after))
        monkeypatch.setattr(window, "_CHILD", path)

    return place


class FakeCv:
    """The part of OpenCV that `CvGui` uses."""

    WINDOW_NORMAL = WINDOW_FREERATIO = WINDOW_GUI_NORMAL = WINDOW_FULLSCREEN = 1
    WND_PROP_FULLSCREEN = WND_PROP_VISIBLE = 4
    BORDER_CONSTANT = 0
    error = cv2.error

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.shown: list[Bgr] = []
        #: What fails from now on.
        self.broken: set[str] = set()
        self.visible = 1.0
        self.size = (64, 32)
        #: Told how often a window was opened.
        self.on_open: Callable[[int], None] = lambda count: None

    def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.broken:
            raise cv2.error("NULL guiReceiver")

    def namedWindow(self, title: str, flags: int) -> None:  # noqa: N802
        self._called("open")
        self.on_open(self.calls.count("open"))

    def destroyWindow(self, title: str) -> None:  # noqa: N802
        self._called("destroy")

    def resizeWindow(self, title: str, width: int, height: int) -> None:  # noqa: N802
        self._called("resize")

    def setWindowProperty(self, title: str, key: int, value: float) -> None:  # noqa: N802
        self._called("property")

    def getWindowProperty(self, title: str, key: int) -> float:  # noqa: N802
        self._called("visible")
        return self.visible

    def getWindowImageRect(self, title: str) -> tuple[int, int, int, int]:  # noqa: N802
        return 0, 0, *self.size

    def imshow(self, title: str, picture: Bgr) -> None:
        self.shown.append(picture)

    def waitKey(self, delay_ms: int) -> int:  # noqa: N802
        self._called("key")
        return -1

    copyMakeBorder = staticmethod(cv2.copyMakeBorder)  # noqa: N815


class TestCvGui:
    @pytest.fixture
    def fake(self, monkeypatch: pytest.MonkeyPatch) -> FakeCv:
        made = FakeCv()
        monkeypatch.setattr(window_child, "cv2", made)
        return made

    @pytest.fixture
    def gui(self, fake: FakeCv) -> CvGui:
        gui = CvGui()
        gui.open("title")
        return gui

    @pytest.mark.parametrize("broken", ["key", "visible"])
    def test_closing_the_only_window_is_no_error(
        self, gui: CvGui, fake: FakeCv, broken: str
    ) -> None:
        assert gui.is_open()
        fake.broken = {broken}

        assert gui.key() == -1
        assert not gui.is_open()

    def test_full_screen_keeps_its_size(self, gui: CvGui, fake: FakeCv) -> None:
        gui.set_full_screen(True)
        gui.show(grey(5))
        assert "resize" not in fake.calls

        gui.set_full_screen(False)
        gui.show(grey(5))
        gui.show(grey(5))
        assert fake.calls.count("resize") == 1

    def test_a_window_that_stays_empty_is_opened_anew(
        self, fake: FakeCv, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(window_child, "MAP_S", 0.01)
        news = News()
        news.qt.set()

        def on_open(count: int) -> None:
            if count == 3:
                news.exposed.set()
                # Now it may take its time to look.
                monkeypatch.setattr(window_child, "MAP_S", DEADLINE_S)

        fake.on_open = on_open
        CvGui(news).open("title")

        assert [call for call in fake.calls if call != "key"] == [
            *("open", "destroy") * 2,
            "open",
        ]

    def test_a_window_that_always_stays_empty_is_not_opened_for_ever(
        self, fake: FakeCv, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(window_child, "MAP_S", 0.01)
        news = News()
        news.qt.set()
        CvGui(news).open("title")

        assert fake.calls.count("open") == window_child.OPENINGS
        assert fake.calls.count("destroy") == window_child.OPENINGS - 1

    def test_where_nothing_is_heard_one_window_is_enough(
        self, fake: FakeCv, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(window_child, "MAP_S", 0.01)
        CvGui(News()).open("title")

        assert fake.calls.count("open") == 1

    def test_what_qt_says_tells_whether_the_window_is_on_the_screen(self) -> None:
        told: list[int] = []
        events = QtEvents(told.append)

        events.take("qt.qpa.screen: adding")
        assert told == [QT]
        for name in ("UNMAP_NOTIFY(18)", "EXPOSE(12)", "MAP_NOTIFY(19)"):
            events.take(f"qt.qpa.events: Event | XCB_{name} | sequence: 5")
        assert told == [QT]

        events.take("qt.qpa.events: Event | XCB_EXPOSE(12) | sequence: 5")
        assert told == [QT, EXPOSED]

    def test_the_margins_are_ours(self, gui: CvGui, fake: FakeCv) -> None:
        gui.show(np.full((32, 32, 3), 9, np.uint8))

        assert fake.shown[0].shape == (32, 64, 3)


class TestScreen:
    def test_every_picture_arrives_whole(
        self, stand_in: Callable[..., None], tmp_path: Path
    ) -> None:
        stand_in()
        rng = np.random.default_rng(0)
        pictures = [
            rng.integers(0, 256, (h, w, 3), np.uint8) for h, w in ((4, 5), (30, 40), (2, 2))
        ]
        screen = ChildScreen(str(tmp_path / "shown"), False, lambda wish: None)
        for picture in pictures:
            screen.show(picture)
        # Views of other pictures too.
        screen.show(pictures[1][::2, ::-1])
        screen.close()
        screen.close()
        expected = [*pictures, pictures[1][::2, ::-1]]

        assert (tmp_path / "shown").read_bytes() == b"".join(p.tobytes() for p in expected)

    def test_wishes_come_also_while_nothing_is_shown(
        self, stand_in: Callable[..., None], tmp_path: Path
    ) -> None:
        stand_in(before="print('@snapshot'); print('@quit')")
        heard: queue.Queue[str] = queue.Queue()
        screen = ChildScreen(str(tmp_path / "shown"), False, heard.put)

        assert [heard.get(timeout=DEADLINE_S) for _ in range(2)] == ["snapshot", "quit"]
        screen.close()

    def test_process_that_ends_at_once(self, stand_in: Callable[..., None], tmp_path: Path) -> None:
        stand_in(before="sys.exit('cannot open display :7')")
        with pytest.raises(OutputError, match="window: cannot be opened"):
            ChildScreen(str(tmp_path / "shown"), False, lambda wish: None)

    def test_opencv_without_windows(self, stand_in: Callable[..., None], tmp_path: Path) -> None:
        stand_in(before="sys.exit('cv2.error: (-2) The function is not implemented. Rebuild')")
        with pytest.raises(OutputError, match="install opencv-python, not the headless one"):
            ChildScreen(str(tmp_path / "shown"), False, lambda wish: None)

    def test_process_that_goes(self, stand_in: Callable[..., None], tmp_path: Path) -> None:
        stand_in(after="os._exit(1)")
        screen = ChildScreen(str(tmp_path / "shown"), False, lambda wish: None)
        # It was taken before the end.
        screen.show(grey(1))
        for level in (2, 3):
            with pytest.raises(OutputError, match="it has gone"):
                screen.show(grey(level))
        screen.close()

    def test_process_that_hangs(
        self, stand_in: Callable[..., None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stand_in(after="import time; time.sleep(1000)")
        screen = ChildScreen(str(tmp_path / "shown"), False, lambda wish: None)
        monkeypatch.setattr(window, "STALL_S", 0.1)
        screen.show(grey(1))
        with pytest.raises(OutputError, match="does not answer"):
            screen.show(grey(2))
        screen.close()

    @pytest.mark.skipif(sys.platform != "linux", reason="elsewhere there is always a screen")
    @pytest.mark.parametrize(
        ("display", "reason"), [(None, "DISPLAY is not set"), (":4711", "display :4711")]
    )
    def test_no_screen(
        self, display: str | None, reason: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The real process, which Qt aborts."""
        monkeypatch.delenv("DISPLAY", raising=False)
        if display is not None:
            monkeypatch.setenv("DISPLAY", display)
        with pytest.raises(OutputError, match=f"window: cannot be opened .*{reason}"):
            WindowSink(stop=lambda: None)


@pytest.fixture
def virtual_screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An X server without a screen of 640x480 px."""
    program = shutil.which("Xvfb")
    if program is None:
        pytest.skip("Xvfb is not on the PATH")
    process = subprocess.Popen(
        [program, "-displayfd", "1", "-screen", "0", "640x480x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert process.stdout is not None
        display = f":{process.stdout.readline().decode().strip()}"
        monkeypatch.setenv("DISPLAY", display)
        yield display
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def grab(display: str) -> Bgr:
    with av.open(display, format="x11grab", options={"video_size": "640x480"}) as container:
        picture = next(container.decode(video=0))
    return np.asarray(picture.to_ndarray(format="bgr24"), np.uint8)


def wait_for_tone(display: str, tone: NDArray[np.uint8]) -> None:
    """Until most of the screen has a tone."""
    deadline_s = time.monotonic() + DEADLINE_S
    while True:
        away = np.abs(grab(display).astype(int) - tone).max(axis=2)
        if np.mean(away <= 2) > 0.5:
            return
        assert time.monotonic() < deadline_s, "it never gets onto the screen"


def test_on_a_virtual_screen(
    virtual_screen: str, make_frame: Callable[..., Frame], make_picture: Callable[..., Any]
) -> None:
    """PyAV is loaded in this process, as always; a window of this very process would hang."""
    stopped = threading.Event()
    sink = WindowSink(stop=stopped.set)
    for codes in ((150, 100, 170), (90, 160, 110)):
        picture = make_picture(width=640, height=480, codes=codes)
        frame = make_frame(picture=picture)
        sink.write(Composed(frame, picture, None, []))
        wait_for_tone(virtual_screen, RgbReader().read(picture, frame.color, 1, 1)[0, 0, ::-1])
    sink.close()

    assert not stopped.is_set()


def test_screen_that_goes_away(
    virtual_screen: str, composed: Composed, make_frame: Callable[..., Frame]
) -> None:
    """For Qt that is a reason to abort; here it ends this output and nothing else."""
    sink = WindowSink(stop=lambda: None)
    screen: Any = sink._screen
    sink.write(composed)
    screen._process.kill()
    screen._listener.join(DEADLINE_S)
    with pytest.raises(OutputError, match="window: it has gone"):
        sink.write(composed)
    sink.close()
