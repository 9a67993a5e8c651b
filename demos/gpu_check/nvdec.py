"""The sample decoded by NVDEC, against the same decoded by the CPU; the network is on the GPU."""

from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from demos.gpu_check.frames import SAMPLE
from demos.gpu_check.part import Steps
from demos.gpu_check.shipped import load_shipped
from streamer.audio import AudioPacket
from streamer.engine.base import Segmenter
from streamer.pipeline import Pipeline
from streamer.planes import planes
from streamer.run_result import RunResult
from streamer.sinks.base import Composed
from streamer.sources import Decode, open_source
from streamer.temporal import PRESETS
from streamer.view_watch import ViewWatch, look_ahead

#: Frames of each run, and of the one before them, in which kernels are compiled.
FRAMES, WARM_UPS = 300, 30


def nvdec_steps() -> Steps:
    """The whole picture, then the field of view, as `--view auto` looks for it."""
    segmenter = load_shipped()
    for name, looks in (("whole picture", False), ("view found by looking", True)):
        yield name, partial(compare_decoders, segmenter, looks=looks)


def compare_decoders(
    segmenter: Segmenter, decode: Decode = "gpu", frames: int = FRAMES, *, looks: bool
) -> dict[str, Any]:
    """Run the sample both ways.

    Args:
        decode: what to hold against the CPU.
        looks: look for the field of view, as is done where the user does not say.
    """
    _run(segmenter, decode, min(frames, WARM_UPS), looks=looks)
    decoder, result, mine = _run(segmenter, decode, frames, looks=looks)
    _, _, theirs = _run(segmenter, "cpu", frames, looks=looks)
    view = result.view
    return {
        "decoder": decoder,
        "fps": round(result.rate, 1),
        "frames": result.frames_out,
        "latency_ms": result.latency_ms,
        "view": None if view is None else [view.x, view.y, view.width, view.height],
        # Of the last picture; both were drawn upon by the GPU.
        "samples_that_differ_by_more_than_2": {
            component: int((np.abs(plane - theirs.last[component]) > 2).sum())
            for component, plane in mine.last.items()
        },
        "dice_of_masks": round(_dice(mine.masks, theirs.masks), 5),
    }


def _run(
    segmenter: Segmenter, decode: Decode, frames: int, *, looks: bool
) -> tuple[str, RunResult, "KeepingSink"]:
    sink = KeepingSink()
    with closing(open_source(str(SAMPLE), decode=decode)) as source:
        pipeline = Pipeline(
            source,
            segmenter,
            [sink],
            view=_watch() if looks else None,
            temporal=PRESETS["balanced"],
            max_frames=frames,
        )
        return source.info.decoder, pipeline.run(), sink


def _watch() -> ViewWatch:
    """As file mode makes it: the first seconds are looked at ahead of the run, on the CPU."""
    with closing(open_source(str(SAMPLE))) as ahead:
        return look_ahead(ahead, ahead.info.width, ahead.info.height)


def _dice(mine: list[Any], theirs: list[Any]) -> float:
    both = sum(int((a & b).sum()) for a, b in zip(mine, theirs, strict=True))
    return 2 * both / max(1, sum(int(one.sum()) for one in [*mine, *theirs]))


class KeepingSink:
    """Keeps the masks of all pictures, and the last picture.

    Attributes:
        masks: (h, w) bool each.
        last: ``luma``, ``blue`` and ``red`` (h, w) int.
    """

    def __init__(self) -> None:
        self.masks: list[Any] = []
        self.last: dict[str, Any] = {}

    def write(self, composed: Composed) -> None:
        """See `Sink.write`."""
        seen = composed.segmentation
        if seen is not None:
            self.masks.append(seen.probability >= seen.threshold)
        self.last = {
            ("luma", "blue", "red")[component]: plane.pixels[..., place].astype(int)
            for plane in planes(composed.picture)
            for place, component in enumerate(plane.components)
        }

    def write_audio(self, packet: AudioPacket) -> None:
        """See `Sink.write_audio`."""

    def close(self) -> None:
        """See `Sink.close`."""
