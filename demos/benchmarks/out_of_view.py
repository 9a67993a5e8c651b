r"""How often pictures of all kinds are taken for something that the network was not trained on.

    python -m demos.benchmarks.out_of_view --pictures TestDataset/Kvasir --clip clip.mp4

Folders and clips of endoscopy should not be; the photographs that come with scikit-image, and the
pictures of the first folder made black, white, gray, blurred, dark or of other colours, should be.
Single pictures, so without the half second that has to pass in a run.
"""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from importlib import import_module
from pathlib import Path
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from calibration.familiar import features_of_image
from pranet.command import run_module
from pranet.data import find_pairs, read_image
from pranet.errors import DataError
from streamer.familiar import bundled, features_of
from streamer.frame import Frame, View
from streamer.motion import small_luma
from streamer.sources import open_source

Image = NDArray[np.uint8]

#: Every so many-th frame of a clip.
_STEP = 3


def _blurred(share: float) -> Callable[[Image], Image]:
    return lambda image: np.asarray(
        cv2.GaussianBlur(image, (0, 0), share * image.shape[0]), np.uint8
    )


def _gray(image: Image) -> Image:
    gray = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(cv2.cvtColor(gray, cv2.COLOR_GRAY2RGB), np.uint8)


#: What is done to pictures of the first folder, by name.
CHANGES: dict[str, Callable[[Image], Image]] = {
    "black": lambda image: np.full_like(image, 0),
    "white": lambda image: np.full_like(image, 255),
    "gray": _gray,
    "red and blue exchanged": lambda image: np.ascontiguousarray(image[..., ::-1]),
    "blurred by 2 % of the height": _blurred(0.02),
    "blurred by 10 % of the height": _blurred(0.1),
    "at a quarter of the brightness": lambda image: (image // 4).astype(np.uint8),
    "overexposed 2.5 times": lambda image: cv2.convertScaleAbs(image, alpha=2.5).astype(np.uint8),
}


def photographs() -> Iterator[tuple[str, Image]]:
    """Those that scikit-image brings along as files.

    Raises:
        DataError: it is not installed.
    """
    try:
        folder = Path(str(import_module("skimage.data").__file__)).parent
    except ImportError as error:
        raise DataError(
            'photographs need scikit-image; pip install "pranet-stream[eval]"'
        ) from error
    for path in sorted(folder.iterdir()):
        if path.suffix in (".png", ".jpg"):
            # Some have more than 8 bits.
            with suppress(DataError):
                yield path.stem, read_image(path, cv2.IMREAD_COLOR_RGB)


def distances_of_clip(path: Path) -> list[float]:
    """Of some of its frames."""
    found = []
    with closing(open_source(str(path.absolute()))) as source:
        for frame in source:
            if isinstance(frame, Frame) and frame.index % _STEP == 0:
                picture = frame.picture
                view = View(0, 0, picture.width, picture.height)
                luma = small_luma(picture, view)
                found.append(bundled().distance(features_of(picture, view, luma, frame.color)))
    return found


def measure(
    pictures: Annotated[list[Path], typer.Option(help="Folder with images/; repeatable.")],
    clip: Annotated[list[Path] | None, typer.Option(help="Video; repeatable.")] = None,
) -> None:
    """Print the share of pictures of each kind that are taken for unlike, and how unlike."""
    images = {
        folder.name: [read_image(pair.image, cv2.IMREAD_COLOR_RGB) for pair in find_pairs(folder)]
        for folder in pictures
    }
    found = {name: [_distance(image) for image in all_] for name, all_ in images.items()}
    found |= {path.name: distances_of_clip(path) for path in clip or []}
    first = next(iter(images.values()))
    found |= {
        name: [_distance(change(image)) for image in first] for name, change in CHANGES.items()
    }
    alone = {name: _distance(image) for name, image in photographs()}
    found["photographs"] = list(alone.values())
    print("| pictures | count | unlike, % | median | 10 % | 90 % |\n|---|--:|--:|--:|--:|--:|")
    for name, distances in found.items():
        spread = " | ".join(f"{each:.2f}" for each in np.quantile(distances, (0.5, 0.1, 0.9)))
        share = 100 * np.mean(np.array(distances) > 1)
        print(f"| {name} | {len(distances)} | {share:.1f} | {spread} |")
    print("\n" + ", ".join(f"{name} {distance:.2f}" for name, distance in alone.items()))


def _distance(image: Image) -> float:
    return bundled().distance(features_of_image(image))


if __name__ == "__main__":
    run_module("demos.benchmarks.out_of_view", measure)
