"""A long live run with the bundled network: does anything drift, grow or get lost?

    python -m demos.benchmarks.live_soak --minutes 30 --report docs/benchmarks/live_soak.json

Read from the run: the median video delay of the first and the last minute, the annotation delay,
the memory of the process over time, and where every picture went. Exit code 1 if something does
not hold.
"""

import logging
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import psutil
import typer
from rich.table import Table

from demos.benchmarks.live_runs import (
    Check,
    LookingSink,
    Span,
    command_line,
    console,
    machine,
    print_checks,
    write_json,
)
from streamer.engine import EngineInfo, Segmenter, load_segmenter
from streamer.live.pipeline import LivePipeline, NamedSinks
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State
from streamer.overlay import Style
from streamer.sinks import VideoSink
from streamer.sources import SourceInfo, open_live

MOST_DRIFT_MS = 2.0
MOST_ANNOTATION_MS = 120.0
MOST_GROWTH_MIB = 1.0
#: What is left out of the growth: caches fill and allocators settle in this time.
WARM_UP_MINUTES = 1.0
#: How long to wait for the network to be up to date.
PATIENCE_S = 300.0
#: Between two readings of the memory, seconds.
SAMPLE_S = 5.0


@dataclass(frozen=True)
class Sample:
    """One reading.

    Attributes:
        at_s: since the network was first up to date.
        rss_mib: memory of the process.
    """

    at_s: float
    rss_mib: float


class Observer:
    """Reads the memory and the histograms while the run goes on; starts when it is RUNNING."""

    def __init__(self, pipeline: LivePipeline, minutes: float) -> None:
        self.samples: list[Sample] = []
        #: Snapshots at the start and the end, and after the first and before the last minute.
        self.marks: dict[str, LiveSnapshot] = {}
        self._pipeline = pipeline
        self._process = psutil.Process()
        self.length_s = 60 * minutes
        #: A minute, or less where there are not two of them.
        self.part_s = min(60.0, self.length_s / 2)
        self._start_s = 0.0
        self._told_s = 0.0

    def see(self, snapshot: LiveSnapshot) -> None:
        """Called about twice a second."""
        now_s = time.monotonic()
        if "start" not in self.marks:
            if snapshot.state is not State.RUNNING:
                if snapshot.wall_s >= PATIENCE_S:
                    self._pipeline.stop()
                return
            self._start_s = self._told_s = now_s
        at_s = now_s - self._start_s
        self._mark("start", 0, at_s, snapshot)
        self._mark("first", self.part_s, at_s, snapshot)
        self._mark("last", self.length_s - self.part_s, at_s, snapshot)
        self._mark("end", self.length_s, at_s, snapshot)
        if not self.samples or at_s - self.samples[-1].at_s >= SAMPLE_S:
            self.samples.append(Sample(at_s, self._process.memory_info().rss / 2**20))
        if now_s - self._told_s >= 60:
            self._told_s = now_s
            console.print(
                f"{at_s / 60:5.1f} min  {snapshot.state}  {snapshot.rate:.1f}/s  "
                f"{self.samples[-1].rss_mib:.1f} MiB"
            )
        if "end" in self.marks:
            self._pipeline.stop()

    def _mark(self, name: str, due_s: float, at_s: float, snapshot: LiveSnapshot) -> None:
        if name not in self.marks and at_s >= due_s:
            self.marks[name] = snapshot

    def span(self, stage: str, begin: str = "start", end: str = "end") -> Span:
        """The durations of a stage between two marks."""
        before, after = self.marks[begin], self.marks[end]
        return Span(before.histograms[stage], after.histograms[stage])

    def growth(self, warm_up_s: float) -> tuple[float, int]:
        """Slope of the memory in MiB a minute by least squares, and from how many readings."""
        found = [sample for sample in self.samples if sample.at_s >= warm_up_s]
        if len(found) < 2:
            return 0.0, len(found)
        minutes = [sample.at_s / 60 for sample in found]
        slope, _ = np.polyfit(minutes, [sample.rss_mib for sample in found], 1)
        return float(slope), len(found)


def checks_of(observer: Observer, final: LiveSnapshot) -> list[Check]:
    """What has to hold."""
    first_ms = observer.span("video_delay", "start", "first").percentile_ms(50)
    last_ms = observer.span("video_delay", "last", "end").percentile_ms(50)
    annotation_ms = observer.span("annotation_delay").percentile_ms(99)
    warm_up_s = min(60 * WARM_UP_MINUTES, observer.length_s / 3)
    growth, readings = observer.growth(warm_up_s)
    dropped = sum(final.dropped.values())
    unaccounted = final.frames_in - final.frames_out - dropped
    unanswered = final.frames_out - final.masks_shown - sum(final.ai_dropped.values())
    failed = ", ".join(f"{name}: {error}" for name, error in final.sink_errors.items())
    return [
        Check(
            f"median video delay, first and last {observer.part_s:g} s",
            f"{first_ms:.2f} and {last_ms:.2f} ms",
            f"no more than {MOST_DRIFT_MS:g} ms apart",
            abs(last_ms - first_ms) <= MOST_DRIFT_MS,
        ),
        Check(
            "annotation delay, p99",
            f"{annotation_ms:.1f} ms",
            f"at most {MOST_ANNOTATION_MS:g} ms",
            0 < annotation_ms <= MOST_ANNOTATION_MS,
        ),
        Check(
            f"growth of the memory after {warm_up_s:.0f} s",
            f"{growth:+.3f} MiB/min over {readings} readings",
            f"below {MOST_GROWTH_MIB:g} MiB/min",
            readings >= 10 and growth < MOST_GROWTH_MIB,
        ),
        Check(
            "pictures in = out + dropped",
            f"{final.frames_in} = {final.frames_out} + {dropped}",
            "equal",
            unaccounted == 0,
        ),
        Check(
            "pictures out = masks shown + without a mask of their own",
            f"{final.frames_out} = {final.masks_shown} + {sum(final.ai_dropped.values())}",
            "equal",
            unanswered == 0,
        ),
        Check("failed outputs", failed or "none", "none", not final.sink_errors),
    ]


def live_soak(
    source: Annotated[
        str, typer.Option(help="live source; a film is played again and again")
    ] = "synthetic:size=1920x1080:rate=30",
    minutes: Annotated[float, typer.Option(help="length, counted from RUNNING on", min=0.5)] = 30.0,
    output: Annotated[
        Path | None, typer.Option(help="also record the picture with markers")
    ] = None,
    threads: Annotated[int, typer.Option(help="CPU threads of the network, 0: all cores")] = 0,
    report: Annotated[Path | None, typer.Option(help="JSON file for the result")] = None,
) -> None:
    """Run live for a long time and look for drift, growth and losses."""
    look = LookingSink()
    info: list[SourceInfo] = []
    engines: list[EngineInfo] = []

    def make_sinks(found: SourceInfo) -> NamedSinks:
        info.append(found)
        named: list[tuple[str, Any]] = [("look", look)]
        if output is not None:
            named.append(("output", VideoSink(output, found)))
        return named

    def load() -> Segmenter:
        segmenter = load_segmenter(streams=1, threads=threads)
        engines.append(segmenter.info)
        return segmenter

    console.print(f"preparing {source}")
    pipeline = LivePipeline(open_live(source, loop=True), load, make_sinks, style=Style())
    observer = Observer(pipeline, minutes)
    final = pipeline.run(observer.see)
    if "end" not in observer.marks:
        when = "early" if "start" in observer.marks else "without being RUNNING once"
        console.print(f"[bold red]ended {when}[/]: {final.changes[-1].reason}")
        raise typer.Exit(1)
    checks = checks_of(observer, final)
    checks.append(
        Check(
            "age of the oldest mask drawn",
            f"{look.oldest_mask_ms:.1f} ms",
            f"at most {MOST_ANNOTATION_MS:g} ms",
            0 < look.oldest_mask_ms <= MOST_ANNOTATION_MS,
        )
    )
    _print(observer, final)
    print_checks(checks)
    if report is not None:
        write_json(report, _record(observer, final, checks, info[0], engines[-1]))
    if not all(check.holds for check in checks):
        raise typer.Exit(1)


def _spans(observer: Observer) -> dict[str, Span]:
    stages = observer.marks["end"].histograms
    spans = {stage: observer.span(stage) for stage in stages}
    return {stage: span for stage, span in spans.items() if span.count}


def _cores_used(observer: Observer) -> float:
    start, end = observer.marks["start"], observer.marks["end"]
    return (end.cpu_s - start.cpu_s) / (end.wall_s - start.wall_s)


def _print(observer: Observer, final: LiveSnapshot) -> None:
    table = Table("ms", "count", "p50", "p95", "p99", "max")
    for stage, span in _spans(observer).items():
        summary = span.summary()
        cells = [f"{summary[key]:.2f}" for key in ("p50", "p95", "p99", "max")]
        table.add_row(stage, str(span.count), *cells)
    console.print(table)
    console.print(f"CPU: {_cores_used(observer):.2f} cores on average")
    console.print(f"dropped: {_words(final.dropped)}")
    console.print(f"without a mask of their own: {_words(final.ai_dropped)}")
    console.print(f"dropped by output: {_words(final.sink_dropped)}")


def _words(counts: dict[str, int]) -> str:
    return ", ".join(f"{count} {cause}" for cause, count in counts.items() if count) or "none"


def _record(
    observer: Observer,
    final: LiveSnapshot,
    checks: list[Check],
    info: SourceInfo,
    engine: EngineInfo,
) -> dict[str, Any]:
    start_ns = final.changes[0].at_ns
    return {
        "command": command_line(),
        "machine": machine(engine),
        "engine": asdict(engine),
        "source": {
            "name": info.name,
            "size": f"{info.width}x{info.height}",
            "pixel_format": info.pixel_format,
            "rate": float(info.rate),
        },
        "checks": [asdict(check) for check in checks],
        "latency_ms": {stage: span.summary() for stage, span in _spans(observer).items()},
        "per_minute": final.per_minute,
        "memory": [
            {"at_s": round(sample.at_s, 1), "rss_mib": round(sample.rss_mib, 2)}
            for sample in observer.samples
        ],
        "cores_used": round(_cores_used(observer), 3),
        "frames": {
            "in": final.frames_in,
            "out": final.frames_out,
            "dropped": final.dropped,
            "masks_shown": final.masks_shown,
            "without_mask_of_their_own": final.ai_dropped,
            "dropped_by_output": final.sink_dropped,
        },
        "states": [
            {
                "state": str(change.state),
                "at_s": round((change.at_ns - start_ns) / 1e9, 3),
                "reason": change.reason,
            }
            for change in final.changes
        ],
    }


def main() -> None:
    """Entry point."""
    cv2.setNumThreads(1)
    logging.basicConfig(level=logging.WARNING)
    typer.run(live_soak)


if __name__ == "__main__":
    main()
