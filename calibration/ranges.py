"""Ranges of activations for an 8-bit TensorRT engine, accepted only if it loses next to nothing.

Found and judged in PyTorch, on any machine; `pranet-build` makes the engine with them.
"""

import copy
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from calibration.precision import TOLERANCE, Ask, Image, keep_what_hurts, mean_dice, part_of
from pranet.checkpoint import CheckpointInfo, load_model
from pranet.data import Pair
from streamer.engine.eager import ImageToProbability
from streamer.engine.eight_bits import convolutions, put_in_8_bits
from streamer.engine.network import lean_network
from streamer.engine.quantised import Ranges

#: Share of a picture's activations that may lie beyond the range. A few large ones would take the
#: steps from all others of int8; fp8 has steps that grow with the number.
_BEYOND = {"int8": 1e-3, "fp8": 0.0}


def choose_ranges(
    checkpoint: CheckpointInfo,
    precision: str,
    pictures: Sequence[Image],
    validation: Sequence[Pair],
    *,
    tolerance: float = TOLERANCE,
    tell: Callable[[str], None] = lambda text: None,
) -> Ranges:
    """Choose what each convolution's input is cut off at.

    All convolutions but those of single channels are put in 8 bits; where that loses more than is
    accepted, the parts that hurt most stay in half.

    Args:
        precision: ``int8`` or ``fp8``.
        pictures: RGB (size, size, 3); the ranges are taken from them.
        validation: labelled pictures that are not among those; the loss is measured on them.
        tolerance: points of mDice, of 100.

    Raises:
        EngineError: the loss cannot be brought within the tolerance.
    """
    model = load_model(checkpoint.path)
    images = ImageToProbability(model)
    plain = lean_network(model, torch.float32)
    normalised = (images.normalise(torch.from_numpy(each)[None]) for each in pictures)
    largest = look(plain, normalised, precision)
    before = mean_dice(_asking(images, plain), validation)

    def trial(kept: Collection[str]) -> tuple[dict[str, float], float]:
        chosen = {name: top for name, top in largest.items() if part_of(name) not in kept}
        network = copy.deepcopy(plain)
        put_in_8_bits(network, chosen, precision)
        return chosen, mean_dice(_asking(images, network), validation)

    parts = list(dict.fromkeys(part for name in largest if (part := part_of(name))))
    chosen, after, kept = keep_what_hurts(parts, trial, before, tolerance, tell)
    facts = {
        "pictures": len(pictures),
        "validation_images": len(validation),
        "mdice_before": round(before, 3),
        "mdice_after": round(after, 3),
        "loss": round(before - after, 3),
        "parts_kept": kept,
    }
    return Ranges(precision, chosen, facts)


def look(network: nn.Module, images: Iterable[Tensor], precision: str) -> dict[str, float]:
    """How large the inputs of convolutions become, by name; of those only that are run.

    Args:
        images: normalised, (1, 3, size, size) each.

    Returns:
        Of each picture, the value that the share `_BEYOND` of the input exceeds; the greatest of
        all pictures.
    """
    largest: dict[str, float] = {}

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def hook(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].abs().flatten()
            beyond = int(_BEYOND[precision] * len(values))
            found = float(values.topk(beyond + 1, sorted=True).values[-1])
            largest[name] = max(largest.get(name, 0.0), found)

        return hook

    hooks = [
        conv.register_forward_pre_hook(note(name))
        for name, conv in convolutions(network, precision).items()
    ]
    try:
        with torch.inference_mode():
            for image in images:
                network(image)
    finally:
        for hook in hooks:
            hook.remove()
    return largest


def _asking(images: Any, network: nn.Module) -> Ask:
    size = (images.model.config.input_size,) * 2

    @torch.inference_mode()
    def ask(image: Image) -> NDArray[np.float32]:
        small = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        normalised = images.normalise(torch.from_numpy(small)[None])
        probability: NDArray[np.float32] = network(normalised)[0].numpy()
        return probability

    return ask
