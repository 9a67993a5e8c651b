"""Live mode with a stream from another process that is killed, started again and changed."""

import threading
from collections.abc import Callable
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from demos.benchmarks.network_receiver import FixedSegmenter, Receiver, free_port
from demos.benchmarks.network_sender import Sender, encode_clip
from streamer.clock import MonotonicClock
from streamer.errors import SourceError, SourceLostError
from streamer.frame import Frame
from streamer.live.backoff import Backoff
from streamer.live.grabber import Grabber
from streamer.live.newest import NewestQueue
from streamer.live.pipeline import LivePipeline
from streamer.live.record import Record
from streamer.live.state import State
from streamer.live.supervisor import Limits, Supervisor
from streamer.sources import SourceInfo

DEADLINE_S = 60
SIZES = ((96, 64), (160, 96))
GONE = frozenset({State.NO_SIGNAL, State.RECONNECTING})
RUNNING = frozenset({State.RUNNING})

MakeInfo = Callable[..., SourceInfo]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The same scene in two sizes."""
    folder = tmp_path_factory.mktemp("clips")
    made = []
    for size in SIZES:
        made.append(folder / f"{size[0]}.ts")
        encode_clip(made[-1], size=size, pictures=30, key_interval=5)
    return made


def addresses(way: str) -> tuple[str, str]:
    """What the sender and the pipeline are given."""
    port = free_port()
    tcp = f"tcp://127.0.0.1:{port}"
    if way == "udp":
        return f"udp://127.0.0.1:{port}?pkt_size=1316", f"udp://127.0.0.1:{port}"
    return (f"{tcp}?listen=1", tcp) if way == "tcp" else (tcp, f"{tcp}?listen")


def as_announced(receiver: Receiver) -> int:
    """Pictures that did not have to be converted."""
    snapshot = receiver.snapshot()
    return snapshot.frames_in - snapshot.converted


@pytest.mark.parametrize("way", ["udp", "tcp", "tcp, pipeline listens"])
def test_killed_started_again_and_changed(way: str, clips: list[Path], tmp_path: Path) -> None:
    to, at = addresses(way)
    sender = Sender(to, clips)
    with ExitStack() as stack:
        stack.callback(sender.kill)
        sender.start()
        receiver = Receiver(at, FixedSegmenter, tmp_path)
        stack.callback(receiver.stop)
        running_ns = receiver.wait(RUNNING, 0)

        sender.kill()
        gone_ns = receiver.wait(GONE, running_ns + 1)
        sender.start(1)
        back_ns = receiver.watcher.first_after(gone_ns)
        receiver.wait(RUNNING, back_ns)
        assert receiver.snapshot().converted > 0

        # Without a break: what comes has the announced size again.
        before = as_announced(receiver)
        sender.change(0)
        while as_announced(receiver) < before + 10:
            back_ns = receiver.watcher.first_after(back_ns)
        receiver.stop()
    snapshot = receiver.snapshot()

    assert receiver.error is None
    assert receiver.info is not None
    assert (receiver.info.width, receiver.info.height) == SIZES[0]
    assert snapshot.state is State.STOPPED
    assert snapshot.frames_in == snapshot.frames_out + sum(snapshot.dropped.values())
    assert not snapshot.sink_errors
    assert receiver.recording is not None
    recorded = 0
    for path in receiver.recording.parts:
        with av.open(str(path)) as container:
            pictures = list(container.decode(video=0))
        recorded += len(pictures)
        assert {(picture.width, picture.height) for picture in pictures} == {SIZES[0]}
        times = [picture.pts or 0 for picture in pictures]
        assert all(before < after for before, after in pairwise(times))
    assert recorded == snapshot.frames_out - snapshot.sink_dropped["recording"]


class Lost:
    """A source that is lost at once."""

    def __init__(self, info: SourceInfo) -> None:
        self.info = info
        self.damaged = self.converted = self.missed = self.closed = 0

    def read(self) -> Frame:
        raise SourceLostError("gone")

    def close(self) -> None:
        self.closed += 1


class TestOpeningThatWaits:
    """For a sender that is not there yet."""

    def test_does_not_hold_up_the_end(self, make_info: MakeInfo) -> None:
        info = make_info(live=True)
        opening, answered = threading.Event(), threading.Event()
        late = Lost(info)

        def open_it(like: SourceInfo | None) -> Lost:
            if like is None:
                return Lost(info)
            opening.set()
            assert answered.wait(DEADLINE_S)
            return late

        pipeline = LivePipeline(open_it, FixedSegmenter, [], close_timeout_s=3600)
        thread = threading.Thread(target=pipeline.run)
        thread.start()
        assert opening.wait(DEADLINE_S)
        opener = next(each for each in threading.enumerate() if each.name == "live-open")
        pipeline.stop()
        thread.join(DEADLINE_S)

        assert not thread.is_alive()
        assert pipeline.snapshot().state is State.STOPPED
        # What it finds after all is given back.
        answered.set()
        opener.join(DEADLINE_S)
        assert late.closed

    def test_counts_as_waiting(self, make_info: MakeInfo) -> None:
        waited = _waits(make_info(live=True), answer_s=10, tries=4)

        assert waited[0] == pytest.approx(0.25, rel=0.2)
        assert max(waited[1:]) <= 0

    def test_refused_at_once_is_asked_less_and_less_often(self, make_info: MakeInfo) -> None:
        waited = _waits(make_info(live=True), answer_s=0, tries=4)

        assert waited == pytest.approx([0.25, 0.5, 1.0, 2.0], rel=0.2)


class _Clock(MonotonicClock):
    """Time that only openings and the waits between them take."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.waited: list[float] = []

    def now_ns(self) -> int:
        return round(self.now_s * 1e9)

    def wait_until(self, due_ns: int, cancelled: threading.Event) -> bool:
        self.waited.append(due_ns / 1e9 - self.now_s)
        self.now_s = max(self.now_s, due_ns / 1e9)
        return cancelled.is_set()


def _waits(info: SourceInfo, *, answer_s: float, tries: int) -> list[float]:
    """Waits in s between openings that fail after so long."""
    clock = _Clock()

    def open_it(like: SourceInfo | None) -> Any:
        clock.now_s += answer_s
        if len(clock.waited) == tries:
            grabber.stop()
        raise SourceError("no answer")

    grabber = Grabber(
        Lost(info),
        open_it,
        NewestQueue(2),
        record=Record(0, []),
        supervisor=Supervisor(0, Limits(1, 1, 1)),
        clock=clock,
        backoff=Backoff(0.25, 5.0),
    )
    grabber.work()
    return clock.waited[:tries]
