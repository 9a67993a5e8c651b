"""Pictures of the host as pictures of the GPU, by memory that copies while the caller goes on."""

from collections.abc import Callable
from dataclasses import dataclass

import av
import numpy as np
import torch
from torch import Tensor

from streamer.gpu.device import Device, Event, Stream
from streamer.gpu.picture import Allocate, YuvPicture, empty_picture
from streamer.planes import planes


@dataclass(frozen=True)
class _Staging:
    """Memory of the host for one layout and size."""

    key: tuple[str, int, int]
    planes: list[Tensor]


class Uploader:
    """Copies one picture at a time to the GPU. One thread owns it."""

    def __init__(self, device: Device, stream: Stream) -> None:
        self._device, self._stream = device, stream
        self._staging: _Staging | None = None
        self._copied: Event | None = None

    def upload(self, picture: av.VideoFrame) -> YuvPicture:
        """The picture on the GPU, as it is after what is on the stream by now.

        Its memory there is its own; on other streams than this one it may be used once the
        stream has come so far.
        """
        if self._copied is not None:
            # Until then the memory of the host is still being read.
            self._copied.wait()
        key = (picture.format.name, picture.height, picture.width)
        if self._staging is None or self._staging.key != key:
            staged, _ = empty_picture(
                *key, lambda *shape: self._device.staging(*shape, dtype=torch.uint8)
            )
            self._staging = _Staging(key, staged)
        for plane, staging in zip(planes(picture), self._staging.planes, strict=True):
            np.copyto(staging.numpy(), plane.pixels.reshape(staging.shape))
        allocate = Allocate(self._device.place)
        stored, uploaded = self._stream.allocate(lambda: empty_picture(*key, allocate))
        self._stream.run(_copies(self._staging.planes, stored))
        self._copied = self._stream.record()
        return uploaded


def _copies(staged: list[Tensor], stored: list[Tensor]) -> Callable[[], None]:
    def copy() -> None:
        for source, target in zip(staged, stored, strict=True):
            target.copy_(source, non_blocking=True)

    return copy
