"""How a program of the comparison takes its turn; `demos/bench/child.py` measures it from outside.

It loads its network and says ``loaded``, runs some frames and says ``ready``, waits for a line,
runs all frames and says ``done``, and waits for another line, so that its times and its memory can
still be read. What is the same for all of them lies here too: the input of the network, and the
encoder, which has the settings of pranet-stream's own.
"""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from pranet.checkpoint import read_info

#: Frames before it counts: threads are started and memory is taken.
WARM_UP_FRAMES = 8
THRESHOLD = 0.5
GREEN_BGR = (0, 255, 0)

Bgr = NDArray[np.uint8]
Mask = NDArray[np.uint8]
#: Takes the mask (height, width), 0 or 1, of each frame.
OnMask = Callable[[Mask], None]
#: Works on so many frames into a file; masks are handed out where somebody wants them.
Run = Callable[[int, str, OnMask | None], None]


@dataclass(frozen=True)
class Task:
    """What is to be done.

    Attributes:
        clip: video to read.
        model: checkpoint.
        onnx: the same network as ONNX.
        temporal, precision: of pranet-stream.
        encoder: ``x264``, or ``own`` for what the library would write by itself.
    """

    clip: str
    model: str
    onnx: str
    temporal: str
    precision: str
    encoder: str


def take_turn(prepare: Callable[[Task], Run], packages: tuple[str, ...]) -> None:
    """Do as the module says.

    Args:
        prepare: loads the network.
        packages: whose versions are told.
    """
    parser = argparse.ArgumentParser()
    for name in ("clip", "model", "onnx", "output"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--frames", type=int, required=True)
    parser.add_argument("--temporal", default="off")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--encoder", default="x264")
    parser.add_argument("--masks", type=Path)
    given = parser.parse_args()
    task = Task(given.clip, given.model, given.onnx, given.temporal, given.precision, given.encoder)
    run = prepare(task)
    _say("loaded", {name: version(name) for name in packages})
    run(WARM_UP_FRAMES, str(Path(given.output).with_stem("warm_up")), None)
    _say("ready")
    sys.stdin.readline()
    masks: list[Mask] = []
    on_mask = None if given.masks is None else lambda mask: masks.append(np.packbits(mask))
    run(given.frames, given.output, on_mask)
    _say("done")
    if given.masks is not None:
        np.save(given.masks, np.stack(masks))
        _say("saved")
    sys.stdin.readline()


def _say(word: str, facts: dict[str, str] | None = None) -> None:
    print(f"@{word} {json.dumps(facts or {})}", flush=True)


@dataclass(frozen=True)
class Preparation:
    """How a picture becomes the network's input."""

    side_px: int
    mean: NDArray[np.float32]
    std: NDArray[np.float32]

    @classmethod
    def of(cls, model: str) -> "Preparation":
        """What the checkpoint says."""
        config: dict[str, Any] = read_info(model).config
        mean, std = (np.array(config[name], np.float32) for name in ("mean", "std"))
        return cls(config["input_size"], mean, std)

    def input_of(self, bgr: Bgr) -> NDArray[np.float32]:
        """(1, 3, side_px, side_px), normalised."""
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
        small = cv2.resize(rgb, (self.side_px, self.side_px), interpolation=cv2.INTER_AREA)
        normalised = (small.astype(np.float32) / 255 - self.mean) / self.std
        return np.ascontiguousarray(normalised.transpose(2, 0, 1)[None])


def mask_of(logits: NDArray[np.float32], like: Bgr) -> Mask:
    """The mask (height, width), 0 or 1, at a picture's size, of logits (1, 1, h, w)."""
    with np.errstate(over="ignore"):
        probability = 1 / (1 + np.exp(-logits[0, 0]))
    full = cv2.resize(probability, like.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return np.asarray(full >= THRESHOLD).view(np.uint8)


def line_width_px(height_px: int) -> int:
    """Of a boundary on a picture so high, as pranet-stream draws it."""
    return max(1, round(height_px / 240))


def draw_boundary(picture: Bgr, mask: Mask) -> None:
    """Draw the boundary of a mask into a picture."""
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    cv2.drawContours(picture, contours, -1, GREEN_BGR, line_width_px(picture.shape[0]))


class X264Writer:
    """Encodes BGR pictures as H.264 with the preset and quality that pranet-stream has.

    OpenCV's wheels have no H.264 encoder, so a program that reads with OpenCV writes with PyAV.
    """

    def __init__(self, path: str, rate: float, width: int, height: int) -> None:
        self._container = av.open(path, "w")
        options = {"preset": "ultrafast", "crf": "20"}
        self._stream = self._container.add_stream(
            "libx264", rate=Fraction(rate).limit_denominator(1001), options=options
        )
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = "yuv420p"

    def write(self, picture: Bgr) -> None:
        """Take one picture (height, width, 3)."""
        frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
        self._container.mux(self._stream.encode(frame))

    def release(self) -> None:
        """Finish the file."""
        self._container.mux(self._stream.encode(None))
        self._container.close()
