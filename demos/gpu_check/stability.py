"""The same network for a minute: whether it slows down, grows, or changes its mind."""

import hashlib
from time import monotonic, monotonic_ns
from typing import Any

import numpy as np
import torch

from demos.gpu_check.frames import sample_frames
from demos.gpu_check.variants import variant
from pranet.model import CONFIGS

MODEL = "pranet_v2_lite0"
#: Frames whose every bit has to come out the same again.
FRAMES = 1000
SPAN_S = 10.0


def check_stability(seconds: float, how: str = "graph fp16") -> dict[str, Any]:
    """Latency by spans of ten seconds, memory at both ends, and digests of two rounds."""
    frames = sample_frames(CONFIGS[MODEL], 50).cuda()
    with variant(how, MODEL, frames[:1].clone()) as (run, given, answer):

        def round_of(count: int) -> str:
            digest = hashlib.sha256()
            for index in range(count):
                given.copy_(frames[index % len(frames)][None])
                torch.cuda.synchronize()
                run()
                torch.cuda.synchronize()
                digest.update(answer.cpu().numpy().tobytes())
            return digest.hexdigest()[:16]

        digests = [round_of(FRAMES) for _ in range(2)]
        before = torch.cuda.mem_get_info()[0]
        spans = []
        start_s = monotonic()
        while monotonic() - start_s < seconds:
            spans.append(_span(run, min(SPAN_S, seconds)))
        grown_mib = (before - torch.cuda.mem_get_info()[0]) / 2**20
    return {
        "variant": how,
        "digests_of_1000_frames": digests,
        "bit_stable": digests[0] == digests[1],
        "spans": spans,
        "memory_growth_mib": round(grown_mib, 1),
    }


def _span(run: Any, seconds: float) -> dict[str, float]:
    times_ms = []
    end_s = monotonic() + seconds
    while monotonic() < end_s:
        start_ns = monotonic_ns()
        run()
        torch.cuda.synchronize()
        times_ms.append((monotonic_ns() - start_ns) / 1e6)
    p50, p99 = np.percentile(times_ms, (50, 99))
    return {
        "frames": len(times_ms),
        "p50_ms": round(float(p50), 3),
        "p99_ms": round(float(p99), 3),
        "max_ms": round(max(times_ms), 3),
    }
