"""Reads pictures as a GPU network's input, on a stream of its own.

While the network works on one picture, the next one is copied to the GPU and read there. Nothing
waits but what has to: each of a few places for an input is used again when the network is done with
what it held, and the network begins when its input is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import av
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from streamer.color import ColorDescription
from streamer.errors import EngineError, first_line
from streamer.frame import View
from streamer.gpu.device import Device, Event
from streamer.gpu.picture import LAYOUTS, YuvPicture
from streamer.gpu.reading import Reading, RgbTerms, read
from streamer.gpu.surface import as_tensors
from streamer.gpu.upload import Uploader
from streamer.planes import crop, is_on_gpu
from streamer.rgb import RgbReader

#: Inputs that are there at once: one that the network reads, one that is being made, one between.
PLACES = 3


@dataclass(eq=False)
class Input:
    """A place for the network's input.

    Attributes:
        tensor: (1, 3, size, size) on the device.
        ready: when it has been read; None while it never was.
        taken: when the network was done with it; None if it never was.
        picture: what was read, on the device; it lives until then at least.
    """

    tensor: Tensor
    ready: Event | None = None
    taken: Event | None = None
    picture: YuvPicture | None = None


class GpuReader:
    """Makes inputs of pictures. One thread owns it.

    Args:
        mean, std: of RGB in 0…1.
        blank: an input (1, 3, size, size) as the network takes it.
    """

    def __init__(
        self, device: Device, mean: Sequence[float], std: Sequence[float], blank: Tensor
    ) -> None:
        self._device, self._stream = device, device.stream()
        self._size_px, self._mean, self._std = blank.shape[-1], mean, std
        self._places = [Input(torch.zeros_like(blank)) for _ in range(PLACES)]
        self._uploaders = [Uploader(device, self._stream) for _ in range(PLACES)]
        shape = (self._size_px, self._size_px, 3)
        self._rgb = [device.staging(*shape, dtype=torch.uint8) for _ in self._places]
        self._next = 0
        self._readings: dict[tuple[int, int, ColorDescription], Reading] = {}
        self._small = RgbReader()
        self._means, self._gains = (
            torch.tensor(values, device=device.place)[:, None, None]
            for values in (
                [255 * value for value in mean],
                [1 / (255 * value) for value in std],
            )
        )

    def warm_up(self) -> None:
        """Have the kernels compiled: the first time of all, that takes seconds."""
        for layout in ("yuv420p", "nv12"):
            blank = av.VideoFrame(self._size_px, self._size_px, layout)
            ready = self.read(blank, ColorDescription("bt709", False, False)).ready
            assert ready is not None
            ready.wait()

    def read(
        self, picture: av.VideoFrame, color: ColorDescription, view: View | None = None
    ) -> Input:
        """A picture, or a part of it, as the network's input; see `Reader.read`.

        Raises:
            EngineError: the GPU failed.
        """
        try:
            return self._read(picture, color, view)
        except RuntimeError as error:
            raise EngineError(f"the GPU cannot read a frame ({first_line(error)})") from error

    def _read(self, picture: av.VideoFrame, color: ColorDescription, view: View | None) -> Input:
        if picture.format.name not in LAYOUTS and not is_on_gpu(picture):
            # Of more bits or other chroma: the CPU makes 8-bit RGB of it.
            seen = picture if view is None else crop(picture, view)
            return self.read_rgb(self._small.read(seen, color, self._size_px, self._size_px))
        place, index = self._free_place()
        if is_on_gpu(picture):
            self._stream.wait_for(self._device.default_stream().record())
            whole = as_tensors(picture)
        else:
            whole = self._uploaders[index].upload(picture)
        part = whole if view is None else whole.part(view)
        reading = self._reading(part, color)
        self._stream.run(lambda: read(part, reading, place.tensor[0]))
        return self._set_ready(place, whole)

    def read_rgb(self, image: NDArray[np.uint8]) -> Input:
        """An RGB image (size, size, 3) as the network's input."""
        place, index = self._free_place()
        staged = self._rgb[index]
        if place.ready is not None:
            # Until then it is still being copied.
            place.ready.wait()
        staged.copy_(torch.from_numpy(image))

        def normalise() -> None:
            rgb = staged.to(self._device.place, non_blocking=True).permute(2, 0, 1).float()
            place.tensor[0].copy_((rgb - self._means) * self._gains)

        self._stream.run(normalise)
        return self._set_ready(place, None)

    def _free_place(self) -> tuple[Input, int]:
        index = self._next
        self._next = (index + 1) % PLACES
        place = self._places[index]
        if place.taken is not None:
            self._stream.wait_for(place.taken)
        return place, index

    def _set_ready(self, place: Input, picture: YuvPicture | None) -> Input:
        place.ready, place.picture = self._stream.record(), picture
        return place

    def _reading(self, part: YuvPicture, color: ColorDescription) -> Reading:
        height, width = part.luma.shape
        key = (height, width, color)
        if key not in self._readings:
            terms = RgbTerms.of(color, self._mean, self._std)
            made = self._stream.allocate(
                lambda: Reading.of(width, height, self._size_px, terms, self._device.place)
            )
            self._readings = {key: made}
        return self._readings[key]
