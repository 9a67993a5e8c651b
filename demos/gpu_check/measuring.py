"""How long a network takes, what it answers, and how near that is to the reference."""

import hashlib
from collections.abc import Callable
from time import monotonic_ns
from typing import Any

import numpy as np
import torch

Run = Callable[[], object]

WARM_UPS = 20
#: With fewer of them, the 99th percentile is little but the slowest one.
LEAST_FOR_P99 = 100


def latency(run: Run, repeats: int, wait: Run = torch.cuda.synchronize) -> dict[str, float]:
    """From the call to the answer on the GPU, in ms; the CPU's part is in it.

    Args:
        wait: until the GPU has done all.
    """
    for _ in range(WARM_UPS):
        run()
    wait()
    times_ms = []
    for _ in range(repeats):
        start_ns = monotonic_ns()
        run()
        wait()
        times_ms.append((monotonic_ns() - start_ns) / 1e6)
    return summary(times_ms)


def summary(times_ms: list[float]) -> dict[str, float]:
    """Percentiles; the 99th only where there are enough times for it."""
    found = {f"p{percent}_ms": float(np.percentile(times_ms, percent)) for percent in (50, 95)}
    if len(times_ms) >= LEAST_FOR_P99:
        found["p99_ms"] = float(np.percentile(times_ms, 99))
    found["max_ms"] = max(times_ms)
    return {name: round(value, 3) for name, value in found.items()}


def answers(
    run: Run, given: Any, answer: Any, frames: Any, wait: Run = torch.cuda.synchronize
) -> tuple[str, Any]:
    """The maps of all frames, and a digest of every bit of them."""
    maps = []
    for frame in frames:
        given.copy_(frame[None])
        wait()
        run()
        wait()
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
