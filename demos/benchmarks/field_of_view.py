"""How exactly the field of view is found: made-up processor pictures whose view is known.

    python -m demos.benchmarks.field_of_view --first 1000 --count 100 --output figures.json

Each seed is another scene (see `view_scenes`): shape, place, size, light, noise, coding, what is
written beside the view. It is looked at for two stretches, as `--view auto` does. Seeds 0 to 39
were looked at while the finder was made; others tell how good it is.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Annotated

import cv2
import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from demos.benchmarks.mask_motion import machine
from demos.benchmarks.view_scenes import RATE, Scene, make_scene, pictures_of, view_of
from streamer.frame import View
from streamer.view_finder import Stretch
from streamer.view_watch import STRETCH_S, ViewWatch

#: A view that overlaps the true one by less is wrong.
WRONG = 0.9
#: The first stretch begins with the first picture, the next one with the one after its last.
_PICTURES = 2 * (round(RATE * STRETCH_S) + 1)

console = Console(soft_wrap=True, markup=False)


@dataclass(frozen=True)
class Outcome:
    """What came of one scene.

    Attributes:
        found: a view was found that does not fill the picture.
        iou: of the view found in the first stretch and the true one; 0 where none was found.
        box_iou: of the part that is analysed in the end and the box around the true view.
        hidden: share of the true view that is not analysed in the end.
        look_ms, find_ms: to look at one picture (median), and to find the view in a stretch.
    """

    scene: Scene
    found: bool
    iou: float
    box_iou: float
    hidden: float
    look_ms: float
    find_ms: float


def try_scene(scene: Scene) -> Outcome:
    """Look at a scene as `--view auto` does."""
    exact = view_of(scene)
    inside = exact >= 128
    watch, stretch = ViewWatch(*scene.size), Stretch()
    times_ms: list[float] = []
    for index, picture in enumerate(pictures_of(scene, exact, _PICTURES)):
        watch.look(picture, index / RATE)
        if index <= RATE * STRETCH_S:
            start_s = perf_counter()
            stretch.add(picture)
            times_ms.append(1e3 * (perf_counter() - start_s))
    start_s = perf_counter()
    field = stretch.view()
    find_ms = 1e3 * (perf_counter() - start_s)
    part = _filled(watch.view, inside.shape)
    return Outcome(
        scene,
        found=field is not None and not field.fills_picture,
        iou=0.0 if field is None else _iou(field.mask() > 0, inside),
        box_iou=_iou(part, _filled(_box(inside), inside.shape)),
        hidden=float(np.mean(~part[inside])),
        look_ms=float(np.median(times_ms)),
        find_ms=find_ms,
    )


def _box(inside: NDArray[np.bool_]) -> View:
    return View(*cv2.boundingRect(inside.view(np.uint8)))


def _filled(view: View, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    part = np.zeros(shape, bool)
    part[view.y : view.y + view.height, view.x : view.x + view.width] = True
    return part


def _iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    return float((one & other).sum() / (one | other).sum())


def summarise(outcomes: list[Outcome]) -> Iterator[str]:
    """A Markdown table, by shape and by what makes it hard, and what went wrong."""
    bordered = [each for each in outcomes if each.scene.shape != "whole picture"]
    yield "| scenes | count | found | IoU, median | worst decile | worst | box IoU, worst decile |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    groups = {"all with a margin": bordered}
    for name in dict.fromkeys(each.scene.shape for each in bordered):
        groups[name] = [each for each in bordered if each.scene.shape == name]
    groups["dark"] = [each for each in bordered if each.scene.dark]
    groups["letters beside the view"] = [each for each in bordered if each.scene.written]
    groups["second picture"] = [each for each in bordered if each.scene.second]
    groups["interlaced"] = [each for each in bordered if each.scene.interlaced]
    groups["H.264, CRF 26 or more"] = [each for each in bordered if (each.scene.crf or 0) >= 26]
    for name, group in groups.items():
        ious = np.array([each.iou for each in group if each.found])
        boxes = np.array([each.box_iou for each in group if each.found])
        if len(ious):
            low, middle = np.quantile(ious, (0.1, 0.5))
            yield (
                f"| {name} | {len(group)} | {len(ious)} | {middle:.4f} | {low:.4f} "
                f"| {ious.min():.4f} | {np.quantile(boxes, 0.1):.4f} |"
            )
    counts = Counter(
        {
            "without a margin": len(outcomes) - len(bordered),
            "of these a view was found": sum(
                each.found for each in outcomes if each.scene.shape == "whole picture"
            ),
            "wrong views (IoU below 0.9)": sum(
                each.found and each.iou < WRONG for each in bordered
            ),
            "more than 1 % of the view not analysed": sum(each.hidden > 0.01 for each in outcomes),
        }
    )
    yield ""
    yield "; ".join(f"{name}: {count}" for name, count in counts.items())
    large = [each for each in outcomes if each.scene.size[1] == 1080] or outcomes
    look, find = (
        float(np.median([getattr(each, name) for each in large])) for name in ("look_ms", "find_ms")
    )
    yield (
        f"1080p: {look:.2f} ms to look at a picture, {find:.1f} ms to find the view in a stretch "
        f"of {STRETCH_S:g} s"
    )


def main(
    first: Annotated[int, typer.Option(help="First seed.")] = 1000,
    count: Annotated[int, typer.Option(help="How many scenes.", min=10)] = 100,
    output: Annotated[Path | None, typer.Option(help="JSON.")] = None,
) -> None:
    """Measure and print."""
    cv2.setNumThreads(1)
    console.print(f"seeds {first} to {first + count - 1}; {machine()}\n")
    outcomes = [try_scene(make_scene(seed)) for seed in range(first, first + count)]
    for line in summarise(outcomes):
        console.print(line)
    if output is not None:
        output.write_text(json.dumps([asdict(each) for each in outcomes], indent=1) + "\n")


if __name__ == "__main__":
    typer.run(main)
