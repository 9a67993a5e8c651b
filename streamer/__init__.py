"""From pixels to screen: sources, engines, overlay, sinks and the pipeline that joins them.

from streamer import Pipeline, VideoSink, load_segmenter, open_source

source = open_source("clip.mp4")
segmenter = load_segmenter()
pipeline = Pipeline(source, segmenter, [VideoSink("overlay.mp4", source.info)])
print(pipeline.run().rate)
"""

from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

# Before OpenCV is loaded by anything: see `streamer.sources.x_libraries`.
with suppress(ImportError):
    import av as _av  # noqa: F401

if TYPE_CHECKING:
    from streamer.engine import load_segmenter
    from streamer.frame import Frame, Segmentation, View
    from streamer.live.pipeline import LivePipeline
    from streamer.overlay import Style
    from streamer.pipeline import Pipeline
    from streamer.run_result import RunResult
    from streamer.sinks import EventSink, VideoSink, open_mask_sink
    from streamer.sources import open_live, open_source
    from streamer.temporal import PRESETS, Temporal

__all__ = [
    "PRESETS",
    "EventSink",
    "Frame",
    "LivePipeline",
    "Pipeline",
    "RunResult",
    "Segmentation",
    "Style",
    "Temporal",
    "VideoSink",
    "View",
    "load_segmenter",
    "open_live",
    "open_mask_sink",
    "open_source",
]

# Looked up when they are asked for: parts that need neither video nor OpenCV work without them.
_HOMES = {
    "EventSink": "streamer.sinks",
    "Frame": "streamer.frame",
    "LivePipeline": "streamer.live.pipeline",
    "PRESETS": "streamer.temporal",
    "Pipeline": "streamer.pipeline",
    "RunResult": "streamer.run_result",
    "Segmentation": "streamer.frame",
    "Style": "streamer.overlay",
    "Temporal": "streamer.temporal",
    "VideoSink": "streamer.sinks",
    "View": "streamer.frame",
    "load_segmenter": "streamer.engine",
    "open_live": "streamer.sources",
    "open_mask_sink": "streamer.sinks",
    "open_source": "streamer.sources",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
