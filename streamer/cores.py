"""The CPU's cores: how many there are for this process, and who goes first."""

import os
import sys
import threading
from contextlib import suppress

#: What `give_way` adds to a thread's niceness: a tenth of the weight, as Linux has it.
_STEP = 10


def usable_cores() -> int:
    """Cores that the process may run on: fewer than the machine has where it is pinned."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def give_way() -> None:
    """Let this thread, and those that it starts from now on, leave cores to all others that ask.

    Only on Linux are threads nice by themselves; elsewhere nothing happens.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        # Where this is forbidden, such as in some sandboxes, all goes on as before.
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _STEP)
