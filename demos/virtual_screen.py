"""X screens without a monitor, and child processes that cannot outlive this one."""

import mmap
import os
import shutil
import signal
import struct
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from streamer.errors import StreamError

#: The shell starts the child and waits for the end of its own input, which comes when whoever holds
#: the other end closes it or ends in any way, also by a crash or by `kill -9`.
_GUARD = '"$@" & exec >&-; read -r line; kill $!; wait $!'
#: A child that does not end so long after it was asked to is killed.
_END_S = 5.0
#: The head of the file in which Xvfb keeps a screen (XWD): numbers of 32 bits, big-endian. Of
#: these, the bytes of the head and of a row, and the number of colours that follow the head.
_HEAD = struct.Struct(">25I")
_HEAD_BYTES, _ROW_BYTES, _COLORS, _COLOR_BYTES = 0, 12, 19, 12


@contextmanager
def bound_process(
    command: Sequence[str], *, environment: Mapping[str, str] | None = None
) -> Iterator["subprocess.Popen[str]"]:
    """A child process for as long as the body runs, and never for longer than this process lives.

    Yields:
        Its guard: what the child prints can be read there; the process id is not the child's.
    """
    process = subprocess.Popen(
        ["sh", "-c", _GUARD, "sh", *command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment,
        # Ctrl-C is for the parent, which then ends its children.
        start_new_session=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.stdin.close()
        try:
            process.wait(_END_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        process.stdout.close()


@dataclass(frozen=True, eq=False)
class VirtualScreen:
    """A screen of Xvfb.

    Attributes:
        display: its name, as DISPLAY takes it.
        path: the file that is the screen's memory.
        pixels: that memory, uint8 (height, width, 4): blue, green, red and one that is not used.
            What is drawn on the screen is here at once, and what is written here is on the screen.
    """

    display: str
    path: Path
    pixels: NDArray[np.uint8]


def map_screen(path: Path) -> NDArray[np.uint8]:
    """The pixels of the screen in a file of Xvfb's, see `VirtualScreen.pixels`."""
    with path.open("r+b") as file:
        memory = mmap.mmap(file.fileno(), 0)
    head = _HEAD.unpack_from(memory)
    begin = head[_HEAD_BYTES] + head[_COLORS] * _COLOR_BYTES
    width_px, height_px, row_bytes = head[4], head[5], head[_ROW_BYTES]
    rows = np.frombuffer(memory, np.uint8, height_px * row_bytes, begin)
    return rows.reshape(height_px, row_bytes // 4, 4)[:, :width_px]


@contextmanager
def virtual_screen(width_px: int, height_px: int) -> Iterator[VirtualScreen]:
    """A screen of its own for as long as the body runs.

    Raises:
        StreamError: Xvfb is missing or does not start.
    """
    server = shutil.which("Xvfb")
    if server is None:
        raise StreamError("Xvfb is needed; on Debian: apt-get install xvfb")
    with tempfile.TemporaryDirectory(prefix="pranet-screen-") as folder:
        command = [server, "-displayfd", "1", "-screen", "0", f"{width_px}x{height_px}x24"]
        # -noreset: without it the server starts anew whenever its last client has gone, also while
        # the next one is coming.
        command += ["-nolisten", "tcp", "-noreset", "-fbdir", folder]
        with bound_process(command) as process:
            assert process.stdout is not None
            number = process.stdout.readline().strip()
            if not number:
                raise StreamError("Xvfb does not start")
            path = Path(folder, "Xvfb_screen0")
            yield VirtualScreen(f":{number}", path, map_screen(path))
