"""Reading a 1080p picture as the network's input, and drawing into it: right, and how near to the
speed of the GPU's memory."""

import statistics
from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from streamer.color import ColorDescription
from streamer.frame import View
from streamer.gpu.drawing import Marking, directions_on, draw, draw_plain
from streamer.gpu.picture import Allocate, YuvPicture, empty_picture
from streamer.gpu.reading import Reading, RgbTerms, read, read_plain

WIDTH_PX, HEIGHT_PX, SIZE_PX = 1920, 1080, 352
REPEATS = 200


def check_pictures() -> dict[str, Any]:
    """Times in µs on the GPU, medians, and differences from the plain form."""
    place = torch.device("cuda")
    found: dict[str, Any] = {"copy_gb_per_s": round(_copy_rate() / 1e9)}
    for layout in ("nv12", "yuv420p"):
        picture = _noise(layout, place)
        for name, color in (
            ("bt709 limited", ColorDescription("bt709", False, False)),
            ("bt601 full", ColorDescription("bt601", True, False)),
        ):
            terms = RgbTerms.of(color, (0.5,) * 3, (0.5,) * 3)
            reading = Reading.of(WIDTH_PX, HEIGHT_PX, SIZE_PX, terms, place)
            out = torch.zeros(1, 3, SIZE_PX, SIZE_PX, dtype=torch.float16, device=place)
            out = out.to(memory_format=torch.channels_last)
            read(picture, reading, out[0])
            off = (out[0].float() - read_plain(picture, reading)).abs().max()
            found[f"read {layout} {name}"] = {
                "us": _time_us(partial(read, picture, reading, out[0])),
                # In steps of 255; the float16 result is exact to 0.06 of them.
                "off_by": round(float(off) * 127.5, 3),
            }
        found[f"draw {layout}"] = _check_drawing(picture)
    read_bytes = WIDTH_PX * HEIGHT_PX * 3 // 2 + 3 * SIZE_PX * SIZE_PX * 2
    # A copy reads and writes: its rate counts both.
    found["floor_us"] = round(read_bytes / _copy_rate() * 1e6, 2)
    return found


def _check_drawing(picture: YuvPicture) -> dict[str, Any]:
    place = picture.luma.device
    y, x = torch.meshgrid(*(torch.arange(SIZE_PX, device=place),) * 2, indexing="ij")
    level = torch.sigmoid((60 - ((x - 170) ** 2 + (y - 150) ** 2).sqrt()) / 4)
    thin = torch.zeros(SIZE_PX, SIZE_PX, dtype=torch.uint8, device=place)
    view = View(0, 0, WIDTH_PX, HEIGHT_PX)
    marking = Marking(
        level, thin, 0.5, (105, 85, 235, 215), view, (150, 44, 21), 4, 2, 0.0, directions_on(place)
    )
    plain = YuvPicture(picture.luma.clone(), picture.blue.clone(), picture.red.clone())
    before = picture.luma.clone()
    draw_plain(plain, marking)
    draw(picture, marking)
    return {
        "us": _time_us(lambda: draw(picture, marking)),
        "drawn_px": int((picture.luma != before).sum()),
        # After it was timed many a sample has been drawn over again.
        "differing_samples": _differing(plain, before, marking),
    }


def _differing(plain: YuvPicture, luma: Any, marking: Marking) -> int:
    fresh = YuvPicture(luma.clone(), plain.blue.clone(), plain.red.clone())
    draw(fresh, marking)
    return int(((fresh.luma.int() - plain.luma.int()).abs() > 1).sum())


def _noise(layout: str, place: torch.device) -> YuvPicture:
    torch.manual_seed(0)
    stored, picture = empty_picture(layout, HEIGHT_PX, WIDTH_PX, Allocate(place))
    for plane in stored:
        plane.random_(0, 256)
    return picture


def _copy_rate() -> float:
    """Bytes read and written per second by a copy of 1 GiB on the GPU."""
    a = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    b = torch.empty_like(a)
    return 2 * a.numel() / (_time_us(lambda: b.copy_(a), 20) / 1e6)


def _time_us(work: Callable[[], object], repeats: int = REPEATS) -> float:
    """Time of one run on the GPU, from many in a row in a CUDA graph: without the CPU's part."""
    for _ in range(3):
        work()
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        for _ in range(repeats):
            work()
    times = []
    for _ in range(3):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        start.record()
        graph.replay()
        end.record()
        torch.cuda.synchronize()
        times.append(float(start.elapsed_time(end)) * 1e3 / repeats)
    return round(statistics.median(times), 2)
