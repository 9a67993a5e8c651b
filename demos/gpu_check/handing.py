"""How a process of the check hands over what it found, piece by piece: one line of JSON each.

The lines go through a pipe of their own. What libraries print does not get between them, and
processes that are started further on do not hold the pipe open when this one is gone.
"""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

#: Where the child finds the pipe's number; without it, lines go to stdout, for whoever looks.
PIPE_VARIABLE = "GPU_CHECK_PIPE"

#: Where in the report a finding belongs, key by key, and the finding. No key at all says that the
#: process waits for a line.
Message = tuple[list[str], Any]
Take = Callable[[Sequence[str], Any], None]


def hand_over(path: Sequence[str], found: Any) -> None:
    """Hand one finding to the process that started this one."""
    line = json.dumps([list(path), found]) + "\n"
    pipe = os.environ.get(PIPE_VARIABLE)
    os.write(int(pipe) if pipe else 1, line.encode())


def parse(line: str) -> Message | None:
    """What a line says; None for the rest of a line that a crash has cut short."""
    try:
        path, found = json.loads(line)
    except ValueError:
        return None
    return path, found


def put(report: dict[str, Any], path: Sequence[str], found: Any) -> None:
    """Put a finding where it belongs; what lies around it stays."""
    *above, last = path
    for key in above:
        report = report.setdefault(key, {})
    report[last] = found
