"""Scores of masks over time: a folder of clips, each setting replayed over the same answers."""

import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import cv2
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from demos.sequence_drawings import Drawings, draw
from demos.sequence_runs import Clip, find_clips, record, replay
from pranet.metrics.detection import Masks
from pranet.sequence import SequenceScore, pool, row, score_sequence, spread, steadiness
from streamer import report as reports
from streamer.engine import Segmenter
from streamer.engine.base import EngineInfo
from streamer.errors import EngineError
from streamer.temporal import Temporal

#: Loads an engine; takes `streams` and `threads` as `load_segmenter` does. It has to be something
#: that can be pickled where there are several processes, each of which loads its own.
Load = Callable[..., Segmenter]
Settings = Mapping[str, Temporal]


@dataclass(frozen=True)
class ClipScores:
    """What came out for one clip.

    Attributes:
        engine: that saw it.
        scores: by the name of the setting.
        truth: how steady the truth is, see `steadiness`; empty without one.
    """

    engine: EngineInfo
    scores: dict[str, SequenceScore]
    truth: dict[str, float]


@dataclass(frozen=True)
class FolderScores:
    """What came out for all clips of a folder, in the order of their names.

    Attributes:
        settings: by name, in the order in which they were given.
        clips: never empty.
    """

    settings: dict[str, Temporal]
    clips: list[ClipScores]

    def scores(self, setting: str) -> list[SequenceScore]:
        """Those of one setting."""
        return [clip.scores[setting] for clip in self.clips]

    def rows(self, setting: str) -> list[dict[str, float]]:
        """All figures of each clip in one setting."""
        return [row(clip.scores[setting]) | clip.truth for clip in self.clips]

    def report(self) -> dict[str, Any]:
        """All that is known, JSON types only, None for what is not defined."""
        first = self.scores(next(iter(self.settings)))
        content = {
            "clips": len(self.clips),
            "clips_with_truth": sum(score.judged is not None for score in first),
            "frames": sum(score.frames for score in first),
            "duration_s": sum(score.duration_s for score in first),
            "settings": {name: self._of_setting(name) for name in self.settings},
            "engine": asdict(self.clips[0].engine),
            "versions": reports.versions(),
        }
        defined: dict[str, Any] = _defined(content)
        return defined

    def _of_setting(self, name: str) -> dict[str, Any]:
        scores, rows = self.scores(name), self.rows(name)
        return {
            "temporal": asdict(self.settings[name]),
            "over_clips": spread(rows),
            "pooled": pool(scores),
            "clips": [
                {"name": score.name, **figures, **_events(score)}
                for score, figures in zip(scores, rows, strict=True)
            ],
        }


def _events(score: SequenceScore) -> dict[str, Any]:
    if score.judged is None:
        return {}
    return {
        "false_events": [asdict(event) for event in score.judged.events],
        "appearance_list": [asdict(one) for one in score.judged.appearances],
    }


def _defined(value: Any) -> Any:
    """The same with None for NaN, which is no JSON."""
    if isinstance(value, dict):
        return {key: _defined(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_defined(part) for part in value]
    return None if value != value else value


def score_folder(
    load: Load,
    folder: Path,
    settings: Settings,
    *,
    jobs: int = 1,
    drawings: Drawings | None = None,
) -> FolderScores:
    """Replay every setting over every clip of a folder; each clip is decoded and seen once.

    The results are in the order of the clips' names, however many jobs there are.

    Args:
        load: loads the engine.
        settings: by name; at least one.
        jobs: processes that clips are spread over; with several, each has an engine of one thread.
        drawings: what to draw of each clip, besides.

    Raises:
        DataError: see `find_clips` and `record`.
        PranetError: a video cannot be read, the engine failed, or a drawing cannot be written.
    """
    clips = find_clips(folder)
    work = partial(_score_clip, settings=dict(settings), drawings=drawings)
    shown = partial(
        track,
        description=escape(folder.resolve().name),
        total=len(clips),
        console=Console(stderr=True),
        transient=True,
    )
    if jobs == 1:
        with closing(load()) as segmenter:
            results = list(shown(work(segmenter, clip) for clip in clips))
    else:
        results = list(shown(_in_processes(load, work, clips, jobs)))
    return FolderScores(dict(settings), results)


def _score_clip(
    segmenter: Segmenter, clip: Clip, *, settings: Settings, drawings: Drawings | None
) -> ClipScores:
    recording = record(segmenter, clip)
    truth = recording.truth
    scores: dict[str, SequenceScore] = {}
    kept: dict[str, Masks] = {}
    for name, temporal in settings.items():
        masks = replay(recording, temporal, calibration=segmenter.info.calibration)
        scores[name] = score_sequence(clip.name, masks, recording.times_s, recording.flows, truth)
        if drawings is not None:
            kept[name] = masks
    if drawings is not None:
        draw(drawings, clip, recording, kept)
    of_truth = {} if truth is None else steadiness(truth.inside, recording.flows)
    return ClipScores(segmenter.info, scores, of_truth)


def _in_processes(
    load: Load, work: Callable[[Segmenter, Clip], ClipScores], clips: Sequence[Clip], jobs: int
) -> Iterator[ClipScores]:
    # Started afresh and not forked: a fork would leave the threads of engines behind.
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(min(jobs, len(clips)), context, _begin, (load,)) as processes:
            yield from processes.map(partial(_score_here, work), clips)
    except BrokenProcessPool as error:
        raise EngineError(
            "a process was ended while it scored a clip; with fewer --jobs less memory is needed"
        ) from error


#: In a process of its own: how it comes by its engine.
_load_here: Load


def _begin(load: Load) -> None:
    global _load_here
    _load_here = load
    cv2.setNumThreads(1)


@cache
def _segmenter_here() -> Segmenter:
    # Not when the process begins: there, an error would reach nobody.
    return _load_here(streams=1, threads=1)


def _score_here(work: Callable[[Segmenter, Clip], ClipScores], clip: Clip) -> ClipScores:
    return work(_segmenter_here(), clip)
