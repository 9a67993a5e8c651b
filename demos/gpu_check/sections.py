"""The sections of the report, each of what its part found: all of it, or as far as it came."""

from collections.abc import Callable, Iterator
from typing import Any

Found = dict[str, Any]


def title(name: str) -> str:
    """A section's heading."""
    return {"nvdec": "NVDEC"}.get(name, name.capitalize())


def _networks(found: Found) -> Iterator[str]:
    yield "From the call to the answer on the GPU, in ms. Dice of the masks against eager fp32.\n"
    yield "| network | batch | variant | p50 | p99 | times eager fp32 | Dice | peak MiB |"
    yield "|---|--:|---|--:|--:|--:|--:|--:|"
    for model, batches in found.items():
        for batch, variants in batches.items():
            if batch == "failed":
                continue
            eager = variants.get("eager fp32", {}).get("p50_ms")
            for name, value in variants.items():
                if "missing" in value:
                    yield f"| {model} | {batch[1:]} | {name}: {value['missing']} | | | | | |"
                    continue
                times = f"{eager / value['p50_ms']:.1f}" if eager else ""
                yield (
                    f"| {model} | {batch[1:]} | {name} | {value['p50_ms']} "
                    f"| {value.get('p99_ms', '')} | {times} | {value.get('dice', '')} "
                    f"| {value['peak_mib']} |"
                )
        if "failed" in batches:
            yield f"| {model} | | {batches['failed']} | | | | | |"


def _rows(found: Found, columns: int, row: Callable[[str, Found], str]) -> Iterator[str]:
    """A table's rows; of what has failed, how."""
    for name, value in found.items():
        failed = value.get("failed")
        yield f"| {name}: {failed} {(columns - 1) * '| '}|" if failed else row(name, value)


def _pictures(found: Found) -> Iterator[str]:
    yield "One 1080p picture, in µs on the GPU. Differences are from the plain torch form.\n"
    yield "| step | from memory | from the GPU's cache | difference |"
    yield "|---|--:|--:|---|"
    steps = {name: value for name, value in found.items() if isinstance(value, dict)}
    yield from _rows(steps, 4, _picture_row)
    if "pictures" in found:
        yield (
            f"\nFrom memory: {found['pictures']} pictures in turn, so many that none is left in "
            f"the cache of {found['cache_mib']} MiB when its turn comes again. From the cache: one "
            f"picture again and again."
        )
    if isinstance(found.get("floor_us"), float):
        yield (
            f"\nReading has to move so many bytes that from memory it cannot take less than "
            f"{found['floor_us']} µs ({found['copy_gb_per_s']} GB/s, measured by a copy)."
        )


def _picture_row(name: str, value: Found) -> str:
    what = f"{name}, {value['drawn_px']} px" if "drawn_px" in value else name
    times = f"{value.get('us', '')} | {value['us_from_cache']}"
    return f"| {what} | {times} | {_difference(value)} |"


def _difference(value: Found) -> str:
    if "off_by" in value:
        return f"{value['off_by']} of 255"
    differing = value["differing_samples"]
    return ", ".join(f"{count} samples of {plane}" for plane, count in differing.items())


def _pipeline(found: Found) -> Iterator[str]:
    yield "1080p pictures from memory, bundled network; stages in ms, p50 / p99.\n"
    yield from _runs(found)


def _runs(found: Found) -> Iterator[str]:
    """A line for each run: its stages where it has them, and whatever else is known of it."""
    for name, value in found.items():
        if "cpu_cores" in value and "latency_ms" in value:
            stages = ", ".join(
                f"{stage} {times['p50']:.1f} / {times['p99']:.1f}"
                for stage, times in value["latency_ms"].items()
            )
            yield f"- {name}: **{value['fps']} fps**, {value['cpu_cores']} CPU cores; {stages}"
            continue
        facts = {key: fact for key, fact in value.items() if key != "latency_ms"}
        yield f"- {name}: " + ", ".join(f"{key} {fact}" for key, fact in facts.items())


def _live(found: Found) -> Iterator[str]:
    yield "1080p at 60 pictures a second, made up, bundled network.\n"
    yield from _runs(found)


def _nvdec(found: Found) -> Iterator[str]:
    yield "The sample decoded by NVDEC and by the CPU, in both cases read, analysed and drawn upon"
    yield "on the GPU; samples are those of the last picture.\n"
    yield from _runs(found)


def _fallback(found: Found) -> Iterator[str]:
    yield "What NVDEC cannot decode is to be taken by the CPU.\n"
    yield from _runs(found)


def _encoding(found: Found) -> Iterator[str]:
    if "missing" in found:
        yield f"{found['missing']}."
        return
    yield "1080p pictures by NVENC, from the sink's call to its return; PSNR of the worst plane.\n"
    yield "| from | fps | p50 ms | p99 ms | frames | decoded | PSNR dB |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    yield from _rows(
        found,
        7,
        lambda place, value: (
            f"| {place} | {value['fps']} | {value['p50_ms']} | {value['p99_ms']} "
            f"| {value['frames']} | {value['decoded']} | {value['worst_psnr_db']} |"
        ),
    )


def _stability(found: Found) -> Iterator[str]:
    yield f"{found.get('variant', 'The engine')}, from an image of the host to its map on the host."
    yield f"1,000 frames twice are {_sameness(found.get('bit_stable'))}.\n"
    yield "| span | frames | p50 ms | p99 ms | max ms |"
    yield "|--:|--:|--:|--:|--:|"
    spans = {key[5:]: value for key, value in found.items() if key.startswith("span ")}
    yield from _rows(
        spans,
        5,
        lambda number, span: (
            f"| {number} | {span['frames']} | {span['p50_ms']} | {span.get('p99_ms', '')} "
            f"| {span['max_ms']} |"
        ),
    )
    medians = [span["p50_ms"] for span in spans.values() if "p50_ms" in span]
    if len(medians) > 1:
        drift = 100 * (medians[-1] / medians[0] - 1)
        yield f"\nFrom the first span to the last one, the median changed by {drift:+.1f} %."
    if isinstance(found.get("memory_growth_mib"), float):
        yield f"\nMemory grew by {found['memory_growth_mib']} MiB."


def _sameness(bit_stable: Any) -> str:
    if bit_stable is True:
        return "bit for bit the same"
    if bit_stable is False:
        return "NOT the same"
    return f"not compared ({bit_stable['failed']})" if bit_stable else "not compared"


#: By the part's name, in the order of the page.
SECTIONS: dict[str, Callable[[Found], Iterator[str]]] = {
    "networks": _networks,
    "pictures": _pictures,
    "pipeline": _pipeline,
    "live": _live,
    "encoding": _encoding,
    "stability": _stability,
    "fallback": _fallback,
    "nvdec": _nvdec,
}
