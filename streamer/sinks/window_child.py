"""The process that owns the window: it shows what is in shared memory and tells what the user does.

It runs as a file and imports nothing of this package. PyAV brings an X library of its own, and
when that one is loaded before OpenCV, OpenCV's windows hang for ever. A process of its own also
keeps the rest alive if the screen goes away, which for Qt is a reason to abort.
"""

import mmap
import queue
import signal
import struct
import sys
import threading
from collections.abc import Callable
from time import monotonic
from typing import Any, BinaryIO, Protocol

import cv2
import numpy as np

#: On stdin for each picture that is in the shared memory: its height and width in px.
HEADER = struct.Struct("<II")
#: Lines on stdout that begin so are meant for the parent; libraries may print others.
MARK = "@"
_VISIBLE = cv2.WND_PROP_VISIBLE
#: A window that is not on the screen by then will stay empty; so often another one is opened.
MAP_S = 2.0
OPENINGS = 5
#: In the place of height and width, no height: these are windows of Qt's, and the window that was
#: opened last is on the screen, has to be drawn, and Qt knows both.
QT, EXPOSED = 1, 2

#: How long keys may wait while no picture comes.
IDLE_S = 0.02
#: A first window is not larger than this.
FIRST_WIDTH_PX = 1280

#: Keys and what they do; the last line is about neither.
HELP = (
    ("q, Esc", "end the run"),
    ("s", "keep this picture (needs --snapshot)"),
    ("f", "full screen"),
    ("h, ?", "this help"),
    ("Research use only, not a medical device", ""),
)


class Gui(Protocol):
    """The few functions of a window system that are needed; all are called from one thread."""

    def open(self, title: str) -> None: ...

    def show(self, picture: Any) -> None: ...

    def set_full_screen(self, on: bool) -> None: ...

    def key(self) -> int:
        """Let the window system work for a moment, and give a key that was pressed, or -1."""

    def is_open(self) -> bool:
        """Whether the user has left the window open."""


class News:
    """What Qt has heard from the X server, as the parent reads it from Qt's own messages.

    On a busy machine Qt now and then misses the first news of its window, and among them that the
    window is on the screen. It then never draws into it, and the window stays black for ever.
    """

    def __init__(self) -> None:
        self.qt = threading.Event()
        self.exposed = threading.Event()

    def take(self, number: int) -> None:
        """One of `QT` and `EXPOSED` has come."""
        (self.exposed if number == EXPOSED else self.qt).set()


class CvGui:
    """OpenCV's.

    Args:
        news: None where none can come.
    """

    def __init__(self, news: News | None = None) -> None:
        self._news = news

    def open(self, title: str) -> None:
        self._title = title
        # Full screen has a size of its own; another one would end it.
        self._full = False
        self._sized = False
        self._closed = False
        # GUI_NORMAL: without OpenCV's own buttons, which move and enlarge parts of the picture.
        # FREERATIO: OpenCV's margins are as bright as a desktop; `with_margins` makes dark ones.
        flags = cv2.WINDOW_NORMAL | cv2.WINDOW_FREERATIO | cv2.WINDOW_GUI_NORMAL
        cv2.namedWindow(title, flags)
        for _ in range(1, OPENINGS):
            if self._news is None or self._is_on_screen(self._news):
                break
            cv2.destroyWindow(title)
            self._news.exposed.clear()
            cv2.namedWindow(title, flags)

    def _is_on_screen(self, news: News) -> bool:
        """Whether pictures will be seen; true also where nothing is heard that would tell."""
        given_up_s = monotonic() + MAP_S
        while monotonic() < given_up_s:
            self.key()
            if news.exposed.is_set():
                return True
        return not news.qt.is_set()

    def show(self, picture: Any) -> None:
        if not self._sized and not self._full:
            self._sized = True
            height, width = picture.shape[:2]
            scale = min(1.0, FIRST_WIDTH_PX / width)
            cv2.resizeWindow(self._title, round(width * scale), round(height * scale))
        _, _, width, height = cv2.getWindowImageRect(self._title)
        cv2.imshow(self._title, with_margins(picture, width, height))

    def set_full_screen(self, on: bool) -> None:
        self._full = on
        value = cv2.WINDOW_FULLSCREEN if on else cv2.WINDOW_NORMAL
        cv2.setWindowProperty(self._title, cv2.WND_PROP_FULLSCREEN, value)

    def key(self) -> int:
        try:
            return cv2.waitKey(1)
        except cv2.error:
            # When its only window is closed, OpenCV does away with all of its window system.
            self._closed = True
            return -1

    def is_open(self) -> bool:
        try:
            return not self._closed and cv2.getWindowProperty(self._title, _VISIBLE) > 0
        except cv2.error:
            return False


def run(
    gui: Gui,
    pictures: "queue.Queue[Any]",
    say: Callable[[str], None],
    *,
    title: str,
    full_screen: bool,
) -> None:
    """Show what comes until None comes or the user has had enough.

    Args:
        gui: used from this thread only.
        pictures: BGR uint8 (height, width, 3).
        say: told ``ready``, ``shown`` after each picture, ``snapshot`` and ``quit``.
    """
    gui.open(title)
    if full_screen:
        gui.set_full_screen(True)
    gui.key()
    say("ready")
    newest, helping = None, False
    while True:
        try:
            picture = pictures.get(timeout=IDLE_S)
        except queue.Empty:
            fresh = False
        else:
            if picture is None:
                return
            newest, fresh = picture, True
            gui.show(with_help(newest) if helping else newest)
        key = gui.key()
        if fresh:
            say("shown")
        letter = chr(key & 0xFF).lower() if key >= 0 else ""
        if letter in ("q", "\x1b") or not gui.is_open():
            say("quit")
            return
        if letter == "s":
            say("snapshot")
        elif letter == "f":
            full_screen = not full_screen
            gui.set_full_screen(full_screen)
        elif letter in ("h", "?"):
            helping = not helping
            if newest is not None:
                gui.show(with_help(newest) if helping else newest)


def with_help(picture: Any) -> Any:
    """A copy of a picture with the keys listed on a dark plate in its lower left corner."""
    picture = picture.copy()
    height = picture.shape[0]
    scale = max(height / 1100, 0.35)
    line_px = round(34 * scale)
    top = max(0, height - line_px * len(HELP) - line_px)
    picture[top:, : round(700 * scale)] //= 4
    # The letters of a window system differ in width, so each column has a place of its own.
    columns_px = (line_px // 2, round(150 * scale))
    for number, line in enumerate(HELP, 1):
        for left, text in zip(columns_px, line, strict=True):
            place = (left, top + number * line_px)
            cv2.putText(
                picture, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, (255,) * 3, 1, cv2.LINE_AA
            )
    return picture


def with_margins(picture: Any, width: int, height: int) -> Any:
    """A picture with black margins where it needs them to have the proportions of a window.

    Args:
        width, height: of the window, in any unit; not positive where they are not known.
    """
    if width <= 0 or height <= 0:
        return picture
    rows, columns = picture.shape[:2]
    across = max(0, round(rows * width / height) - columns)
    down = max(0, round(columns * height / width) - rows)
    if not across and not down:
        return picture
    top, left = down // 2, across // 2
    return cv2.copyMakeBorder(
        picture, top, down - top, left, across - left, cv2.BORDER_CONSTANT, value=(0, 0, 0)
    )


def read_pictures(stream: BinaryIO, shared: int, pictures: "queue.Queue[Any]", news: News) -> None:
    """Put pictures into a queue as they are announced, and None at the end of the stream.

    Args:
        stream: of headers.
        shared: descriptor of the shared memory: BGR, 8 bits each, row by row.
        news: told of what comes between them.
    """
    mapped = None
    while len(header := stream.read(HEADER.size)) == HEADER.size:
        height, width = HEADER.unpack(header)
        if not height:
            news.take(width)
            continue
        shape = (height, width, 3)
        if mapped is None or len(mapped) < np.prod(shape):
            mapped = mmap.mmap(shared, int(np.prod(shape)), access=mmap.ACCESS_READ)
        pictures.put(np.frombuffer(mapped, np.uint8, int(np.prod(shape))).reshape(shape))
    pictures.put(None)


def main() -> None:
    """Arguments: the window's title, ``full`` or ``window``, descriptor of the shared memory."""
    # Ctrl-C in a terminal reaches this process too, but the parent decides on the end.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    title, kind, shared = sys.argv[1:]
    pictures: queue.Queue[Any] = queue.Queue()
    news = News()
    arguments = (sys.stdin.buffer, int(shared), pictures, news)
    threading.Thread(target=read_pictures, args=arguments, daemon=True).start()
    run(
        CvGui(news if sys.platform.startswith("linux") else None),
        pictures,
        lambda word: print(MARK + word, flush=True),
        title=title,
        full_screen=kind == "full",
    )


if __name__ == "__main__":
    main()
