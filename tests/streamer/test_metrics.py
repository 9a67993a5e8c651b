"""Metrics: text that Prometheus can read, with the figures of the run."""

import http.client
import math
import re
import threading
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import OutputError
from streamer.frame import View
from streamer.latency import Histogram
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State, StateChange
from streamer.metrics import EDGES_MS, MetricsServer, render
from streamer.serving import Address

# The grammar of the text format, version 0.0.4.
NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\\\|\\"|\\n)*)"'
HELP = re.compile(rf"# HELP ({NAME}) ((?:[^\\\n]|\\\\|\\n)*)")
TYPE = re.compile(rf"# TYPE ({NAME}) (counter|gauge|histogram|summary|untyped)")
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)?,?\}})? (\S+)")

Labels = frozenset[tuple[str, str]]


@dataclass
class Family:
    """What belongs to one name.

    Attributes:
        samples: of each name, by labels.
    """

    kind: str
    samples: dict[tuple[str, Labels], float]

    def value(self, name: str, **labels: str) -> float:
        return self.samples[name, frozenset(labels.items())]


def parse(text: str) -> dict[str, Family]:
    """Read a page as the format's own rules have it; fails where it breaks one."""
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    helped = None
    for line in text[:-1].split("\n"):
        if found := HELP.fullmatch(line):
            helped = found[1]
            assert helped not in families, "a name has one stretch of lines"
        elif found := TYPE.fullmatch(line):
            assert found[1] == helped
            families[found[1]] = Family(found[2], {})
        else:
            found = SAMPLE.fullmatch(line)
            assert found is not None, line
            assert helped is not None
            family = families[helped]
            suffixes = ("_bucket", "_sum", "_count") if family.kind == "histogram" else ("",)
            assert found[1] in {helped + suffix for suffix in suffixes}
            labels = [
                (name, re.sub(r"\\(.)", lambda c: {"n": "\n"}.get(c[1], c[1]), value))
                for name, value in re.findall(LABEL, found[2] or "")
            ]
            assert len({name for name, _ in labels}) == len(labels)
            key = found[1], frozenset(labels)
            assert key not in family.samples
            family.samples[key] = float(found[found.lastindex or 0])
            assert not math.isnan(family.samples[key])
    return families


def check_histograms(families: dict[str, Family]) -> None:
    """Buckets are cumulative, end with +Inf, and agree with the count."""
    for name, family in families.items():
        if family.kind != "histogram":
            continue
        buckets: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
        for (sample, labels), value in family.samples.items():
            if sample == f"{name}_bucket":
                (edge,) = (text for label, text in labels if label == "le")
                rest = frozenset(each for each in labels if each[0] != "le")
                buckets[rest].append((float(edge), value))
        for labels, found in buckets.items():
            assert all(a[0] < b[0] and a[1] <= b[1] for a, b in pairwise(found))
            assert found[-1] == (math.inf, family.samples[f"{name}_count", labels])
            assert family.samples[f"{name}_sum", labels] >= 0


@pytest.fixture
def snapshot() -> LiveSnapshot:
    """A run with something of everything."""
    delay = Histogram()
    for duration_ms in (3, 4, 4, 5.5, 30, 110, 130, 7000):
        delay.add_ns(round(duration_ms * 1e6))
    changes = [
        StateChange(State.WARMING, 0, "started"),
        StateChange(State.RUNNING, 5, ""),
        StateChange(State.DEGRADED, 9, ""),
    ]
    return LiveSnapshot(
        State.DEGRADED,
        changes,
        frames_in=1003,
        frames_out=1000,
        dropped={"late": 2, "stopped": 1},
        ai_dropped={"newer": 40},
        sink_dropped={"output": 7, "preview": 0},
        sink_errors={"output": "/home/jane doe/x.mp4: cannot be written"},
        damaged=4,
        missed=6,
        converted=5,
        change_count=3,
        frames_with_objects=321,
        frames_out_of_view=77,
        reconnects=2,
        engine_restarts=3,
        rate=29.97,
        view=View(322, 10, 784, 700),
        view_change_count=2,
        mask_age_ms=66.5,
        histograms={"video_delay": delay, "mask_age": Histogram()},
        wall_s=33.4,
        cpu_s=12.1,
    )


def test_every_figure(snapshot: LiveSnapshot) -> None:
    families = parse(render(snapshot))
    check_histograms(families)
    counters = {
        "frames_in": 1003,
        "frames_out": 1000,
        "frames_damaged": 4,
        "frames_missed": 6,
        "frames_converted": 5,
        "frames_with_objects": 321,
        "frames_out_of_view": 77,
        "reconnects": 2,
        "engine_restarts": 3,
        "run_seconds": 33.4,
        "cpu_seconds": 12.1,
        "state_changes": 3,
    }
    for name, value in counters.items():
        family = families[f"pranet_stream_{name}_total"]
        assert family.kind == "counter"
        assert family.value(f"pranet_stream_{name}_total") == value
    for name, value in {"fps": 29.97, "mask_age_seconds": 0.0665}.items():
        family = families[f"pranet_stream_{name}"]
        assert family.kind == "gauge"
        assert family.value(f"pranet_stream_{name}") == value
    for name, label, counts in (
        ("dropped", "cause", {"late": 2, "stopped": 1}),
        ("ai_dropped", "cause", {"newer": 40}),
        ("output_dropped", "output", {"output": 7, "preview": 0}),
    ):
        family = families[f"pranet_stream_{name}_total"]
        assert family.kind == "counter"
        assert family.samples == {
            (f"pranet_stream_{name}_total", frozenset({(label, key)})): count
            for key, count in counts.items()
        }
    failed = families["pranet_stream_output_failed"]
    assert failed.value("pranet_stream_output_failed", output="output") == 1
    assert failed.value("pranet_stream_output_failed", output="preview") == 0


@pytest.mark.parametrize("state", list(State))
def test_state_is_one_of_all(state: State, snapshot: LiveSnapshot) -> None:
    family = parse(render(replace(snapshot, state=state)))["pranet_stream_state"]

    assert family.kind == "gauge"
    assert len(family.samples) == len(State)
    assert sum(family.samples.values()) == 1
    assert family.value("pranet_stream_state", state=str(state)) == 1


def test_latency_by_stage(snapshot: LiveSnapshot) -> None:
    name = "pranet_stream_latency_seconds"
    family = parse(render(snapshot))[name]

    def at_most(edge: str, stage: str = "video_delay") -> float:
        return family.value(f"{name}_bucket", stage=stage, le=edge)

    assert [
        at_most(edge) for edge in ("0.002", "0.00575", "0.04", "0.12", "0.15", "5", "+Inf")
    ] == [*(0, 4, 5, 6, 7, 7, 8)]
    assert family.value(f"{name}_count", stage="video_delay") == 8
    assert family.value(f"{name}_sum", stage="video_delay") == pytest.approx(7.2865, rel=0.01)
    assert family.value(f"{name}_count", stage="mask_age") == 0
    assert family.value(f"{name}_sum", stage="mask_age") == 0
    # The limits that regulators use are edges.
    assert {5.75, 120} <= set(EDGES_MS)


def test_at_the_start_of_a_run() -> None:
    text = render(LiveSnapshot(State.WARMING, []))
    families = parse(text)
    check_histograms(families)

    assert families["pranet_stream_mask_age_seconds"].samples == {}
    assert families["pranet_stream_frames_in_total"].value("pranet_stream_frames_in_total") == 0


def test_what_ended_an_output_stays_here(snapshot: LiveSnapshot) -> None:
    assert "jane" not in render(snapshot)


@given(
    st.dictionaries(st.text(max_size=20), st.integers(0, 10**15), max_size=4),
    st.dictionaries(st.text(max_size=20), st.lists(st.integers(0, 10**13), max_size=9), max_size=3),
    st.floats(0, 1e9),
    st.none() | st.floats(0, 1e9),
)
def test_any_run_can_be_read(
    counts: dict[str, int],
    durations: dict[str, list[int]],
    rate: float,
    age_ms: float | None,
) -> None:
    histograms = {}
    for stage, each in durations.items():
        histograms[stage] = Histogram()
        for duration_ns in each:
            histograms[stage].add_ns(duration_ns)
    run = LiveSnapshot(
        State.RUNNING,
        [],
        dropped=counts,
        sink_dropped=counts,
        rate=rate,
        mask_age_ms=age_ms,
        histograms=histograms,
    )
    families = parse(render(run))
    check_histograms(families)
    dropped = families["pranet_stream_dropped_total"].samples

    assert {next(iter(labels))[1]: value for (_, labels), value in dropped.items()} == counts


def test_while_another_thread_counts() -> None:
    """The figures of one page agree with each other all the same."""
    delay, stop = Histogram(), threading.Event()

    def count() -> None:
        while not stop.is_set():
            for duration_ns in range(1_000_000, 500_000_000, 10_000_000):
                delay.add_ns(duration_ns)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        for _ in range(20):
            snapshot = LiveSnapshot(State.RUNNING, [], histograms={"video_delay": delay})
            check_histograms(parse(render(snapshot)))
    finally:
        stop.set()
        thread.join(60)


class TestServer:
    @pytest.fixture
    def server(self, snapshot: LiveSnapshot) -> Iterator[MetricsServer]:
        server = MetricsServer(Address("127.0.0.1", 0), lambda: snapshot)
        yield server
        server.close()

    def ask(self, port: int, path: str, method: str = "GET", host: str = "localhost") -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        connection.request(method, path, headers={"Host": host})
        self.response = connection.getresponse()
        body = self.response.read()
        connection.close()
        return body

    def test_page(self, server: MetricsServer, snapshot: LiveSnapshot) -> None:
        body = self.ask(server.port, "/metrics")

        assert self.response.status == 200
        kind = self.response.headers["Content-Type"]
        assert kind == "text/plain; version=0.0.4; charset=utf-8"
        assert body.decode() == render(snapshot)
        assert server.url == f"http://127.0.0.1:{server.port}/metrics"

    def test_each_page_is_new(self) -> None:
        runs = iter(LiveSnapshot(State.RUNNING, [], frames_in=count) for count in (1, 2))
        server = MetricsServer(Address("127.0.0.1", 0), lambda: next(runs))
        try:
            for count in (1, 2):
                found = parse(self.ask(server.port, "/metrics").decode())
                name = "pranet_stream_frames_in_total"
                assert found[name].value(name) == count
        finally:
            server.close()

    def test_nothing_else(self, server: MetricsServer) -> None:
        for path, method, host, status in (
            ("/", "GET", "localhost", 200),
            ("/x", "GET", "localhost", 404),
            ("/metrics", "HEAD", "localhost", 200),
            ("/metrics", "POST", "localhost", 405),
            ("/metrics", "GET", "evil.example", 403),
        ):
            self.ask(server.port, path, method, host)
            assert self.response.status == status

    def test_port_that_is_taken(self, server: MetricsServer) -> None:
        with pytest.raises(OutputError, match="metrics: cannot listen on"):
            MetricsServer(
                Address("127.0.0.1", server.port), lambda: LiveSnapshot(State.WARMING, [])
            )

    def test_for_others_with_a_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        server = MetricsServer(Address("0.0.0.0", 0), lambda: LiveSnapshot(State.WARMING, []))
        server.close()
        server.close()

        assert "open to other machines" in caplog.text
        assert "patient" not in caplog.text
