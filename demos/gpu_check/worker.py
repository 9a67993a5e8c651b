"""One network in every variant: `python -m demos.gpu_check.worker MODEL BATCHES REPEATS`.

It prepares all variants, says ``ready``, waits for a line, measures, and prints what it found as
JSON. So several can compile at once, and each has the GPU for itself when it measures.
"""

import hashlib
import json
import sys
from contextlib import ExitStack
from time import monotonic, monotonic_ns
from typing import Any

import numpy as np
import torch

from demos.gpu_check.frames import sample_frames
from demos.gpu_check.variants import REFERENCE, VARIANTS, Run, variant
from pranet.model import CONFIGS

WARM_UPS = 20
#: Frames that are compared.
FRAMES = 16
#: Variants that take long to prepare: only for one picture at a time, as they are used.
DEPLOYED = ("compiled", "tensorrt")
#: Several workers compile at once; each would take all cores.
THREADS = 4


def main(model: str, batches: list[int], repeats: int) -> dict[str, Any]:
    """Everything that is measured, by batch size and variant."""
    torch.set_num_threads(THREADS)
    frames = sample_frames(CONFIGS[model], max(FRAMES, *batches)).cuda()
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        measures = [_prepare(stack, model, frames, batch, found) for batch in batches]
        print("ready", flush=True)
        sys.stdin.readline()
        for batch, ready in zip(batches, measures, strict=True):
            _measure(ready, frames, found[f"x{batch}"], repeats, compare=batch == 1)
    return found


Ready = dict[str, tuple[Run, Any, Any]]


def _prepare(stack: ExitStack, model: str, frames: Any, batch: int, found: dict[str, Any]) -> Ready:
    """All variants for a batch size; what cannot be had is noted."""
    ready: Ready = {}
    notes: dict[str, Any] = found.setdefault(f"x{batch}", {})
    for name in VARIANTS:
        if batch > 1 and name.startswith(DEPLOYED):
            continue
        start_s = monotonic()
        torch.cuda.reset_peak_memory_stats()
        try:
            ready[name] = stack.enter_context(variant(name, model, frames[:batch].clone()))
        except Exception as error:  # of whatever kind: it is a finding
            first_line = (str(error) or type(error).__name__).splitlines()[0]
            notes[name] = {"missing": first_line[:300]}
            continue
        notes[name] = {
            "prepared_s": round(monotonic() - start_s, 1),
            "peak_mib": round(torch.cuda.max_memory_allocated() / 2**20),
        }
    return ready


def _measure(
    ready: Ready, frames: Any, notes: dict[str, Any], repeats: int, *, compare: bool
) -> None:
    reference = None
    for name, (run, given, answer) in ready.items():
        notes[name] |= latency(run, repeats if compare else max(1, repeats // 4))
        if not compare:
            continue
        notes[name]["digest"], maps = answers(run, given, answer, frames)
        if name == REFERENCE:
            reference = maps
        elif reference is not None:
            notes[name] |= agreement(maps, reference)


def latency(run: Run, repeats: int) -> dict[str, float]:
    """From the call to the answer on the GPU, in ms; the CPU's part is in it."""
    for _ in range(WARM_UPS):
        run()
    torch.cuda.synchronize()
    times_ms = []
    for _ in range(repeats):
        start_ns = monotonic_ns()
        run()
        torch.cuda.synchronize()
        times_ms.append((monotonic_ns() - start_ns) / 1e6)
    p50, p95, p99 = np.percentile(times_ms, (50, 95, 99))
    return {
        "p50_ms": round(float(p50), 3),
        "p95_ms": round(float(p95), 3),
        "p99_ms": round(float(p99), 3),
        "max_ms": round(max(times_ms), 3),
    }


def answers(run: Run, given: Any, answer: Any, frames: Any) -> tuple[str, Any]:
    """The maps of all frames, and a digest of every bit of them."""
    maps = []
    for frame in frames:
        given.copy_(frame[None])
        torch.cuda.synchronize()
        run()
        torch.cuda.synchronize()
        maps.append(answer[0].cpu().numpy().copy())
    return hashlib.sha256(np.stack(maps).tobytes()).hexdigest()[:16], np.stack(maps)


def agreement(maps: Any, reference: Any) -> dict[str, float]:
    """How far maps are from those of the reference: greatest difference, and Dice of the masks."""
    # Networks with made weights see nothing anywhere: their masks are what is above the middle.
    level = 0.5 if reference.max() > 0.5 > reference.min() else float(np.median(reference))
    mine, theirs = maps >= level, reference >= level
    dice = 2 * (mine & theirs).sum() / max(1, mine.sum() + theirs.sum())
    return {
        "max_difference": round(float(np.abs(maps - reference).max()), 5),
        "dice": round(float(dice), 5),
    }


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[2].split(",")]
    print(json.dumps(main(sys.argv[1], sizes, int(sys.argv[3]))), flush=True)
