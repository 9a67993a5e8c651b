"""One part of the check: `python -m demos.gpu_check.part NAME OPTIONS`, started by `__main__`.

A part is a row of steps. One that fails is a finding, and the next one runs all the same; each
hands over what it found before the next begins.
"""

import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from demos.gpu_check.handing import Take, hand_over

ROOT = Path(__file__).parents[2]

#: Steps in order: the key of what it finds, and what finds it.
Steps = Iterator[tuple[str, Callable[[], Any]]]


@dataclass(frozen=True, slots=True)
class Options:
    """What the user may choose of the parts.

    Attributes:
        frames: of each pipeline run from memory.
        seconds: of the stability run, at most.
        until_s: when the part has to be done, by the monotonic clock, which is the system's.
    """

    frames: int
    seconds: float
    until_s: float

    def left_s(self) -> float:
        """The time that the part still has."""
        return self.until_s - monotonic()

    def to_json(self) -> str:
        """For the command line of a part."""
        return json.dumps(asdict(self))


def run_steps(steps: Steps, take: Take) -> None:
    """Run all steps; what each finds, or how it failed, is taken at once."""
    try:
        for name, work in steps:
            take([name], _guarded(work))
    except Exception as error:  # of whatever kind: it is a finding
        take(["failed"], reason(error))


def _guarded(work: Callable[[], Any]) -> Any:
    try:
        return work()
    except Exception as error:
        return {"failed": reason(error)}


def reason(error: Exception) -> str:
    """What went wrong, without the folders that this program lies in."""
    return f"{type(error).__name__}: {error}".replace(f"{ROOT}/", "")[:500]


def _machine(options: Options) -> Steps:
    from demos.gpu_check.facts import gather

    for name, fact in gather().items():
        yield name, partial(_same, fact)


def _same(fact: Any) -> Any:
    return fact


def _pictures(options: Options) -> Steps:
    from demos.gpu_check.pictures import picture_steps

    yield from picture_steps()


def _live(options: Options) -> Steps:
    from demos.gpu_check.live import live_steps

    yield from live_steps(options.until_s)


def _pipeline(options: Options) -> Steps:
    from demos.gpu_check.pipeline import pipeline_steps

    yield from pipeline_steps(options.frames)


def _stability(options: Options) -> Steps:
    from demos.gpu_check.stability import shipped_steps

    yield from shipped_steps(options.seconds, options.until_s)


def _fallback(options: Options) -> Steps:
    from demos.gpu_check.fallback import check_fallback

    yield "FFV1, --decode auto", check_fallback


def _encoding(options: Options) -> Steps:
    from demos.gpu_check.encoding import encoding_steps

    yield from encoding_steps()


def _nvdec(options: Options) -> Steps:
    from demos.gpu_check.nvdec import nvdec_steps

    yield from nvdec_steps()


#: The networks have a process each instead; see `networks`.
STEPS: dict[str, Callable[[Options], Steps]] = {
    "machine": _machine,
    "pictures": _pictures,
    "live": _live,
    "pipeline": _pipeline,
    "stability": _stability,
    "fallback": _fallback,
    "encoding": _encoding,
    "nvdec": _nvdec,
}


if __name__ == "__main__":
    run_steps(STEPS[sys.argv[1]](Options(**json.loads(sys.argv[2]))), hand_over)
