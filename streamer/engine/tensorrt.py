"""Engines that `pranet-build` made for this machine: found, checked and run by TensorRT."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pranet.checkpoint import WEIGHTS_FOLDER, CheckpointInfo
from streamer.engine import cache, choice, tensorrt_here
from streamer.engine.manifest import Facts, Manifest, check_facts, read_manifest
from streamer.engine.quantised import Ranges, find_ranges
from streamer.errors import EngineError, first_line

if TYPE_CHECKING:
    from torch import Tensor

PLAN = "engine.plan"
MANIFEST = "manifest.json"

PRECISIONS = choice.PRECISIONS["tensorrt"]
#: Those of them that need ranges, which `pranet-calibrate precision` finds.
QUANTISED = ("int8", "fp8")


def engine_folder(checkpoint: CheckpointInfo, precision: str) -> Path:
    """Where the engine of a checkpoint is kept, whether there is one or not."""
    name = f"{model_name(checkpoint)}-{checkpoint.sha256[:12]}-{precision}"
    return cache.cache_folder() / "tensorrt" / name


def model_name(checkpoint: CheckpointInfo) -> str:
    """The configuration's name; that of the file for one of the published `.pth` files."""
    return str(checkpoint.config.get("name", checkpoint.path.stem))


def build_command(checkpoint: CheckpointInfo, precision: str) -> str:
    """What a user runs to build the engine of a checkpoint."""
    model = shlex.quote(_spelled(checkpoint))
    return f"pranet-build --model {model} --backend tensorrt --precision {precision}"


def _spelled(checkpoint: CheckpointInfo) -> str:
    """As a user names it."""
    bundled = checkpoint.path.parent == WEIGHTS_FOLDER
    return checkpoint.path.stem if bundled else str(checkpoint.path)


def check_supported(precision: str) -> None:
    """That there are engines of a precision.

    Raises:
        EngineError: there are none.
    """
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise EngineError(f"unknown precision {precision!r} for tensorrt; known: {known}")


def ranges_for(checkpoint: CheckpointInfo, precision: str) -> Ranges | None:
    """What an engine of a precision is made with; None of those that need nothing.

    Raises:
        EngineError: it needs ranges, and there are none of this checkpoint.
    """
    if precision not in QUANTISED:
        return None
    found = find_ranges(checkpoint, precision)
    if found is None:
        raise EngineError(
            f"{precision} needs to know how large activations become; run: pranet-calibrate "
            f"precision --backend tensorrt --precision {precision} --model "
            f"{shlex.quote(_spelled(checkpoint))} --data YOUR_PICTURES"
        )
    return found


def find_engine(checkpoint: CheckpointInfo, precision: str) -> Path | None:
    """The folder of the engine built from a checkpoint, or None.

    Only looks whether it is there; whether it fits this machine is seen when it is loaded.
    Loads neither torch nor TensorRT.
    """
    folder = engine_folder(checkpoint, precision)
    whole = (folder / PLAN).is_file() and (folder / MANIFEST).is_file()
    return folder if whole else None


def load_engine(
    checkpoint: CheckpointInfo, precision: str, *, folder: Path | None = None
) -> "tuple[Callable[[Tensor], Tensor], Manifest]":
    """The engine of a checkpoint, ready to run on the current GPU.

    It takes normalised RGB (B, 3, S, S) on that GPU, in float32 for ``fp32`` and else in
    float16, and gives the probability of the first class (B, S, S), float32, on the caller's
    current stream. Shape and format are those of the manifest. One thread owns it.

    Args:
        precision: one of `PRECISIONS`.
        folder: where `pranet-build --output` put it; the user's cache if not given.

    Raises:
        EngineError: there is none, it was built for something else, it is damaged, or TensorRT
            cannot be used; the message says what to run.
    """
    check_supported(precision)
    rebuild = build_command(checkpoint, precision)
    folder = folder or find_engine(checkpoint, precision)
    if folder is None:
        raise EngineError(f"no TensorRT engine was built for this checkpoint; run: {rebuild}")
    manifest = read_manifest(folder / MANIFEST)
    here = facts_here(checkpoint, precision, manifest.facts.shape)
    check_facts(manifest.facts, here, rebuild)
    plan = cache.read(folder / PLAN)
    if plan is None:
        raise EngineError(f"{folder / PLAN}: missing or damaged; run: {rebuild}")
    try:
        return PlanRunner(plan), manifest
    except EngineError as error:
        raise EngineError(f"{error}; run: {rebuild}") from error


def facts_here(
    checkpoint: CheckpointInfo, precision: str, shape: tuple[int, int, int, int]
) -> Facts:
    """What an engine built here and now would depend on.

    Raises:
        EngineError: there is no GPU, or there are no ranges that the precision needs.
    """
    ranges = ranges_for(checkpoint, precision)
    return Facts(
        weights_sha256=checkpoint.sha256,
        model=model_name(checkpoint),
        shape=shape,
        precision=precision,
        ranges=ranges.sha256 if ranges else "",
        **tensorrt_here.versions(),
        **tensorrt_here.gpu_facts(),
    )


class PlanRunner:
    """A serialised engine of one input and one output, run on the caller's current stream.

    Plain TensorRT runs it: Torch-TensorRT builds the engine but is not needed to load it, and
    no pickled program has to fit the torch that is installed.

    Raises:
        EngineError: TensorRT cannot be loaded or does not take the plan.
    """

    def __init__(self, plan: bytes) -> None:
        import torch

        trt = tensorrt_here.import_module("tensorrt", "TensorRT")
        try:
            self._runtime = trt.Runtime(trt.Logger(trt.Logger.ERROR))
            self._engine = self._runtime.deserialize_cuda_engine(plan)
            self._context = self._engine and self._engine.create_execution_context()
        except (RuntimeError, TypeError) as error:
            # The latter where the library makes no object, as with a driver that is too old.
            raise EngineError(f"TensorRT cannot run here ({first_line(error)})") from error
        if self._engine is None:
            raise EngineError("TensorRT does not take the engine")
        if self._context is None:
            raise EngineError("the GPU has no memory left for the engine")
        formats = {trt.float16: torch.float16, trt.float32: torch.float32}
        found: dict[Any, list[tuple[str, tuple[int, ...], Any]]] = {}
        for index in range(self._engine.num_io_tensors):
            name = self._engine.get_tensor_name(index)
            shape = tuple(self._engine.get_tensor_shape(name))
            dtype = formats.get(self._engine.get_tensor_dtype(name))
            found.setdefault(self._engine.get_tensor_mode(name), []).append((name, shape, dtype))
        try:
            ((self._input, self.shape, self.dtype),) = found[trt.TensorIOMode.INPUT]
            ((self._output, self._output_shape, output_dtype),) = found[trt.TensorIOMode.OUTPUT]
        except (KeyError, ValueError):
            raise EngineError("the engine has not one input and one output") from None
        if self.dtype is None or output_dtype is not torch.float32:
            raise EngineError("the engine's input or output is of an unknown format")
        self._torch = torch

    def __call__(self, image: "Tensor") -> "Tensor":
        """Normalised RGB (B, 3, S, S) → probability (B, S, S), float32; the caller's own.

        Raises:
            EngineError: an input of another shape, format or device, or the GPU failed.
        """
        if image.shape != self.shape or image.dtype != self.dtype or not image.is_cuda:
            raise EngineError(
                f"the engine takes {self.dtype} {self.shape} on a GPU, "
                f"not {image.dtype} {tuple(image.shape)} on {image.device}"
            )
        # TensorRT reads rows of planes, whatever strides the tensor has.
        image = image.contiguous()
        torch = self._torch
        probability: Tensor = torch.empty(
            self._output_shape, dtype=torch.float32, device=image.device
        )
        self._context.set_tensor_address(self._input, image.data_ptr())
        self._context.set_tensor_address(self._output, probability.data_ptr())
        stream = torch.cuda.current_stream(image.device)
        if not self._context.execute_async_v3(stream.cuda_stream):
            raise EngineError("TensorRT failed on a frame")
        return probability

    def describe(self) -> str:
        """What TensorRT says of the engine's layers, as JSON."""
        trt = tensorrt_here.import_module("tensorrt", "TensorRT")
        inspector = self._engine.create_engine_inspector()
        return str(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
