"""Errors of the streaming side, all with a message meant for the user."""

from pranet.errors import PranetError


class StreamError(PranetError):
    """Base of the errors of this package."""


class SourceError(StreamError):
    """A source cannot be opened or holds no picture."""


class SourceLostError(SourceError):
    """A live source has gone, perhaps for a while."""


class SourceEndedError(SourceError):
    """A live source has come to its end; nothing more will come."""


class EngineError(StreamError):
    """An engine is not available here or failed."""


class OutputError(StreamError):
    """An output cannot be written."""


def first_line(error: BaseException) -> str:
    """What an error says, on one line; its kind where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def reason_of(error: BaseException) -> str:
    """What the system or FFmpeg says of an error, without the name of what it happened to."""
    return getattr(error, "strerror", None) or first_line(error)
