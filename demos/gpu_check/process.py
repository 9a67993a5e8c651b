"""A part of the check in a process of its own: a crash or a hang loses that part and no other."""

import os
import queue
import signal
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final

from demos.gpu_check.handing import PIPE_VARIABLE, Message, Take, parse

#: How long a process may take to end when it has handed over everything, and one that was killed.
#: A driver may hold a process for good: it is left then.
EXIT_S: Final = 10.0
KILLED_S: Final = 5.0


class Child:
    """A process under way, with all that it starts itself.

    Args:
        command: what to run.
        environment: variables on top of those of this process.
    """

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> None:
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                text=True,
                pass_fds=(writing,),
                env={**os.environ, **(environment or {}), PIPE_VARIABLE: str(writing)},
                # A group of its own, so that compilers that it starts are killed along with it.
                start_new_session=True,
            )
        except BaseException:
            os.close(reading)
            raise
        finally:
            os.close(writing)
        self._messages: queue.Queue[Message | None] = queue.Queue()
        threading.Thread(target=self._read, args=(reading,), daemon=True).start()

    def _read(self, pipe: int) -> None:
        with open(pipe, encoding="utf-8") as lines:
            for line in lines:
                message = parse(line)
                if message is not None:
                    self._messages.put(message)
        self._messages.put(None)

    def tell(self, line: str) -> None:
        """Send it a line; one that is gone gets none."""
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def next(self, patience_s: float) -> Message | None:
        """What it hands over next; None when nothing more will come.

        Raises:
            TimeoutError: nothing came in time.
        """
        try:
            message = self._messages.get(timeout=max(0.0, patience_s))
        except queue.Empty:
            raise TimeoutError from None
        if message is None:
            self._messages.put(None)
        return message

    def end(self, patience_s: float = 0.0) -> int | None:
        """Kill what is left of it; may be called twice.

        Args:
            patience_s: for it to end by itself.

        Returns:
            Its exit code; None if it did not end by itself.
        """
        code: int | None = None
        with suppress(subprocess.TimeoutExpired):
            code = self._process.wait(patience_s)
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(KILLED_S)
        return code


def collect(child: Child, left_s: Callable[[], float], take: Take) -> str | None:
    """Take what a process hands over until it ends or its time is up.

    Args:
        left_s: the time that it still has.

    Returns:
        How it failed; None if it came to a good end.
    """
    try:
        while (message := child.next(left_s())) is not None:
            take(*message)
        return how_it_ended(child.end(EXIT_S))
    except TimeoutError:
        return "killed: its time was up"
    finally:
        child.end()


def how_it_ended(code: int | None) -> str | None:
    """An exit code in words; None for a good end."""
    if code == 0:
        return None
    if code is None:
        return "killed: it handed over everything and did not end"
    if code < 0:
        return f"crashed: exit code {code} ({_signal_name(-code)})"
    return f"crashed: exit code {code}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
