r"""Fit what the training pictures look like: what `streamer.familiar` tells others apart by.

    python -m calibration.familiar --data TrainDataset --data polyp_free \
        --sequences docs/clinicdb_sequences.json --output streamer/familiar.json
"""

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
from pranet.recipe import Recipe
from streamer import report as reports
from streamer.color import ColorDescription
from streamer.familiar import NAMES, Familiar, Features, features_of
from streamer.frame import View
from streamer.motion import small_luma

Image = NDArray[np.uint8]

#: Share of the training pictures that may be farther away than the limit …
UNLIKE_SHARE = 0.005
#: … before it is moved out by so much: video is softer than the stills that were trained on.
MARGIN = 1.1
#: Of every so many-th picture the features are also taken blurred by this share of its height: a
#: third of the way from those back to the least sharp of the training pictures is sharp enough.
BLUR, BLURRED_STEP, SHARP_ENOUGH = 0.05, 4, 1 / 3
_SHARPNESS = NAMES.index("luma, log fine gradient")
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


def blur(image: Image) -> Image:
    """The picture blurred beyond use."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), BLUR * image.shape[0]), np.uint8)


def fit(points: Features, blurred: Features) -> Familiar:
    """What pictures with these features have in common.

    Args:
        points: (count, n).
        blurred: (count, n), those of some of them blurred.

    Raises:
        DataError: they are too few.
    """
    if len(points) < 100:
        raise DataError(f"{len(points)} pictures are too few to say what all look like")
    least = np.full(points.shape[1], -np.inf)
    sharp = np.quantile(points[:, _SHARPNESS], UNLIKE_SHARE)
    soft = np.quantile(blurred[:, _SHARPNESS], 1 - UNLIKE_SHARE)
    least[_SHARPNESS] = soft + SHARP_ENOUGH * (sharp - soft)
    mean = points.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(points.T))
    whitening = (vectors / np.sqrt(values.clip(0) + _LEAST_VARIANCE)).T
    distances = np.linalg.norm((points - mean) @ whitening.T, axis=1)
    limit = MARGIN * float(np.quantile(distances, 1 - UNLIKE_SHARE))
    return Familiar(mean, whitening, limit, least)


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
        for pair in split(find_pairs(folder), ranges, share=Recipe.validation_share, seed=seed)[0]
    ]
    points, blurred = [], []
    for place, pair in enumerate(pairs):
        image = read_image(pair.image, cv2.IMREAD_COLOR_RGB)
        points.append(features_of_image(image))
        if place % BLURRED_STEP == 0:
            blurred.append(features_of_image(blur(image)))
    familiar = fit(np.array(points), np.array(blurred))
    reports.write(output, familiar.to_dict() | {"pictures": len(pairs)})


if __name__ == "__main__":
    run_module("calibration.familiar", run)
