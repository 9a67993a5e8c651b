"""The command itself: options in, the right mode, exit codes out."""

import inspect
import logging
import sys
from typing import Any

import cv2
import typer
from rich.logging import RichHandler

from pranet.errors import PranetError
from streamer.cli import file_mode
from streamer.cli.console import console
from streamer.cli.options import Options
from streamer.cli.signals import EXIT_INTERRUPTED, ending_on_signals

EXIT_BAD_INPUT = 2


def stream(**values: Any) -> None:
    """Find polyps in a colonoscopy video and draw their boundaries on the picture.

    Research use only: this is not a medical device.
    """
    options = Options(**values)
    with ending_on_signals():
        interrupted = file_mode.run(options)
    if interrupted:
        raise SystemExit(EXIT_INTERRUPTED)


def _app() -> typer.Typer:
    # Typer reads the options off the signature, which is that of the dataclass.
    signature = inspect.signature(Options)
    stream.__signature__ = signature  # type: ignore[attr-defined]
    stream.__annotations__ = {
        name: parameter.annotation for name, parameter in signature.parameters.items()
    }
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(stream)
    return app


def main() -> None:
    """Entry point of the console script."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=console, show_time=False, show_path=False)],
    )
    # The stages run side by side already; threads inside OpenCV would only fight them.
    cv2.setNumThreads(1)
    try:
        _app()()
    except PranetError as error:
        console.print(f"pranet-stream: {error}")
        sys.exit(EXIT_BAD_INPUT)
