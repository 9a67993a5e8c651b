r"""Make videos with exact masks out of stills and their masks, for measuring steadiness.

    python -m demos.make_sequences --data ../shared/data/polyps/TestDataset/Kvasir \
        --output sequences --count 40 --seconds 12 --seed 0

Each sequence is three files: `NAME.mp4`, `NAME_masks.mkv` (0 or 255 = polyp, frame by frame) and
`NAME.json`, which says what happens when. They are no recordings of procedures: the camera, the
light and all that floats or pokes are made up, so what is measured on them is not what a network
does on patients. Run again, the command goes on where it was stopped.
"""

import json
import re
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from fractions import Fraction
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Annotated

import cv2
import typer
from rich.console import Console

from demos.sequences.footage import Footage
from demos.sequences.plan import Plan, plan_sequences
from demos.sequences.stills import prepare
from demos.sequences.write import write_pair
from pranet.command import run_module
from pranet.data import Pair, find_pairs
from pranet.errors import DataError
from streamer import report as reports
from streamer.errors import OutputError, StreamError
from streamer.sinks.base import make_folder, reporting_errors

# Without markup: the name of a folder may hold brackets.
console = Console(soft_wrap=True, markup=False)

LEAST_SIZE_PX = 64


def make_sequences(
    data: Annotated[list[Path], typer.Option(help="Folder with images/ and masks/; repeatable.")],
    output: Annotated[Path, typer.Option(help="Folder to write into.")],
    count: Annotated[int, typer.Option(help="Number of sequences.", min=1)] = 40,
    seconds: Annotated[float, typer.Option(help="Length of each.", min=0.5, max=600)] = 12,
    seed: Annotated[int, typer.Option(help="Chooses everything.", min=0)] = 0,
    rate: Annotated[float, typer.Option(help="Frames per second.", min=1, max=240)] = 30,
    size: Annotated[
        str, typer.Option(help="Of the frame, even.", metavar="WIDTHxHEIGHT")
    ] = "640x512",
    jobs: Annotated[int, typer.Option(help="Processes at a time.", min=1)] = 1,
) -> None:
    """Make videos with exact masks out of stills and their masks. Research use only."""
    cv2.setNumThreads(1)
    size_px = _parse_size(size)
    pairs = [pair for folder in data for pair in _pairs(folder)]
    make_folder(output)
    plans = plan_sequences(
        pairs,
        count=count,
        seconds=seconds,
        seed=seed,
        rate=Fraction(rate).limit_denominator(1001),
        size_px=size_px,
    )
    missing = [plan for plan in plans if not _is_finished(plan, output)]
    console.print(f"{count - len(missing)} of {count} sequences are there already")
    for plan, cpu_s in zip(missing, _made(missing, output, jobs), strict=True):
        cost_ms = 1e3 * cpu_s / plan.frames
        console.print(f"{plan.name}  {plan.frames} frames  {cost_ms:.1f} ms of a core each")


def make(plan: Plan, output: Path) -> float:
    """Make one sequence, under other names until it is complete.

    Returns:
        Seconds of CPU time that it took.

    Raises:
        DataError: a still has gone.
        OutputError: it cannot be written.
    """
    cv2.setNumThreads(1)
    begun_s = time.process_time()
    grounds = [prepare(shot.still, polyp_free=shot.polyp_free) for shot in plan.shots]
    if None in grounds:
        raise DataError(f"{plan.name}: a still has changed since the plan was made; start again")
    video, masks, description = _paths(plan, output)
    parts = [path.with_stem(f".{path.stem}.part") for path in (video, masks)]
    write_pair(
        Footage(plan, [ground for ground in grounds if ground is not None]),
        rate=plan.rate,
        encoding=plan.encoding,
        video=parts[0],
        masks=parts[1],
    )
    for part, path in zip(parts, (video, masks), strict=True):
        with reporting_errors(path):
            part.replace(path)
    reports.write(description, plan.described())
    return time.process_time() - begun_s


def _made(plans: Sequence[Plan], output: Path, jobs: int) -> Iterator[float]:
    """Make the sequences, so many at a time, and give what `make` gives, in order."""
    if jobs == 1:
        yield from (make(plan, output) for plan in plans)
        return
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(make, output=output), plans)


def _paths(plan: Plan, output: Path) -> tuple[Path, Path, Path]:
    """Video, masks and description."""
    name = plan.name
    return output / f"{name}.mp4", output / f"{name}_masks.mkv", output / f"{name}.json"


def _is_finished(plan: Plan, output: Path) -> bool:
    video, masks, description = _paths(plan, output)
    if not (video.exists() and masks.exists() and description.exists()):
        return False
    try:
        made = json.loads(description.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise OutputError(f"{description}: cannot be read; remove it") from error
    if made != json.loads(json.dumps(plan.described())):
        raise OutputError(f"{description}: was made by other settings; name another folder")
    return True


def _pairs(folder: Path) -> list[Pair]:
    pairs = find_pairs(folder)
    if any(pair.mask is None for pair in pairs):
        raise DataError(f"{folder}: no masks found in {folder / 'masks'}")
    return pairs


def _parse_size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    sides = [int(side) for side in match.groups()] if match else []
    if not sides or not all(LEAST_SIZE_PX <= side <= 4096 and side % 2 == 0 for side in sides):
        raise StreamError(
            f"--size {text}: two even numbers from {LEAST_SIZE_PX} to 4096 are needed, e.g. 640x512"
        )
    return sides[0], sides[1]


def main() -> None:
    """Entry point."""
    run_module("make_sequences", make_sequences)


if __name__ == "__main__":
    main()
