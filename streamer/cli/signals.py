"""What Ctrl-C and SIGTERM do."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, Protocol

from streamer.cli.console import console

EXIT_INTERRUPTED = 130


class Stoppable(Protocol):
    """A run that can be asked to end."""

    def stop(self) -> None:
        """End soon, and well."""


@contextmanager
def _handling_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Call `handler` on Ctrl-C and on SIGTERM."""
    before: dict[int, Any] = {
        number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def ending_on_signals() -> Iterator[None]:
    """End with a word and the right exit code where nothing is under way yet."""

    def interrupt(signum: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    try:
        with _handling_signals(interrupt):
            yield
    except KeyboardInterrupt:
        console.print("pranet-stream: stopped")
        raise SystemExit(EXIT_INTERRUPTED) from None


@contextmanager
def stopping_on_signals(run: Stoppable) -> Iterator[Callable[[], bool]]:
    """Let a signal end the run between two frames; a second one does not wait for that.

    Yields:
        Tells whether a signal came.
    """
    asked = False

    def stop(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        run.stop()

    with _handling_signals(stop):
        yield lambda: asked
