"""What ships, for a minute: whether it slows down, grows, or changes its mind."""

import hashlib
from collections import deque
from collections.abc import Callable
from functools import partial
from time import monotonic, monotonic_ns
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from demos.gpu_check.frames import sample_rgb
from demos.gpu_check.measuring import summary
from demos.gpu_check.part import Steps
from demos.gpu_check.shipped import load_shipped
from streamer.engine.base import Pending, Segmenter

#: Frames whose every bit has to come out the same again, made of so many different ones.
FRAMES = 1000
DIFFERENT = 50
SPAN_S = 10.0

Images = NDArray[np.uint8]


def shipped_steps(seconds: float, until_s: float) -> Steps:
    """Of the engine that `--backend cuda` loads.

    Args:
        seconds: of the latency's run, if there is so much time until `until_s`.
    """
    segmenter = load_shipped()
    images = sample_rgb(DIFFERENT, segmenter.info.input_size)
    yield from stability_steps(
        segmenter, images, seconds, until_s, free_bytes=lambda: torch.cuda.mem_get_info()[0]
    )


def stability_steps(
    segmenter: Segmenter,
    images: Images,
    seconds: float,
    until_s: float,
    *,
    free_bytes: Callable[[], int],
    clock_s: Callable[[], float] = monotonic,
) -> Steps:
    """Digests of two rounds, latency by spans of ten seconds, and memory at both ends.

    Args:
        images: RGB (n, size, size, 3), taken in turn.
        free_bytes: of the GPU's memory.
    """
    yield "variant", lambda: str(segmenter.info)
    digests: list[str] = []

    def bits() -> bool:
        digests.extend(digest(segmenter, images, FRAMES) for _ in range(2))
        return digests[0] == digests[1]

    yield "bit_stable", bits
    yield "digests_of_1000_frames", lambda: digests
    before_bytes = free_bytes()
    # What was found is still to be handed over in time.
    end_s = min(clock_s() + seconds, until_s - 2)
    number = 0
    while clock_s() < end_s:
        number += 1
        span_end_s = min(clock_s() + SPAN_S, end_s)
        yield f"span {number}", partial(_span, segmenter, images, span_end_s, clock_s)
    yield "memory_growth_mib", lambda: round((before_bytes - free_bytes()) / 2**20, 1)


def digest(segmenter: Segmenter, images: Images, count: int) -> str:
    """Of every bit of the answers, with as many frames under way as the engine takes."""
    found = hashlib.sha256()
    under_way: deque[Pending] = deque()
    for index in range(count):
        under_way.append(segmenter.submit(images[index % len(images)]))
        if len(under_way) == segmenter.info.streams:
            found.update(under_way.popleft().result().tobytes())
    for pending in under_way:
        found.update(pending.result().tobytes())
    return found.hexdigest()[:16]


def _span(
    segmenter: Segmenter, images: Images, end_s: float, clock_s: Callable[[], float]
) -> dict[str, Any]:
    """From an image of the host to its map on the host, one at a time."""
    times_ms: list[float] = []
    while not times_ms or clock_s() < end_s:
        start_ns = monotonic_ns()
        segmenter.submit(images[len(times_ms) % len(images)]).result()
        times_ms.append((monotonic_ns() - start_ns) / 1e6)
    return {"frames": len(times_ms)} | summary(times_ms)
