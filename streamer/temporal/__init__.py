"""Steady masks: from the network's map of each frame to objects that last, and to events."""

from streamer.temporal.detections import Detection, DetectionLog
from streamer.temporal.operating import DEFAULT_POINT, OPERATING_POINTS, find_steadying
from streamer.temporal.presets import DEFAULT_PRESET, PRESETS, Temporal, find_preset
from streamer.temporal.stabiliser import Stabiliser

__all__ = [
    "DEFAULT_POINT",
    "DEFAULT_PRESET",
    "OPERATING_POINTS",
    "PRESETS",
    "Detection",
    "DetectionLog",
    "Stabiliser",
    "Temporal",
    "find_preset",
    "find_steadying",
]
