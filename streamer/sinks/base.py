"""What every sink takes."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import av

from streamer.audio import AudioPacket
from streamer.errors import OutputError
from streamer.frame import Frame, Segmentation, View
from streamer.objects import DetectedObject
from streamer.sources.base import SourceInfo


@dataclass(frozen=True, slots=True)
class Composed:
    """A finished frame.

    Attributes:
        frame: as it came from the source; in file mode its picture may have been drawn upon.
        picture: what is to be shown: the source's picture with the markers.
        segmentation: what the network saw, moved along to this frame; None where no mask is valid.
        objects: its connected regions.
        state: name of the state that the run is in, as on the badge.
        mask_age_ms: from the frame that the network saw to this one; None without a mask.
        view: the part of the picture that is analysed; None for all of it.
        out_of_view: whether it looks unlike the pictures of the training, see `streamer.familiar`.
    """

    frame: Frame
    picture: av.VideoFrame
    segmentation: Segmentation | None
    objects: list[DetectedObject]
    state: str = "RUNNING"
    mask_age_ms: float | None = 0.0
    view: View | None = None
    out_of_view: bool = False


class Sink(Protocol):
    """One output. It is opened when it is made, so a bad path is known before the first frame.

    A sink with an attribute `takes_gpu_pictures` that is true gets pictures on the GPU as they are,
    finished; all others get them in memory of the host. See `hand_out`.
    """

    def write(self, composed: Composed) -> None:
        """Take one frame.

        Raises:
            OutputError: it cannot be written.
        """

    def write_audio(self, packet: AudioPacket) -> None:
        """Take one packet of the source's audio, in file order."""

    def close(self) -> None:
        """Finish the output so that all that was written can be read; may be called twice."""


@contextmanager
def reporting_errors(path: Path) -> Iterator[None]:
    """Turn the errors of writing `path` into one clear `OutputError`."""
    try:
        yield
    except (OSError, ValueError, av.FFmpegError) as error:
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            reason = "no space left; what was written so far is kept"
        else:
            reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(f"{path}: cannot be written ({reason})") from error


def prepare_path(name: Path | str) -> Path:
    """The path, after its folder was made.

    Raises:
        OutputError: it cannot be made, or a folder stands there.
    """
    path = Path(name)
    with reporting_errors(path):
        if path.is_dir():
            raise OutputError(f"{path}: is a folder; name a file in it")
    make_folder(path.parent)
    return path


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, where it is not there yet.

    Raises:
        OutputError: it cannot be made.
    """
    with reporting_errors(path):
        try:
            path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise OutputError(f"{path}: a folder is needed, but a file is there") from error


def file_identity(path: Path) -> object:
    """The same for all names of one file: links of both kinds are seen through."""
    try:
        status = path.stat()
    except OSError:
        return os.path.realpath(path)
    return status.st_dev, status.st_ino


def refuse_source(name: Path | str, info: SourceInfo) -> None:
    """See to it that an output is not the source that is being read.

    Raises:
        OutputError: it is.
    """
    if file_identity(Path(name)) == file_identity(Path(os.path.expanduser(info.name))):
        raise OutputError(f"{name}: is also the source; choose another file")
