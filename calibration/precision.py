"""Eight-bit forms of a network, accepted only if they lose next to nothing."""

import logging
import re
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
import openvino as ov
from numpy.typing import NDArray

from pranet.checkpoint import CheckpointInfo
from pranet.data import Pair
from pranet.metrics.overlap import dice_at
from pranet.predict import at_full_size
from streamer.engine.openvino import CORE, DEVICE, convert
from streamer.engine.quantised import Quantised, write_manifest
from streamer.errors import EngineError

Image = NDArray[np.uint8]
#: What a network says of RGB (size, size, 3): probability (size, size).
Ask = Callable[[Image], NDArray[np.float32]]
#: Whatever a trial makes.
Form = TypeVar("Form")

#: Loss of mDice on the validation part, in points of 100, that is accepted.
TOLERANCE = 0.3
#: Pictures that ranges are taken from.
PICTURES = 300
#: Timed pictures of each form.
_TIMED = 40


@dataclass(frozen=True)
class Layers:
    """Which layers a quantised network computes in 8 bits.

    Attributes:
        quantised, kept: names of convolutions and matrix products, with 8-bit weights and without.
        ranges: name of an activation's quantiser → least and greatest value that it can hold.
    """

    quantised: list[str]
    kept: list[str]
    ranges: dict[str, tuple[float, float]]


@dataclass(frozen=True)
class Outcome:
    """A quantised network, and what it lost and gained.

    Attributes:
        mdice_before, mdice_after: on the validation part, percent.
        kept: parts that had to be kept in floating point for the tolerance.
        ms_before, ms_after: of one picture on one thread, median.
    """

    network: ov.Model
    layers: Layers
    mdice_before: float
    mdice_after: float
    kept: list[str]
    ms_before: float
    ms_after: float

    @property
    def loss(self) -> float:
        """Points of mDice lost."""
        return self.mdice_before - self.mdice_after

    def facts(self, pictures: int, validation: int) -> dict[str, Any]:
        """For the manifest and the report."""
        return {
            "pictures": pictures,
            "validation_images": validation,
            "mdice_before": round(self.mdice_before, 3),
            "mdice_after": round(self.mdice_after, 3),
            "loss": round(self.loss, 3),
            "parts_kept": self.kept,
            "ms_before": round(self.ms_before, 2),
            "ms_after": round(self.ms_after, 2),
            "speed_up": round(self.ms_before / self.ms_after, 2),
            "layers_quantised": len(self.layers.quantised),
            "layers_kept": self.layers.kept,
            "ranges": {name: list(ends) for name, ends in self.layers.ranges.items()},
        }


def quantise(
    checkpoint: CheckpointInfo,
    pictures: Sequence[Image],
    validation: Sequence[Pair],
    *,
    tolerance: float = TOLERANCE,
    tell: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Quantise a network's weights and activations after training (NNCF), within a tolerance.

    First everything is quantised. Where that loses more than is accepted, each part of the network
    is quantised by itself, and those that hurt most are kept in floating point, one after the
    other, until the loss is within the tolerance.

    Args:
        pictures: RGB (size, size, 3); the ranges of activations are taken from them.
        validation: labelled pictures that are not among those; the loss is measured on them.
        tolerance: points of mDice, of 100.

    Raises:
        EngineError: NNCF is not installed, or the loss cannot be brought within the tolerance.
    """
    plain = convert(checkpoint, folded=True)
    before = mean_dice(_asking(plain), validation)

    def trial(kept: Collection[str]) -> tuple[ov.Model, float]:
        network = _quantised(plain, pictures, kept)
        return network, mean_dice(_asking(network), validation)

    network, after, kept = keep_what_hurts(parts_of(plain), trial, before, tolerance, tell)
    times_ms = [_median_ms(each, pictures[0]) for each in (plain, network)]
    return Outcome(network, read_layers(network), before, after, kept, times_ms[0], times_ms[1])


def keep_what_hurts(
    parts: Sequence[str],
    trial: Callable[[Collection[str]], tuple[Form, float]],
    before: float,
    tolerance: float,
    tell: Callable[[str], None],
) -> tuple[Form, float, list[str]]:
    """The form of a network with the most of it in 8 bits that loses no more than is accepted.

    Args:
        parts: of the network.
        trial: makes the form in which some parts are kept in floating point, and its mDice.
        before: mDice without 8 bits.

    Returns:
        The form, its mDice, and the parts that had to be kept.

    Raises:
        EngineError: it loses too much also with all parts kept.
    """
    form, after = trial(())
    tell(f"mDice {before:.2f}; {after:.2f} with all of it in 8 bits")
    kept: list[str] = []
    if before - after > tolerance:
        alone = {part: trial([other for other in parts if other != part])[1] for part in parts}
        for part in sorted(parts, key=lambda part: alone[part]):
            tell(f"keeping {part}, which alone brings it to {alone[part]:.2f}")
            kept.append(part)
            form, after = trial(kept)
            if before - after <= tolerance:
                break
    if before - after > tolerance:
        raise EngineError(
            f"not accepted: the 8-bit form loses {before - after:.2f} points of mDice, "
            f"more than {tolerance:g}"
        )
    return form, after, kept


def parts_of(network: ov.Model) -> list[str]:
    """The parts of a network that have layers to quantise, by the names of its modules.

    The decoder's are taken whole, the encoder's by its blocks.
    """
    names = (
        node.get_friendly_name()
        for node in network.get_ordered_ops()
        if node.get_type_name() in _LAYERS
    )
    return list(dict.fromkeys(part for name in names if (part := part_of(name))))


def part_of(layer: str) -> str | None:
    """The part that a layer belongs to, by its name; None of what is none of the network's."""
    found = _PART.match(layer)
    return found[1] if found else None


#: What there is to quantise.
_LAYERS = ("Convolution", "GroupConvolution", "MatMul")
#: A module of the encoder with the number behind it, if it has one, or a part of the decoder.
_PART = re.compile(r"(?:__module\.)?model\.(encoder\.\w+\.\w+(?:\.\d+)?|\w+)")


def _quantised(plain: ov.Model, pictures: Sequence[Image], kept: Collection[str]) -> ov.Model:
    """Quantised but for some parts."""
    nncf = _import_nncf()
    patterns = [rf"__module\.model\.{re.escape(part)}[./].*" for part in kept]
    return nncf.quantize(
        plain,
        nncf.Dataset([picture[None] for picture in pictures]),
        # Activations that are never negative get all 256 steps.
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures),
        # Layer by layer: its masks are nearer to those of the network before, for a few minutes.
        fast_bias_correction=False,
        ignored_scope=nncf.IgnoredScope(patterns=patterns, validate=False),
        # Weights have 7 bits. A CPU without VNNI adds two products in 16 bits, which those with
        # 8 bits overflow: silently, at a loss of many times what the lost bit is worth.
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            overflow_fix=nncf.OverflowFix.ENABLE
        ),
    )


def save(
    outcome: Outcome, checkpoint: CheckpointInfo, manifest: Path, facts: dict[str, Any]
) -> Quantised:
    """Write graph, weights and manifest; `load_segmenter` finds them from then on.

    Raises:
        EngineError: they cannot be written.
    """
    xml = manifest.with_suffix(".xml")
    try:
        xml.parent.mkdir(parents=True, exist_ok=True)
        # What stays in floating point is kept in half, as in our checkpoints.
        ov.save_model(outcome.network, xml, compress_to_fp16=True)
    except (OSError, RuntimeError) as error:
        raise EngineError(f"{xml}: cannot be written ({error})") from error
    return write_manifest(xml, checkpoint, facts)


def mean_dice(ask: Ask, pairs: Sequence[Pair]) -> float:
    """mDice in percent over pictures at their own sizes, at threshold 0.5.

    Where NNCF asks, `pairs` is what its dataset yields.
    """
    scores = []
    for pair in pairs:
        image, mask = pair.read()
        probability = at_full_size(ask(image), image.shape[1], image.shape[0])
        scores.append(dice_at(probability, mask))
    return 100 * float(np.mean(scores))


def read_layers(network: ov.Model) -> Layers:
    """What of a network is quantised, by the quantisers in its graph."""
    quantised: list[str] = []
    kept: list[str] = []
    ranges: dict[str, tuple[float, float]] = {}
    for node in network.get_ordered_ops():
        kind = node.get_type_name()
        if kind in _LAYERS:
            # Not by its input: between that and its quantiser may lie a concatenation.
            (quantised if _has_8_bits(node) else kept).append(node.get_friendly_name())
        if kind == "FakeQuantize" and not _is_constant(node.input_value(0).get_node()):
            low, high = (node.input_value(place).get_node().get_data().ravel() for place in (1, 2))
            ranges[node.get_friendly_name()] = (
                round(float(low.min()), 4),
                round(float(high.max()), 4),
            )
    return Layers(quantised, kept, ranges)


def _has_8_bits(layer: Any) -> bool:
    """Weights are stored as they are computed with, and scaled after."""
    node = layer.input_value(1).get_node()
    while node.get_type_name() in ("Multiply", "Convert"):
        node = node.input_value(0).get_node()
    return bool(node.get_output_element_type(0) == ov.Type.i8)


def _is_constant(node: Any) -> bool:
    """Weights reach their quantiser as a constant, perhaps by way of a conversion."""
    if node.get_type_name() == "Convert":
        node = node.input_value(0).get_node()
    return bool(node.get_type_name() == "Constant")


def _asking(network: ov.Model) -> Ask:
    return _ask_compiled(CORE.compile_model(network, DEVICE, _SETTINGS))


def _ask_compiled(compiled: Any) -> Ask:
    size_px = int(compiled.input(0).shape[1])
    request = compiled.create_infer_request()

    def ask(image: Image) -> NDArray[np.float32]:
        small = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
        request.infer({0: small[None]})
        return np.array(request.get_output_tensor().data[0], np.float32)

    return ask


#: Both forms alike: what is not in 8 bits is exact.
_SETTINGS = {"INFERENCE_PRECISION_HINT": "f32"}


def _median_ms(network: ov.Model, picture: Image) -> float:
    one_thread = _SETTINGS | {"NUM_STREAMS": "1", "INFERENCE_NUM_THREADS": "1"}
    ask = _ask_compiled(CORE.compile_model(network, DEVICE, one_thread))
    times_ms = []
    for _ in range(_TIMED):
        start_ns = time.monotonic_ns()
        ask(picture)
        times_ms.append((time.monotonic_ns() - start_ns) / 1e6)
    return float(np.median(times_ms[5:]))


def _import_nncf() -> Any:
    try:
        import nncf
    except ImportError as error:
        raise EngineError(
            'quantisation needs NNCF; pip install "pranet-stream[calibrate]"'
        ) from error
    # It lists every node that is left out.
    nncf.set_log_level(logging.ERROR)
    return nncf
