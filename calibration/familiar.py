r"""Fit what the training pictures look like: what `streamer.familiar` tells others apart by.

    python -m calibration.familiar --data TrainDataset --data polyp_free \
        --sequences docs/clinicdb_sequences.json --output streamer/familiar.json
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import av
import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from pranet.command import run_module
from pranet.data import find_pairs, load_sequences, read_image, split
from pranet.errors import DataError
from streamer import report as reports
from streamer.color import ColorDescription
from streamer.familiar import Familiar, Features, features_of
from streamer.frame import View
from streamer.motion import small_luma

Image = NDArray[np.uint8]

#: Share of the training pictures that may be farther away than the limit …
UNLIKE_SHARE = 0.005
#: … before it is moved out by so much: video is softer than the stills that were trained on.
MARGIN = 1.1
#: Added to all variances: what is the same in all training pictures may still differ a little.
_LEAST_VARIANCE = 1e-6
_COLOR = ColorDescription("bt601", full_range=True, guessed=False)


def features_of_image(image: Image) -> Features:
    """What a frame of video with these pixels, RGB (H, W, 3), would give."""
    height, width = (side // 2 * 2 for side in image.shape[:2])
    picture = av.VideoFrame.from_ndarray(
        np.ascontiguousarray(image[:height, :width]), format="rgb24"
    ).reformat(
        format="yuv420p",
        dst_colorspace=av.video.reformatter.Colorspace.ITU601,
        dst_color_range=av.video.reformatter.ColorRange.JPEG,
    )
    view = View(0, 0, width, height)
    return features_of(picture, view, small_luma(picture, view), _COLOR)


def fit(features: Iterable[Features]) -> Familiar:
    """What pictures with these features have in common.

    Raises:
        DataError: they are too few.
    """
    points = np.array(list(features))
    if len(points) < 100:
        raise DataError(f"{len(points)} pictures are too few to say what all look like")
    mean = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    whitening = (vectors / np.sqrt(values.clip(0) + _LEAST_VARIANCE)).T
    distances = np.linalg.norm((points - mean) @ whitening.T, axis=1)
    return Familiar(mean, whitening, MARGIN * float(np.quantile(distances, 1 - UNLIKE_SHARE)))


def run(
    data: Annotated[list[Path], typer.Option(help="Folder with images/; repeatable.")],
    output: Annotated[Path, typer.Option(help="JSON file to write.")],
    sequences: Annotated[
        Path | None, typer.Option(help="Frames of one video, kept together (JSON).")
    ] = None,
    seed: Annotated[int, typer.Option(help="Draws the part that is left out.")] = 2026,
) -> None:
    """Fit what the training pictures look like; the validation part is left out."""
    ranges = load_sequences(sequences) if sequences is not None else {}
    pairs = [
        pair
        for folder in data
        for pair in split(find_pairs(folder), ranges, share=0.08, seed=seed)[0]
    ]
    images = (read_image(pair.image, cv2.IMREAD_COLOR_RGB) for pair in pairs)
    familiar = fit(features_of_image(image) for image in images)
    reports.write(output, familiar.to_dict() | {"pictures": len(pairs)})


if __name__ == "__main__":
    run_module("calibration.familiar", run)
