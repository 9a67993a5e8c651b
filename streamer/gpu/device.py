"""Streams and events of a GPU, thin enough that tests can put their own in the place of CUDA's.

Work that is put on one stream runs in order; work on two streams runs in any order, but where one
waits for an event of the other. The CPU only waits in `Event.wait`.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

import torch
from torch import Tensor

from streamer.engine.cache import keep_compiled
from streamer.errors import EngineError

T = TypeVar("T")


class Event(Protocol):
    """A point in a stream's work."""

    def wait(self) -> None:
        """Hold the calling thread until the stream has come so far."""


class Stream(Protocol):
    """Work in order."""

    def run(self, work: Callable[[], object]) -> None:
        """Put work at the stream's end; it may run later, and must not look at results itself."""

    def allocate(self, make: Callable[[], T]) -> T:
        """Make tensors now, of memory that is used again in this stream's order.

        Memory that was freed on one stream may be handed out there at once, while work that was put
        on it before still reads it: whoever writes to it on another stream would not wait for that.
        """

    def record(self) -> Event:
        """The point after all work so far."""

    def wait_for(self, event: Event) -> None:
        """What comes after on this stream runs after the event; the caller does not wait."""


class Device(Protocol):
    """Where tensors live and work runs."""

    place: torch.device

    def stream(self) -> Stream:
        """A new stream."""

    def default_stream(self) -> Stream:
        """The one that is used where none is named, such as by FFmpeg's decoders."""

    def staging(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """Memory of the host that can be copied to and from while the caller goes on."""

    def repeatable(self, work: Callable[[], object], stream: Stream) -> Callable[[], object]:
        """The same work, always on the same tensors, in a form that is quick to put on a stream."""

    def has_failed(self) -> bool:
        """Whether nothing can be done on it any more by this process."""


class CudaEvent:
    """An event of CUDA."""

    def __init__(self, event: torch.cuda.Event) -> None:
        self.event = event

    def wait(self) -> None:
        """See `Event.wait`; the thread sleeps, so other threads have the CPU."""
        self.event.synchronize()


class CudaStream:
    """A stream of CUDA. New ones do not wait for the default stream, nor make it wait."""

    def __init__(self, stream: torch.cuda.Stream) -> None:
        self.stream = stream

    def run(self, work: Callable[[], object]) -> None:
        """See `Stream.run`."""
        with torch.cuda.stream(self.stream):
            work()

    def allocate(self, make: Callable[[], T]) -> T:
        """See `Stream.allocate`."""
        with torch.cuda.stream(self.stream):
            return make()

    def record(self) -> CudaEvent:
        """See `Stream.record`."""
        event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        event.record(self.stream)
        return CudaEvent(event)

    def wait_for(self, event: Event) -> None:
        """See `Stream.wait_for`."""
        assert isinstance(event, CudaEvent)
        self.stream.wait_event(event.event)


class _Repeated:
    """A captured graph with what it works on: the graph alone would not keep that in memory."""

    def __init__(self, graph: torch.cuda.CUDAGraph, work: Callable[[], object]) -> None:
        self._graph, self._work = graph, work

    def __call__(self) -> None:
        self._graph.replay()


class CudaDevice:
    """One GPU.

    Raises:
        EngineError: there is none that this torch can use.
    """

    def __init__(self, index: int = 0) -> None:
        if not torch.cuda.is_available():
            raise EngineError(
                "no NVIDIA GPU that this PyTorch can use; see `pranet-stream --doctor`, "
                "or choose --backend openvino"
            )
        keep_compiled()
        self.place = torch.device("cuda", index)
        if self.has_failed():
            raise EngineError(
                "the GPU has failed in this process, which cannot use it again; start it anew"
            )

    def has_failed(self) -> bool:
        """See `Device.has_failed`: after most errors CUDA answers each call with the same one."""
        try:
            torch.zeros(1, device=self.place)
        except torch.OutOfMemoryError:
            return False
        except RuntimeError:
            return True
        return False

    def stream(self) -> CudaStream:
        """See `Device.stream`."""
        return CudaStream(torch.cuda.Stream(self.place))  # type: ignore[no-untyped-call]

    def default_stream(self) -> CudaStream:
        """See `Device.default_stream`."""
        return CudaStream(torch.cuda.default_stream(self.place))

    def staging(self, *shape: int, dtype: torch.dtype) -> Tensor:
        """See `Device.staging`."""
        return torch.empty(shape, dtype=dtype, pin_memory=True)

    def repeatable(self, work: Callable[[], object], stream: Stream) -> Callable[[], object]:
        """See `Device.repeatable`: a CUDA graph.

        Raises:
            EngineError: the work cannot be captured, or fails.
        """
        assert isinstance(stream, CudaStream)
        graph = torch.cuda.CUDAGraph()
        try:
            # Libraries choose their methods and take their memory in the first runs.
            for _ in range(3):
                stream.run(work)
            stream.record().wait()
            # Only this thread's calls count: another one may use the GPU meanwhile, and a global
            # capture would make it fail (pytorch/TensorRT#3349).
            with torch.cuda.graph(graph, stream=stream.stream, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            raise EngineError(f"the network cannot be prepared on this GPU ({error})") from error
        return _Repeated(graph, work)
