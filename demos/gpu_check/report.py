"""The findings as JSON, and as a page that can be read."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

#: What the design asks of an H100; see `docs/gpu.md`.
AIMS = (
    "aims on an H100: `pranet_v2_res2net50` at most 1.5 ms and at least 6 times as fast as eager "
    "fp32, `pranet_v2_lite0` at most 0.8 ms, 400 fps at 1080p from memory, annotation delay of "
    "20 ms at most (p99) at 60 fps"
)


def write_report(folder: Path, report: dict[str, Any]) -> None:
    """Write ``report.json`` and ``REPORT.md``."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "REPORT.md").write_text("\n".join(_page(report)) + "\n")


def _page(report: dict[str, Any]) -> Iterator[str]:
    machine = report["machine"]
    packages = ", ".join(f"{name} {found}" for name, found in machine["packages"].items() if found)
    missing = ", ".join(name for name, found in machine["packages"].items() if not found)
    yield "# GPU report\n"
    yield f"Written by `make gpu-check`; {AIMS}.\n"
    yield f"- GPU: {machine['gpu']}, compute capability {machine['compute_capability']},"
    yield f"  {machine['memory_gib']} GiB, driver {machine['driver']}, CUDA {machine['cuda']}"
    yield f"- host: {machine['cpu']}, Python {machine['python']}"
    yield f"- packages: {packages}"
    yield f"- not installed: {missing or 'none'}"
    yield from (f"- {name}: {found}" for name, found in machine["video"].items())
    yield from (f"- note: {note}" for note in report.get("notes", ()))
    for name, section in (
        ("networks", _networks),
        ("pictures", _pictures),
        ("pipeline", _pipeline),
        ("encoding", _encoding),
        ("stability", _stability),
    ):
        yield f"\n## {name.capitalize()}\n"
        found = report.get(name)
        if found is None:
            yield "Not run."
        elif "failed" in found:
            yield f"Failed: {found['failed']}"
        else:
            yield from section(found)


def _networks(found: dict[str, Any]) -> Iterator[str]:
    yield "From the call to the answer on the GPU, in ms. Dice of the masks against eager fp32.\n"
    yield "| network | batch | variant | p50 | p99 | times eager fp32 | Dice | peak MiB |"
    yield "|---|--:|---|--:|--:|--:|--:|--:|"
    for model, batches in found.items():
        if "failed" in batches:
            yield f"| {model} | | {batches['failed']} | | | | | |"
            continue
        for batch, variants in batches.items():
            eager = variants.get("eager fp32", {}).get("p50_ms")
            for name, value in variants.items():
                if "missing" in value:
                    yield f"| {model} | {batch[1:]} | {name}: {value['missing']} | | | | | |"
                    continue
                times = f"{eager / value['p50_ms']:.1f}" if eager else ""
                yield (
                    f"| {model} | {batch[1:]} | {name} | {value['p50_ms']} | {value['p99_ms']} "
                    f"| {times} | {value.get('dice', '')} | {value['peak_mib']} |"
                )


def _pictures(found: dict[str, Any]) -> Iterator[str]:
    yield "One 1080p picture, in µs on the GPU. Differences are from the plain torch form.\n"
    yield "| step | µs | difference |"
    yield "|---|--:|---|"
    for name, value in found.items():
        if name.startswith("read"):
            yield f"| {name} | {value['us']} | {value['off_by']} of 255 |"
        elif name.startswith("draw"):
            differing = value["differing_samples"]
            yield f"| {name}, {value['drawn_px']} px | {value['us']} | {differing} samples |"
    yield (
        f"\nReading has to move so many bytes that it cannot take less than {found['floor_us']} µs "
        f"({found['copy_gb_per_s']} GB/s, measured by a copy)."
    )


def _pipeline(found: dict[str, Any]) -> Iterator[str]:
    memory = found.get("from memory", {})
    if "failed" in memory:
        yield f"From memory: {memory['failed']}"
    else:
        yield "1080p pictures from memory, bundled network; stages in ms, p50 / p99.\n"
        for name, value in memory.items():
            stages = ", ".join(
                f"{stage} {times['p50']:.1f} / {times['p99']:.1f}"
                for stage, times in value["latency_ms"].items()
            )
            yield f"- {name}: **{value['fps']} fps**, {value['cpu_cores']} CPU cores; {stages}"
    for name, value in found.items():
        if name == "from memory":
            continue
        facts = (
            value if "failed" in value else {k: v for k, v in value.items() if k != "latency_ms"}
        )
        yield f"- {name}: " + ", ".join(f"{key} {fact}" for key, fact in facts.items())


def _encoding(found: dict[str, Any]) -> Iterator[str]:
    if "missing" in found:
        yield f"{found['missing']}."
        return
    yield "1080p pictures by NVENC, from the sink's call to its return; PSNR of the worst plane.\n"
    yield "| from | fps | p50 ms | p99 ms | frames | decoded | PSNR dB |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for place, value in found.items():
        if "failed" in value:
            yield f"| {place}: {value['failed']} | | | | | | |"
            continue
        yield (
            f"| {place} | {value['fps']} | {value['p50_ms']} | {value['p99_ms']} "
            f"| {value['frames']} | {value['decoded']} | {value['worst_psnr_db']} |"
        )


def _stability(found: dict[str, Any]) -> Iterator[str]:
    same = "bit for bit the same" if found["bit_stable"] else "NOT the same"
    yield f"{found['variant']}: 1,000 frames twice are {same}; memory grew by "
    yield f"{found['memory_growth_mib']} MiB.\n"
    yield "| span | frames | p50 ms | p99 ms | max ms |"
    yield "|--:|--:|--:|--:|--:|"
    for place, span in enumerate(found["spans"], start=1):
        yield (
            f"| {place} | {span['frames']} | {span['p50_ms']} | {span['p99_ms']} "
            f"| {span['max_ms']} |"
        )
