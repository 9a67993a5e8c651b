"""File mode of the command: open everything, run, report."""

from contextlib import closing
from pathlib import Path

from pranet.checkpoint import read_info
from streamer import report as reports
from streamer.cli.console import console, describe, progress, summarise
from streamer.cli.encoders import find_encoder
from streamer.cli.options import Options
from streamer.cli.outputs import check_outputs
from streamer.cli.signals import stopping_on_signals
from streamer.engine import Segmenter, load_segmenter
from streamer.engine.choice import GPU_BACKENDS, choose_backend
from streamer.errors import OutputError, StreamError
from streamer.frame import View
from streamer.pipeline import Pipeline
from streamer.run_result import RunResult
from streamer.settings import Settings
from streamer.sinks import EventSink, Sink, VideoSink, open_mask_sink
from streamer.sinks.encoder import X264, EncoderChoice
from streamer.sources import Decode, Source, SourceInfo, open_source, resolve_source
from streamer.view import DEFAULT, find_view
from streamer.view_watch import ViewWatch, look_ahead


def run(options: Options, source: str, settings: Settings) -> bool:
    """Run a finite source to its end.

    Returns:
        Whether the user stopped it.

    Raises:
        StreamError: what is wrong with the input, the engine or an output.
    """
    if options.live_only:
        told = ", ".join(options.live_only)
        raise StreamError(f"{told}: needs live mode; --mode live plays a file at its own pace")
    outputs = options.outputs
    check_outputs(options, source, settings)
    style, temporal = options.style, options.steadying
    opened = open_source(
        source,
        settings=settings,
        color_matrix=options.color_matrix,
        full_range=options.full_range,
        interlaced=options.interlaced,
        decode=_where_to_decode(options),
    )
    sinks: list[Sink] = []
    try:
        if not outputs:
            raise OutputError(
                "nothing to write; name --output, --masks, --events or --report, or --mode live "
                "to watch it"
            )
        view = _view(options, source, settings, opened.info)
        describe(opened.info)
        encoder = X264
        if options.output and options.encoder != "auto":
            # What cannot be had is said at once.
            encoder = _encoder(options, opened.info, on_gpu=True)
        segmenter = load_segmenter(
            options.model,
            backend=options.backend,
            precision=options.precision,
            streams=options.streams,
            threads=options.threads,
        )
        if options.output:
            if options.encoder == "auto":
                # Only now is it known where the network is.
                encoder = _encoder(
                    options, opened.info, on_gpu=segmenter.info.backend in GPU_BACKENDS
                )
            sinks.append(
                VideoSink(
                    options.output,
                    opened.info,
                    preset=options.encoder_preset,
                    quality=options.quality,
                    encoder=encoder,
                )
            )
        if options.masks:
            sinks.append(open_mask_sink(options.masks, opened.info))
        if options.events:
            sinks.append(EventSink(options.events))
        if options.report:
            # A report that cannot be written must be known now, not after the work.
            reports.write(options.report, {})
        pipeline = Pipeline(
            opened,
            segmenter,
            sinks,
            style=style,
            threshold=options.threshold,
            view=view,
            temporal=temporal,
            duration_s=options.duration,
            max_frames=options.max_frames,
        )
        return _run(pipeline, opened, segmenter, outputs).interrupted
    finally:
        for sink in sinks:
            sink.close()
        opened.close()


def _view(options: Options, source: str, settings: Settings, info: SourceInfo) -> View | ViewWatch:
    """The part to analyse, or what finds it: its first seconds are looked at ahead of the run."""
    asked = options.part or resolve_source(source, settings).settings.view or DEFAULT
    if asked != "auto":
        return find_view(asked if isinstance(asked, View) else None, info)
    with closing(open_source(source, settings=settings)) as ahead:
        return look_ahead(ahead, info.width, info.height)


def _where_to_decode(options: Options) -> Decode:
    """On the GPU only where the network is as well: else each picture would cross twice."""
    if options.decode != "auto":
        return options.decode
    backend: str = options.backend
    if backend == "auto":
        backend = choose_backend(read_info(options.model), options.precision).backend
    return "auto" if backend in GPU_BACKENDS else "cpu"


def _encoder(options: Options, info: SourceInfo, *, on_gpu: bool) -> EncoderChoice:
    return find_encoder(options, "--output", info, on_gpu=on_gpu, quality=options.quality)


def _run(
    pipeline: Pipeline, source: Source, segmenter: Segmenter, outputs: dict[str, Path]
) -> RunResult:
    """Run, and write the report and the summary also of a run that failed half-way."""
    console.print(f"engine  {segmenter.info}, {segmenter.info.streams} frames at once")
    try:
        with progress(source.info) as advance, stopping_on_signals(pipeline):
            pipeline.run(advance)
    finally:
        result = pipeline.result
        summarise(result, source.info, outputs)
        segmenter.close()
        if "report" in outputs:
            paths = {name: str(path) for name, path in outputs.items()}
            content = reports.build(source.info, segmenter.info, result, paths)
            try:
                reports.write(outputs["report"], content)
            except OutputError:
                # What ended the run matters more than that it cannot be put on record.
                if result.error is None:
                    raise
    return result
