"""Where pictures and findings go."""

from streamer.sinks.base import Composed, Sink
from streamer.sinks.events import EventSink
from streamer.sinks.masks import MaskFolderSink, MaskVideoSink, open_mask_sink
from streamer.sinks.video import VideoSink

__all__ = [
    "Composed",
    "EventSink",
    "MaskFolderSink",
    "MaskVideoSink",
    "Sink",
    "VideoSink",
    "open_mask_sink",
]
