"""`python -m demos.gpu_check`: every part that this machine allows, and what is missing for others.

Each part is a process of its own, with a limit: one that crashes or hangs is a finding, not the
end. What was found so far is on disk at any time.
"""

import json
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer

from demos.gpu_check.budget import PARTS, Part
from demos.gpu_check.conduct import conduct
from demos.gpu_check.handing import Take
from demos.gpu_check.networks import measure_networks
from demos.gpu_check.part import Options
from demos.gpu_check.process import Child, collect
from demos.gpu_check.report import read_report, write_report
from streamer.cores import usable_cores

ALL = ",".join(part.name for part in PARTS)
MODELS = ("pranet_v2_lite0", "pranet_v2_res2net50", "pranet_v2_pvt_v2_b2")


def main(
    out: Annotated[Path, typer.Option(help="Folder of REPORT.md and report.json.")] = Path(
        "docs/gpu"
    ),
    budget_s: Annotated[
        float, typer.Option(help="For all parts; what does not fit is left.")
    ] = 450,
    batches: Annotated[str, typer.Option(help="Batch sizes.")] = "1,8",
    models: Annotated[str, typer.Option(help="Networks.")] = ",".join(MODELS),
    repeats: Annotated[int, typer.Option(help="Timed runs of each variant.")] = 200,
    seconds: Annotated[float, typer.Option(help="Of the stability run, at most.")] = 60.0,
    patience_s: Annotated[float, typer.Option(help="For compiling all networks.")] = 150.0,
    frames: Annotated[int, typer.Option(help="Of each pipeline run from memory.")] = 1000,
    parts: Annotated[str, typer.Option(help="Which parts.")] = ALL,
) -> None:
    """Check and measure this machine's GPU."""
    import torch

    if not torch.cuda.is_available():
        print("gpu-check: no NVIDIA GPU that this PyTorch can use", file=sys.stderr)
        raise SystemExit(2)
    # So that what runs is killed on the way out.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))

    def run(part: Part, until_s: float, take: Take) -> str | None:
        def told(path: Sequence[str], found: Any) -> None:
            take(path, found)
            print(json.dumps({"/".join([part.name, *path]): found}), flush=True)

        if part.name == "networks":
            workers = _workers(models.split(","), batches, repeats)
            measure_networks(workers, told, patience_s=patience_s, until_s=until_s)
            return None
        return _run_process(part, Options(frames, seconds, until_s), told)

    named = parts.split(",")
    unknown = ", ".join(set(named) - {part.name for part in PARTS})
    if unknown:
        print(f"gpu-check: no part {unknown}; there are {ALL}", file=sys.stderr)
        raise SystemExit(2)
    # What the machine is belongs to every report; what is not run now stays as it was found.
    chosen = [part for part in PARTS if part.name in ("machine", *named)]
    before = read_report(out) if parts != ALL else {}
    conduct(chosen, budget_s, run, lambda report: write_report(out, before | report))


def _run_process(part: Part, options: Options, take: Take) -> str | None:
    command = [sys.executable, "-m", "demos.gpu_check.part", part.name, options.to_json()]
    with TemporaryDirectory(ignore_cleanup_errors=True) as empty:
        # A first start ever is part of what is checked there.
        environment = {"TRITON_CACHE_DIR": empty} if part.name == "live" else {}
        return collect(Child(command, environment), options.left_s, take)


def _workers(models: Sequence[str], batches: str, repeats: int) -> dict[str, Child]:
    # Each would take all cores for compiling, up to 32.
    threads = str(max(1, usable_cores() // len(models)))
    return {
        model: Child(
            [sys.executable, "-m", "demos.gpu_check.worker", model, batches, str(repeats)],
            {"TORCHINDUCTOR_COMPILE_THREADS": threads},
        )
        for model in models
    }


if __name__ == "__main__":
    typer.run(main)
