"""Finished frames to sinks, each in memory that the sink can reach."""

from collections.abc import Sequence
from dataclasses import replace

from streamer.planes import is_on_gpu, on_host
from streamer.sinks.base import Composed, Sink


def hand_out(composed: Composed, sinks: Sequence[Sink]) -> None:
    """Write one frame to all sinks, in order.

    A picture on the GPU is brought to the host for the first sink that does not take it there, and
    only once.

    Raises:
        OutputError: a sink cannot write it.
    """
    on_gpu = is_on_gpu(composed.picture)
    if on_gpu:
        from streamer.gpu.surface import settle

        # It was drawn upon by torch, which only puts the work on a stream. Sinks know of none.
        settle()
    here: Composed | None = None
    for sink in sinks:
        if not on_gpu or getattr(sink, "takes_gpu_pictures", False):
            sink.write(composed)
            continue
        here = here or _on_host(composed)
        sink.write(here)


def _on_host(composed: Composed) -> Composed:
    picture = on_host(composed.picture)
    return replace(composed, picture=picture, frame=replace(composed.frame, picture=picture))
