"""Compiled networks behind one protocol."""

from streamer.engine.base import (
    Backend,
    EngineInfo,
    Pending,
    Precision,
    Segmenter,
    load_segmenter,
)

__all__ = ["Backend", "EngineInfo", "Pending", "Precision", "Segmenter", "load_segmenter"]
