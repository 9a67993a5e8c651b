"""Pictures to calibrate with: of a folder or a video, and as unlike each other as they can be."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from pranet.data import IMAGE_SUFFIXES, Pair, read_image
from pranet.errors import DataError
from streamer.frame import Frame
from streamer.rgb import SquareReader
from streamer.sources import open_source

Image = NDArray[np.uint8]

#: Side in px of the images by which pictures are told apart.
_THUMBNAIL_PX = 16
#: Pictures of a video that are looked at, at most; they are spread over all of it.
_MOST_LOOKED_AT = 2000


def read_pictures(data: Path, size_px: int, pairs: Sequence[Pair] | None = None) -> list[Image]:
    """All pictures of a folder (or of its `images/`), or many of a video.

    Args:
        pairs: only the pictures of these.

    Returns:
        RGB (size_px, size_px, 3) each.

    Raises:
        DataError, SourceError: there are none, or one cannot be read.
    """
    if data.is_dir():
        files = _files(data) if pairs is None else [pair.image for pair in pairs]
        return [_square(read_image(path, cv2.IMREAD_COLOR_RGB), size_px) for path in files]
    return list(_of_video(data, size_px))


def _files(folder: Path) -> list[Path]:
    inner = folder / "images"
    files = sorted(
        path
        for path in (inner if inner.is_dir() else folder).iterdir()
        if path.suffix.lower() in IMAGE_SUFFIXES
    )
    if not files:
        raise DataError(f"{folder}: holds no images")
    return files


def _square(image: Image, size_px: int) -> Image:
    return np.asarray(cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA), np.uint8)


def _of_video(path: Path, size_px: int) -> Iterator[Image]:
    source = open_source(str(path))
    reader = SquareReader(size_px)
    step = max(1, (source.info.frames or 0) // _MOST_LOOKED_AT)
    try:
        for item in source:
            if isinstance(item, Frame) and item.index % step == 0:
                yield reader.read(item.picture, item.color)
    finally:
        source.close()


def choose_diverse(pictures: Sequence[Image], count: int) -> list[int]:
    """Places of `count` pictures that are far from each other.

    Each next one is the farthest from all before it (greedy k-centre, Gonzalez 1985), by small
    images of them. The first is the one nearest to the mean of all. Frames of one scene look alike:
    the first N of a video, or N at random, would show the same over and over.
    """
    small = np.stack(
        [
            cv2.resize(picture, (_THUMBNAIL_PX,) * 2, interpolation=cv2.INTER_AREA)
            for picture in pictures
        ]
    )
    points = small.reshape(len(pictures), -1).astype(np.float32)
    chosen = [int(_distances(points, points.mean(axis=0)).argmin())]
    nearest = _distances(points, points[chosen[0]])
    while len(chosen) < min(count, len(pictures)):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, _distances(points, points[chosen[-1]]))
    return chosen


def _distances(points: NDArray[np.float32], point: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(((points - point) ** 2).sum(axis=1), np.float32)
