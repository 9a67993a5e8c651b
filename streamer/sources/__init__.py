"""Where frames come from."""

import logging
import os
from dataclasses import dataclass, replace
from typing import Any, Literal

from streamer.clock import Clock, MonotonicClock
from streamer.errors import SourceError
from streamer.settings import ALIAS, Settings, SourceSettings, load_settings, proposed_path
from streamer.sources.address import FINITE, Address, Kind, parse_address, safe_name
from streamer.sources.base import Item, LiveSource, OpenLive, Source, SourceInfo
from streamer.sources.devices import list_devices
from streamer.sources.ffmpeg_live import OpenFFmpeg
from streamer.sources.file import FileSource
from streamer.sources.images import ImageSource

__all__ = [
    "LONGEST_RETRY_S",
    "Decode",
    "FileSource",
    "ImageSource",
    "Item",
    "LiveSource",
    "OpenLive",
    "ResolvedSource",
    "Source",
    "SourceInfo",
    "is_live",
    "open_live",
    "open_source",
    "resolve_source",
]

logger = logging.getLogger(__name__)

#: Where pictures of a file are decoded.
Decode = Literal["auto", "cpu", "gpu"]

#: Longest wait in s before a source that was lost is opened again. Looking for a device costs next
#: to nothing, and its picture is to be back within 1 s; a server is not to be pressed like that.
LONGEST_RETRY_S = 0.5
LONGEST_NETWORK_RETRY_S = 5.0

#: Kinds whose pictures are never deinterlaced.
_AS_IT_IS = FINITE | {Kind.SYNTHETIC, Kind.MOCK}


def open_source(
    name: str,
    *,
    settings: Settings | None = None,
    color_matrix: str = "auto",
    full_range: bool | None = None,
    interlaced: str = "auto",
    decode: Decode = "cpu",
) -> Source:
    """Open the finite source that a user names.

    What is given here goes before what the settings say of an alias; ``auto`` and None leave it
    to them.

    Args:
        name: path of a video file or of a folder of pictures, or an alias of one.
        settings: see `resolve_source`.
        color_matrix: ``auto``, ``bt601``, ``bt709`` or ``bt2020``.
        full_range: override of the range; None takes what the stream says.
        interlaced: ``yes`` is refused: pictures of a file stay as they are.
        decode: where the pictures of a video file are decoded, and stay; on a GPU it needs torch
            for CUDA and 8-bit 4:2:0 pictures with even sides. ``auto`` takes the CPU, and says so,
            where the GPU cannot.

    Raises:
        SourceError: nothing there, nothing that can be read, or a source without an end.
        StreamError: see `resolve_source`.
    """
    found = resolve_source(name, settings)
    if found.address.kind not in FINITE:
        raise SourceError(f"{found.name}: has no end; it is for live mode")
    asked = _asked(found, color_matrix=color_matrix, full_range=full_range, interlaced=interlaced)
    path = found.address.target
    if decode != "cpu" and not _is_folder(path):
        try:
            return FileSource(
                path, color_matrix=asked.color_matrix, full_range=asked.full_range, on_gpu=True
            )
        except SourceError as error:
            if decode == "gpu":
                raise
            logger.info("decoding on the CPU: %s", error)
    return _open_finite(path, asked)


def _open_finite(path: str, asked: SourceSettings) -> Source:
    source = ImageSource if _is_folder(path) else FileSource
    return source(path, color_matrix=asked.color_matrix, full_range=asked.full_range)


def _is_folder(path: str) -> bool:
    return os.path.isdir(os.path.expanduser(path))


@dataclass(frozen=True)
class ResolvedSource:
    """What a name stands for.

    Attributes:
        address: where the pictures come from.
        settings: how it is opened; the defaults if the name is no alias.
        name: for messages and logs, free of secrets.
    """

    address: Address
    settings: SourceSettings
    name: str

    @property
    def longest_retry_s(self) -> float:
        """Longest wait in s before it is opened again after it was lost."""
        network = self.address.kind == Kind.NETWORK
        return LONGEST_NETWORK_RETRY_S if network else LONGEST_RETRY_S


def resolve_source(name: str, settings: Settings | None = None) -> ResolvedSource:
    """Look up what a user named; nothing is opened.

    Args:
        name: an alias of the settings, a path, or an address.
        settings: None: the settings file in force, which is read only where the name may be in it.

    Raises:
        SourceError: an alias that is not there, or an address of no known kind.
        StreamError: the settings file cannot be read.
    """
    if not ALIAS.fullmatch(name):
        address = parse_address(name)
        return ResolvedSource(address, SourceSettings(), safe_name(address))
    settings = load_settings() if settings is None else settings
    alias = settings.sources.get(name)
    if alias is not None:
        address = _address_of(alias, name, settings)
        return ResolvedSource(address, alias, f"{name} ({safe_name(address)})")
    address = parse_address(name)
    if address.kind == Kind.ALIAS:
        if not os.path.exists(name):
            raise SourceError(_unknown(name, settings))
        address = Address(Kind.FILE, name)
    return ResolvedSource(address, SourceSettings(), safe_name(address))


def _address_of(alias: SourceSettings, name: str, settings: Settings) -> Address:
    if alias.device is not None:
        return Address(Kind.DEVICE, alias.device)
    place = f"{settings.path}: sources.{name}.url"
    try:
        address = parse_address(alias.url or "")
    except SourceError as error:
        raise SourceError(f"{place}: {error}") from None
    if address.kind == Kind.ALIAS:
        raise SourceError(f"{place}: has to be an address or a path, no other alias")
    return address


def _unknown(name: str, settings: Settings) -> str:
    """What to say where nothing has this name: what there is, and how to make it one."""
    return "\n".join(
        [
            f"{name}: no such file, and no such name in the settings",
            f"names in the settings: {', '.join(settings.sources) or 'none'}",
            *_how_to_name(name, settings),
        ]
    )


def _how_to_name(name: str, settings: Settings) -> list[str]:
    """The devices that there are, and the three lines that give one of them a name."""
    devices = list_devices()
    example = devices[0].by_id or devices[0].path if devices else "/dev/v4l/by-id/usb-…"
    return [
        f"devices connected: {', '.join(map(str, devices)) or 'none'}",
        f"to make {name} one of them, write in {settings.path or proposed_path()}:",
        f"  [sources.{name}]",
        f'  device = "{example}"',
        '  size = "1920x1080"',
    ]


def _check_connected(found: ResolvedSource, name: str, settings: Settings | None) -> None:
    """Say what there is before a device is waited for that is not there.

    Raises:
        SourceError: it is not.
    """
    path = found.address.target
    if found.address.kind != Kind.DEVICE or not path.startswith("/") or os.path.exists(path):
        return
    settings = load_settings() if settings is None else settings
    alias = name if name in settings.sources else "capture_card0"
    raise SourceError("\n".join([f"{found.name}: no such device", *_how_to_name(alias, settings)]))


def _asked(
    found: ResolvedSource,
    *,
    color_matrix: str,
    full_range: bool | None,
    interlaced: str,
    deinterlace: str | None = None,
) -> SourceSettings:
    """What the settings say of a source, with what was given put before it.

    Raises:
        SourceError: it is to be deinterlaced, and is of a kind that is not.
    """
    given: dict[str, Any] = {"deinterlace": deinterlace or found.settings.deinterlace}
    if color_matrix != "auto":
        given["color_matrix"] = color_matrix
    if full_range is not None:
        given["color_range"] = "full" if full_range else "limited"
    if interlaced != "auto":
        given["interlaced"] = interlaced
    asked = replace(found.settings, **given)
    if asked.interlaced == "yes" and found.address.kind in _AS_IT_IS:
        raise SourceError(
            f"{found.name}: is not deinterlaced; that is for devices, streams and screens"
        )
    return asked


def is_live(name: str, settings: Settings | None = None) -> bool:
    """Whether live mode is the default for what a user named.

    Args:
        name, settings: see `resolve_source`.

    Raises:
        SourceError, StreamError: see `resolve_source`.
    """
    return resolve_source(name, settings).address.kind not in FINITE


def open_live(
    name: str,
    *,
    settings: Settings | None = None,
    color_matrix: str = "auto",
    full_range: bool | None = None,
    interlaced: str = "auto",
    deinterlace: str | None = None,
    loop: bool = False,
    clock: Clock | None = None,
) -> OpenLive:
    """What opens a source for live mode; nothing is opened yet.

    What is given here goes before what the settings say of an alias; ``auto`` and None leave it
    to them. A file or a folder of pictures is played at its own pace.

    Args:
        name, settings: see `resolve_source`.
        color_matrix: ``auto``, ``bt601``, ``bt709`` or ``bt2020``.
        full_range: override of the range; None takes what the stream says.
        interlaced: ``auto``, ``yes`` or ``no``; a file or what is made up is never deinterlaced.
        deinterlace: ``bob`` or ``blend``.
        loop: begin again at the end, where there is one.
        clock: paces what has no pace of its own; None: the machine's.

    Raises:
        SourceError: a device that is not there; what `resolve_source` raises.
        StreamError: see `resolve_source`.
    """
    found = resolve_source(name, settings)
    asked = _asked(
        found,
        color_matrix=color_matrix,
        full_range=full_range,
        interlaced=interlaced,
        deinterlace=deinterlace,
    )
    _check_connected(found, name, settings)
    address = found.address
    options = dict(address.options)
    if address.kind == Kind.SYNTHETIC:
        return _synthetic(options, asked, clock)
    if address.kind == Kind.MOCK:
        return _mock(int(options["seed"]), clock)
    if address.kind in FINITE:
        return _paced(address.target, asked, loop=loop, clock=clock or MonotonicClock())
    return OpenFFmpeg(address, asked, found.name)


def _synthetic(options: dict[str, str], asked: SourceSettings, clock: Clock | None) -> OpenLive:
    width, height = asked.size or (1280, 720)
    if "size" in options:
        width, height = (int(side) for side in options["size"].split("x"))
    rate = float(options.get("rate", asked.rate or 30))
    seed = int(options.get("seed", 0))

    def open_it(like: SourceInfo | None) -> LiveSource:
        from streamer.sources.synthetic import SyntheticSource

        return SyntheticSource(
            width=width, height=height, rate=rate, seed=seed, like=like, clock=clock
        )

    return open_it


def _mock(seed: int, clock: Clock | None) -> OpenLive:
    from streamer.sources.mock_card import MockSlot

    # One for all openings: the schedule goes on while the card is away.
    return MockSlot(seed, clock=clock)


def _paced(path: str, asked: SourceSettings, *, loop: bool, clock: Clock) -> OpenLive:
    def open_it(like: SourceInfo | None) -> LiveSource:
        from streamer.sources.paced import PacedSource

        return PacedSource(_open_finite(path, asked), loop=loop, clock=clock)

    return open_it
