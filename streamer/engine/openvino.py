"""OpenVINO on the CPU: the default engine where there is no GPU."""

import logging
import sys
import warnings
from contextlib import suppress
from platform import machine
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from pranet.checkpoint import CheckpointInfo
from streamer.confidence import Calibration
from streamer.cores import usable_cores
from streamer.engine import cache
from streamer.engine.base import EngineInfo, Precision
from streamer.engine.choice import PRECISIONS
from streamer.engine.quantised import Quantised, find_quantised
from streamer.errors import EngineError
from streamer.frame import Probability
from streamer.rgb import SquareReader

# The mere import of OpenVINO reports its use to an analytics service. With this package out of
# reach it takes its own stand-in, which sends nothing.
sys.modules.setdefault("openvino_telemetry", cast(Any, None))

import openvino as ov  # noqa: E402

from streamer.engine.enlarging import enlarge_by_products  # noqa: E402

logger = logging.getLogger(__name__)

#: One for the process, and until its end. Each one's CPU plugin sets up a stack for signal handlers
#: (sigaltstack, for AMX) in the thread that loads it, and puts the one before in its place again
#: when it goes. With two that go in the order in which they came, the thread is left with the
#: first one's, which is unmapped by then: the next signal, such as Ctrl-C, is a segmentation fault.
CORE = ov.Core()
DEVICE = "CPU"
#: What `platform.machine` calls the processors of Intel and AMD, in small letters.
_X86 = ("x86_64", "amd64")
#: More streams than this add memory and delay, and no more frames per second.
MAX_STREAMS = 4
#: Threads that read one picture; more of them only wait for each other.
MAX_READ_THREADS = 4


class _Running:
    """One inference under way on one of the engine's requests."""

    def __init__(self, request: ov.InferRequest, image: NDArray[np.uint8]) -> None:
        self._request = request
        self._image = image  # Shared with the request, so it must live until the end.
        self._probability: Probability | None = None
        try:
            request.start_async({0: image[None]}, share_inputs=True)
        except RuntimeError as error:
            raise EngineError(f"OpenVINO does not take the frame ({error})") from error

    def result(self) -> Probability:
        """Wait, and take the map out of the request's buffer before it is used again."""
        if self._probability is None:
            try:
                self._request.wait()
            except RuntimeError as error:
                raise EngineError(f"OpenVINO failed on a frame ({error})") from error
            self._probability = self._request.get_output_tensor().data[0].copy()
        return self._probability


class OpenVinoSegmenter:
    """The network compiled by OpenVINO, with `streams` requests that run side by side."""

    def __init__(
        self,
        checkpoint: CheckpointInfo,
        *,
        precision: Precision = "auto",
        streams: int = 0,
        threads: int = 0,
    ) -> None:
        cores = usable_cores()
        threads = threads or cores
        streams = streams or min(cores, MAX_STREAMS)
        quantised = find_quantised(checkpoint)
        chosen = _choose_precision(precision, quantised)
        settings = {
            "INFERENCE_PRECISION_HINT": _hint(chosen),
            "NUM_STREAMS": str(streams),
            "INFERENCE_NUM_THREADS": str(threads),
        }
        self._compiled = _compile(checkpoint, settings, quantised if chosen == "int8" else None)
        self._requests = [self._compiled.create_infer_request() for _ in range(streams)]
        self._running: list[_Running | None] = [None] * streams
        self._next = 0
        self.info = EngineInfo(
            model=str(checkpoint.config.get("name", checkpoint.path.name)),
            checkpoint_sha256=checkpoint.sha256,
            backend="openvino",
            precision=chosen,
            device=str(CORE.get_property(DEVICE, "FULL_DEVICE_NAME")),
            input_size=int(self._compiled.input(0).shape[1]),
            streams=streams,
            threads=threads,
            calibration=Calibration.from_dict(checkpoint.probability),
        )

    def reader(self) -> SquareReader:
        """See `Segmenter.reader`."""
        # With one request the network waits meanwhile, and so do its cores.
        threads = min(self.info.threads, MAX_READ_THREADS) if self.info.streams == 1 else 1
        return SquareReader(self.info.input_size, threads)

    def submit(self, image: NDArray[np.uint8]) -> _Running:
        """See `Segmenter.submit`."""
        place = self._next
        self._next = (place + 1) % len(self._requests)
        before = self._running[place]
        if before is not None:
            before.result()
        running = _Running(self._requests[place], image)
        self._running[place] = running
        return running

    def close(self) -> None:
        """Let what runs come to its end, then release the requests."""
        for running in self._running:
            if running is not None:
                # Who waits for a frame learns of its failure; here it is only to be over.
                with suppress(EngineError):
                    running.result()
        self._running = [None] * len(self._running)


def describe_device() -> tuple[str, list[str]]:
    """Name of the CPU and what OpenVINO can do on it, such as ``BF16``."""
    name = CORE.get_property(DEVICE, "FULL_DEVICE_NAME")
    return str(name), list(CORE.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES"))


def _choose_precision(precision: Precision, quantised: Quantised | None) -> str:
    capable = CORE.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")
    if precision == "auto":
        # Elsewhere than on x86 nothing was measured.
        if quantised is not None and "INT8" in capable and machine().lower() in _X86:
            return "int8"
        return "bf16" if "BF16" in capable else "fp32"
    if precision == "bf16" and "BF16" not in capable:
        raise EngineError("this CPU has no bf16 instructions; use --precision fp32")
    if precision == "int8" and quantised is None:
        raise EngineError(
            "there is no int8 form of this checkpoint; `pranet-calibrate precision` makes one"
        )
    if precision not in PRECISIONS["openvino"]:
        known = ", ".join(PRECISIONS["openvino"])
        raise EngineError(f"unknown precision {precision!r}; known: auto, {known}")
    return precision


def _hint(precision: str) -> str:
    """OpenVINO's name of the format of all that is not 8-bit.

    Of an 8-bit form that is exact, as it was when it was accepted.
    """
    return "bf16" if precision == "bf16" else "f32"


def _compile(
    checkpoint: CheckpointInfo,
    settings: dict[str, str],
    quantised: Quantised | None = None,
) -> Any:
    facts = settings | {
        "weights": checkpoint.sha256,
        "quantised": quantised.sha256 if quantised else "",
        # Of the graph that is made of them; another number when it changes.
        "form": "2",
        "config": str(checkpoint.config),
        "openvino": ov.get_version(),
        "cpu": str(CORE.get_property(DEVICE, "FULL_DEVICE_NAME")),
        "capabilities": str(CORE.get_property(DEVICE, "OPTIMIZATION_CAPABILITIES")),
    }
    path = cache.cache_folder() / "openvino" / f"{cache.cache_key(facts)}.blob"
    blob = cache.read(path)
    if blob is not None:
        try:
            return CORE.import_model(blob, DEVICE, settings)
        except RuntimeError:
            logger.warning("the cached engine %s cannot be used; compiling anew", path)
    logger.info("compiling the engine for this machine, once")
    network = CORE.read_model(quantised.xml) if quantised else convert(checkpoint)
    enlarge_by_products(network)
    compiled = CORE.compile_model(network, DEVICE, settings)
    cache.write(path, compiled.export_model().getvalue())
    return compiled


def convert(checkpoint: CheckpointInfo, *, folded: bool = False) -> ov.Model:
    """The checkpoint's network in OpenVINO's form; see `ImageToProbability`.

    Args:
        folded: fold the batch norms first. OpenVINO does so itself when it compiles, but here the
            convolutions keep the names of the network's parts.
    """
    # Torch is loaded here and not above: with a cached engine a run never needs it.
    import torch

    from pranet.checkpoint import load_model
    from streamer.engine.eager import ImageToProbability

    model: Any = load_model(checkpoint.path)
    size_px = model.config.input_size
    if folded:
        from streamer.engine.fold import fold_batch_norms

        model = fold_batch_norms(model, torch.randn(1, 3, 64, 64))
    example = torch.zeros(1, size_px, size_px, 3, dtype=torch.uint8)
    with torch.inference_mode(), warnings.catch_warnings():
        # Tracing warns of Python conditions on shapes; the shape is fixed here on purpose.
        warnings.simplefilter("ignore")
        return ov.convert_model(
            ImageToProbability(model).eval(), example_input=example, input=list(example.shape)
        )
