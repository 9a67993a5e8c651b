"""NVENC: whether it opens, how long it takes from either memory, and what comes out."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import monotonic_ns
from typing import Any

import av
import numpy as np
import torch

from demos.gpu_check.part import Steps
from demos.gpu_check.pipeline import HEIGHT_PX, WIDTH_PX, MemorySource
from streamer.frame import Frame
from streamer.gpu.surface import adopt, settle
from streamer.planes import planes
from streamer.sinks import Composed, EncoderChoice, VideoSink
from streamer.sinks.nvenc import why_no_nvenc
from streamer.sources.base import SourceInfo

NVENC = EncoderChoice("NVENC", "measured")
FRAMES = 300
#: Every so many pictures are held against what was encoded.
_COMPARED = 10


def why_not() -> str | None:
    """What keeps NVENC from 1080p pictures here; None if nothing does."""
    return why_no_nvenc(WIDTH_PX, HEIGHT_PX)


def encoding_steps() -> Steps:
    """Both memories, if NVENC opens at all."""
    missing = why_not()
    if missing is not None:
        yield "missing", lambda: missing
        return
    yield "host memory", from_host
    yield "device memory", from_device


def from_host() -> dict[str, Any]:
    """Pictures that NVENC is given in memory of the host."""
    source = MemorySource(FRAMES)
    return measure(source, replace(source.info, pixel_format="nv12"), NVENC, _as_nv12)


def from_device() -> dict[str, Any]:
    """Pictures that are on the GPU already, as NVDEC leaves them."""
    source = MemorySource(FRAMES)
    info = replace(source.info, pixel_format="nv12", decoder="NVDEC")
    return measure(source, info, NVENC, _to_device)


def _as_nv12(picture: av.VideoFrame) -> av.VideoFrame:
    return picture.reformat(format="nv12")


def _to_device(picture: av.VideoFrame) -> av.VideoFrame:
    on_device = adopt(_as_nv12(picture), torch.device("cuda"))
    settle()
    return on_device


def measure(
    source: MemorySource,
    info: SourceInfo,
    encoder: EncoderChoice,
    bring: Callable[[av.VideoFrame], av.VideoFrame],
) -> dict[str, Any]:
    """Record all pictures of a source, and read them again.

    Args:
        info: of the pictures as they are recorded.
        bring: makes such a picture of one of the source's; not timed.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "encoded.mkv"
        sink = VideoSink(path, info, encoder=encoder)
        times_ms = [_write_ms(sink, frame, bring(frame.picture)) for frame in _frames(source)]
        start_ns = monotonic_ns()
        sink.close()
        closing_ms = (monotonic_ns() - start_ns) / 1e6
        decoded, worst_db = _compare(path, source)
    p50, p99 = np.percentile(times_ms, (50, 99))
    return {
        "fps": round(1e3 * len(times_ms) / (sum(times_ms) + closing_ms), 1),
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "frames": len(times_ms),
        "decoded": decoded,
        "worst_psnr_db": round(worst_db, 1),
    }


def _frames(source: MemorySource) -> Iterator[Frame]:
    return (item for item in source if isinstance(item, Frame))


def _write_ms(sink: VideoSink, frame: Frame, picture: av.VideoFrame) -> float:
    composed = Composed(replace(frame, picture=picture), picture, None, [])
    start_ns = monotonic_ns()
    sink.write(composed)
    return (monotonic_ns() - start_ns) / 1e6


def _compare(path: Path, source: MemorySource) -> tuple[int, float]:
    """How many pictures a file holds, and the lowest PSNR in dB of those that were looked at."""
    expected, worst_db, count = _frames(source), float("inf"), 0
    with av.open(str(path)) as container:
        for found in container.decode(video=0):
            frame = next(expected, None)
            if frame is not None and count % _COMPARED == 0:
                worst_db = min(worst_db, _psnr_db(found, frame.picture))
            count += 1
    return count, worst_db


def _psnr_db(found: av.VideoFrame, expected: av.VideoFrame) -> float:
    """Of the plane that is furthest off, 8 bits; both pictures of one format."""
    errors = [
        np.square(one.pixels.astype(np.float32) - other.pixels).mean()
        for one, other in zip(planes(found), planes(expected), strict=True)
    ]
    return float(10 * np.log10(255**2 / max(*errors, 1e-9)))
