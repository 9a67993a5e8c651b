"""What it gains to show the network only the field of view: mDice on bordered pictures.

    python -m demos.benchmarks.view_gain --data TrainDataset --test TestDataset

Labelled pictures are put into a wider black frame, as processors put them into 16:9, and their
corners cut off as those of an octagon; masks are cut alike. The network then sees the whole frame,
or the box around the octagon. Choose by the pictures that were held out; the test sets only
confirm.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from pranet.checkpoint import DEFAULT_MODEL
from pranet.data import Pair, find_pairs, load_sequences, split
from pranet.metrics.overlap import dice_at
from pranet.predict import at_full_size
from streamer import load_segmenter
from streamer.frame import View

Image = NDArray[np.uint8]
Probability = NDArray[np.float32]

#: Shape of the frame, the view's share of its height, and where in the spare width it lies.
ASPECT, HEIGHT, PLACE = 16 / 9, 0.97, 0.65
#: Width and height of a corner that is cut off, as a share of the view's height.
CUT = 0.12
#: As `pranet-calibrate` holds out.
HELD_OUT, SEED = 0.08, 2026

console = Console(soft_wrap=True, markup=False)


def bordered(image: Image, mask: Image) -> tuple[Image, Image, View]:
    """The picture and its mask as an octagon in a wider frame, and the box around the octagon."""
    height, width = mask.shape
    cut = round(CUT * height)
    corners = [(cut, 0), (width - 1 - cut, 0), (width - 1, cut), (width - 1, height - 1 - cut)]
    corners += [(width - 1 - cut, height - 1), (cut, height - 1), (0, height - 1 - cut), (0, cut)]
    octagon = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(octagon, np.array(corners, np.int32), 255)
    tall = round(height / HEIGHT)
    wide = max(round(ASPECT * tall), width)
    view = View(round(PLACE * (wide - width)), (tall - height) // 2, width, height)
    part = np.s_[view.y : view.y + height, view.x : view.x + width]
    frame, truth = np.zeros((tall, wide, 3), np.uint8), np.zeros((tall, wide), np.uint8)
    frame[part] = cv2.bitwise_and(image, image, mask=octagon)
    truth[part] = cv2.bitwise_and(mask, octagon)
    return frame, truth, view


def _dices(
    ask: Callable[[Image], Probability], pairs: Sequence[Pair]
) -> Iterator[tuple[float, float, float]]:
    """Dice of each picture alone, in a frame, and in a frame of which the view is shown."""
    for pair in pairs:
        image, mask = pair.read()
        alone = at_full_size(ask(image), image.shape[1], image.shape[0])
        frame, truth, view = bordered(image, mask)
        whole = at_full_size(ask(frame), frame.shape[1], frame.shape[0])
        part = np.s_[view.y : view.y + view.height, view.x : view.x + view.width]
        cropped = np.zeros(truth.shape, np.float32)
        cropped[part] = at_full_size(
            ask(np.ascontiguousarray(frame[part])), view.width, view.height
        )
        yield dice_at(alone, mask), dice_at(whole, truth), dice_at(cropped, truth)


def _row(
    name: str, ask: Callable[[Image], Probability], pairs: Sequence[Pair]
) -> dict[str, object]:
    dices = 100 * np.array(list(_dices(ask, pairs)))
    alone, whole, cropped = dices.T
    gain = cropped - whole
    # Of the mean of the differences, by drawing pictures anew.
    rng = np.random.default_rng(0)
    means = rng.choice(gain, (4000, len(gain))).mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    console.print(
        f"| {name} | {len(pairs)} | {alone.mean():.2f} | {whole.mean():.2f} | {cropped.mean():.2f} "
        f"| {gain.mean():+.2f} ({low:+.2f} to {high:+.2f}) | {np.mean(whole < 20):.1%} "
        f"| {np.mean(cropped < 20):.1%} |"
    )
    return {
        "set": name,
        "pictures": len(pairs),
        "without_border": round(float(alone.mean()), 3),
        "whole_frame": round(float(whole.mean()), 3),
        "view_only": round(float(cropped.mean()), 3),
        "gain": round(float(gain.mean()), 3),
        "gain_95": [round(float(low), 3), round(float(high), 3)],
        "nearly_missed_whole": round(float(np.mean(whole < 20)), 4),
        "nearly_missed_view": round(float(np.mean(cropped < 20)), 4),
    }


def main(
    data: Annotated[Path, typer.Option(help="Training split; a part is held out.")],
    sequences: Annotated[Path | None, typer.Option(help="Frames of one video (JSON).")] = None,
    test: Annotated[Path | None, typer.Option(help="Folder of test sets.")] = None,
    model: str = DEFAULT_MODEL,
    threads: int = 1,
    output: Annotated[Path | None, typer.Option(help="JSON.")] = None,
) -> None:
    """Measure it, and print a table."""
    ranges = load_sequences(sequences) if sequences is not None else {}
    _, held_out = split(find_pairs(data), ranges, share=HELD_OUT, seed=SEED)
    sets = {"held out": held_out}
    for folder in sorted(test.iterdir()) if test is not None else ():
        sets[folder.name] = find_pairs(folder)
    segmenter = load_segmenter(model, streams=1, threads=threads)
    size_px = segmenter.info.input_size

    def ask(image: Image) -> Probability:
        small = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
        return segmenter.submit(np.asarray(small, np.uint8)).result()

    console.print(f"{segmenter.info}\n")
    console.print(
        "| pictures | count | without a border | whole frame | view only | gain (95 %) "
        "| Dice < 20: whole | view |\n|---|--:|--:|--:|--:|--:|--:|--:|"
    )
    rows = [_row(name, ask, pairs) for name, pairs in sets.items()]
    segmenter.close()
    if output is not None:
        output.write_text(json.dumps({"engine": str(segmenter.info), "rows": rows}, indent=2))


if __name__ == "__main__":
    typer.run(main)
