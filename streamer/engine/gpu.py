"""A network on a GPU as a `Segmenter`, whatever compiled it."""

from collections.abc import Callable, Sequence
from contextlib import suppress

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.engine.base import EngineInfo
from streamer.errors import EngineError, first_line
from streamer.frame import Probability
from streamer.gpu.device import Device, Event
from streamer.gpu.reader import GpuReader, Input

#: Frames under way at once: while the host takes one answer, the GPU makes the next.
STREAMS = 2


#: What belonged to GPUs that failed. Memory of the host that such a GPU used cannot be given back:
#: PyTorch asks the GPU first, and where that fails ends the process.
_left_behind: list[object] = []


class _Answer:
    """One frame under way, whose map comes to memory of the host."""

    def __init__(self, staged: Tensor, done: Event, failed: Callable[[], None]) -> None:
        self._staged, self._done, self._failed = staged, done, failed
        self._probability: Probability | None = None

    def result(self) -> Probability:
        """Wait, and take the map out before its memory is used again."""
        if self._probability is None:
            try:
                self._done.wait()
            except RuntimeError as error:
                self._failed()
                raise EngineError(f"the GPU failed on a frame ({first_line(error)})") from error
            self._probability = self._staged.numpy().copy()
        return self._probability


class GpuSegmenter:
    """Runs a network on one stream and reads its inputs on another.

    Args:
        info: `input_size` and the rest; see `EngineInfo`.
        network: normalised (1, 3, size, size) → probability (1, size, size) float32.
        mean, std: of RGB in 0…1.
        blank: an input on the device, in the format and the layout that the network takes.
    """

    def __init__(
        self,
        info: EngineInfo,
        network: Callable[[Tensor], Tensor],
        device: Device,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        blank: Tensor,
    ) -> None:
        self.info = info
        size_px = info.input_size
        self._reader = GpuReader(device, mean, std, blank)
        self._stream = device.stream()
        self._device = device
        self._input = blank
        output = self._output = torch.zeros((size_px, size_px), device=device.place)
        self._staged = [
            device.staging(size_px, size_px, dtype=torch.float32) for _ in range(STREAMS)
        ]
        self._answers: list[_Answer | None] = [None] * STREAMS
        self._next = 0

        def infer() -> None:
            # Not by way of `self`, which holds this: the memory would outlive the segmenter.
            with torch.inference_mode():
                output.copy_(network(blank)[0])

        self._infer = device.repeatable(infer, self._stream)
        self._reader.warm_up()

    def reader(self) -> GpuReader:
        """See `Segmenter.reader`."""
        return self._reader

    def submit(self, image: Input | NDArray[np.uint8]) -> _Answer:
        """See `Segmenter.submit`."""
        place = self._next
        self._next = (place + 1) % STREAMS
        before = self._answers[place]
        if before is not None:
            before.result()
        try:
            given = image if isinstance(image, Input) else self._reader.read_rgb(image)
            answer = self._start(given, self._staged[place])
        except RuntimeError as error:
            self._look_after()
            raise EngineError(f"the GPU does not take the frame ({first_line(error)})") from error
        self._answers[place] = answer
        return answer

    def _start(self, given: Input, staged: Tensor) -> _Answer:
        assert given.ready is not None
        self._stream.wait_for(given.ready)
        self._stream.run(lambda: self._input.copy_(given.tensor))
        given.taken = self._stream.record()
        self._stream.run(self._infer)
        self._stream.run(lambda: staged.copy_(self._output, non_blocking=True))
        return _Answer(staged, self._stream.record(), self._look_after)

    def _look_after(self) -> None:
        """After a failure: see `_left_behind`."""
        if self._device.has_failed():
            _left_behind.append((self._reader, self._staged))

    def close(self) -> None:
        """Let what runs come to its end."""
        for answer in self._answers:
            if answer is not None:
                with suppress(EngineError):
                    answer.result()
        self._answers = [None] * STREAMS
