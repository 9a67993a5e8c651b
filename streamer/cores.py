"""How many CPU cores this process may use."""

import os


def usable_cores() -> int:
    """Cores that the process may run on: fewer than the machine has where it is pinned."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
