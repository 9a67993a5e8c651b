"""Runs the parts of the check one after the other within one budget of time."""

from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

from demos.gpu_check.budget import Part, allowance_s
from demos.gpu_check.handing import Take, put

#: Runs a part until a time of the monotonic clock, in s; how it failed, or None.
RunPart = Callable[[Part, float, Take], str | None]


def conduct(
    parts: Sequence[Part],
    budget_s: float,
    run: RunPart,
    write: Callable[[dict[str, Any]], None],
    clock_s: Callable[[], float] = monotonic,
) -> dict[str, Any]:
    """Run all parts that fit.

    Args:
        write: called with the report whenever something was found, and after each part.

    Returns:
        The report. What a part found stays in it, however the part ended.
    """
    report: dict[str, Any] = {"seconds": {}}
    end_s = clock_s() + budget_s
    for place, part in enumerate(parts):
        found: dict[str, Any] = {}
        report[part.name] = found

        def take(path: Sequence[str], value: Any, found: dict[str, Any] = found) -> None:
            put(found, path, value)
            write(report)

        start_s = clock_s()
        left_s = end_s - start_s
        allowed_s = allowance_s(part, parts[place + 1 :], left_s)
        if allowed_s is None:
            found["not run"] = (
                f"it needs {part.needs_s:.0f} s, and {max(0.0, left_s):.0f} were left"
            )
        else:
            try:
                failed = run(part, start_s + allowed_s, take)
            except Exception as error:  # of whatever kind: other parts are to run all the same
                failed = f"{type(error).__name__}: {error}"
            if failed is not None:
                found["failed"] = failed
            report["seconds"][part.name] = round(clock_s() - start_s, 1)
        write(report)
    return report
