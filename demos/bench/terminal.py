"""What the user of `pranet-bench` is told, and where results go."""

import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from demos.bench.machine import describe, summary
from demos.bench.options import Outputs
from demos.bench.report import Measured, Report
from demos.bench.tables import show
from demos.benchmarks.live_runs import command_line
from streamer.engine import EngineInfo

#: Columns for tables that go into a file or another program, where nothing tells how wide it is.
_WIDE = 160

console = Console(soft_wrap=True, highlight=False, width=None if sys.stdout.isatty() else _WIDE)
problems = Console(stderr=True, soft_wrap=True, highlight=False, markup=False, emoji=False)


def tell(line: str) -> None:
    """Print a line as it is."""
    console.print(line, markup=False)


@dataclass(frozen=True)
class Session:
    """One run of the benchmark.

    Attributes:
        mode: the subcommand.
        outputs: where its results go.
        machine: as it was before anything was measured.
    """

    mode: str
    outputs: Outputs
    machine: dict[str, Any]

    @classmethod
    def begin(
        cls, mode: str, report: Path | None, markdown: Path | None, plots: Path | None
    ) -> "Session":
        """See to it that results can be kept, and look at the machine.

        Raises:
            StreamError: they cannot be kept.
        """
        outputs = Outputs(report, markdown, plots)
        outputs.check(mode)
        return cls(mode, outputs, describe())

    def finish(
        self,
        settings: dict[str, Any],
        engine: EngineInfo | None,
        measured: Measured,
    ) -> None:
        """Show the result and keep it where the user asked for it."""
        known = None if engine is None else asdict(engine)
        report = Report(self.mode, command_line(), settings, self.machine, known, measured)
        tell(f"{summary(report.machine)}{'' if engine is None else f'; {engine}'}")
        show(report, console)
        self.outputs.keep(report)
