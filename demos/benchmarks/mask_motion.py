r"""What is gained by moving a mask along with the picture, and what it costs.

    python -m demos.benchmarks.mask_motion > mask_motion.md

A true mask of a picture is taken for the network's, moved to a picture 1 to 4 frames later, and its
boundary compared with that of the true mask there. Pictures are the bundled sample video and scenes
of made-up tissue; with `--clinicdb` also neighbouring stills of recorded sequences:

    python -m demos.benchmarks.mask_motion --clinicdb ../shared/data/polyps/TrainDataset
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from demos.benchmarks.flow_methods import METHODS, Flow, Method
from demos.benchmarks.motion_clips import (
    FINER,
    MAP_PX,
    RATE,
    RIM_PX,
    SAMPLES,
    Clip,
    Map,
    made_up_clip,
    recorded_pairs,
    sample_clip,
)
from streamer.frame import Segmentation, View
from streamer.motion import move, small_luma

SEQUENCES = Path(__file__).parents[2] / "docs" / "clinicdb_sequences.json"
LAGS = (1, 2, 3, 4)
MADE_UP_SEEDS = (0, 1)
NOTHING, CHOSEN = ("nothing", ""), ("**chosen: `streamer.motion`**", "160x90")
#: Worse than doing nothing: by more than this, in px of the map.
WORSE_PX = 0.25
MAP_VIEW = View(0, 0, MAP_PX, MAP_PX)

Line = NDArray[np.bool_]


@dataclass
class Figures:
    """What came out for one method: errors in px of the map by lag, times in ms."""

    errors: dict[int, list[float]] = field(default_factory=lambda: {lag: [] for lag in LAGS})
    times_ms: list[float] = field(default_factory=list)


Found = dict[Method, Figures]


def boundary(probability: Map) -> Line:
    """Where the boundary of a map runs, on the finer grid."""
    fine = (FINER * MAP_PX, FINER * MAP_PX)
    large = np.asarray(cv2.resize(probability, fine, interpolation=cv2.INTER_LINEAR))
    mask = np.asarray(large >= 0.5, np.uint8)
    square = np.ones((3, 3), np.uint8)
    inner = cv2.erode(mask, square, borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return np.asarray(mask > inner)


def distances(line: Line) -> Map:
    """From everywhere to a boundary, in px of the map."""
    far = cv2.distanceTransform((~line).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(far, np.float32) / np.float32(FINER)


def apart(line: Line, truth: Line, far: Map, inner: Line) -> float:
    """Mean symmetric distance of two boundaries in px of the map; nan where one is hardly seen.

    far: `distances` of the true one.
    inner: where boundaries count.
    """
    if min(np.count_nonzero(line & inner), np.count_nonzero(truth & inner)) < 20:
        return float("nan")
    return float(far[line & inner].mean() + distances(line)[truth & inner].mean()) / 2


def pairs_of(clip: Clip, lag: int, step: int = 1) -> Iterator[tuple[int, int]]:
    """Frames of one shot that are so far apart, outside the cross-fades."""
    for now in range(lag, len(clip.truth), step):
        if clip.shot[now] is not None and clip.shot[now] == clip.shot[now - lag]:
            yield now - lag, now


def measure(clips: list[Clip], step: int) -> Found:
    """Every method on every pair of frames that both show a polyp."""
    found: Found = {method: Figures() for method in (NOTHING, *METHODS, CHOSEN)}
    for clip in clips:
        for lag in LAGS:
            for then, now in pairs_of(clip, lag, step):
                if min(clip.truth[now].max(), clip.truth[then].max()) < 0.5:
                    continue
                truth = boundary(clip.truth[now])
                far = distances(truth)
                for method, (moved, time_ms) in _all_moved(clip, then, now):
                    error = apart(boundary(moved), truth, far, clip.inner)
                    found[method].errors[lag].append(error)
                    found[method].times_ms.append(time_ms)
    return found


def _all_moved(clip: Clip, then: int, now: int) -> Iterator[tuple[Method, tuple[Map, float]]]:
    truth = clip.truth[then]
    yield NOTHING, (truth, 0.0)
    for method, find in METHODS.items():
        luma = clip.luma[method[1]]
        start_s = time.thread_time()
        moved = follow(truth, find(luma[then], luma[now]))
        yield method, (moved, (time.thread_time() - start_s) * 1e3)
    before = Segmentation(truth, MAP_VIEW, 0.5)
    start_s = time.thread_time()
    after = move(before, clip.chosen[then], clip.chosen[now])
    time_ms = (time.thread_time() - start_s) * 1e3
    # A mask that is not shown has no boundary; it counts as one that stayed.
    yield CHOSEN, ((after or before).probability, time_ms)


def follow(truth: Map, flow: Flow) -> Map:
    """The map after a flow, with nothing else done to it."""
    large = cv2.resize(flow, (MAP_PX, MAP_PX), interpolation=cv2.INTER_LINEAR)
    places = np.arange(MAP_PX, dtype=np.float32)
    x = places[None] + large[..., 0] * np.float32(MAP_PX / flow.shape[1])
    y = places[:, None] + large[..., 1] * np.float32(MAP_PX / flow.shape[0])
    moved = cv2.remap(truth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(moved, np.float32)


def gain_table(found: Found, *, with_cost: bool) -> list[str]:
    """Markdown: errors at each lag, what became worse, and CPU time."""
    head = ["mask is moved by", "as px of", *(f"lag {lag}" for lag in LAGS), "worse", "by up to"]
    head += ["ms median", "ms p95"] if with_cost else []
    lines = [_row(head), _row(["---"] * len(head))]
    still = found[NOTHING].errors
    for method, figures in found.items():
        cells = list(method)
        for lag in LAGS:
            mean, tail = np.nanmean(figures.errors[lag]), np.nanpercentile(figures.errors[lag], 90)
            cells.append(f"{mean:.2f} / {tail:.2f}")
        losses = np.concatenate([np.subtract(figures.errors[lag], still[lag]) for lag in LAGS])
        losses = losses[np.isfinite(losses)]
        worse = np.mean(losses > WORSE_PX)
        cells += [f"{worse:.1%}", f"{losses.max():.1f} px" if worse else ""]
        if with_cost:
            cells += [f"{value:.2f}" for value in np.percentile(figures.times_ms, (50, 95))]
        lines.append(_row(cells))
    return lines


def cost_table(rounds: int) -> list[str]:
    """Markdown: what one 1080p picture costs, from its planes to the moved map."""
    lines = [_row(["1920x1080", "step", "ms median", "ms p95"]), _row(["---"] * 4)]
    with av.open(str(SAMPLES / "colonoscopy.mp4")) as video:
        small = [picture for picture, _ in zip(video.decode(video=0), range(40), strict=False)]
    truth = np.zeros((MAP_PX, MAP_PX), np.float32)
    cv2.circle(truth, (150, 180), 60, 1.0, -1)
    view = View(0, 0, 1920, 1080)
    for pixel_format in ("yuv420p", "yuv420p10le"):
        # Together larger than the caches, as pictures are that come from a decoder.
        pictures = [picture.reformat(1920, 1080, pixel_format) for picture in small[20:]]
        lumas = [small_luma(picture, view) for picture in pictures]
        times: dict[str, list[float]] = {"`small_luma`": [], "`move`": [], "**both**": []}
        for index in range(rounds):
            then = index % (len(pictures) - 3)
            start_s = time.thread_time()
            small_luma(pictures[index % len(pictures)], view)
            half_s = time.thread_time()
            move(Segmentation(truth, view, 0.5), lumas[then], lumas[then + 3])
            end_s = time.thread_time()
            steps_s = (half_s - start_s, end_s - half_s, end_s - start_s)
            for taken, step_s in zip(times.values(), steps_s, strict=True):
                taken.append(step_s * 1e3)
        for name, taken in times.items():
            median, tail = np.percentile(taken, (50, 95))
            lines.append(_row([pixel_format, name, f"{median:.2f}", f"{tail:.2f}"]))
    return lines


def scene_table(clips: list[Clip], tries: int) -> list[str]:
    """Markdown: what `move` makes of frames of the same shot, and of different ones."""
    kinds: dict[str, list[tuple[Clip, int, int]]] = {
        f"same shot, lag {lag}": [(clip, *pair) for clip in clips for pair in pairs_of(clip, lag)]
        for lag in LAGS
    }
    rng = np.random.default_rng(0)
    kinds["different shots"] = [
        (clip, int(a), int(b))
        for clip in clips
        for a, b in rng.integers(len(clip.truth), size=(tries, 2))
        if None not in (clip.shot[a], clip.shot[b]) and clip.shot[a] != clip.shot[b]
    ]
    head = ["frames", "pairs", "no mask", "left as it is", "moved"]
    lines = [_row(head), _row(["---"] * len(head))]
    before = Segmentation(np.ones((32, 32), np.float32), MAP_VIEW, 0.5)
    for kind, pairs in kinds.items():
        after = [move(before, clip.chosen[then], clip.chosen[now]) for clip, then, now in pairs]
        none, same = (sum(one is which for one in after) for which in (None, before))
        shares = [f"{count / len(after):.1%}" for count in (none, same, len(after) - none - same)]
        lines.append(_row([kind, str(len(after)), *shares]))
    return lines


def recorded_table(data: Path, sequences: Path) -> list[str]:
    """Markdown: recorded sequences, by how far apart the boundaries are with nothing moved."""
    inner = np.zeros((FINER * MAP_PX, FINER * MAP_PX), bool)
    edge = RIM_PX * FINER
    inner[edge:-edge, edge:-edge] = True
    rows: list[tuple[float, float]] = []
    for pair in recorded_pairs(data, sequences):
        truth = boundary(pair.truth_now)
        far = distances(truth)
        after = move(Segmentation(pair.truth_then, MAP_VIEW, 0.5), pair.then, pair.now)
        still_px = apart(boundary(pair.truth_then), truth, far, inner)
        moved_px = apart(boundary(after.probability), truth, far, inner) if after else np.nan
        rows.append((still_px, moved_px))
    errors = np.array(rows)
    head = ["apart", "pairs", "no mask", "nothing moved", "moved", "worse"]
    lines = [_row(head), _row(["---"] * len(head))]
    for low, high in ((0, 5), (5, 10), (10, 15), (15, 25), (25, 40), (40, MAP_PX)):
        still, moved = errors[(errors[:, 0] >= low) & (errors[:, 0] < high)].T
        shown = np.isfinite(moved)
        worse = np.mean(moved[shown] > still[shown] + WORSE_PX)
        means = [f"{values[shown].mean():.2f}" for values in (still, moved)]
        name = f"{low} to {high} px"
        lines.append(
            _row([name, str(len(still)), f"{np.mean(~shown):.1%}", *means, f"{worse:.1%}"])
        )
    return lines


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def machine() -> str:
    """What it was measured on."""
    model = platform.processor() or platform.machine()
    facts = Path("/proc/cpuinfo")
    if facts.exists():
        names = [line for line in facts.read_text().splitlines() if line.startswith("model name")]
        model = f"{len(names)} cores of {names[0].split(':')[1].strip()}" if names else model
    return (
        f"{model}, one thread used, Python {platform.python_version()}, OpenCV {cv2.__version__}, "
        f"NumPy {np.__version__}, PyAV {av.__version__}"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Measure what moving masks gains and costs.")
    parser.add_argument("--step", type=int, default=4, help="take every so many-th frame")
    parser.add_argument("--clinicdb", type=Path, help="folder with images/ and masks/ of ClinicDB")
    parser.add_argument("--sequences", type=Path, default=SEQUENCES)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)

    def say(*lines: str) -> None:
        print(*lines, sep="\n", flush=True)

    say("# Moving the mask along with the picture", "")
    say(
        "```",
        f"python -m demos.benchmarks.mask_motion {' '.join(sys.argv[1:])}".rstrip(),
        "```",
        "",
    )
    say(f"{machine()}. Times are CPU times of the thread.", "")
    say(
        "Symmetric distance of boundaries in px of a 352x352 map, mean / 90th percentile over",
        f"pairs of frames, at {RATE} frames per second. Worse: share of all pairs whose boundary",
        f"is more than {WORSE_PX} px further off than without any motion, and by how much at most.",
        "The view is the box around the endoscope's picture, whose rim does not count.",
        "Cross-fades are left out. The small images have as many px as the stated size, in the",
        "shape of the view. Times are for finding the flow and moving the map.",
    )
    sample = sample_clip()
    made_up = [made_up_clip(seed) for seed in MADE_UP_SEEDS]
    whole = [sample_clip(whole=True)]
    for title, clips in (
        ("Bundled sample video", [sample]),
        ("Made-up tissue", made_up),
        ("Bundled sample video, the whole picture as view", whole),
    ):
        found = measure(clips, arguments.step)
        counts = (f"{len(errors)} at lag {lag}" for lag, errors in found[NOTHING].errors.items())
        say("", f"## {title}", "", f"Pairs: {', '.join(counts)}.", "")
        say(*gain_table(found, with_cost=clips[0] is sample))
    say("", "## Cost of one 1080p picture", "", *cost_table(400))
    say("", "## The same scene or another", "", *scene_table([sample, *made_up], 400))
    if arguments.clinicdb:
        say("", "## Recorded sequences", "")
        say(
            "Stills of one sequence of CVC-ClinicDB (its part of PraNet's training split), 1 to 3",
            "numbers apart. Far more time lies between them than between frames, and their masks",
            "are drawn by hand. Errors are over the pairs whose mask is shown.",
            "",
            *recorded_table(arguments.clinicdb, arguments.sequences),
        )


if __name__ == "__main__":
    main()
