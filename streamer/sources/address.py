"""What a user names as a source, taken apart; what FFmpeg is told for it, and what it replies.

Nothing is opened here.
"""

import errno
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote

import av

from streamer.errors import SourceError
from streamer.settings import ALIAS, SourceSettings


class Kind(StrEnum):
    """Where pictures can come from."""

    FILE = "file"
    IMAGES = "images"
    DEVICE = "device"
    NETWORK = "network"
    SCREEN = "screen"
    LAVFI = "lavfi"
    SYNTHETIC = "synthetic"
    MOCK = "mock"
    ALIAS = "alias"


#: Kinds that have an end and wait for whoever reads them.
FINITE = frozenset({Kind.FILE, Kind.IMAGES})


@dataclass(frozen=True, slots=True)
class Address:
    """A source by its kind.

    Attributes:
        kind: which of the kinds it is.
        target: the rest of what FFmpeg or the system is asked for: a path, an address, a graph,
            a display, a name. It may hold a password: show `safe_name` instead.
        options: what else was given, such as the part of a screen or a seed; name → value.
    """

    kind: Kind
    target: str
    options: tuple[tuple[str, str], ...] = ()


_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+)://")
_DEVICE = re.compile(r"/dev/(video\d+|v4l/.+)")
_SCREEN = re.compile(
    r"(?P<display>\d+(\.\d+)?)?(\+(?P<x>\d+),(?P<y>\d+)(,(?P<size>[1-9]\d*x[1-9]\d*))?)?"
)
_NUMBER = re.compile(r"\d{1,9}")
_SYNTHETIC = {
    "size": re.compile(r"[1-9]\d{1,3}x[1-9]\d{1,3}"),
    "rate": re.compile(r"[1-9]\d{0,2}(\.\d{1,3})?"),
    "seed": _NUMBER,
}

# What may be reached from an address. What comes from the network is not trusted: a play list
# must not open a file, nor one sent in clear, and nothing leads from encrypted to plain transport.
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,rtcp,udp,tcp",
    "rtsps": "rtsp,rtp,rtcp,srtp,tls,tcp",
    "udp": "udp",
    "tcp": "tcp",
    "srt": "srt",
    "http": "http,https,tls,tcp,crypto",
    "https": "https,tls,tcp,crypto",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
}
#: Formats that carry live video, and those that a HLS play list may name.
_FORMATS = (
    "mpegts,rtsp,hls,flv,live_flv,mov,matroska,webm,nut,mpeg,mpjpeg,mjpeg,h264,hevc,"
    "aac,mp3,ac3,eac3,webvtt"
)

#: AVFMT_FLAG_NONBLOCK, which FFmpeg's options have no name for: a card without a signal must not
#: hold the thread that reads it.
_NON_BLOCKING = "4"


def parse_address(text: str, *, is_folder: Callable[[str], bool] = os.path.isdir) -> Address:
    """Take apart what a user named.

    Args:
        text: as the user gave it.
        is_folder: whether a path is a folder.

    Raises:
        SourceError: it looks like an address, but not like one that is known.
    """
    if not text:
        raise SourceError("an empty name is no source")
    if scheme := _SCHEME.match(text):
        if scheme[1].lower() not in _PROTOCOLS:
            known = ", ".join(f"{name}://" for name in _PROTOCOLS)
            raise SourceError(f"{safe_name(text)}: no such kind of address; known are {known}")
        return Address(Kind.NETWORK, text)
    if _DEVICE.fullmatch(text) or text.startswith(("video=", "avfoundation:")):
        return Address(Kind.DEVICE, text)
    head, _, rest = text.partition(":")
    if head == "lavfi" and rest:
        return Address(Kind.LAVFI, rest)
    if head == "screen":
        return _screen(text, rest)
    if head == "mock":
        return _mock(text, rest)
    if head == "synthetic":
        return _synthetic(text, rest)
    if is_folder(os.path.expanduser(text)):
        return Address(Kind.IMAGES, text)
    return Address(Kind.ALIAS if ALIAS.fullmatch(text) else Kind.FILE, text)


def _screen(text: str, rest: str) -> Address:
    found = _SCREEN.fullmatch(rest)
    if not found:
        raise SourceError(f"{text}: a screen is named like screen: or screen:0.0+X,Y,WIDTHxHEIGHT")
    options = []
    if found["x"] is not None:
        options += [("grab_x", found["x"]), ("grab_y", found["y"])]
    if found["size"] is not None:
        options.append(("video_size", found["size"]))
    return Address(Kind.SCREEN, f":{found['display']}" if found["display"] else "", tuple(options))


def _mock(text: str, rest: str) -> Address:
    if rest and not _NUMBER.fullmatch(rest):
        raise SourceError(f"{text}: a mock card is named like mock or mock:SEED")
    return Address(Kind.MOCK, text, (("seed", rest or "0"),))


def _synthetic(text: str, rest: str) -> Address:
    options = []
    for part in rest.split(":") if rest else []:
        key, _, value = part.partition("=")
        if key not in _SYNTHETIC or not _SYNTHETIC[key].fullmatch(value):
            raise SourceError(
                f"{text}: a synthetic source is named like synthetic or "
                "synthetic:size=1280x720:rate=30:seed=0"
            )
        options.append((key, value))
    return Address(Kind.SYNTHETIC, text, tuple(options))


_USER = re.compile(r"(?<=://)[^/?#]*@")
_KEY = re.compile(r"([^?;#/=]*)=")
#: What follows the application in an RTMP address is as good as a password to many servers.
_STREAM_KEY = re.compile(r"^(rtmps?://[^/?#]*/[^/?#]*/)[^?#]+", re.I)
_SECRET = re.compile(
    r"pass|pwd|token|key|secret|sig|auth|cred|user|usr|login|session|streamid|jwt|^(u|p|pw)$", re.I
)


def safe_name(address: Address | str) -> str:
    """The name of a source without the secrets in it, for messages and logs.

    User and password of an address are left out; what its parts called password, token, key and
    the like hold becomes ``***``, and so does the name of a stream in an RTMP address. It hides
    rather too much than too little.
    """
    text = address if isinstance(address, str) else _as_text(address)
    if "://" not in text:
        return text
    head, _, rest = _USER.sub("", text).partition("://")
    parts = rest.split("&")
    shown = [_masked(part) for part in parts]
    # An '@' behind the host may be the end of a password that has a '/' in it, which breaks the
    # address: nothing before it is shown.
    last = max((index for index, part in enumerate(parts) if "@" in part), default=None)
    if last is not None:
        _, at, after = shown[last].rpartition("@")
        shown[: last + 1] = [f"***@{after}" if at else "***"]
    return _STREAM_KEY.sub(r"\1***", f"{head}://{'&'.join(shown)}")


def _masked(part: str) -> str:
    for found in _KEY.finditer(part):
        if _SECRET.search(unquote(found[1])):
            return part[: found.end()] + "***"
    return part


def _as_text(address: Address) -> str:
    if address.kind == Kind.LAVFI:
        return f"lavfi:{address.target}"
    if address.kind == Kind.SCREEN:
        options = dict(address.options)
        place = f"+{options['grab_x']},{options['grab_y']}" if "grab_x" in options else ""
        size = f",{options['video_size']}" if "video_size" in options else ""
        display = address.target or (":" if place else "")
        return f"screen{display}{place}{size}"
    return address.target


@dataclass(frozen=True, slots=True)
class Input:
    """What FFmpeg is told.

    Attributes:
        url: its name for the source; may hold a password.
        format: its name of the input format, None to find out.
        options: of the format, the protocol and the opening.
        read_timeout_s: how long the source may be silent.
        by_time: the source hands out its pictures as fast as they are taken, or in bursts; each
            is held back until its time.
    """

    url: str
    format: str | None
    options: dict[str, str]
    read_timeout_s: float
    by_time: bool = False


def ffmpeg_input(
    address: Address, settings: SourceSettings, *, platform: str = sys.platform
) -> Input:
    """What FFmpeg is told for an address of a live kind, for the least delay.

    Probing is kept short; the first picture tells the rest. `nobuffer` is for devices and screens
    only: what FFmpeg reads while it probes is thrown away then, and with a network stream that is
    the very key picture without which nothing can be shown until the next. Kept instead, those
    pictures are handed out at once and add no delay.

    Raises:
        SourceError: there is no such source on this system.
    """
    if address.kind == Kind.NETWORK:
        return _network(address, settings)
    if address.kind == Kind.LAVFI:
        return Input(address.target, "lavfi", {}, settings.read_timeout_s or 2.0, by_time=True)
    asked = {"fflags": "+nobuffer", "probesize": "32", "analyzeduration": "1"}
    if settings.size:
        asked["video_size"] = "{}x{}".format(*settings.size)
    if settings.rate:
        asked["framerate"] = str(settings.rate)
    asked |= dict(address.options)
    silence_s = settings.read_timeout_s or 2.0
    if address.kind == Kind.SCREEN:
        if platform != "linux":
            raise SourceError(f"{safe_name(address)}: a screen can be taken on Linux only")
        return Input(address.target, "x11grab", asked | {"draw_mouse": "0"}, silence_s)
    asked["fflags"] += f"+{_NON_BLOCKING}"
    url, own = _device_format(address.target)
    if settings.pixel_format:
        asked["input_format" if own == "v4l2" else "pixel_format"] = settings.pixel_format
    return Input(url, settings.format or own, asked, silence_s)


def _device_format(target: str) -> tuple[str, str]:
    """FFmpeg's name of a device and of the format that reads it."""
    if target.startswith("avfoundation:"):
        return target.removeprefix("avfoundation:"), "avfoundation"
    return target, "dshow" if target.startswith("video=") else "v4l2"


def _network(address: Address, settings: SourceSettings) -> Input:
    url = address.target
    scheme = url.partition("://")[0].lower()
    own_format = {"udp": "mpegts", "srt": "mpegts"}.get(scheme)
    form = settings.format or own_format
    options = {
        "protocol_whitelist": _PROTOCOLS[scheme],
        "format_whitelist": _FORMATS + (f",{form}" if form else ""),
        "probesize": "500000",
        "analyzeduration": "500000",
        # A sender that was started again may number its streams anew.
        "merge_pmt_versions": "1",
    }
    if scheme == "udp":
        # A reader that was late for once loses packets, not the source.
        options["overrun_nonfatal"] = "1"
    if scheme.startswith("rtsp"):
        options["rtsp_transport"] = settings.rtsp_transport
    # A play list names whole seconds of video at once, and its next part only when that is full.
    in_parts = re.search(r"\.m3u8([?#]|$)", url) is not None or form == "hls"
    if in_parts:
        options["live_start_index"] = "-1"
    silence_s = settings.read_timeout_s or (20.0 if in_parts else 2.0)
    return Input(url, form, options, silence_s, by_time=in_parts)


#: What an error number of a format means.
_PROBLEMS: dict[tuple[str | None, int | None], str] = {
    ("v4l2", errno.EACCES): "may not be used; is this user in the group video?",
    ("v4l2", errno.EPERM): "may not be used; is this user in the group video?",
    ("v4l2", errno.EBUSY): "is in use by another program",
    ("v4l2", errno.ENOENT): "no such device",
    ("v4l2", errno.ENODEV): "is not a capture device",
    ("v4l2", errno.ENOTTY): "is not a capture device",
    ("v4l2", errno.EINVAL): "does not offer this size, rate or pixel format",
    ("x11grab", errno.EIO): "no such X display, or it may not be used; is DISPLAY set?",
    (None, errno.EIO): "cannot be reached; are the name of the host and the port right?",
    ("mpegts", errno.EIO): "cannot be reached; are the name of the host and the port right?",
    ("lavfi", errno.EINVAL): "is not a graph of filters that FFmpeg can make pictures with",
}


def explain(error: Exception, given: Input, open_timeout_s: float) -> str:
    """Why a source cannot be opened, in words for the user and without secrets.

    Args:
        error: what `av.open` raised.
        given: what it was told.
        open_timeout_s: how long it was given.
    """
    if isinstance(error, av.ExitError):
        return f"no answer within {open_timeout_s:g} s"
    if isinstance(error, av.ProtocolNotFoundError):
        return "the FFmpeg inside PyAV cannot read this kind of address"
    if isinstance(error, av.InvalidDataError):
        return "sends nothing that can be read as video"
    if isinstance(error, av.FFmpegError):
        known = _PROBLEMS.get((given.format, error.errno))
        if known is not None:
            return known
    return f"cannot be opened ({reason(error, given)})"


def reason(error: Exception, given: Input) -> str:
    """FFmpeg's own words for an error, without the address that they may repeat."""
    text = getattr(error, "strerror", None) or str(error)
    return safe_name(text.replace(given.url, "…"))
