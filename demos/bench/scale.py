"""How cost grows with the size of the picture, and with the videos that run side by side."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing

from demos.bench.clip import Size, prepared
from demos.bench.cost import Cost
from demos.bench.file import STAGES, run_both, run_file
from demos.bench.report import Axis, Grid, Measured
from demos.bench.statistics import Distribution, Figure, delay_figures, higher, lower
from streamer.engine import Segmenter
from streamer.temporal import Temporal

#: 480p, 720p, 1080p, 1440p, 4K.
SIZES: tuple[Size, ...] = ((854, 480), (1280, 720), (1920, 1080), (2560, 1440), (3840, 2160))


def measure_sizes(
    clip: str,
    segmenter: Segmenter,
    temporal: Temporal,
    *,
    sizes: Sequence[Size],
    frames: int,
    repeats: int,
) -> Measured:
    """File mode and its bare stages at each size in turns."""
    with ExitStack() as stack:
        clips = {
            f"{width}x{height}": stack.enter_context(
                prepared(clip, frames=frames, size=(width, height))
            )
            for width, height in sizes
        }
        for sized in clips.values():
            run_file(sized, segmenter, temporal, frames=min(frames, 32))
        turns = [
            {
                name: run_both(sized, segmenter, temporal, frames=frames)
                for name, sized in clips.items()
            }
            for _ in range(repeats)
        ]
    rows = {}
    for name in clips:
        runs = [turn[name][1] for turn in turns]
        rows[name] = {
            "fps": higher([1e3 / run.cost.wall_ms(frames) for run in runs]),
            "CPU ms a frame": lower([run.cost.cpu_ms(frames) for run in runs]),
            **delay_figures([run.delays for run in runs]),
        }
    stages = {
        stage: {
            name: lower([turn[name][0][stage].cpu_ms(frames) for turn in turns]) for name in clips
        }
        for stage in STAGES
    }
    axis = Axis("megapixels", tuple(width * height / 1e6 for width, height in sizes))
    return Measured(
        [
            Grid("by size", rows, plot="curves", axis=axis),
            Grid("CPU ms of a frame by stage and size", stages, plot="stages"),
        ],
        {name: Distribution.of([turn[name][1].delays for turn in turns]) for name in clips},
    )


def measure_videos(
    clip: str,
    load: Callable[[], Segmenter],
    temporal: Temporal,
    *,
    counts: Sequence[int],
    frames: int,
    repeats: int,
) -> Measured:
    """So many videos at once, each with a pipeline and a network of its own, in turns.

    Args:
        counts: numbers of videos, rising.
        frames: of each video.
    """
    costs: dict[int, list[Cost]] = {count: [] for count in counts}
    with ExitStack() as stack:
        segmenters = [stack.enter_context(closing(load())) for _ in range(max(counts))]
        run_at_once(clip, segmenters, temporal, frames=min(frames, 32))
        for _ in range(repeats):
            for count, found in costs.items():
                found.append(run_at_once(clip, segmenters[:count], temporal, frames=frames))
    rows: dict[str, dict[str, Figure]] = {}
    for count, found in costs.items():
        together = [1e3 / cost.wall_ms(count * frames) for cost in found]
        rows[f"{count} at once"] = {
            "fps together": higher(together),
            "fps each": higher([rate / count for rate in together]),
            "CPU ms a frame": lower([cost.cpu_ms(count * frames) for cost in found]),
        }
    axis = Axis("videos at once", tuple(map(float, counts)))
    return Measured([Grid("by videos at once", rows, plot="curves", axis=axis)])


def run_at_once(
    clip: str, segmenters: Sequence[Segmenter], temporal: Temporal, *, frames: int
) -> Cost:
    """File mode on the clip, once for each network, all at the same time."""

    def run(segmenter: Segmenter) -> None:
        run_file(clip, segmenter, temporal, frames=frames)

    cost = Cost()
    with cost.add(), ThreadPoolExecutor(len(segmenters)) as pool:
        list(pool.map(run, segmenters))
    return cost
