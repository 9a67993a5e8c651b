"""`python -m demos.gpu_check`: every part that this machine allows, and what is missing for others.

Parts run one after the other, each in a guard: what fails is a finding, not the end. What was found
so far is on disk at any time.
"""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import IO, Annotated, Any

import typer

from demos.gpu_check.report import write_report

MODELS = ("pranet_v2_lite0", "pranet_v2_res2net50", "pranet_v2_pvt_v2_b2")

ROOT = Path(__file__).parents[2]
PARTS = ("pictures", "networks", "pipeline", "encoding", "stability")


def main(
    out: Annotated[Path, typer.Option(help="Folder of REPORT.md and report.json.")] = Path(
        "docs/gpu"
    ),
    batches: Annotated[str, typer.Option(help="Batch sizes.")] = "1,4,8,16",
    models: Annotated[str, typer.Option(help="Networks.")] = ",".join(MODELS),
    repeats: Annotated[int, typer.Option(help="Timed runs of each variant.")] = 300,
    seconds: Annotated[float, typer.Option(help="Of the stability run.")] = 60.0,
    patience_s: Annotated[float, typer.Option(help="For compiling all networks.")] = 240.0,
    frames: Annotated[int, typer.Option(help="Of the pipeline run.")] = 1500,
    parts: Annotated[str, typer.Option(help="Which parts.")] = ",".join(PARTS),
) -> None:
    """Check and measure this machine's GPU."""
    import torch

    if not torch.cuda.is_available():
        print("gpu-check: no NVIDIA GPU that this PyTorch can use", file=sys.stderr)
        raise SystemExit(2)
    from demos.gpu_check.facts import gather

    report: dict[str, Any] = {"machine": gather()}

    def part(name: str, work: Callable[[], Any]) -> None:
        if name not in parts.split(","):
            return
        start_s = monotonic()
        try:
            report[name] = work()
        except Exception as error:  # of whatever kind: it is a finding
            report[name] = {"failed": reason(error)}
        report.setdefault("seconds", {})[name] = round(monotonic() - start_s, 1)
        write_report(out, report)
        print(json.dumps({name: report[name]}), flush=True)

    part("pictures", _pictures)
    part("networks", lambda: _networks(models.split(","), batches, repeats, patience_s))
    part("pipeline", lambda: _pipeline(frames))
    part("encoding", _encoding)
    part("stability", lambda: _stability(seconds))


def reason(error: Exception) -> str:
    """What went wrong, without the folders that this program lies in."""
    return f"{type(error).__name__}: {error}".replace(f"{ROOT}/", "")[:500]


def _pictures() -> Any:
    from demos.gpu_check.pictures import check_pictures

    return check_pictures()


def _pipeline(frames: int) -> Any:
    from demos.gpu_check.pipeline import check_live, check_pipeline, check_video_engines
    from pranet.checkpoint import DEFAULT_MODEL, read_info
    from streamer.engine.cuda import load_cuda

    segmenter = load_cuda(read_info(DEFAULT_MODEL))
    return _each(
        {
            "from memory": lambda: check_pipeline(segmenter, frames),
            "live, 60 fps": lambda: check_live(segmenter, 15.0),
            "NVDEC": lambda: check_video_engines(segmenter),
        }
    )


def _each(works: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """What each of them finds, or how it failed."""
    found: dict[str, Any] = {}
    for name, work in works.items():
        try:
            found[name] = work()
        except Exception as error:  # of whatever kind: it is a finding
            found[name] = {"failed": reason(error)}
    return found


def _encoding() -> Any:
    from demos.gpu_check.encoding import from_device, from_host, why_not

    missing = why_not()
    if missing is not None:
        return {"missing": missing}
    return _each({"host memory": from_host, "device memory": from_device})


def _stability(seconds: float) -> Any:
    from demos.gpu_check.stability import check_stability

    return check_stability(seconds)


def _networks(models: list[str], batches: str, repeats: int, patience_s: float) -> dict[str, Any]:
    """All workers compile at once; then they measure in turn."""
    workers = {model: _Worker(model, batches, repeats) for model in models}
    end_s = monotonic() + patience_s
    found: dict[str, Any] = {}
    for name, worker in workers.items():
        if not worker.is_ready(end_s - monotonic()):
            found[name] = {"failed": worker.kill()}
    for name, worker in workers.items():
        if name not in found:
            found[name] = worker.measure()
            print(json.dumps({name: found[name]}), flush=True)
    return found


class _Worker:
    """`demos.gpu_check.worker` under way."""

    def __init__(self, model: str, batches: str, repeats: int) -> None:
        command = [sys.executable, "-m", "demos.gpu_check.worker", model, batches, str(repeats)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True).start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)
        self._lines.put("")

    def is_ready(self, patience_s: float) -> bool:
        """Wait until all is compiled."""
        return self._line(patience_s).startswith("ready")

    def measure(self) -> Any:
        """What it found; it has the GPU for itself."""
        assert self._process.stdin is not None
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        line = self._line(120)
        self._process.kill()
        return json.loads(line) if line.startswith("{") else {"failed": "gave no answer"}

    def kill(self) -> str:
        """End it; why it had to be."""
        code = self._process.poll()
        self._process.kill()
        return "not compiled in time" if code is None else f"ended with code {code}"

    def _line(self, patience_s: float) -> str:
        try:
            return self._lines.get(timeout=max(0.1, patience_s))
        except queue.Empty:
            return ""


if __name__ == "__main__":
    typer.run(main)
