"""The comparison with other programs: agreement of masks, turns, what is said of the outputs."""

import sys
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest

from demos.bench import peers
from demos.bench.peers import Program, describe_video, dice_by_frame, measure
from pranet.checkpoint import DEFAULT_MODEL
from streamer.errors import StreamError

Film = Callable[..., Path]

#: Takes part as the real programs do, and writes the clip itself and masks of so many px.
SCRIPT = """
import argparse, json, shutil, sys
import numpy as np

parser = argparse.ArgumentParser()
for name in ("clip", "model", "onnx", "output", "masks", "precision", "px"):
    parser.add_argument(f"--{name}")
parser.add_argument("--frames", type=int)
given = parser.parse_args()
assert open(given.onnx).read() == "a network"
for word in ("loaded", "ready"):
    print(f"@{word} {{}}", flush=True)
sys.stdin.readline()
shutil.copy(given.clip, given.output)
if given.masks:
    mask = np.zeros((given.frames, 10, 80), np.uint8)
    mask[:, 0, : int(given.px or 40)] = 1
    np.save(given.masks, np.packbits(mask, axis=2).reshape(given.frames, -1))
print("@done {}", flush=True)
sys.stdin.readline()
"""
EXPORT = "import sys\nopen(sys.argv[2], 'w').write('a network')"

PEER = Program("a peer", "peer.py", ("--px", "30"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Programs that take part."""
    (tmp_path / "pranet_stream.py").write_text(SCRIPT)
    (tmp_path / "peer.py").write_text(SCRIPT)
    (tmp_path / "export_onnx.py").write_text(EXPORT)
    return tmp_path


def test_all_take_their_turns(folder: Path, clip: Path) -> None:
    told: list[str] = []

    measured = measure(
        str(clip),
        DEFAULT_MODEL,
        folder=folder,
        python=Path(sys.executable),
        frames=40,
        repeats=2,
        tell=told.append,
        programs=(peers.ALONE, PEER),
    )

    speed, agreement = measured.grids
    assert list(speed.rows) == [peers.ALONE.name, "a peer"]
    assert all(len(row["fps"].values) == 2 for row in speed.rows.values())
    times = speed.rows["a peer"][f"{peers.ALONE.name}: times as fast"]
    ours, theirs = (row["fps"].values for row in speed.rows.values())
    assert times.values == pytest.approx([a / b for a, b in zip(ours, theirs, strict=True)])
    assert agreement.rows[peers.ALONE.name]["mean Dice"].values == (1,)
    assert agreement.rows["a peer"]["mean Dice"].values == pytest.approx([60 / 70])
    assert told[0].startswith("a peer: draws something else, mean Dice 0.857")
    assert measured.details["outputs"]["a peer"] == describe_video(clip)
    # The second turn begins with the other program.
    names = [line.split(", ")[1].split(":")[0] for line in told[1:]]
    assert [name == "a peer" for name in names] == [False, True, True, False]


def test_a_folder_without_the_programs_is_refused(tmp_path: Path, clip: Path) -> None:
    with pytest.raises(StreamError, match=r"has no pranet_stream\.py; name the folder"):
        measure(
            str(clip),
            DEFAULT_MODEL,
            folder=tmp_path,
            python=Path(sys.executable),
            frames=1,
            repeats=1,
            tell=print,
        )


def test_a_missing_interpreter_is_told(folder: Path, clip: Path) -> None:
    with pytest.raises(StreamError, match="make bench-peers installs it"):
        measure(
            str(clip),
            DEFAULT_MODEL,
            folder=folder,
            python=folder / "none",
            frames=1,
            repeats=1,
            tell=print,
            programs=(PEER,),
        )


def test_every_program_of_the_comparison_is_there() -> None:
    folder = Path(__file__).parents[2] / "benchmarks"

    assert all((folder / program.script).is_file() for program in peers.PROGRAMS)
    assert peers.ALONE in peers.PROGRAMS
    assert len({program.name for program in peers.PROGRAMS}) == len(peers.PROGRAMS)


def test_dice_of_masks() -> None:
    def packed(*counts: int) -> np.ndarray:
        rows = np.arange(64)[None] < np.array(counts)[:, None]
        return np.packbits(rows, axis=1)

    dice = dice_by_frame(packed(32, 10, 0, 0), packed(16, 10, 0, 8))

    assert dice == pytest.approx([2 * 16 / 48, 1, 1, 0])
    with pytest.raises(StreamError, match="cannot be compared"):
        dice_by_frame(packed(1), packed(1, 2))


def test_a_video_is_described(film: Film, tmp_path: Path) -> None:
    path = film(tmp_path / "video.mp4", count=12, size=(128, 64))

    found = describe_video(path)

    assert found["codec"] == av.Codec("h264", "r").name
    assert (found["size"], found["frames"]) == ("128x64", 12)
    assert found["mb"] == round(path.stat().st_size / 1e6, 2)


def test_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "video.mp4").write_bytes(b"none")

    with pytest.raises(StreamError, match=r"video\.mp4: the program wrote nothing"):
        describe_video(tmp_path / "video.mp4")
