"""A GPU whose work runs as late as CUDA allows, or at once; wrong waits show as wrong numbers."""

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor


class FakeEvent:
    def __init__(self, stream: "FakeStream", position: int) -> None:
        self._stream, self._position = stream, position

    def wait(self) -> None:
        self._stream.run_up_to(self._position)


class FakeStream:
    """Runs its work only when somebody waits for it, and no more of it than that takes.

    A copy out of staging memory therefore reads what is there at the last moment.
    """

    def __init__(self, *, lazy: bool, device: "FakeDevice | None" = None) -> None:
        self._lazy, self._device = lazy, device
        self._work: deque[Callable[[], object]] = deque()
        self._put = self._done = 0

    def run(self, work: Callable[[], object]) -> None:
        self._work.append(work)
        self._put += 1
        if not self._lazy:
            self.run_up_to(self._put)

    def allocate(self, make: Callable[[], Any]) -> Any:
        if self._device is not None:
            self._device.allocated += 1
        return make()

    def record(self) -> FakeEvent:
        return FakeEvent(self, self._put)

    def wait_for(self, event: Any) -> None:
        self.run(event.wait)

    def run_up_to(self, position: int) -> None:
        while self._done < position:
            self._done += 1
            self._work.popleft()()


class FakeDevice:
    """See the module; what a CUDA graph would hold runs as it is."""

    place = torch.device("cpu")

    def __init__(self, *, lazy: bool) -> None:
        self.lazy = lazy
        self.failed = False
        #: Times that memory of a stream's own was taken.
        self.allocated = 0
        self._default = FakeStream(lazy=lazy)

    def stream(self) -> FakeStream:
        return FakeStream(lazy=self.lazy, device=self)

    def default_stream(self) -> FakeStream:
        return self._default

    def staging(self, *shape: int, dtype: torch.dtype) -> Tensor:
        return torch.empty(shape, dtype=dtype)

    def repeatable(self, work: Callable[[], object], stream: Any) -> Callable[[], object]:
        return work

    def has_failed(self) -> bool:
        return self.failed


@pytest.fixture
def fake_device() -> type[FakeDevice]:
    return FakeDevice
