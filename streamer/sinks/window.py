"""A window on this machine's screen."""

import mmap
import os
import subprocess
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from streamer.audio import AudioPacket
from streamer.errors import OutputError
from streamer.sinks.base import Composed
from streamer.sinks.snapshot import BgrReader
from streamer.sinks.window_child import EXPOSED, HEADER, MARK, QT

TITLE = "pranet-stream (research use only, not a medical device)"
#: A window that is not there by then will not come; a busy machine takes long to load OpenCV.
START_S = 60.0
#: A window that takes no picture, or does not close, for so long is given up.
STALL_S = 5.0
_GONE = "window: it has gone; is the screen still there?"
_CHILD = Path(__file__).with_name("window_child.py")


#: Messages that Qt is to give: about the screen, which always come, and what the X server says.
_QT_RULES = "qt.qpa.screen=true;qt.qpa.events=true"
_QT_MESSAGES = ("qt.qpa.screen:", "qt.qpa.events:")


class Screen(Protocol):
    """Shows pictures."""

    def show(self, picture: NDArray[np.uint8]) -> None:
        """Show one, BGR (height, width, 3).

        Raises:
            OutputError: it cannot.
        """

    def close(self) -> None:
        """Take the window away; may be called twice."""


#: From title, full screen or not, and what is to be told the user's wishes, to an open window.
OpenScreen = Callable[[str, bool, Callable[[str], None]], Screen]


class WindowSink:
    """Shows the pictures with the markers, in their own colours.

    Keys: q, Esc or closing the window end the run, s keeps a picture, f full screen, h or ? help.

    Args:
        stop: called once or more, from another thread, when the user wants the run to end.
        snapshot: called, from another thread, when a picture is to be kept.
        full_screen: at first.
        open_screen: opens the window.

    Raises:
        OutputError: no window can be opened here.
    """

    def __init__(
        self,
        *,
        stop: Callable[[], None],
        snapshot: Callable[[], None] | None = None,
        full_screen: bool = False,
        open_screen: OpenScreen | None = None,
    ) -> None:
        self._stop, self._snapshot = stop, snapshot
        self._reader = BgrReader()
        self._left = False
        self._screen = (open_screen or ChildScreen)(TITLE, full_screen, self._obey)

    def _obey(self, wish: str) -> None:
        if wish == "quit":
            self._left = True
            self._stop()
        elif wish == "snapshot" and self._snapshot is not None:
            self._snapshot()

    def write(self, composed: Composed) -> None:
        """See `Sink.write`; what comes after the user has left is not shown."""
        picture = self._reader.read(composed.picture, composed.frame.color)
        try:
            if not self._left:
                self._screen.show(picture)
        except OutputError:
            # It went while the picture was on its way.
            if not self._left:
                raise

    def write_audio(self, packet: AudioPacket) -> None:
        """Not for this sink."""

    def close(self) -> None:
        """See `Sink.close`."""
        self._screen.close()


class ChildScreen:
    """An OpenCV window in a process of its own (`window_child` says why).

    Args:
        title: of the window.
        full_screen: at first.
        tell: called from a thread of its own with ``snapshot`` and ``quit``.

    Raises:
        OutputError: there is no screen, or OpenCV has no windows.
    """

    def __init__(self, title: str, full_screen: bool, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._said: deque[str] = deque(maxlen=20)
        self._ready, self._free = threading.Event(), threading.Event()
        self._gone = False
        if sys.platform == "win32":
            raise OutputError("window: not on Windows yet; a preview shows it in a browser")
        self._memory = _anonymous_file()
        self._mapped: mmap.mmap | None = None
        # -P: the modules beside the file must not stand in for others of the same name.
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", str(_CHILD), title),
                *("full" if full_screen else "window", str(self._memory)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            env=os.environ | {"QT_LOGGING_RULES": _qt_rules()},
            pass_fds=(self._memory,),
        )
        self._listener = threading.Thread(target=self._listen, name="window", daemon=True)
        self._listener.start()
        if not self._ready.wait(START_S) or self._gone:
            self.close()
            raise OutputError(f"window: cannot be opened ({self._reason()})")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        events = QtEvents(self._tell_child)
        with self._process.stdout as lines:
            for line in lines:
                text = line.decode(errors="replace").strip()
                word = text.removeprefix(MARK)
                if text.startswith(_QT_MESSAGES):
                    events.take(text)
                elif word == text:
                    self._said.append(text)
                elif word == "ready":
                    self._free.set()
                    self._ready.set()
                elif word == "shown":
                    self._free.set()
                else:
                    self._tell(word)
        self._gone = True
        self._free.set()
        self._ready.set()

    def _tell_child(self, number: int) -> None:
        assert self._process.stdin is not None
        # It may have ended, or been told to.
        with suppress(OSError, ValueError):
            self._process.stdin.write(HEADER.pack(0, number))

    def _reason(self) -> str:
        said = " ".join(self._said)
        if "not implemented" in said:
            return "OpenCV here has no windows; install opencv-python, not the headless one"
        if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
            return "there is no screen: DISPLAY is not set"
        hints = (line for line in self._said if "display" in line)
        return next(hints, self._said[-1] if self._said else "no answer")

    def show(self, picture: NDArray[np.uint8]) -> None:
        """See `Screen.show`; waits until the picture before it is on the screen."""
        if not self._free.wait(STALL_S):
            raise OutputError("window: it does not answer any more")
        if self._gone:
            raise OutputError(_GONE)
        self._free.clear()
        if self._mapped is None or len(self._mapped) < picture.nbytes:
            os.ftruncate(self._memory, picture.nbytes)
            self._mapped = mmap.mmap(self._memory, picture.nbytes)
        np.copyto(
            np.frombuffer(self._mapped, np.uint8, picture.size).reshape(picture.shape), picture
        )
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(HEADER.pack(*picture.shape[:2]))
        except OSError as error:
            raise OutputError(_GONE) from error

    def close(self) -> None:
        """See `Screen.close`."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(STALL_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._listener.join()
        if self._memory >= 0:
            os.close(self._memory)
            self._memory = -1


class QtEvents:
    """Finds out from Qt's messages whether its window is on the screen; `News` says why.

    Args:
        tell: given `QT` at the first message, and `EXPOSED` when the window is to be drawn.
    """

    def __init__(self, tell: Callable[[int], None]) -> None:
        self._tell = tell
        self._any = self._mapped = False

    def take(self, message: str) -> None:
        """One line that Qt has written."""
        if not self._any:
            self._any = True
            self._tell(QT)
        if "XCB_MAP_NOTIFY" in message:
            self._mapped = True
        elif "XCB_UNMAP_NOTIFY" in message:
            self._mapped = False
        elif "XCB_EXPOSE" in message and self._mapped:
            self._tell(EXPOSED)


def _qt_rules() -> str:
    """What Qt is to write about, after what the user has asked for."""
    return ";".join(filter(None, (os.environ.get("QT_LOGGING_RULES"), _QT_RULES)))


def _anonymous_file() -> int:
    """Descriptor of memory that another process can map; no picture gets onto a disk by it."""
    if sys.platform == "linux":
        return os.memfd_create("picture")
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
