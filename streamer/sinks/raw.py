"""The source's pictures as they came, without any marker, as a video file."""

from datetime import datetime
from pathlib import Path

import av

from streamer.sinks.base import Composed
from streamer.sinks.encoder import X264, EncoderChoice
from streamer.sinks.video import VideoSink
from streamer.sources.base import SourceInfo

#: Well below what can be seen, at a fraction of the size of an exact recording.
QUALITY = 10


class RawSink(VideoSink):
    """Records the untouched pictures of live mode; in file mode they may have been drawn upon.

    Args:
        path: ``.mp4`` or ``.mkv``; ``.mkv`` if exact.
        info: the source whose pictures come.
        preset, quality, encoder: see `VideoSink`.
        exact: FFV1 instead of H.264: every sample keeps its value. About ten times as large.
        began: see `ContainerWriter`.

    Raises:
        OutputError: the file cannot be written, or is not of a kind that fits.
    """

    def __init__(
        self,
        path: Path | str,
        info: SourceInfo,
        *,
        preset: str = "ultrafast",
        quality: int = QUALITY,
        exact: bool = False,
        encoder: EncoderChoice = X264,
        began: datetime | None = None,
    ) -> None:
        super().__init__(
            path, info, preset=preset, quality=quality, exact=exact, encoder=encoder, began=began
        )

    def chosen(self, composed: Composed) -> av.VideoFrame:
        """The picture that is recorded: the one without markers."""
        return composed.frame.picture
