"""Where pictures and findings go."""

from streamer.sinks.base import Composed, Sink
from streamer.sinks.encoder import Encoder, EncoderChoice, choose_encoder
from streamer.sinks.events import EventSink, WallTime
from streamer.sinks.masks import MaskFolderSink, MaskVideoSink, open_mask_sink
from streamer.sinks.preview import PreviewSink
from streamer.sinks.raw import RawSink
from streamer.sinks.rotation import RotatingSink
from streamer.sinks.snapshot import SnapshotSink
from streamer.sinks.video import VideoSink
from streamer.sinks.window import WindowSink

__all__ = [
    "Composed",
    "Encoder",
    "EncoderChoice",
    "EventSink",
    "MaskFolderSink",
    "MaskVideoSink",
    "PreviewSink",
    "RawSink",
    "RotatingSink",
    "Sink",
    "SnapshotSink",
    "VideoSink",
    "WallTime",
    "WindowSink",
    "choose_encoder",
    "open_mask_sink",
]
