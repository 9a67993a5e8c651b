"""Messages on the terminal, and as JSON lines where the user asks for it."""

import json
import logging
from datetime import UTC, datetime
from pathlib import Path

from streamer.cli.console import console
from streamer.sinks.base import prepare_path, reporting_errors


def log_to_terminal() -> None:
    """Messages as plain lines, each one whole: they may be searched by other programs."""
    logging.basicConfig(handlers=[_Terminal()])
    logging.getLogger("streamer").setLevel(logging.INFO)


class _Terminal(logging.Handler):
    """Prints by way of the console, which keeps a progress bar at the bottom."""

    def emit(self, record: logging.LogRecord) -> None:
        kind = "state" if hasattr(record, "state") else record.levelname.lower()
        console.print(f"{kind:7} {record.getMessage()}")


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        state = getattr(record, "state", None)
        if state is not None:
            entry["state"] = state
        return json.dumps(entry)


def log_to_file(path: Path) -> logging.Handler:
    """Messages also as JSON lines, appended to a file; to be closed by `stop_logging_to`.

    Raises:
        OutputError: it cannot be written.
    """
    prepare_path(path)
    with reporting_errors(path):
        handler = logging.FileHandler(path, encoding="utf-8")
    handler.setFormatter(_JsonLines())
    logging.getLogger().addHandler(handler)
    return handler


def stop_logging_to(handler: logging.Handler) -> None:
    """Take the handler out and close its file."""
    logging.getLogger().removeHandler(handler)
    handler.close()
