"""Builds the TensorRT engine of a checkpoint for this machine; keeps it if it computes right."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from pranet.checkpoint import CheckpointInfo, load_model
from pranet.model import MAX_INPUT_SIZE_PX
from streamer.engine import cache
from streamer.engine.eager import ImageToProbability
from streamer.engine.eight_bits import put_in_8_bits, register_converter
from streamer.engine.half_layers import LARGEST_STRIDE, float_layer_norms, floor_pools
from streamer.engine.layer_types import LayerTypes, check_precision, types_of_engine
from streamer.engine.manifest import Manifest
from streamer.engine.network import dtype_of, lean_network
from streamer.engine.parity import LIMITS, Parity, compare
from streamer.engine.quantised import Ranges
from streamer.engine.tensorrt import (
    MANIFEST,
    PLAN,
    PlanRunner,
    check_supported,
    engine_folder,
    facts_here,
    ranges_for,
)
from streamer.engine.tensorrt_convert import Conversion, convert, quiet
from streamer.errors import EngineError, first_line
from streamer.frame import Probability

#: Height and width in px → RGB pictures (S, S, 3).
FramesOfSize = Callable[[int], Iterable[NDArray[np.uint8]]]

#: As TensorRT calls them.
_FORMATS = {torch.float16: "HALF", torch.float32: "FLOAT"}
#: That of the first GPUs with fp8.
_LEAST_CAPABILITY = {"fp8": (8, 9)}


@dataclass(frozen=True)
class Built:
    """An engine that was built and kept.

    Attributes:
        folder: where it is.
        network: formats of the layers before TensorRT merged them; `manifest.layers` has them as
            they are in the engine.
        megabytes: size of the engine.
    """

    folder: Path
    manifest: Manifest
    network: LayerTypes
    megabytes: float


def build_engine(
    checkpoint: CheckpointInfo,
    precision: str,
    *,
    frames: FramesOfSize,
    size_px: int = 0,
    folder: Path | None = None,
    tell: Callable[[str], None] = lambda _: None,
) -> Built:
    """Build, compare with eager fp32 on the CPU, and keep the engine.

    A half network that is too far off is built once more with its layer norms and attention in
    float32, if it has any.

    Args:
        precision: one of `tensorrt.PRECISIONS`; what is in 8 bits is in `find_ranges`.
        frames: gives pictures to compare on, RGB (S, S, 3) for the S that it is called with;
            better with polyps in them.
        size_px: height and width S of the input; 0 for that of the checkpoint.
        folder: where to keep it; where `load_engine` looks if not given.
        tell: is given a line on each step.

    Raises:
        CheckpointError: the checkpoint cannot be used.
        EngineError: no GPU, no TensorRT, the network does not convert as a whole, the engine is
            not of the precision asked for or too far from eager fp32, or it cannot be written.
    """
    check_supported(precision)
    model = load_model(checkpoint.path)
    size_px = size_px or model.config.input_size
    check_size(size_px)
    facts = facts_here(checkpoint, precision, (1, 3, size_px, size_px))
    check_capability(precision, facts.compute_capability)
    ranges = ranges_for(checkpoint, precision)
    pictures = list(frames(size_px))
    if not pictures:
        raise EngineError("there is no picture to compare on; name a clip with --frames")
    folder = folder or engine_folder(checkpoint, precision)
    tell(f"building {facts.model} {precision} at {size_px}x{size_px} px for {facts.gpu}")
    try:
        tried, parity, careful = _build_near_enough(model, precision, ranges, pictures, tell)
    except RuntimeError as error:
        # Of torch: out of memory and the like.
        raise EngineError(f"the build failed ({first_line(error)})") from error
    layers = types_of_engine(tried.runner.describe()) or tried.conversion.layers
    check_precision(layers, precision, careful=careful)
    manifest = Manifest(facts, tried.conversion.operators, layers, careful, parity)
    _keep(folder, tried.conversion.plan, manifest)
    return Built(folder, manifest, tried.conversion.layers, len(tried.conversion.plan) / 1e6)


def check_size(size_px: int) -> None:
    """That a network can have an input of this height and width.

    Raises:
        EngineError: no multiple of 32, or too large.
    """
    if size_px < LARGEST_STRIDE or size_px % LARGEST_STRIDE or size_px > MAX_INPUT_SIZE_PX:
        raise EngineError(
            f"the size must be a multiple of {LARGEST_STRIDE} px up to {MAX_INPUT_SIZE_PX}, "
            f"not {size_px}"
        )


def check_capability(precision: str, compute_capability: str) -> None:
    """That a GPU computes in a format.

    Raises:
        EngineError: it does not.
    """
    least = _LEAST_CAPABILITY.get(precision, (0, 0))
    if tuple(map(int, compute_capability.split("."))) < least:
        needed = ".".join(map(str, least))
        raise EngineError(
            f"{precision} needs a GPU of compute capability {needed} or later, and this one has "
            f"{compute_capability}; use --precision fp16"
        )


def convert_model(
    model: nn.Module,
    precision: str,
    size_px: int,
    ranges: Ranges | None = None,
    *,
    careful: bool = False,
    device: str = "cuda",
) -> Conversion:
    """A trained network as one serialised engine that is of the precision asked for.

    Args:
        model: in eval mode, in float32, on the CPU; not changed.
        ranges: of what is to be in 8 bits.
        careful: layer norms and attention in float32.
        device: where torch folds constants; nothing of the network is run.

    Raises:
        EngineError: it does not convert as a whole, or not to that precision.
    """
    dtype = dtype_of(precision)
    network = lean_network(model, torch.float32)
    asked = 0
    if ranges is not None:
        try:
            asked = put_in_8_bits(network, ranges.largest_inputs, precision)
        except AttributeError as error:
            raise EngineError(f"the ranges are of another network ({error})") from error
        with quiet():
            register_converter()
    network.to(dtype)
    floor_pools(network, size_px)
    if careful:
        float_layer_norms(network)
    # Export would mark weights as trainable, which those made in inference mode cannot be.
    network.requires_grad_(False)
    example = torch.zeros(1, 3, size_px, size_px, dtype=dtype, device=device)
    conversion = convert(network.to(device), example, careful=careful)
    _check_ends(conversion, _FORMATS[dtype], size_px)
    check_precision(conversion.layers, precision, careful=careful)
    if conversion.layers.eight != asked:
        raise EngineError(
            f"{asked} convolutions were to be in 8 bits, and {conversion.layers.eight} are"
        )
    return conversion


@dataclass(frozen=True)
class _Tried:
    conversion: Conversion
    runner: PlanRunner


def _build_near_enough(
    model: nn.Module,
    precision: str,
    ranges: Ranges | None,
    pictures: Sequence[NDArray[np.uint8]],
    tell: Callable[[str], None],
) -> tuple[_Tried, Parity, bool]:
    size_px = len(pictures[0])
    limits = LIMITS[precision]
    can_be_careful = precision == "fp16" and any(
        isinstance(module, nn.LayerNorm) for module in model.modules()
    )
    eager = ImageToProbability(model).eval()
    for careful in (False, True) if can_be_careful else (False,):
        conversion = convert_model(model, precision, size_px, ranges, careful=careful)
        tell(f"one engine of {conversion.operators} operators: {conversion.layers}")
        tried = _Tried(conversion, PlanRunner(conversion.plan))
        parity = compare(
            pictures,
            lambda frame, runner=tried.runner: _run(runner, eager, frame),  # type: ignore[misc]
            lambda frame: _run_eager(eager, frame),
        )
        if parity.fits(limits):
            return tried, parity, careful
        if can_be_careful and not careful:
            tell(f"too far from eager fp32 ({parity}); again, layer norms and attention in float32")
    nearer = {"fp16": "fp32", "int8": "fp16", "fp8": "fp16"}.get(precision)
    other = f"--precision {nearer}" if nearer else "--backend cuda"
    raise EngineError(
        f"the engine is too far from eager fp32 and is not kept: {parity}; allowed are a relative "
        f"error of {limits.relative_error:g} and a Dice of {limits.dice:g}; use {other}"
    )


def _run(
    runner: PlanRunner, normaliser: ImageToProbability, frame: NDArray[np.uint8]
) -> Probability:
    normalised = normaliser.normalise(torch.from_numpy(frame)[None])
    probability: Probability = runner(normalised.to("cuda", runner.dtype))[0].cpu().numpy()
    return probability


def _run_eager(eager: ImageToProbability, frame: NDArray[np.uint8]) -> Probability:
    # On the CPU: there is no TF32, which would make the reference itself inexact.
    with torch.inference_mode():
        probability: Probability = eager(torch.from_numpy(frame)[None])[0].numpy()
    return probability


def _check_ends(conversion: Conversion, taken: str, size_px: int) -> None:
    ends = [end[1:] for end in (*conversion.inputs, *conversion.outputs)]
    expected = [
        ((1, 3, size_px, size_px), taken),
        ((1, size_px, size_px), "FLOAT"),
    ]
    if ends != expected:
        raise EngineError(f"the engine has other inputs and outputs than it should: {ends}")


def _keep(folder: Path, plan: bytes, manifest: Manifest) -> None:
    path = folder / MANIFEST
    with suppress(OSError):
        # An old manifest must not stand beside a new engine, not even for a moment.
        path.unlink()
    kept = cache.write(folder / PLAN, plan)
    try:
        if kept:
            path.write_text(manifest.to_json(), encoding="utf-8")
            return
        reason = "the engine"
    except OSError as error:
        reason = f"the manifest ({error.strerror})"
    raise EngineError(
        f"{folder}: {reason} cannot be written; set PRANET_STREAM_CACHE to a folder that can"
    )
