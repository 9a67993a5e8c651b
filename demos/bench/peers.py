"""Other programs for the same task on the same clip, in turns with ours.

All have the same weights and write the clip at its own size with the boundary of each mask drawn.
The programs lie in `benchmarks/` and run in a virtual environment of their own, ours in this one;
each is measured from outside (`demos.bench.child`). Whether they draw the same is found out first,
from the masks that they draw.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from demos.bench.child import Turn, take_turn
from demos.bench.report import Grid, Measured
from demos.bench.statistics import Figure, higher, lower, ratios
from pranet.checkpoint import resolve
from streamer.errors import StreamError

#: Frames whose masks are compared.
MASK_FRAMES = 60
#: Programs whose masks agree less than this do not do the same.
LEAST_DICE = 0.98

Masks = NDArray[np.uint8]


@dataclass(frozen=True)
class Program:
    """One way to do it.

    Attributes:
        name: in the tables.
        script: file in the folder of the programs.
        arguments: further ones.
        ours: runs in this environment.
    """

    name: str
    script: str
    arguments: tuple[str, ...] = ()
    ours: bool = False


#: Computes what the others do; `STEADY` is what a user gets.
ALONE = Program(
    "pranet-stream, fp32, steadying off",
    "pranet_stream.py",
    arguments=("--precision", "fp32"),
    ours=True,
)
STEADY = Program(
    "pranet-stream", "pranet_stream.py", arguments=("--temporal", "balanced"), ours=True
)
PROGRAMS = (
    ALONE,
    STEADY,
    Program("OpenCV loop, PyTorch eager", "opencv_eager.py"),
    Program("OpenCV loop, OpenVINO", "opencv_openvino.py"),
    Program("PyAV loop, ONNX Runtime", "pyav_onnxruntime.py"),
    Program("supervision.process_video, ONNX Runtime", "supervision_onnxruntime.py"),
    Program(
        "the same with its own MPEG-4 encoder",
        "supervision_onnxruntime.py",
        arguments=("--encoder", "own"),
    ),
)


@dataclass(frozen=True)
class Room:
    """Where the programs are and what they work on.

    Attributes:
        folder: of the programs.
        python: interpreter of their environment.
        clip: that they read.
        model: checkpoint.
        onnx: the same as ONNX.
        scratch: folder for what they write.
    """

    folder: Path
    python: Path
    clip: str
    model: Path
    onnx: Path
    scratch: Path

    @property
    def output(self) -> Path:
        """The video that a program writes."""
        return self.scratch / "overlay.mp4"

    def run(self, program: Program, frames: int, masks: Path | None = None) -> Turn:
        """One turn of a program.

        Args:
            masks: file for its masks; a run that writes one is not to be counted.

        Raises:
            StreamError: it fails.
        """
        command = [sys.executable if program.ours else str(self.python)]
        command += [str(self.folder / program.script), "--clip", self.clip]
        command += ["--model", str(self.model), "--onnx", str(self.onnx)]
        command += ["--output", str(self.output), "--frames", str(frames), *program.arguments]
        command += [] if masks is None else ["--masks", str(masks)]
        return take_turn(command, _environment())

    def export_onnx(self) -> None:
        """Write the network as ONNX.

        Raises:
            StreamError: it cannot be.
        """
        command = [str(self.python), str(self.folder / "export_onnx.py")]
        command += [str(self.model), str(self.onnx)]
        try:
            done = subprocess.run(command, env=_environment(), capture_output=True, text=True)
        except OSError as error:
            raise StreamError(
                f"{self.python}: cannot be started ({error.strerror}); make bench-peers installs it"
            ) from error
        if done.returncode:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
            raise StreamError(f"the network cannot be written as ONNX: {reason}")


def _environment() -> dict[str, str]:
    """With this repository on the path, for the network itself and its checkpoint."""
    repository = str(Path(__file__).parents[2])
    return os.environ | {"PYTHONPATH": repository}


def measure(
    clip: str,
    model: str,
    *,
    folder: Path,
    python: Path,
    frames: int,
    repeats: int,
    tell: Callable[[str], None],
    programs: Iterable[Program] = PROGRAMS,
) -> Measured:
    """Agreement of the masks first, then the programs in turns.

    Args:
        folder: of the programs.
        python: interpreter of their environment.

    Raises:
        StreamError: a program is not there or fails.
    """
    programs = list(programs)
    missing = [one.script for one in programs if not (folder / one.script).is_file()]
    if missing:
        raise StreamError(f"{folder}: has no {missing[0]}; name the folder with --programs")
    with TemporaryDirectory(prefix="pranet-bench-") as scratch:
        onnx = Path(scratch) / "network.onnx"
        room = Room(folder, python, clip, resolve(model), onnx, Path(scratch))
        room.export_onnx()
        agreement, outputs = _agreement(room, programs, min(frames, MASK_FRAMES), tell)
        turns: dict[str, list[Turn]] = {program.name: [] for program in programs}
        for repeat in range(repeats):
            # Each turn begins with another program: none always follows the same one.
            begin = repeat % len(programs)
            for program in programs[begin:] + programs[:begin]:
                turn = room.run(program, frames)
                turns[program.name].append(turn)
                tell(f"{repeat + 1} of {repeats}, {program.name}: {frames / turn.wall_s:.1f} fps")
    rates = {name: [frames / turn.wall_s for turn in found] for name, found in turns.items()}
    rows = {name: _figures(found, frames) for name, found in turns.items()}
    for ours in (ALONE, STEADY):
        for name in turns:
            if ours.name in turns and name not in (ALONE.name, STEADY.name):
                times = ratios(rates[ours.name], rates[name])
                rows[name][f"{ours.name}: times as fast"] = higher(times)
    return Measured(
        [
            Grid("programs", rows, plot="bars"),
            Grid("agreement with fp32, steadying off", agreement),
        ],
        details={
            "outputs": outputs,
            "versions": {name: found[0].facts for name, found in turns.items()},
        },
    )


def _figures(turns: list[Turn], frames: int) -> dict[str, Figure]:
    return {
        "fps": higher([frames / turn.wall_s for turn in turns]),
        "CPU ms a frame": lower([1e3 * turn.cpu_s / frames for turn in turns]),
        "CPU s": lower([turn.cpu_s for turn in turns]),
        "peak MB": lower([turn.peak_mb for turn in turns]),
        "start-up s": lower([turn.startup_s for turn in turns]),
    }


def _agreement(
    room: Room, programs: list[Program], frames: int, tell: Callable[[str], None]
) -> tuple[dict[str, dict[str, Figure]], dict[str, Any]]:
    """Dice of each program's masks with ours, and what its output is."""
    with_it = programs if ALONE in programs else [ALONE, *programs]
    masks, outputs = {}, {}
    for program in with_it:
        path = room.scratch / "masks.npy"
        room.run(program, frames, path)
        masks[program] = np.load(path)
        outputs[program.name] = describe_video(room.output)
    rows = {}
    for program in programs:
        dice = dice_by_frame(masks[program], masks[ALONE])
        rows[program.name] = {
            "mean Dice": higher([float(dice.mean())]),
            "least Dice": higher([float(dice.min())]),
        }
        if dice.mean() < LEAST_DICE and not program.ours:
            tell(f"{program.name}: draws something else, mean Dice {dice.mean():.4f}")
    return rows, outputs


def dice_by_frame(some: Masks, others: Masks) -> NDArray[np.float64]:
    """Dice of two lists of packed masks (frames, bytes); two empty masks agree.

    Raises:
        StreamError: they are not of the same pictures.
    """
    if some.shape != others.shape:
        raise StreamError(f"masks of {some.shape} and {others.shape} cannot be compared")
    both = np.bitwise_count(some & others).sum(axis=1, dtype=np.int64)
    all_in_all = sum(np.bitwise_count(one).sum(axis=1, dtype=np.int64) for one in (some, others))
    empty = all_in_all == 0
    return np.asarray(np.where(empty, 1.0, 2 * both / np.maximum(all_in_all, 1)), np.float64)


def describe_video(path: Path) -> dict[str, Any]:
    """Codec, size, frames and bytes of what a program wrote.

    Raises:
        StreamError: it cannot be read.
    """
    try:
        with av.open(str(path)) as container:
            stream = container.streams.video[0]
            frames = sum(packet.size > 0 for packet in container.demux(stream))
            return {
                "codec": stream.codec_context.name,
                "size": f"{stream.codec_context.width}x{stream.codec_context.height}",
                "frames": frames,
                "mb": round(path.stat().st_size / 1e6, 2),
            }
    except (OSError, IndexError, av.FFmpegError) as error:
        raise StreamError(f"{path.name}: the program wrote nothing that can be read") from error
