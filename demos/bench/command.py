"""`pranet-bench`: options in, measurements out; what is measured, and how, is in the modes.

Method: engines are compiled and warmed up first. Then everything that is compared takes turns,
`--repeats` times, so that what else happens on the machine strikes all alike; ratios are those of
one turn. CPU time is that of the whole process, all threads.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated, Any

# PyAV before OpenCV: of the libraries that both bring along, its own have to be loaded first.
import av  # noqa: F401
import cv2
import typer

from demos.bench import compare as comparison
from demos.bench import engine as engine_mode
from demos.bench import file as file_mode
from demos.bench import live as live_mode
from demos.bench import load as load_mode
from demos.bench import peers as peers_mode
from demos.bench import scale as scale_mode
from demos.bench.clip import Size, limited, parse_size, prepared
from demos.bench.options import (
    MODEL,
    STEADYING,
    BackendName,
    Clip,
    Frames,
    MarkdownPath,
    Model,
    Network,
    Numbers,
    PlotsFolder,
    PrecisionName,
    Repeats,
    ReportPath,
    Seconds,
    SizeText,
    Steadying,
    parse_numbers,
    parse_sizes,
)
from demos.bench.report import Measured, read_report
from demos.bench.terminal import Session, console, problems, tell
from pranet.checkpoint import read_info
from pranet.errors import PranetError
from streamer.engine import EngineInfo
from streamer.temporal import find_preset

EXIT_BAD_INPUT, EXIT_INTERRUPTED = 2, 130

#: What Typer raises where the options are wrong: click's error, or that of its own copy of click.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    help="How fast pranet-stream is here, how late, and at what cost. Research use only.",
)


@app.command("engine")
def bench_engine(
    frames: Frames = 200,
    repeats: Repeats = 5,
    model: Model = MODEL,
    backend: BackendName = "auto",
    precision: PrecisionName = "auto",
    report: ReportPath = None,
    markdown: MarkdownPath = None,
    plots: PlotsFolder = None,
) -> None:
    """The network alone, on every backend and precision that is there (auto: all)."""
    session = Session.begin("engine", report, markdown, plots)
    measured = engine_mode.measure(
        model, backend=backend, precision=precision, frames=frames, repeats=repeats, tell=tell
    )
    settings: dict[str, Any] = {"model": model, "checkpoint_sha256": read_info(model).sha256}
    settings |= {"frames": frames, "repeats": repeats}
    session.finish(settings, None, measured)


@app.command("file")
def bench_file(
    clip: Clip,
    size: SizeText = None,
    frames: Frames = 300,
    repeats: Repeats = 5,
    soak: Annotated[
        int, typer.Option(help="Also run this many frames in one go and watch memory.", min=0)
    ] = 0,
    temporal: Steadying = STEADYING,
    model: Model = MODEL,
    backend: BackendName = "auto",
    precision: PrecisionName = "auto",
    report: ReportPath = None,
    markdown: MarkdownPath = None,
    plots: PlotsFolder = None,
) -> None:
    """File mode against the sum of its bare stages."""
    session = Session.begin("file", report, markdown, plots)
    steadying = find_preset(temporal)
    with prepared(str(clip), frames=frames, size=_to(size)) as name:
        settings = _of_clip(clip, temporal, _to(size)) | {"frames": frames, "repeats": repeats}
        segmenter = Network(model, backend, precision).load()
        measured = file_mode.measure(name, segmenter, steadying, frames=frames, repeats=repeats)
        if soak:
            resident = file_mode.memory(name, segmenter, steadying, frames=soak)
            measured.details["resident_mb_after_frames"] = resident
            console.print("resident memory in MB after frames:", resident)
    session.finish(settings, segmenter.info, measured)


@app.command("live")
def bench_live(
    clip: Clip,
    size: SizeText = None,
    rates: Numbers = "30,60",
    seconds: Seconds = 20,
    repeats: Repeats = 5,
    temporal: Steadying = STEADYING,
    model: Model = MODEL,
    backend: BackendName = "auto",
    precision: PrecisionName = "auto",
    report: ReportPath = None,
    markdown: MarkdownPath = None,
    plots: PlotsFolder = None,
) -> None:
    """Live mode at a steady pace: video delay, annotation delay, losses."""
    session = Session.begin("live", report, markdown, plots)
    infos: list[EngineInfo] = []
    measured = live_mode.measure(
        str(clip),
        Network(model, backend, precision).loader(infos, streams=1),
        find_preset(temporal),
        size=_to(size),
        rates=parse_numbers(rates, "--rates", least=1),
        seconds=seconds,
        repeats=repeats,
    )
    settings = _of_clip(clip, temporal, _to(size))
    settings |= {"rates": rates, "seconds": seconds, "repeats": repeats}
    session.finish(settings, infos[-1], measured)


@app.command("load")
def bench_load(
    clip: Clip,
    size: SizeText = None,
    busy: Numbers = "0,1,2,4",
    rate: Annotated[int, typer.Option(help="Pictures per second of live mode.", min=1)] = 30,
    seconds: Seconds = 10,
    frames: Frames = 100,
    repeats: Repeats = 5,
    temporal: Steadying = STEADYING,
    model: Model = MODEL,
    backend: BackendName = "auto",
    precision: PrecisionName = "auto",
    report: ReportPath = None,
    markdown: MarkdownPath = None,
    plots: PlotsFolder = None,
) -> None:
    """Live mode and file mode while other processes keep cores busy."""
    session = Session.begin("load", report, markdown, plots)
    infos: list[EngineInfo] = []
    network = Network(model, backend, precision)
    measured = load_mode.measure(
        str(clip),
        network.loader(infos, streams=1),
        network.load,
        find_preset(temporal),
        size=_to(size),
        rate=rate,
        busy=parse_numbers(busy, "--busy", least=0),
        seconds=seconds,
        frames=frames,
        repeats=repeats,
    )
    settings = _of_clip(clip, temporal, _to(size)) | {"busy": busy, "rate": rate}
    settings |= {"seconds": seconds, "frames": frames, "repeats": repeats}
    session.finish(settings, infos[-1], measured)


@app.command("scale")
def bench_scale(
    clip: Clip,
    sizes: Annotated[
        str, typer.Option(help="Sizes with commas between.", metavar="WIDTHxHEIGHT,…")
    ] = ",".join(f"{width}x{height}" for width, height in scale_mode.SIZES),
    videos: Numbers = "1,2,4,8",
    frames: Frames = 64,
    repeats: Repeats = 5,
    temporal: Steadying = STEADYING,
    model: Model = MODEL,
    backend: BackendName = "auto",
    precision: PrecisionName = "auto",
    report: ReportPath = None,
    markdown: MarkdownPath = None,
    plots: PlotsFolder = None,
) -> None:
    """File mode as pictures get larger, and as more videos run side by side."""
    session = Session.begin("scale", report, markdown, plots)
    steadying, network = find_preset(temporal), Network(model, backend, precision)
    counts = parse_numbers(videos, "--videos", least=1)
    chosen = parse_sizes(sizes, "--sizes")
    segmenter = network.load()
    by_size = scale_mode.measure_sizes(
        str(clip), segmenter, steadying, sizes=chosen, frames=frames, repeats=repeats
    )
    by_videos = scale_mode.measure_videos(
        str(clip),
        lambda: network.load(streams=1),
        steadying,
        counts=counts,
        frames=frames,
        repeats=repeats,
    )
    measured = Measured([*by_size.grids, *by_videos.grids], by_size.distributions)
    settings = _of_clip(clip, temporal, None)
    settings |= {"sizes": sizes, "videos": videos, "frames": frames, "repeats": repeats}
    session.finish(settings, segmenter.info, measured)


@app.command("glass")
def bench_glass(
    seconds: Seconds = 20,
    repeats: Repeats = 5,
    model: Model = MODEL,
    backend: BackendName = "auto",
    precision: PrecisionName = "auto",
    report: ReportPath = None,
    markdown: MarkdownPath = None,
    plots: PlotsFolder = None,
) -> None:
    """From screen to screen through live mode; needs Xvfb."""
    from demos.bench import glass as glass_mode

    session = Session.begin("glass", report, markdown, plots)
    infos: list[EngineInfo] = []
    load = Network(model, backend, precision).loader(infos, streams=1)
    measured = glass_mode.measure(load, seconds=seconds, repeats=repeats, tell=tell)
    settings = {"seconds": seconds, "repeats": repeats}
    session.finish(settings, infos[-1], measured)


@app.command("peers")
def bench_peers(
    clip: Clip,
    size: SizeText = None,
    frames: Frames = 120,
    repeats: Repeats = 5,
    programs: Annotated[
        Path, typer.Option(help="Folder of the programs, in the repository.")
    ] = Path("benchmarks"),
    python: Annotated[Path, typer.Option(help="Interpreter with what they need.")] = Path(
        "benchmarks/.venv/bin/python"
    ),
    model: Model = MODEL,
    report: ReportPath = None,
    markdown: MarkdownPath = None,
    plots: PlotsFolder = None,
) -> None:
    """Other programs for the same task, in turns with ours; `make bench-peers` installs them."""
    session = Session.begin("peers", report, markdown, plots)
    with prepared(str(clip), frames=frames, size=_to(size)) as name:
        settings = _of_clip(clip, "off, balanced", _to(size))
        settings |= {"frames": frames, "repeats": repeats}
        # For the record, and so that it is compiled before anybody's start-up counts.
        with closing(Network(model, "auto", "auto").load()) as segmenter:
            engine = segmenter.info
        measured = peers_mode.measure(
            name, model, folder=programs, python=python, frames=frames, repeats=repeats, tell=tell
        )
    session.finish(settings, engine, measured)


@app.command("soak")
def bench_soak(
    source: Annotated[
        str, typer.Option(help="Live source; a film is played again and again.")
    ] = "synthetic:size=1920x1080:rate=30",
    minutes: Annotated[float, typer.Option(help="Length, from RUNNING on.", min=0.5)] = 30.0,
    output: Annotated[Path | None, typer.Option(help="Also record the picture.")] = None,
    threads: Annotated[int, typer.Option(help="Of the network; 0: all cores.")] = 0,
    report: ReportPath = None,
) -> None:
    """A long live run: drift, growth and losses. Exit code 1 if something does not hold."""
    from demos.benchmarks.live_soak import live_soak

    live_soak(source, minutes, output, threads, report)


@app.command("compare")
def bench_compare(
    before: Annotated[Path, typer.Argument(help="Report of a run.", show_default=False)],
    after: Annotated[Path, typer.Argument(help="Report of a later one.", show_default=False)],
) -> None:
    """What changed between two reports beyond noise: where their intervals have nothing in common.

    The intervals hold the true median with at least 90 %, which takes five repeats.
    """
    first, second = read_report(before), read_report(after)
    found = list(comparison.differences(first, second))
    for line in comparison.warnings(first, second):
        tell(line)
    if any(one.verdict in ("better", "worse") for one in found):
        console.print(comparison.as_rich(found))
    tell(comparison.summary(found, first, second))


def _to(size: str | None) -> Size | None:
    return None if size is None else parse_size(size)


def _of_clip(clip: Path, temporal: str, size: Size | None) -> dict[str, Any]:
    """Settings that all modes with a clip have; without a size, its own."""
    if size is None:
        with limited(str(clip), 1) as source:
            size = source.info.width, source.info.height
    return {"clip": clip.name, "size": f"{size[0]}x{size[1]}", "temporal": temporal}


def main() -> None:
    """Entry point of the console script."""
    # The stages run side by side already; threads inside OpenCV would only fight them.
    cv2.setNumThreads(1)
    try:
        with _ending_on_sigterm():
            code = app(standalone_mode=False)
    except _UsageError as error:
        _end(_explain(error))
    except PranetError as error:
        _end(str(error))
    # Typer makes an exit code of Ctrl-C.
    if code == EXIT_INTERRUPTED:
        problems.print("pranet-bench: stopped")
    sys.exit(code)


@contextmanager
def _ending_on_sigterm() -> Iterator[None]:
    """Let SIGTERM do what Ctrl-C does, so that all that was started is ended."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(problem: str) -> None:
    problems.print(f"pranet-bench: {problem}")
    sys.exit(EXIT_BAD_INPUT)


def _explain(error: Any) -> str:
    """One line for an option that is wrong."""
    return f"{error.format_message().rstrip('.')}; --help shows the options"
