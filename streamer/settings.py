"""The settings file: sources by name, and defaults for the flags of `pranet-stream`.

One TOML file, read strictly: a key that is not known is an error, so that a slip of the pen does
not silently leave a card with its factory settings.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import MappingProxyType
from typing import Any

from streamer.errors import StreamError
from streamer.view import ALLOWED, Asked, parse_view

ENVIRONMENT_KEY = "PRANET_STREAM_SETTINGS"
LOCAL_NAME = "pranet-stream.toml"
USER_PLACE = "pranet-stream/settings.toml"

#: What an alias may be called; everything else in `--source` is a path or an address.
ALIAS = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")

#: Names that mean a source of their own.
RESERVED = frozenset({"lavfi", "mock", "screen", "synthetic"})

_SIZE = re.compile(r"([1-9]\d{0,4})x([1-9]\d{0,4})")
#: The longest wait that a setting may ask for, in seconds.
_LONGEST_S = 3600


@dataclass(frozen=True)
class SourceSettings:
    """How one source is opened: the keys of a table `[sources.NAME]`, all optional but one.

    Attributes:
        device: a capture device, such as ``/dev/v4l/by-id/…``.
        url: any other address that ``--source`` takes. One of the two is needed in the file.
        format: FFmpeg's name of the input format, where it cannot tell by itself.
        size: (width, height) in px that a device or a screen is asked for.
        rate: frames per second that a device or a screen is asked for.
        interlaced: ``auto`` (as tagged, else by looking at the pictures), ``yes`` or ``no``.
        deinterlace: ``bob`` (field rate) or ``blend`` (frame rate).
        color_matrix: ``auto``, ``bt601``, ``bt709`` or ``bt2020``.
        color_range: ``auto``, ``limited`` or ``full``.
        view: part of the picture to analyse, in px; ``auto`` (found by looking) or ``whole``.
        pixel_format: what the device is asked for, such as ``mjpeg``, ``yuyv422`` or ``nv12``.
        rtsp_transport: ``tcp`` or ``udp``.
        open_timeout_s: how long it may take until the source answers.
        read_timeout_s: how long it may be silent; None: by the kind of the source.
    """

    device: str | None = None
    url: str | None = None
    format: str | None = None
    size: tuple[int, int] | None = None
    rate: Fraction | None = None
    interlaced: str = "auto"
    deinterlace: str = "bob"
    color_matrix: str = "auto"
    color_range: str = "auto"
    view: Asked | None = None
    pixel_format: str | None = None
    rtsp_transport: str = "tcp"
    open_timeout_s: float = 10.0
    read_timeout_s: float | None = None

    @property
    def full_range(self) -> bool | None:
        """`color_range` as `describe` takes it: None takes what the stream says."""
        return {"limited": False, "full": True}.get(self.color_range)


@dataclass(frozen=True)
class Settings:
    """What the settings file says.

    Attributes:
        path: the file, or None if there is none.
        sources: alias → how it is opened.
        defaults: the table `[stream]` as it stands: flag of `pranet-stream` without dashes at its
            front → value. The command line checks it.
    """

    path: Path | None = None
    sources: Mapping[str, SourceSettings] = field(default_factory=dict)
    defaults: Mapping[str, object] = field(default_factory=dict)


def settings_path(environment: Mapping[str, str] | None = None) -> Path | None:
    """The settings file in force: that of the environment, else of this folder, else the user's.

    Raises:
        StreamError: the environment names a file that is not there.
    """
    environment = os.environ if environment is None else environment
    named = environment.get(ENVIRONMENT_KEY)
    if named:
        path = Path(os.path.expanduser(named))
        if not path.is_file():
            raise StreamError(f"{named}: no such settings file ({ENVIRONMENT_KEY} names it)")
        return path
    return next((path for path in (Path(LOCAL_NAME), _user_path()) if path.is_file()), None)


def _user_path() -> Path:
    if os.name == "nt":
        base = os.environ.get("APPDATA") or os.path.expanduser("~")
    else:
        base = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    return Path(base, USER_PLACE)


def proposed_path() -> Path:
    """Where a settings file goes if there is none yet."""
    return settings_path() or _user_path()


def load_settings(path: Path | None = None) -> Settings:
    """Read the settings file.

    Args:
        path: the file; None: see `settings_path`.

    Raises:
        StreamError: it cannot be read, or a key or value in it is wrong; one line says which.
    """
    path = path or settings_path()
    if path is None:
        return Settings()
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # ValueError: no TOML, or no UTF-8.
        reason = getattr(error, "strerror", None) or str(error)
        raise StreamError(f"{path}: cannot be read as settings ({reason})") from error
    for key in content:
        if key not in ("sources", "stream"):
            raise StreamError(f"{path}: {key}: no such key; there are [sources.NAME] and [stream]")
    sources = _table(content.get("sources", {}), f"{path}: sources")
    return Settings(
        path,
        MappingProxyType({name: _source(table, name, path) for name, table in sources.items()}),
        MappingProxyType(_table(content.get("stream", {}), f"{path}: stream")),
    )


def _table(value: object, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise StreamError(f"{place}: has to be a table")
    return value


def _source(value: object, name: str, path: Path) -> SourceSettings:
    place = f"{path}: sources.{name}"
    table = _table(value, place)
    if not ALIAS.fullmatch(name):
        raise StreamError(f"{place}: a name has letters, digits, _ and - only, a letter first")
    if name in RESERVED:
        raise StreamError(f"{place}: the name has a meaning already; choose another")
    read: dict[str, Any] = {}
    for key, entry in table.items():
        if key not in _READERS:
            raise StreamError(f"{place}.{key}: no such key; known are {', '.join(_READERS)}")
        try:
            read[key] = _READERS[key](entry)
        except _WrongError as wrong:
            # What was given is not repeated: an address may hold a password.
            raise StreamError(f"{place}.{key}: {wrong}") from None
    if ("device" in read) == ("url" in read):
        raise StreamError(f"{place}: needs either device or url")
    return SourceSettings(**read)


class _WrongError(Exception):
    """A value of the wrong type or outside what is allowed; says what is."""


def _text(value: object) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _WrongError("has to be a text")
    return value


def _place(value: object) -> str:
    return os.path.expanduser(_text(value))


def _size(value: object) -> tuple[int, int]:
    found = _SIZE.fullmatch(value) if isinstance(value, str) else None
    if not found:
        raise _WrongError('has to be a text such as "1920x1080"')
    return int(found[1]), int(found[2])


def _rate(value: object) -> Fraction:
    wrong = _WrongError('has to be frames per second, such as 60 or "30000/1001"')
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise wrong
    try:
        # By way of the text, 29.97 stays 2997/100.
        rate = Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        raise wrong from None
    if not 0 < rate <= 1000:
        raise wrong
    return rate


def _view(value: object) -> Asked:
    try:
        return parse_view(_text(value))
    except ValueError:
        raise _WrongError(f"has to be a text: {ALLOWED}") from None


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= _LONGEST_S:
        raise _WrongError(f"has to be seconds, more than 0 and up to {_LONGEST_S}")
    return float(value)


def _one_of(*allowed: str) -> Callable[[object], str]:
    def read(value: object) -> str:
        if value not in allowed:
            raise _WrongError(f"has to be one of {', '.join(allowed)}")
        return str(value)

    return read


_READERS: dict[str, Callable[[object], object]] = {
    "device": _place,
    "url": _place,
    "format": _text,
    "size": _size,
    "rate": _rate,
    "interlaced": _one_of("auto", "yes", "no"),
    "deinterlace": _one_of("bob", "blend"),
    "color_matrix": _one_of("auto", "bt601", "bt709", "bt2020"),
    "color_range": _one_of("auto", "limited", "full"),
    "view": _view,
    "pixel_format": _text,
    "rtsp_transport": _one_of("tcp", "udp"),
    "open_timeout_s": _seconds,
    "read_timeout_s": _seconds,
}
