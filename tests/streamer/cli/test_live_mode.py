"""Live mode of the command: each output that is asked for is there, with what belongs to it."""

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from streamer.cli import live_mode
from streamer.sinks import VideoSink
from streamer.sinks.base import Composed

PATTERN = "lavfi:testsrc2=size=96x64:rate=50"


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="there is no such signal here")
@pytest.mark.parametrize("redacted", [False, True])
def test_recordings_and_snapshots(
    command: Callable[..., Any],
    play: Callable[[Path], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    redacted: bool,
) -> None:
    class Signalling(VideoSink):
        def write(self, composed: Composed) -> None:
            super().write(composed)
            if composed.frame.index == 10:
                os.kill(os.getpid(), signal.SIGUSR1)

    monkeypatch.setattr(live_mode, "VideoSink", Signalling)
    overlay, raw, folder = tmp_path / "o.mp4", tmp_path / "raw.mkv", tmp_path / "snapshots"
    # Whole seconds are all that .mp4 keeps.
    began = datetime.now(UTC).replace(microsecond=0)
    outcome = command(
        *("--source", PATTERN, "--max-frames", "40", "--no-badge", "--min-free-gb", "0"),
        *("--output", overlay, "--raw-output", raw, "--raw-exact", "--snapshot", folder),
        *(["--redact-margins"] if redacted else []),
    )

    assert outcome.code == 0, outcome
    for path, codec in ((overlay, "h264"), (raw, "ffv1")):
        with av.open(str(path)) as container:
            assert container.streams.video[0].codec_context.name == codec
            recorded = datetime.fromisoformat(container.metadata["creation_time"])
        assert began <= recorded.astimezone(UTC) <= datetime.now(UTC)
        pictures = [picture.to_ndarray(format="gray") for picture in play(path).pictures]
        # Until the endoscope's view is known, all of the picture is margin.
        assert all((np.ptp(picture) < 3) == redacted for picture in pictures)
    (snapshot,) = folder.glob("*-raw.png")
    assert (np.ptp(cv2.imread(str(snapshot))) == 0) == redacted


def test_parts_of_a_recording(command: Callable[..., Any], tmp_path: Path) -> None:
    outcome = command(
        *("--source", PATTERN, "--max-frames", "70", "--output", tmp_path / "o.mp4"),
        *("--rotate-minutes", "0.01", "--min-free-gb", "0"),
    )

    assert outcome.code == 0, outcome
    assert [path.name[-8:] for path in sorted(tmp_path.glob("o-*.mp4"))] == [
        "0001.mp4",
        "0002.mp4",
        "0003.mp4",
    ]


def test_exact_recordings_are_refused_in_other_files(
    refuse: Callable[..., str], tmp_path: Path
) -> None:
    complaint = refuse("--source", PATTERN, "--raw-output", tmp_path / "raw.mp4", "--raw-exact")

    assert "exact recordings need a .mkv file" in complaint


def test_pages_are_named(command: Callable[..., Any]) -> None:
    outcome = command("--source", PATTERN, "--max-frames", "5", "--preview", "0", "--metrics", "0")

    assert outcome.code == 0, outcome
    for page in ("preview", "metrics"):
        assert any(line.startswith(f"{page} http://127.0.0.1:") for line in outcome.errors)
