"""`--decode auto` with a file that NVDEC cannot decode: the CPU is to take it."""

import logging
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import av

from demos.gpu_check.frames import SAMPLE
from streamer.frame import Frame
from streamer.sources import open_source

FRAMES = 10


def check_fallback() -> dict[str, Any]:
    """Which decoder took an FFV1 file, how many of its pictures came, and what was said."""
    with TemporaryDirectory() as folder, _heard() as said:
        path = Path(folder) / "exact.mkv"
        _write_ffv1(path)
        with closing(open_source(str(path), decode="auto")) as source:
            came = sum(isinstance(item, Frame) for item in source)
            decoder = source.info.decoder
    return {
        "holds": decoder == "CPU" and came == FRAMES,
        "decoder": decoder,
        "frames": came,
        "said": [line.replace(f"{folder}/", "") for line in said],
    }


def _write_ffv1(path: Path) -> None:
    """The first pictures of the sample."""
    with closing(open_source(str(SAMPLE))) as source, av.open(str(path), "w") as container:
        info = source.info
        stream = container.add_stream("ffv1", rate=info.rate)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = info.width, info.height, info.pixel_format
        pictures = (item.picture for item in source if isinstance(item, Frame))
        for index, picture in zip(range(FRAMES), pictures, strict=False):
            picture.pts, picture.time_base = index, 1 / info.rate
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


@contextmanager
def _heard() -> Iterator[list[str]]:
    """What the sources log meanwhile."""
    said: list[str] = []

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    logger, ear = logging.getLogger("streamer.sources"), Ear()
    before = logger.level
    logger.addHandler(ear)
    logger.setLevel(logging.INFO)
    try:
        yield said
    finally:
        logger.removeHandler(ear)
        logger.setLevel(before)
