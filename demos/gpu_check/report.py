"""The findings as JSON, and as a page that can be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demos.gpu_check.sections import SECTIONS, title

#: What the design asks of an H100; see `docs/gpu.md`.
AIMS = (
    "aims on an H100: `pranet_v2_res2net50` at most 1.5 ms and at least 6 times as fast as eager "
    "fp32, `pranet_v2_lite0` at most 0.8 ms, 400 fps at 1080p from memory, annotation delay of "
    "20 ms at most (p99) at 60 fps"
)


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write ``report.json`` and ``REPORT.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "REPORT.md").write_text("\n".join(_page(report)) + "\n")


def read_report(folder: Path) -> dict[str, Any]:
    """What `write_report` wrote there before; nothing if there is none that can be read."""
    try:
        found = json.loads((folder / "report.json").read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _page(report: dict[str, Any]) -> Iterator[str]:
    yield "# GPU report\n"
    yield f"Written by `make gpu-check`; {AIMS}.\n"
    yield from _machine(report["machine"])
    yield from (f"- note: {note}" for note in report.get("notes", ()))
    for name, section in SECTIONS.items():
        yield f"\n## {title(name)}\n"
        found = dict(report.get(name, {"not run": None}))
        if "not run" in found:
            yield f"Not run: {found['not run']}." if found["not run"] else "Not run."
            continue
        failed = found.pop("failed", None)
        if found:
            try:
                yield from list(section(found))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                # Half a finding, such as of a crash, must not end a check that goes on.
                yield f"Cannot be shown ({type(error).__name__}: {error}); report.json has it."
        if failed:
            yield f"\nNot to its end: {failed}" if found else f"Failed: {failed}"


def _machine(machine: dict[str, Any]) -> Iterator[str]:
    if "packages" not in machine:
        yield f"- machine: {machine.get('failed') or machine.get('not run') or 'unknown'}"
        return
    packages = ", ".join(f"{name} {found}" for name, found in machine["packages"].items() if found)
    missing = ", ".join(name for name, found in machine["packages"].items() if not found)
    yield f"- GPU: {machine['gpu']}, compute capability {machine['compute_capability']},"
    yield f"  {machine['memory_gib']} GiB, driver {machine['driver']}, CUDA {machine['cuda']}"
    yield f"- host: {machine['cpu']}, Python {machine['python']}"
    yield f"- packages: {packages}"
    yield f"- not installed: {missing or 'none'}"
    yield from (f"- {name}: {found}" for name, found in machine.get("video", {}).items())
