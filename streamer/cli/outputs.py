"""What both modes see to before anything is opened."""

import os
import sys
from pathlib import Path

from streamer.cli.options import Options
from streamer.errors import OutputError
from streamer.settings import Settings
from streamer.sinks.base import file_identity
from streamer.sources import resolve_source
from streamer.sources.address import FINITE


def check_outputs(options: Options, source: str, settings: Settings) -> None:
    """See to it that no two outputs are one file, and that none is the source or the checkpoint.

    Raises:
        OutputError: says which.
    """
    taken = {file_identity(Path(os.path.expanduser(options.model))): "the checkpoint"}
    address = resolve_source(source, settings).address
    if address.kind in FINITE:
        taken[file_identity(Path(os.path.expanduser(address.target)))] = "the source"
    for name, path in options.outputs.items():
        other = taken.setdefault(file_identity(path), f"--{name}")
        if other != f"--{name}":
            raise OutputError(f"--{name} {path} is also {other}; choose another file")


def why_no_window() -> str | None:
    """What keeps a window from being shown here; None if nothing is known to."""
    if sys.platform == "win32":
        return "windows are not shown on Windows yet"
    if sys.platform == "linux" and not os.environ.get("DISPLAY"):
        return "there is no screen: DISPLAY is not set"
    return None
