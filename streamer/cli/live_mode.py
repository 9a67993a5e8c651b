"""Live mode of the command: open, run, show, report."""

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from time import monotonic_ns
from types import FrameType

from streamer import report as reports
from streamer.cli.console import console, describe_live, live_progress, summarise_live
from streamer.cli.encoders import find_encoder
from streamer.cli.options import Options
from streamer.cli.outputs import check_outputs, why_no_window
from streamer.cli.signals import stopping_on_signals
from streamer.engine import Segmenter, load_segmenter
from streamer.engine.choice import GPU_BACKENDS, has_gpu
from streamer.errors import OutputError
from streamer.live.pipeline import LivePipeline
from streamer.live.state import StateChange
from streamer.metrics import MetricsServer
from streamer.overlay import Overlay
from streamer.redact import RedactingSink, Redactor
from streamer.serving import parse_address
from streamer.settings import Settings
from streamer.sinks import EventSink, Sink, VideoSink, open_mask_sink
from streamer.sinks.events import WallTime
from streamer.sinks.preview import PreviewSink
from streamer.sinks.raw import QUALITY as RAW_QUALITY
from streamer.sinks.raw import RawSink
from streamer.sinks.rotation import RotatingSink
from streamer.sinks.snapshot import SnapshotSink
from streamer.sinks.window import WindowSink
from streamer.sources import SourceInfo, open_live, resolve_source
from streamer.view import DEFAULT

logger = logging.getLogger(__name__)

NamedSinks = list[tuple[str, Sink]]


def run(options: Options, source: str, settings: Settings) -> bool:
    """Run a live source until it ends, a limit is reached or the user has enough.

    Returns:
        Whether a signal stopped it.

    Raises:
        StreamError: what is wrong with the source, or with an output that cannot be opened.
    """
    check_outputs(options, source, settings)
    live = _LiveRun(options, source, settings)
    missing = why_no_window()
    if missing and options.shows_nothing:
        raise OutputError(f"name an output, such as --preview 8000 or --output ({missing})")
    return live.run()


class _LiveRun:
    """What belongs to one run of the command."""

    def __init__(self, options: Options, source: str, settings: Settings) -> None:
        self._options = options
        self._wall = WallTime.now()
        self._info: SourceInfo | None = None
        self._engine: Segmenter | None = None
        self._snapshots: SnapshotSink | None = None
        self._told: list[Callable[[StateChange], None]] = []
        self._style = options.style
        open_source = open_live(
            source,
            settings=settings,
            color_matrix=options.color_matrix,
            full_range=options.full_range,
            interlaced=options.interlaced,
            deinterlace=options.deinterlace,
        )
        found = resolve_source(source, settings)
        self._pipeline = LivePipeline(
            open_source,
            self._load_engine,
            self._open_sinks,
            style=self._style,
            threshold=options.threshold,
            view=options.part or found.settings.view or DEFAULT,
            temporal=options.steadying,
            max_mask_age_ms=options.max_mask_age_ms,
            longest_retry_s=found.longest_retry_s,
            duration_s=options.duration,
            max_frames=options.max_frames,
            on_change=self._tell,
        )

    def run(self) -> bool:
        """Run to the end, and report also what failed half-way."""
        options = self._options
        with ExitStack() as stack:
            if options.report:
                # A report that cannot be written must be known now, not after the work.
                reports.write(options.report, {})
            if options.metrics:
                server = MetricsServer(parse_address(options.metrics), self._pipeline.snapshot)
                stack.callback(server.close)
                console.print(f"metrics {server.url}")
            asked = stack.enter_context(stopping_on_signals(self._pipeline))
            stack.enter_context(_snapshots_on_signal(self._request_snapshot))
            advance = stack.enter_context(live_progress())
            try:
                self._pipeline.run(advance)
            finally:
                self._report()
        return asked()

    def _load_engine(self) -> Segmenter:
        options = self._options
        segmenter = load_segmenter(
            options.model,
            backend=options.backend,
            precision=options.precision,
            # One picture at a time on all cores: the shortest delay.
            streams=options.streams or 1,
            threads=options.threads,
        )
        self._engine = segmenter
        return segmenter

    def _open_sinks(self, info: SourceInfo) -> NamedSinks:
        """Everything that the user asked for; what was opened is closed if one of them fails."""
        describe_live(info, self._options.max_mask_age_ms)
        sinks: NamedSinks = []
        try:
            for name, make in self._makers(info):
                sinks.append((name, make()))
        except BaseException:
            for _, sink in sinks:
                sink.close()
            raise
        self._info = info
        return sinks

    def _makers(self, info: SourceInfo) -> Iterator[tuple[str, Callable[[], Sink]]]:
        options = self._options
        redactor = Redactor(Overlay(self._style, info.color)) if options.redact_margins else None

        def redacted(sink: Sink) -> Sink:
            return sink if redactor is None else RedactingSink(sink, redactor)

        if options.output:
            yield "output", lambda: redacted(self._overlay_video(info))
        if options.raw_output:
            yield "raw-output", lambda: redacted(self._raw_video(info))
        if options.masks:
            yield "masks", lambda: self._masks(info)
        if options.events:
            yield "events", self._events
        if options.snapshot:
            yield "snapshot", lambda: redacted(self._snapshot_folder())
        if options.preview:
            yield "preview", lambda: redacted(self._preview())
        if options.display or options.shows_nothing:
            yield "display", self._window

    def _overlay_video(self, info: SourceInfo) -> Sink:
        assert self._options.output is not None
        preset, quality = self._options.encoder_preset, self._options.quality
        encoder = find_encoder(
            self._options, "--output", info, on_gpu=self._has_gpu(), quality=quality
        )
        return self._in_parts(
            self._options.output,
            lambda path: VideoSink(
                path, info, preset=preset, quality=quality, encoder=encoder, began=self._now()
            ),
        )

    def _raw_video(self, info: SourceInfo) -> Sink:
        assert self._options.raw_output is not None
        preset, exact = self._options.encoder_preset, self._options.raw_exact
        encoder = find_encoder(
            self._options,
            "--raw-output",
            info,
            on_gpu=self._has_gpu(),
            quality=RAW_QUALITY,
            exact=exact,
        )
        return self._in_parts(
            self._options.raw_output,
            lambda path: RawSink(
                path, info, preset=preset, exact=exact, encoder=encoder, began=self._now()
            ),
        )

    def _has_gpu(self) -> bool:
        # Where the network will be is not known yet, and loading torch to find out would hold up
        # the first picture by seconds.
        backend = self._options.backend
        return backend in GPU_BACKENDS or (backend == "auto" and has_gpu())

    def _now(self) -> datetime:
        return self._wall.at(monotonic_ns())

    def _masks(self, info: SourceInfo) -> Sink:
        assert self._options.masks is not None
        if not self._options.masks.suffix:
            return open_mask_sink(self._options.masks, info)
        return self._in_parts(self._options.masks, lambda path: open_mask_sink(path, info))

    def _in_parts(self, path: Path, make: Callable[[Path], Sink]) -> Sink:
        options = self._options
        return RotatingSink(
            path,
            make,
            max_s=options.rotate_minutes and 60 * options.rotate_minutes,
            max_bytes=options.rotate_mb and options.rotate_mb * 1_000_000,
            min_free_bytes=round(options.min_free_gb * 1e9),
            wall=self._wall,
        )

    def _events(self) -> Sink:
        assert self._options.events is not None
        sink = EventSink(self._options.events, wall=self._wall)
        self._told.append(sink.write_state)
        return sink

    def _snapshot_folder(self) -> Sink:
        assert self._options.snapshot is not None
        self._snapshots = SnapshotSink(self._options.snapshot, wall=self._wall)
        return self._snapshots

    def _preview(self) -> Sink:
        assert self._options.preview is not None
        sink = PreviewSink(parse_address(self._options.preview))
        self._told.append(sink.write_state)
        console.print(f"preview {sink.url}")
        return sink

    def _window(self) -> Sink:
        return WindowSink(
            stop=self._pipeline.stop,
            snapshot=self._request_snapshot if self._options.snapshot else None,
            full_screen=self._options.full_screen,
        )

    def _request_snapshot(self) -> None:
        if self._snapshots is not None:
            self._snapshots.request()

    def _tell(self, change: StateChange) -> None:
        logger.info("%s: %s", change.state, change.reason, extra={"state": str(change.state)})
        for tell in self._told:
            tell(change)

    def _report(self) -> None:
        snapshot, options = self._pipeline.snapshot(), self._options
        if self._info is None:
            return  # it never began
        summarise_live(snapshot, options.outputs)
        if options.report is None:
            return
        engine = None if self._engine is None else self._engine.info
        paths = {name: str(path) for name, path in options.outputs.items()}
        content = reports.build_live(self._info, engine, snapshot, self._wall, paths)
        try:
            reports.write(options.report, content)
        except OutputError as error:
            # What ended the run matters more than that it cannot be put on record.
            logger.error("%s", error)


@contextmanager
def _snapshots_on_signal(request: Callable[[], None]) -> Iterator[None]:
    """SIGUSR1 asks for a snapshot, where the system has that signal."""
    number = getattr(signal, "SIGUSR1", None)
    if number is None:
        yield
        return

    def ask(signum: int, frame: FrameType | None) -> None:
        request()

    before = signal.signal(number, ask)
    try:
        yield
    finally:
        signal.signal(number, before)
