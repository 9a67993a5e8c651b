"""File mode of the command: open everything, run, report."""

import os
from pathlib import Path

from streamer import report as reports
from streamer.cli.console import console, describe, progress, summarise
from streamer.cli.options import Options
from streamer.cli.signals import stopping_on_signals
from streamer.engine import Segmenter, load_segmenter
from streamer.errors import OutputError, StreamError
from streamer.frame import View
from streamer.overlay import Style, parse_color
from streamer.pipeline import Pipeline, RunResult
from streamer.sinks import EventSink, Sink, VideoSink, open_mask_sink
from streamer.sinks.base import file_identity
from streamer.sources import Source, SourceInfo, open_source


def run(options: Options) -> bool:
    """Run a finite source to its end.

    Returns:
        Whether the user stopped it.

    Raises:
        StreamError: what is wrong with the input, the engine or an output.
    """
    outputs = options.outputs
    _check_outputs(options.source, options.model, outputs)
    style = Style(parse_color(options.line_color), options.line_width, options.fill, options.badge)
    opened = open_source(
        options.source, color_matrix=options.color_matrix, full_range=options.full_range
    )
    sinks: list[Sink] = []
    try:
        part = _parse_view(options.view, opened.info) if options.view else None
        describe(opened.info)
        segmenter = load_segmenter(
            options.model,
            backend=options.backend,
            precision=options.precision,
            streams=options.streams,
            threads=options.threads,
        )
        if options.output:
            sinks.append(
                VideoSink(
                    options.output,
                    opened.info,
                    preset=options.encoder_preset,
                    quality=options.quality,
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
            opened, segmenter, sinks, style=style, threshold=options.threshold, view=part
        )
        return _run(pipeline, opened, segmenter, outputs).interrupted
    finally:
        for sink in sinks:
            sink.close()
        opened.close()


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


def _check_outputs(source: str, model: str, outputs: dict[str, Path]) -> None:
    if not outputs:
        raise OutputError("nothing to write; name --output, --masks, --events or --report")
    taken = {
        file_identity(Path(os.path.expanduser(source))): "the source",
        file_identity(Path(os.path.expanduser(model))): "the checkpoint",
    }
    for name, path in outputs.items():
        other = taken.setdefault(file_identity(path), f"--{name}")
        if other != f"--{name}":
            raise OutputError(f"--{name} {path} is also {other}; choose another file")


def _parse_view(text: str, info: SourceInfo) -> View:
    try:
        view = View(*(int(part) for part in text.split(",")))
    except (TypeError, ValueError):
        raise StreamError(
            f"--view {text}: four whole numbers X,Y,WIDTH,HEIGHT are needed"
        ) from None
    inside = view.x >= 0 and view.y >= 0 and view.width >= 16 and view.height >= 16
    if not inside or view.x + view.width > info.width or view.y + view.height > info.height:
        raise StreamError(
            f"--view {text}: does not lie inside the picture of {info.width}x{info.height} px, "
            "or is smaller than 16 px"
        )
    return view
