"""The options of `pranet-bench`, each declared once."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from demos.bench.clip import Size, parse_size
from demos.bench.plots import check_matplotlib, draw
from demos.bench.report import Report
from demos.bench.tables import check_markdown, write_markdown
from pranet.checkpoint import DEFAULT_MODEL
from streamer.engine import Backend, EngineInfo, Precision, Segmenter, load_segmenter
from streamer.errors import StreamError
from streamer.sinks.base import prepare_path, reporting_errors
from streamer.temporal import DEFAULT_PRESET

_WHAT, _NET, _OUT = "What is measured", "Network", "Output"


def _option(group: str, text: str, **more: Any) -> Any:
    return typer.Option(help=text, rich_help_panel=group, **more)


Clip = Annotated[Path, typer.Argument(help="Video to measure on.", show_default=False)]
SizeText = Annotated[
    str | None, _option(_WHAT, "Bring the clip to this size first.", metavar="WIDTHxHEIGHT")
]
Frames = Annotated[int, _option(_WHAT, "Frames of each run.", min=1)]
Repeats = Annotated[int, _option(_WHAT, "Runs of each kind, in turns.", min=1)]
Seconds = Annotated[float, _option(_WHAT, "Length of each live run, after its warm-up.", min=1)]
Numbers = Annotated[str, _option(_WHAT, "Numbers with commas between.", metavar="N,N,…")]
Steadying = Annotated[str, _option(_WHAT, "How much masks are steadied: a preset.")]

Model = Annotated[str, _option(_NET, "Bundled checkpoint or a path.")]
BackendName = Annotated[Backend, _option(_NET, "Engine.")]
PrecisionName = Annotated[Precision, _option(_NET, "Of the engine.")]

ReportPath = Annotated[Path | None, _option(_OUT, "All figures as JSON.")]
MarkdownPath = Annotated[
    Path | None,
    _option(_OUT, "The tables as Markdown, between the marks of the mode if the file has them."),
]
PlotsFolder = Annotated[Path | None, _option(_OUT, "Folder for plots (needs matplotlib).")]

STEADYING = DEFAULT_PRESET
MODEL = DEFAULT_MODEL


@dataclass(frozen=True)
class Network:
    """The network that the user chose."""

    model: str
    backend: Backend
    precision: Precision

    def load(self, *, streams: int = 0) -> Segmenter:
        """See `load_segmenter`."""
        return load_segmenter(
            self.model, backend=self.backend, precision=self.precision, streams=streams
        )

    def loader(self, infos: list[EngineInfo], *, streams: int) -> Callable[[], Segmenter]:
        """What loads it and notes each time what was loaded."""

        def load() -> Segmenter:
            segmenter = self.load(streams=streams)
            infos.append(segmenter.info)
            return segmenter

        return load


@dataclass(frozen=True)
class Outputs:
    """Where the result goes besides the terminal."""

    report: Path | None
    markdown: Path | None
    plots: Path | None

    def check(self, mode: str) -> None:
        """See to it before measuring that the result can be kept afterwards.

        Raises:
            StreamError: it cannot.
        """
        if self.markdown is not None:
            check_markdown(self.markdown, mode)
        if self.plots is not None:
            check_matplotlib()
        if self.report is not None:
            # What an earlier run left there stays until this one is through.
            with reporting_errors(prepare_path(self.report)):
                self.report.open("ab").close()

    def keep(self, report: Report) -> None:
        """Write the result wherever the user asked for it.

        Raises:
            OutputError: it cannot be written.
        """
        if self.report is not None:
            report.write(self.report)
        pictures = []
        if self.plots is not None:
            pictures = draw(report, self.plots)
        if self.markdown is not None:
            write_markdown(self.markdown, report, pictures)


def parse_numbers(text: str, option: str, *, least: int) -> list[int]:
    """Whole numbers with commas between, rising.

    Raises:
        StreamError: something else.
    """
    try:
        numbers = sorted({int(part) for part in text.split(",")})
    except ValueError:
        numbers = []
    if not numbers or numbers[0] < least:
        raise StreamError(
            f"{option} {text}: whole numbers from {least} on are needed, e.g. {least},{least + 1}"
        )
    return numbers


def parse_sizes(text: str, option: str) -> list[Size]:
    """Sizes with commas between, smallest first.

    Raises:
        StreamError: something else.
    """
    return sorted(parse_size(part, option) for part in text.split(","))
