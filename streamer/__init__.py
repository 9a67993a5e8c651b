"""From pixels to screen: sources, engines, overlay, sinks and the pipeline that joins them.

from streamer import Pipeline, VideoSink, load_segmenter, open_source

source = open_source("clip.mp4")
segmenter = load_segmenter()
pipeline = Pipeline(source, segmenter, [VideoSink("overlay.mp4", source.info)])
print(pipeline.run().rate)
"""

from streamer.engine import load_segmenter
from streamer.frame import Frame, Segmentation, View
from streamer.overlay import Style
from streamer.pipeline import Pipeline, RunResult
from streamer.sinks import EventSink, VideoSink, open_mask_sink
from streamer.sources import open_source
from streamer.temporal import PRESETS, Temporal

__all__ = [
    "PRESETS",
    "EventSink",
    "Frame",
    "Pipeline",
    "RunResult",
    "Segmentation",
    "Style",
    "Temporal",
    "VideoSink",
    "View",
    "load_segmenter",
    "open_mask_sink",
    "open_source",
]
