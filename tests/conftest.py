"""What the tests of several packages share: made-up clips, a fake network, runs, a library."""

import importlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import ModuleType

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.cli import file_mode, live_mode, main
from streamer.engine import EngineInfo
from streamer.rgb import SquareReader

#: No engine is ready and no file has grown by then: something hangs.
DEADLINE_S = 240

Film = Callable[..., Path]


@dataclass(frozen=True)
class Probed:
    """A probability map that is ready after a pause."""

    probability: NDArray[np.float32]
    pause_s: float

    def result(self) -> NDArray[np.float32]:
        time.sleep(self.pause_s)
        return self.probability


class RedSegmenter:
    """A stand-in for the network: how red a pixel is makes its probability.

    pause_after: take a little time for so many frames, and much for each one after them.
    """

    info = EngineInfo("red", "0" * 64, "fake", "fp32", "cpu", input_size=32, streams=2, threads=1)

    def __init__(self, pause_after: int | None = None) -> None:
        self._left = pause_after

    def reader(self) -> SquareReader:
        """See `Segmenter.reader`."""
        return SquareReader(self.info.input_size)

    def submit(self, image: NDArray[np.uint8]) -> Probed:
        pause_s = 0.0
        if self._left is not None:
            self._left -= 1
            pause_s = 0.5 if self._left < 0 else 0.005
        return Probed(image[..., 0].astype(np.float32) / 255, pause_s)

    def close(self) -> None:
        pass


@pytest.fixture
def segmenter() -> RedSegmenter:
    """A network that costs nothing."""
    return RedSegmenter()


@pytest.fixture(scope="session")
def sod_metrics() -> ModuleType:
    """The library of the published metrics; what needs it may be skipped, but not in CI."""
    if os.environ.get("CI"):
        return importlib.import_module("py_sod_metrics")
    module: ModuleType = pytest.importorskip("py_sod_metrics", exc_type=ImportError)
    return module


def _scene(index: int, width: int, height: int) -> av.VideoFrame:
    """A red disc that wanders over a pattern, as RGB."""
    rows, columns = np.mgrid[:height, :width]
    wave = 60 + 50 * np.sin(14 * columns / width + index / 3) * np.cos(13 * rows / height)
    rgb = np.stack([wave, 1.5 * wave, wave], axis=2)
    away = np.hypot(columns - width * (0.3 + 0.02 * (index % 20)), rows - height / 2)
    rgb[away < min(width, height) / 4] = (230, 90, 80)
    return av.VideoFrame.from_ndarray(rgb.astype(np.uint8), format="rgb24")


def _add_tone(
    container: av.container.OutputContainer, codec: str, duration_s: float, start_s: float = 0
) -> None:
    rate = 44100
    stream = container.add_stream(codec, rate=rate)
    assert isinstance(stream, av.AudioStream)
    context = stream.codec_context
    context.layout = "stereo"
    tone = np.sin(np.arange(round(rate * duration_s)) / 20)[None] * 9000
    sound = av.AudioFrame.from_ndarray(tone.astype(np.int16), format="s16", layout="mono")
    sound.rate, sound.pts = rate, round(rate * start_s)
    size = context.frame_size or 1024
    resampler = av.AudioResampler(context.format, context.layout, rate, frame_size=size)
    for part in resampler.resample(sound) + resampler.resample(None):
        container.mux(stream.encode(part))
    container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def film() -> Film:
    """Encodes a made-up clip into a file.

    pts and time_base: of the pictures; one unit of 1/rate apart if not given.
    tags: attributes of the encoder's context, such as ``colorspace``.
    audio: codec of a sound track as long as the pictures.
    """

    def make(
        path: Path,
        *,
        count: int = 25,
        size: tuple[int, int] = (96, 64),
        codec: str = "libx264",
        pixel_format: str = "yuv420p",
        rate: int = 25,
        pts: Sequence[int] | None = None,
        time_base: Fraction | None = None,
        audio: str | None = None,
        container: str | None = None,
        metadata: dict[str, str] | None = None,
        tags: dict[str, object] | None = None,
        options: dict[str, str] | None = None,
        container_options: dict[str, str] | None = None,
    ) -> Path:
        time_base = time_base or Fraction(1, rate)
        pts = pts or range(count)
        path.parent.mkdir(parents=True, exist_ok=True)
        with av.open(
            str(path), "w", format=container, container_options=container_options or {}
        ) as output:
            output.metadata.update(metadata or {})
            stream = output.add_stream(codec, rate=rate, options=options or {})
            assert isinstance(stream, av.VideoStream)
            stream.width, stream.height = size
            stream.pix_fmt = pixel_format
            stream.codec_context.time_base = stream.time_base = time_base
            for name, value in (tags or {}).items():
                setattr(stream.codec_context, name, value)
            if audio:
                _add_tone(output, audio, len(pts) / rate, float(pts[0] * time_base))
            for index, at in enumerate(pts):
                picture = _scene(index, *size).reformat(format=pixel_format)
                picture.pts, picture.time_base = at, time_base
                output.mux(stream.encode(picture))
            output.mux(stream.encode(None))
        return path

    return make


@pytest.fixture(scope="session")
def record() -> Film:
    """Encodes a sound without pictures into a file.

    cover: content of a JPEG file to go along.
    """

    def make(path: Path, codec: str = "aac", *, cover: bytes | None = None) -> Path:
        with av.open(str(path), "w") as output:
            if cover is not None:
                output.add_attachment("cover.jpg", "image/jpeg", cover)
            _add_tone(output, codec, duration_s=0.5)
        return path

    return make


@dataclass(frozen=True)
class Content:
    """What a player finds in a file.

    Attributes:
        pictures: all of them, decoded.
        audio: payload of each packet of the sound track.
    """

    pictures: list[av.VideoFrame]
    audio: list[bytes]

    @property
    def size(self) -> tuple[int, int]:
        return self.pictures[0].width, self.pictures[0].height

    @property
    def times_s(self) -> list[Fraction]:
        return [Fraction(picture.pts) * picture.time_base for picture in self.pictures]


@pytest.fixture(scope="session")
def play() -> Callable[[Path], Content]:
    """Decodes a whole video file and fails on any damage."""

    def read(path: Path) -> Content:
        with av.open(str(path)) as container:
            pictures: list[av.VideoFrame] = []
            audio = []
            for packet in container.demux():
                if isinstance(packet.stream, av.VideoStream):
                    pictures.extend(packet.decode())
                elif packet.dts is not None:
                    audio.append(bytes(packet))
        assert not any(picture.is_corrupt for picture in pictures)
        return Content(pictures, audio)

    return read


@dataclass(frozen=True)
class Outcome:
    """How a run of the command ended.

    Attributes:
        code: its exit code.
        errors: lines on stderr.
    """

    code: int
    errors: list[str]

    @property
    def complaint(self) -> str:
        """The one line that says what is wrong; fails where there is another number of them."""
        assert not any("Traceback" in line for line in self.errors), self.errors
        (line,) = (line for line in self.errors if line.startswith("pranet-stream: "))
        return line


@pytest.fixture
def command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], segmenter: RedSegmenter
) -> Callable[..., Outcome]:
    """Runs `pranet-stream` with these arguments in this process, with the fake network."""

    def run(*arguments: str | Path, fake: bool = True) -> Outcome:
        with monkeypatch.context() as patch:
            if fake:
                for mode in (file_mode, live_mode):
                    patch.setattr(mode, "load_segmenter", lambda *_, **__: segmenter)
            patch.setattr(sys, "argv", ["pranet-stream", *map(str, arguments)])
            with pytest.raises(SystemExit) as caught:
                main()
        code = caught.value.code
        assert code is None or isinstance(code, int)
        return Outcome(code or 0, capsys.readouterr().err.splitlines())

    return run


@pytest.fixture
def refuse(command: Callable[..., Outcome]) -> Callable[..., str]:
    """Runs the command, expects it to fail with exit code 2, and gives the one line it says."""

    def run(*arguments: str | Path, fake: bool = True) -> str:
        outcome = command(*arguments, fake=fake)
        assert outcome.code == 2, outcome
        return outcome.complaint

    return run


#: The command in a process of its own, with a network that takes its time: a long clip is not
#: through before a test has looked at what it left.
_SLOW_COMMAND = """
import runpy, sys, time
from streamer.cli import file_mode, main

def load_segmenter(*_, **__):
    time.sleep(loading_s)
    return RedSegmenter(pause_after=150)

RedSegmenter = runpy.run_path(sys.argv.pop(1))["RedSegmenter"]
loading_s = float(sys.argv.pop(1))
file_mode.load_segmenter = load_segmenter
main()
"""


class Running:
    """The command under way in a process of its own."""

    def __init__(
        self, arguments: Sequence[str], errors: Path, before: Callable[[], None] | None
    ) -> None:
        self._errors = errors
        with errors.open("w") as file:
            self._process = subprocess.Popen(
                arguments,
                stderr=file,
                preexec_fn=before,
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )

    def wait_for_frames(self, count: int, events: Path) -> None:
        """Until an events file tells of so many frames."""
        self._wait_for(lambda text: text.count('"type": "frame"') >= count, events)

    def wait_for_lines(self, count: int) -> None:
        """Until stderr has so many lines."""
        self._wait_for(lambda text: text.count("\n") >= count, self._errors)

    def _wait_for(self, holds: Callable[[str], bool], path: Path) -> None:
        """Until it holds of a file's text; fails if the command ends before."""
        deadline_s = time.monotonic() + DEADLINE_S
        while not path.is_file() or not holds(path.read_text()):
            assert self._process.poll() is None, self._errors.read_text()
            assert time.monotonic() < deadline_s, "hangs"
            time.sleep(0.01)

    def send(self, number: int) -> None:
        self._process.send_signal(number)

    def finish(self) -> Outcome:
        """Wait for its end."""
        code = self._process.wait(timeout=DEADLINE_S)
        return Outcome(code, self._errors.read_text().splitlines())

    def end(self) -> None:
        """Leave nothing behind, whatever the test came to."""
        self._process.kill()
        self._process.wait()


@pytest.fixture
def launch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Starts `pranet-stream` with these arguments in a process of its own.

    fake: with a slow fake network, else with the engine that the arguments name.
    loading_s: how long the fake network takes to load.
    before: called in that process first.
    """
    folder = tmp_path_factory.mktemp("launched")
    started: list[Running] = []

    def start(
        *arguments: str | Path,
        fake: bool = True,
        loading_s: float = 0.0,
        before: Callable[[], None] | None = None,
    ) -> Running:
        program = (
            ["-c", _SLOW_COMMAND, __file__, str(loading_s)] if fake else ["-m", "streamer.cli"]
        )
        line = [sys.executable, *program, *map(str, arguments)]
        started.append(Running(line, folder / f"errors_{len(started)}", before))
        return started[-1]

    yield start
    for running in started:
        running.end()
