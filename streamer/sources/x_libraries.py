"""Whether this process can capture a screen: PyAV and OpenCV each bring libraries for X.

Both wheels hold a `libxcb-shm` of one and the same file name, and a process loads only the first
of them. OpenCV's talks to the system's `libxcb`, PyAV's to a copy of its own. If OpenCV's was
first, screen capture puts its connection into the hands of the wrong library: it crashes, hangs, or
sends the X server requests that nobody meant. Who imports PyAV first, as this package does, can
capture screens; windows then have to be opened in another process, see `sinks.window_child`.
"""

import re
import sys
from pathlib import Path

from streamer.errors import SourceError

MAPS = Path("/proc/self/maps")
#: The copies in wheels have a hash in their names; a system's own is never mistaken for them.
_LIBRARY = re.compile(r"/([^/\s]+\.libs)/libxcb-shm-[0-9a-f]+\.so\S*$", re.MULTILINE)


def check_screen_capture(name: str, maps: Path = MAPS) -> None:
    """See to it that the X libraries that are loaded belong together.

    Args:
        name: of the source, for the message.
        maps: what is mapped into this process, as Linux tells it.

    Raises:
        SourceError: OpenCV was loaded before PyAV.
    """
    if not sys.platform.startswith("linux"):
        return
    try:
        loaded = set(_LIBRARY.findall(maps.read_text(encoding="utf-8", errors="replace")))
    except OSError:
        return  # not told here
    if loaded and "av.libs" not in loaded:
        raise SourceError(
            f"{name}: screens cannot be captured by a program that imports cv2 before av; "
            "import streamer or av first"
        )
