"""`--encoder`, in both modes: what is taken, what is told, what is refused."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import av
import pytest

from streamer.cli import encoders, live_mode
from streamer.engine.choice import GPU_BACKENDS
from streamer.sinks import choose_encoder

#: Smaller than any NVENC takes: what is said to work does not, and x264 takes over.
PATTERN = "lavfi:testsrc2=size=96x64:rate=50"


@pytest.fixture(params=["file", "live"])
def base(request: pytest.FixtureRequest, film: Callable[..., Path], tmp_path: Path) -> list[Any]:
    """Arguments of a short run."""
    if request.param == "file":
        return ["--source", film(tmp_path / "clip.mp4", count=5)]
    return ["--source", PATTERN, "--max-frames", "5", "--min-free-gb", "0"]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, segmenter: Any) -> Callable[..., None]:
    """Puts the network on a backend, and something in NVENC's way or nothing."""

    def be(backend: Any, hindrance: str | None) -> None:
        choose = partial(choose_encoder, probe=lambda *_: hindrance)
        monkeypatch.setattr(encoders, "choose_encoder", choose)
        # In file mode the engine tells where it is; in live mode it is not there yet.
        on_gpu = backend in GPU_BACKENDS
        monkeypatch.setattr(live_mode, "has_gpu", lambda: on_gpu)
        monkeypatch.setattr(segmenter, "info", replace(segmenter.info, backend=backend))

    return be


def told(outcome: Any) -> list[str]:
    return [line for line in outcome.errors if line.startswith("encoder ")]


def codec_of(path: Path) -> str:
    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 5
        return container.streams.video[0].codec_context.name


def test_gpu_is_refused_in_one_line_where_it_cannot_be_had(
    refuse: Callable[..., str], base: list[Any], machine: Callable[..., None]
) -> None:
    machine("cuda", "no such engine")
    complaint = refuse(*base, "--output", "o.mp4", "--encoder", "gpu")
    assert complaint == "pranet-stream: --encoder gpu: no such engine"
    assert not Path("o.mp4").exists()


@pytest.mark.parametrize(
    ("backend", "hindrance", "line"),
    [
        ("openvino", None, "encoder --output by x264: the network is on the CPU"),
        ("cuda", "no such engine", "encoder --output by x264: no such engine"),
        ("tensorrt", None, "encoder --output by NVENC: the GPU has it"),
    ],
)
def test_auto_says_what_it_takes_and_records_in_any_case(
    command: Callable[..., Any],
    base: list[Any],
    machine: Callable[..., None],
    caplog: pytest.LogCaptureFixture,
    backend: str,
    hindrance: str | None,
    line: str,
) -> None:
    machine(backend, hindrance)
    outcome = command(*base, "--output", "o.mp4")
    assert outcome.code == 0, outcome
    assert told(outcome) == [line]
    assert codec_of(Path("o.mp4")) == "h264"
    took_over = any("x264 takes over from NVENC" in message for message in caplog.messages)
    assert took_over is ("by NVENC" in line)


def test_a_settings_file_may_say_it(
    refuse: Callable[..., str], base: list[Any], machine: Callable[..., None]
) -> None:
    machine("openvino", "no such engine")
    Path("pranet-stream.toml").write_text('[stream]\nencoder = "gpu"\n')
    assert "--encoder gpu: no such engine" in refuse(*base, "--output", "o.mp4")


def test_without_a_recording_nothing_is_chosen(
    command: Callable[..., Any], base: list[Any], machine: Callable[..., None]
) -> None:
    machine("cuda", "no such engine")
    outcome = command(*base, "--events", "e.jsonl")
    assert outcome.code == 0, outcome
    assert told(outcome) == []


class TestExact:
    base = ("--source", PATTERN, "--max-frames", "5", "--min-free-gb", "0", "--raw-exact")

    def test_it_stays_with_the_cpu(
        self, command: Callable[..., Any], machine: Callable[..., None]
    ) -> None:
        machine("cuda", None)
        outcome = command(*self.base, "--raw-output", "raw.mkv")
        assert outcome.code == 0, outcome
        assert told(outcome) == ["encoder --raw-output by FFV1: an exact recording"]
        assert codec_of(Path("raw.mkv")) == "ffv1"

    def test_the_encoder_asked_for_is_that_of_h264(
        self, command: Callable[..., Any], machine: Callable[..., None]
    ) -> None:
        machine("cuda", None)
        outcome = command(*self.base, "--raw-output", "raw.mkv", "--encoder", "gpu")
        assert outcome.code == 0, outcome
        assert codec_of(Path("raw.mkv")) == "ffv1"


def test_a_model_that_cannot_be_used_does_not_stop_a_live_recording(
    command: Callable[..., Any], tmp_path: Path
) -> None:
    """The picture passes, DEGRADED."""
    outcome = command(
        *("--source", PATTERN, "--max-frames", "5", "--min-free-gb", "0", "--output", "o.mp4"),
        *("--model", tmp_path / "nothing.safetensors"),
    )
    assert outcome.code == 0, outcome
    assert codec_of(Path("o.mp4")) == "h264"


def test_parts_of_a_recording_ask_once(
    command: Callable[..., Any], machine: Callable[..., None], tmp_path: Path
) -> None:
    machine("cuda", "no such engine")
    outcome = command(
        *("--source", PATTERN, "--max-frames", "70", "--output", tmp_path / "o.mp4"),
        *("--rotate-minutes", "0.01", "--min-free-gb", "0"),
    )
    assert outcome.code == 0, outcome
    # How many depends on the pictures that a busy machine misses.
    assert len(list(tmp_path.glob("o-*.mp4"))) >= 2
    assert told(outcome) == ["encoder --output by x264: no such engine"]
