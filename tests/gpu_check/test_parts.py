"""What the parts look at, with a network that costs nothing in the place of a GPU's."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from demos.gpu_check import __main__ as command
from demos.gpu_check import encoding, stability
from demos.gpu_check.budget import PARTS
from demos.gpu_check.fallback import check_fallback
from demos.gpu_check.live import check_cold_start, is_over, summarise
from demos.gpu_check.nvdec import compare_decoders
from demos.gpu_check.part import STEPS, Options, Steps, run_steps
from demos.gpu_check.stability import digest, stability_steps
from streamer.engine import Segmenter
from streamer.frame import View
from streamer.live.snapshot import LiveSnapshot
from streamer.live.state import State, StateChange
from streamer.view_watch import ViewChange

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
SMALL = "synthetic:size=320x240:rate=30"


class Wavering:
    """A network whose answers are other ones from some time on."""

    def __init__(self, inner: Any, after: int) -> None:
        self.info = inner.info
        self._inner, self._left = inner, after
        self.clock_s = inner.clock_s

    def submit(self, image: NDArray[np.uint8]) -> Any:
        self._left -= 1
        return self._inner.submit(image if self._left > 0 else 255 - image)


class Echo:
    """An engine that answers with what it was given, and takes a second of its own clock for it."""

    def __init__(self, info: Any) -> None:
        self.info = info
        self.now_s = 0.0

    def submit(self, image: NDArray[np.uint8]) -> Any:
        self.now_s += 1
        return _Ready(image)

    def clock_s(self) -> float:
        return self.now_s


class _Ready:
    def __init__(self, image: NDArray[np.uint8]) -> None:
        self._image = image

    def result(self) -> NDArray[np.uint8]:
        return self._image[..., 0]


@pytest.fixture
def quick(segmenter: Any) -> Any:
    return Echo(segmenter.info)


def stable(engine: Any, **options: Any) -> dict[str, Any]:
    free = iter([5 * 2**20, 2 * 2**20])
    steps = stability_steps(
        engine, IMAGES, free_bytes=lambda: next(free), clock_s=engine.clock_s, **options
    )
    return {name: work() for name, work in steps}


def frames_of_spans(found: dict[str, Any]) -> dict[str, int]:
    return {name: value["frames"] for name, value in found.items() if name.startswith("span")}


def test_stability_of_an_engine_that_is_stable(quick: Any) -> None:
    found = stable(quick, seconds=25, until_s=9000)
    assert found["bit_stable"] is True
    assert len(set(found["digests_of_1000_frames"])) == 1
    assert found["memory_growth_mib"] == 3.0
    assert frames_of_spans(found) == {"span 1": 10, "span 2": 10, "span 3": 5}


def test_stability_keeps_to_its_time(quick: Any) -> None:
    # Both rounds of a thousand frames are over by then, and two seconds are kept.
    found = stable(quick, seconds=1000, until_s=2000 + 15)
    assert frames_of_spans(found) == {"span 1": 10, "span 2": 3}


def test_answers_that_change_are_noticed(quick: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stability, "FRAMES", 20)
    assert stable(Wavering(quick, after=39), seconds=0, until_s=9)["bit_stable"] is False


def test_digest_is_of_all_answers_in_order(quick: Any) -> None:
    assert digest(quick, IMAGES, 7) == digest(quick, IMAGES, 7)
    assert digest(quick, IMAGES, 7) != digest(quick, IMAGES[::-1].copy(), 7)
    assert digest(quick, IMAGES, 7) != digest(quick, IMAGES, 6)


@pytest.mark.parametrize("looks", [False, True])
def test_decoders_are_compared(segmenter: Segmenter, looks: bool) -> None:
    """The CPU against itself: the same pictures, the same masks."""
    found = compare_decoders(segmenter, "cpu", frames=3, looks=looks)
    assert found["decoder"] == "CPU"
    assert found["frames"] == 3
    assert found["samples_that_differ_by_more_than_2"] == {"luma": 0, "blue": 0, "red": 0}
    assert found["dice_of_masks"] == 1.0
    assert (found["view"] == [0, 0, 1280, 720]) == (not looks)


def test_what_nvdec_cannot_decode_is_taken_by_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    real = av.open

    def refuse(*arguments: Any, **options: Any) -> Any:
        if options.get("hwaccel") is not None:
            raise av.error.PermissionError(1, "Operation not permitted")
        return real(*arguments, **options)

    monkeypatch.setattr(av, "open", refuse)
    found = check_fallback()
    assert found["holds"]
    assert (found["decoder"], found["frames"]) == ("CPU", 10)
    (line,) = found["said"]
    assert line.startswith("decoding on the CPU: exact.mkv: NVDEC cannot be used")


def test_cold_start_goes_on_for_some_time_after_the_first_mask() -> None:
    assert not is_over(50, None, end_s=60)
    assert not is_over(50, 45, end_s=60)
    assert is_over(55, 45, end_s=60)
    assert is_over(60, None, end_s=60)


def test_cold_start_of_an_engine_that_is_lost_does_not_hold() -> None:
    changes = [
        StateChange(State.WARMING, 10_000_000_000, "started"),
        StateChange(State.DEGRADED, 12_500_000_000, "engine: no answer within 1 s"),
    ]
    views = (ViewChange(3.0, View(2, 4, 60, 50), "found: octagon"),)
    lost = LiveSnapshot(State.STOPPED, changes, engine_restarts=1, view_changes=views)
    found = summarise(lost, 10.0, [11.0, 14.0], 15.26)
    assert not found["holds"]
    assert found["engines_loaded_at_s"] == [1.0, 4.0]
    assert found["first_mask_at_s"] == 5.3
    assert found["states"][1] == "2.5 s DEGRADED: engine: no answer within 1 s"
    assert found["views"] == ["2,4,60,50: found: octagon"]
    sound = LiveSnapshot(State.STOPPED, changes)
    assert summarise(sound, 10.0, [11.0], 12.0)["holds"]
    assert not summarise(sound, 10.0, [11.0], None)["holds"]


def test_cold_start_is_run(segmenter: Segmenter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demos.gpu_check.live.GOES_ON_S", 0.0)
    found = check_cold_start(lambda: segmenter, patience_s=60, source=SMALL)
    assert found["holds"]
    assert found["engine_restarts"] == 0
    assert found["masks_shown"] >= 1
    assert found["states"][0].endswith("WARMING: started")


def test_encoding_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "why_not", lambda: "NVENC cannot be used (no device)")
    assert [(name, work()) for name, work in encoding.encoding_steps()] == [
        ("missing", "NVENC cannot be used (no device)")
    ]
    monkeypatch.setattr(encoding, "why_not", lambda: None)
    assert [name for name, _ in encoding.encoding_steps()] == ["host memory", "device memory"]


def test_step_that_fails_costs_no_other() -> None:
    def steps() -> Steps:
        yield "first", lambda: 1
        yield "second", lambda: 1 // 0
        yield "third", lambda: 3
        raise ValueError("no more")

    found: dict[str, Any] = {}

    def take(path: Sequence[str], value: Any) -> None:
        (name,) = path
        found[name] = value

    run_steps(steps(), take)
    assert found == {
        "first": 1,
        "second": {"failed": "ZeroDivisionError: integer division or modulo by zero"},
        "third": 3,
        "failed": "ValueError: no more",
    }


def test_all_parts_can_be_run() -> None:
    assert {part.name for part in PARTS} == {*STEPS, "networks"}


class Started:
    """Stands in for `Child`: notes what would have been started."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self.command, self.environment = command, environment
        folder = environment.get("TRITON_CACHE_DIR")
        self.cache = None if folder is None else list(Path(folder).iterdir())


def test_live_starts_with_an_empty_cache_of_triton(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Started] = []

    def collect(child: Started, *_: Any) -> None:
        started.append(child)

    monkeypatch.setattr(command, "Child", Started)
    monkeypatch.setattr(command, "collect", collect)
    options = Options(frames=1, seconds=1.0, until_s=9.0)
    for part in PARTS:
        command._run_process(part, options, lambda *_: None)
    caches = {child.command[3]: child.cache for child in started}
    assert caches == {part.name: [] if part.name == "live" else None for part in PARTS}
    assert Options(**json.loads(started[0].command[4])) == options


def test_workers_share_the_cores_for_compiling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "Child", Started)
    monkeypatch.setattr(command, "usable_cores", lambda: 16)
    workers: Any = command._workers(["a", "b", "c"], "1,8", 200)
    threads = [worker.environment["TORCHINDUCTOR_COMPILE_THREADS"] for worker in workers.values()]
    assert threads == ["5", "5", "5"]
