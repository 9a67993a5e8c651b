"""Where frames come from."""

from streamer.sources.base import Item, Source, SourceInfo
from streamer.sources.file import FileSource

__all__ = ["FileSource", "Item", "Source", "SourceInfo", "open_source"]


def open_source(name: str, *, color_matrix: str = "auto", full_range: bool | None = None) -> Source:
    """Open the source that a user names.

    Args:
        name: path of a video file.
        color_matrix: ``auto``, ``bt601``, ``bt709`` or ``bt2020``.
        full_range: override of the range; None takes what the stream says.

    Raises:
        SourceError: nothing there, or nothing that can be read.
    """
    return FileSource(name, color_matrix=color_matrix, full_range=full_range)
