"""Figures of a live run for Prometheus, in its text format (version 0.0.4)."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict

from streamer.latency import Histogram
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State
from streamer.serving import Address, PageServer, Reply

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX = "pranet_stream"
#: Upper edges of the buckets in ms. 5.75 and 120 are the limits of video and annotation delay.
EDGES_MS = (1, 2, 5, 5.75, 10, 16.7, 20, 33.3, 40, 50, 66.7, 80, 100, 120, 150, 200, 300, 500)
_EDGES_MS = (*EDGES_MS, 1000, 2000, 5000)

_Labels = Mapping[str, str]


class MetricsServer:
    """Serves ``/metrics`` for as long as it is open.

    Args:
        address: where to listen, see `PageServer`.
        read: looks at the run; called from threads of the server's own.

    Raises:
        OutputError: it cannot listen there.
    """

    def __init__(self, address: Address, read: Callable[[], LiveSnapshot]) -> None:
        self._read = read
        self._server = PageServer(
            "metrics", address, self._answer, shows="how the run goes, but no picture"
        )
        #: Where to point Prometheus.
        self.url = f"{self._server.url}metrics"
        self.port = self._server.port

    def close(self) -> None:
        """Stop serving; may be called twice."""
        self._server.close()

    def _answer(self, path: str) -> Reply | None:
        if path == "/metrics":
            return Reply(CONTENT_TYPE, render(self._read()).encode(errors="replace"))
        if path == "/":
            return Reply("text/plain; charset=utf-8", b"see /metrics\n")
        return None


def render(snapshot: LiveSnapshot) -> str:
    """All figures of a run in Prometheus' text format."""
    return "".join(f"{line}\n" for line in _lines(snapshot))


def _lines(snapshot: LiveSnapshot) -> Iterator[str]:
    states = [({"state": str(state)}, float(state == snapshot.state)) for state in State]
    yield from _family("state", "gauge", "1 for the state that the run is in.", states)
    yield from _family(
        "state_changes_total", "counter", "States gone into.", [({}, snapshot.change_count)]
    )
    yield from _family(
        "fps", "gauge", "Pictures handed on per second, lately.", [({}, snapshot.rate)]
    )
    for name, help_text, value in (
        ("frames_in", "Pictures read from the source.", snapshot.frames_in),
        ("frames_out", "Pictures handed to the outputs.", snapshot.frames_out),
        ("frames_missed", "Pictures left out before they were read.", snapshot.missed),
        ("frames_damaged", "Damaged pictures and packets of the source.", snapshot.damaged),
        ("frames_converted", "Pictures that came in another format.", snapshot.converted),
        ("frames_with_objects", "Pictures with a confirmed outline.", snapshot.frames_with_objects),
        ("frames_out_of_view", "Pictures unlike the training's.", snapshot.frames_out_of_view),
        ("detections", "Detection events that began.", snapshot.detections),
        ("reconnects", "Times that a lost source came back.", snapshot.reconnects),
        ("engine_restarts", "Times that an engine was replaced.", snapshot.engine_restarts),
        ("view_changes", "Times that another part was analysed.", snapshot.view_change_count),
        ("run_seconds", "Time since the start.", snapshot.wall_s),
        ("cpu_seconds", "Processor time of all threads.", snapshot.cpu_s),
    ):
        yield from _family(f"{name}_total", "counter", help_text, [({}, value)])
    for name, help_text, label, counts in (
        ("dropped", "Pictures read but not shown.", "cause", snapshot.dropped),
        ("ai_dropped", "Pictures without a mask of their own.", "cause", snapshot.ai_dropped),
        ("output_dropped", "Pictures that missed an output.", "output", snapshot.sink_dropped),
    ):
        samples = [({label: key}, float(count)) for key, count in counts.items()]
        yield from _family(f"{name}_total", "counter", help_text, samples)
    # Not what ended them: that text may name files.
    failed = [
        ({"output": name}, float(name in snapshot.sink_errors)) for name in snapshot.sink_dropped
    ]
    yield from _family("output_failed", "gauge", "1 for an output that has ended.", failed)
    view = snapshot.view
    sides = {} if view is None else asdict(view)
    yield from _family(
        "view_pixels",
        "gauge",
        "The part of the picture that is analysed.",
        [({"side": side}, float(px)) for side, px in sides.items()],
    )
    age_ms = snapshot.mask_age_ms
    yield from _family(
        "mask_age_seconds",
        "gauge",
        "Age of the newest mask; no value without one.",
        [] if age_ms is None else [({}, age_ms / 1000)],
    )
    yield from _latencies(snapshot.histograms)


def _family(
    name: str, kind: str, help_text: str, samples: list[tuple[dict[str, str], float]]
) -> Iterator[str]:
    yield f"# HELP {_PREFIX}_{name} {help_text}"
    yield f"# TYPE {_PREFIX}_{name} {kind}"
    for labels, value in samples:
        yield _sample(name, labels, value)


def _latencies(histograms: Mapping[str, Histogram]) -> Iterator[str]:
    name = "latency_seconds"
    yield from _family(name, "histogram", "Durations by stage, to 1 %.", [])
    for stage, histogram in histograms.items():
        *counts, total = histogram.cumulative(_EDGES_MS)
        for edge_ms, count in zip(_EDGES_MS, counts, strict=True):
            yield _sample(f"{name}_bucket", {"stage": stage, "le": f"{edge_ms / 1000:g}"}, count)
        yield _sample(f"{name}_bucket", {"stage": stage, "le": "+Inf"}, total)
        yield _sample(f"{name}_sum", {"stage": stage}, histogram.sum_ms / 1000)
        yield _sample(f"{name}_count", {"stage": stage}, total)


def _sample(name: str, labels: _Labels, value: float) -> str:
    held = ",".join(f'{label}="{_escape(text)}"' for label, text in labels.items())
    return f"{_PREFIX}_{name}{f'{{{held}}}' if held else ''} {value:.15g}"


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
