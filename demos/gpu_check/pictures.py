"""Reading a 1080p picture as the network's input, and drawing into it: right, and how near to the
speed of the GPU's memory."""

import math
import statistics
from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any

import torch

from demos.gpu_check.part import Steps
from streamer.color import ColorDescription
from streamer.frame import View
from streamer.gpu.drawing import Marking, directions_on, draw, draw_plain
from streamer.gpu.picture import Allocate, YuvPicture, empty_picture
from streamer.gpu.reading import Reading, RgbTerms, read, read_plain

WIDTH_PX, HEIGHT_PX, SIZE_PX = 1920, 1080, 352
#: Samples of a 4:2:0 picture, a byte each.
PICTURE_BYTES = WIDTH_PX * HEIGHT_PX * 3 // 2
#: Runs that are timed together; at least.
REPEATS = 200
#: Pictures that are read in turn are so many times as large as the GPU's cache, so that each has
#: left it when its turn comes again.
CACHES = 3

LAYOUTS = ("nv12", "yuv420p")
COLORS = {
    "bt709 limited": ColorDescription("bt709", False, False),
    "bt601 full": ColorDescription("bt601", True, False),
}


def picture_steps() -> Steps:
    """Times in µs on the GPU, medians, and differences from the plain form."""
    place = torch.device("cuda")
    cache_bytes = torch.cuda.get_device_properties(place).L2_cache_size
    count = pictures_for(cache_bytes)
    yield "cache_mib", lambda: round(cache_bytes / 2**20)
    yield "pictures", lambda: count
    # Measured once: both figures stand in one sentence of the report.
    rate = cache(_copy_rate)
    yield "copy_gb_per_s", lambda: round(rate() / 1e9)
    yield "floor_us", lambda: round(_read_bytes() / rate() * 1e6, 2)
    for layout in LAYOUTS:
        for name, color in COLORS.items():
            yield f"read {layout} {name}", partial(_check_reading, layout, color, count, place)
        yield f"draw {layout}", partial(_check_drawing, layout, count, place)


def pictures_for(cache_bytes: int) -> int:
    """How many 1080p pictures have to be read in turn so that none comes out of the cache."""
    return math.ceil(CACHES * cache_bytes / PICTURE_BYTES) + 1


def _read_bytes() -> int:
    """All that reading one picture has to read and to write."""
    return PICTURE_BYTES + 3 * SIZE_PX * SIZE_PX * 2


def _check_reading(
    layout: str, color: ColorDescription, count: int, place: torch.device
) -> dict[str, Any]:
    terms = RgbTerms.of(color, (0.5,) * 3, (0.5,) * 3)
    reading = Reading.of(WIDTH_PX, HEIGHT_PX, SIZE_PX, terms, place)
    pictures = [noise(layout, place, seed) for seed in range(count)]
    out = torch.zeros(count, 3, SIZE_PX, SIZE_PX, dtype=torch.float16, device=place)
    out = out.to(memory_format=torch.channels_last)
    reads = [
        partial(read, picture, reading, into) for picture, into in zip(pictures, out, strict=True)
    ]
    reads[0]()
    off = (out[0].float() - read_plain(pictures[0], reading)).abs().max()
    return {
        "us": _time_us(reads),
        "us_from_cache": _time_us(reads[:1]),
        # In steps of 255; the float16 result is exact to 0.06 of them.
        "off_by": round(float(off) * 127.5, 3),
    }


def _check_drawing(layout: str, count: int, place: torch.device) -> dict[str, Any]:
    marking = disc(place)
    pictures = [noise(layout, place, seed) for seed in range(count)]
    draws = [partial(draw, picture, marking) for picture in pictures]
    return {
        # After they were timed they have been drawn over many a time.
        **compare_drawing(layout, pictures[0], marking),
        "us": _time_us(draws),
        "us_from_cache": _time_us(draws[:1]),
    }


def disc(place: torch.device, width_px: int = WIDTH_PX, height_px: int = HEIGHT_PX) -> Marking:
    """What to draw into a picture: the boundary of a disc."""
    y, x = torch.meshgrid(*(torch.arange(SIZE_PX, device=place),) * 2, indexing="ij")
    level = torch.sigmoid((60 - ((x - 170) ** 2 + (y - 150) ** 2).sqrt()) / 4)
    thin = torch.zeros(SIZE_PX, SIZE_PX, dtype=torch.uint8, device=place)
    view = View(0, 0, width_px, height_px)
    return Marking(
        level, thin, 0.5, (105, 85, 235, 215), view, (150, 44, 21), 4, 2, 0.0, directions_on(place)
    )


def compare_drawing(
    layout: str,
    picture: YuvPicture,
    marking: Marking,
    drawing: Callable[[YuvPicture, Marking], None] = draw,
) -> dict[str, Any]:
    """Draw into copies of a picture, also in the plain form.

    Returns:
        Samples of luma that were drawn upon, and those of each plane that differ by more than 1.
    """
    mine, plain = copy_of(layout, picture), copy_of(layout, picture)
    drawing(mine, marking)
    draw_plain(plain, marking)
    return {
        "drawn_px": int((mine.luma != picture.luma).sum()),
        "differing_samples": {
            name: int(((a.int() - b.int()).abs() > 1).sum())
            for name, a, b in (
                ("luma", mine.luma, plain.luma),
                ("blue", mine.blue, plain.blue),
                ("red", mine.red, plain.red),
            )
        },
    }


def copy_of(layout: str, picture: YuvPicture) -> YuvPicture:
    """The same samples in memory of the same layout: in NV12, blue and red lie in turn in it."""
    height, width = picture.luma.shape
    _, made = empty_picture(layout, height, width, Allocate(picture.luma.device))
    for target, plane in (
        (made.luma, picture.luma),
        (made.blue, picture.blue),
        (made.red, picture.red),
    ):
        target.copy_(plane)
    return made


def noise(
    layout: str,
    place: torch.device,
    seed: int = 0,
    width_px: int = WIDTH_PX,
    height_px: int = HEIGHT_PX,
) -> YuvPicture:
    """A picture of random samples."""
    torch.manual_seed(seed)
    stored, picture = empty_picture(layout, height_px, width_px, Allocate(place))
    for plane in stored:
        plane.random_(0, 256)
    return picture


def _copy_rate() -> float:
    """Bytes read and written per second by a copy of 1 GiB on the GPU."""
    a = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    b = torch.empty_like(a)
    # A copy reads and writes: its rate counts both.
    return 2 * a.numel() / (_time_us([lambda: b.copy_(a)], 20) / 1e6)


def _time_us(works: Sequence[Callable[[], object]], repeats: int = REPEATS) -> float:
    """Time of one run on the GPU, from many in a row in a CUDA graph: without the CPU's part.

    Args:
        works: run in turn, all of them equally often.
    """
    rounds = math.ceil(repeats / len(works))
    for _ in range(3):
        works[0]()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(rounds):
            for work in works:
                work()
    times = []
    for _ in range(3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(float(start.elapsed_time(end)) * 1e3 / (rounds * len(works)))
    return round(statistics.median(times), 2)
