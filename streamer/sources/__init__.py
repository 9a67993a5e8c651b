"""Where frames come from."""

from streamer.sources.base import Item, Source, SourceInfo, open_source
from streamer.sources.file import FileSource

__all__ = ["FileSource", "Item", "Source", "SourceInfo", "open_source"]
