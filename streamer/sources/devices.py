"""The capture devices of this machine and what they offer (Linux; none are found elsewhere)."""

import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from streamer.errors import SourceError

DEVICES = Path("/dev")
SYSTEM = Path("/sys")

#: Asks the device behind a file number: request, structure that is changed in place.
Ask = Callable[[int, int, bytearray], object]

# Requests and structures of <linux/videodev2.h>.
_QUERYCAP, _CAPABILITY = 0x80685600, struct.Struct("16s32s32s3I12x")
_ENUM_FMT, _FORMAT = 0xC0405602, struct.Struct("3I32sI16x")
_ENUM_FRAMESIZES, _SIZE = 0xC02C564A, struct.Struct("3I6I8x")
_ENUM_FRAMEINTERVALS, _INTERVAL = 0xC034564B, struct.Struct("5I2I24x")
_HAS_OWN_CAPABILITIES = 0x8000_0000
_DISCRETE = 1
#: Type of buffer by the capability of capturing: in one plane, in several.
_CAPTURE = {0x1: 1, 0x1000: 9}
#: More answers than this to one question come from a driver that has no end.
_MOST = 256


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to capture.

    Attributes:
        pixel_format: four letters of the driver, such as ``YUYV`` or ``MJPG``.
        width, height: px.
        rates: frames per second, the highest first; empty where the driver does not list them.
        up_to: any size up to this one, rather than this one.
    """

    pixel_format: str
    width: int
    height: int
    rates: tuple[float, ...] = ()
    up_to: bool = False

    def __str__(self) -> str:
        size = f"{'up to ' if self.up_to else ''}{self.width}x{self.height}"
        rates = ", ".join(f"{rate:g}" for rate in self.rates)
        return f"{self.pixel_format} {size}" + (f" at {rates}" if rates else "")


@dataclass(frozen=True, slots=True)
class Device:
    """A capture device.

    Attributes:
        path: such as ``/dev/video0``; the number changes when it is plugged in anew.
        by_id: link that stays the same, if there is one.
        name: as its driver calls it.
        modes: what it offers, as far as it can be asked.
    """

    path: Path
    by_id: Path | None
    name: str
    modes: tuple[Mode, ...] = ()

    def __str__(self) -> str:
        return f"{self.by_id or self.path} ({self.name})"


def list_devices(
    devices: Path = DEVICES, system: Path = SYSTEM, *, ask: Ask | None = None
) -> list[Device]:
    """All devices that capture pictures, by number; never fails.

    A device that cannot be asked, for want of permission for instance, is listed without modes;
    one that says that it captures no pictures is left out: cards have further nodes for data.

    Args:
        devices: the folder ``/dev``.
        system: the folder ``/sys``.
        ask: carries out a request to a driver; None: the system's own.
    """
    if ask is None:
        ask = _system_ask()
    found = []
    for path in _nodes(devices):
        named = _read(system / "class" / "video4linux" / path.name / "name")
        answer = _interview(path, ask) if ask is not None else _Answer(captures=True)
        if answer.captures:
            name = answer.name or named or path.name
            found.append(Device(path, find_by_id(path, devices), name, answer.modes))
    return found


def find_by_id(path: Path, devices: Path = DEVICES) -> Path | None:
    """The link that stays the same for a device, whatever its number, if there is one.

    Args:
        path: of the device, or the link itself.
        devices: the folder ``/dev``.
    """
    with suppress(OSError):
        wanted = path.resolve()
        for link in sorted((devices / "v4l" / "by-id").iterdir()):
            if link.resolve() == wanted:
                return link
    return None


class DeviceIdentity:
    """Finds one and the same device again after it was unplugged.

    A device is known by its link under ``/dev/v4l/by-id``: after it was plugged in anew, it is
    found there, whatever its number is now, and another device that has its old number is not
    taken for it. A device without such a link is known by its number only, and two that report the
    same model and serial number share one link.

    Args:
        named: the device as the user named it, by number or by a link.
        name: what to call it in messages.
        devices: the folder ``/dev``.
    """

    def __init__(self, named: Path, name: str, devices: Path = DEVICES) -> None:
        self._named = named
        self._name = name
        self._devices = devices
        self._by_id: Path | None = None

    def remember(self, path: Path) -> None:
        """This is the device: it could be opened."""
        if self._by_id is None:
            self._by_id = path if path.is_symlink() else find_by_id(path, self._devices)

    def find(self) -> Path:
        """Where the device is now.

        Raises:
            SourceError: it is not there; says what is.
        """
        path = self._by_id or self._named
        if path.exists():
            return path
        if self._named.exists():
            raise SourceError(
                f"{self._name}: not connected; {self._named} is another device now and is left "
                "alone"
            )
        found = ", ".join(str(device) for device in list_devices(self._devices))
        raise SourceError(
            f"{self._name}: no such device; "
            + (f"connected: {found}" if found else "no capture device is connected")
        )


def _nodes(devices: Path) -> list[Path]:
    numbers: dict[Path, int] = {}
    with suppress(OSError):
        for path in devices.iterdir():
            if found := re.fullmatch(r"video(\d+)", path.name):
                numbers[path] = int(found[1])
    return sorted(numbers, key=numbers.__getitem__)


def _read(path: Path) -> str:
    with suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace").strip()
    return ""


def _system_ask() -> Ask | None:
    try:
        from fcntl import ioctl
    except ImportError:
        return None
    return ioctl


@dataclass(frozen=True, slots=True)
class _Answer:
    captures: bool
    name: str = ""
    modes: tuple[Mode, ...] = ()


def _interview(path: Path, ask: Ask) -> _Answer:
    """What a device says of itself; one that says nothing may capture."""
    try:
        # Asking takes the device from nobody.
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except OSError:
        return _Answer(captures=True)
    try:
        buffer = bytearray(_CAPABILITY.size)
        ask(number, _QUERYCAP, buffer)
        _, card, _, _, of_all, own = _CAPABILITY.unpack(buffer)
        capabilities = own if of_all & _HAS_OWN_CAPABILITIES else of_all
        name = card.split(b"\0")[0].decode("utf-8", "replace")
        kinds = [kind for flag, kind in _CAPTURE.items() if capabilities & flag]
        modes = tuple(mode for kind in kinds for mode in _modes(number, kind, ask))
        return _Answer(bool(kinds), name, modes)
    except OSError:
        return _Answer(captures=True)
    finally:
        os.close(number)


def _answers(
    number: int, request: int, structure: struct.Struct, given: tuple[int, ...], ask: Ask
) -> Iterator[list[int]]:
    """All answers to a question whose structure begins with the index of the answer."""
    for index in range(_MOST):
        buffer = bytearray(structure.size)
        struct.pack_into(f"={1 + len(given)}I", buffer, 0, index, *given)
        try:
            ask(number, request, buffer)
        except OSError:
            # The driver ends each list with an error.
            return
        yield [value for value in structure.unpack(buffer) if isinstance(value, int)]


def _modes(number: int, kind: int, ask: Ask) -> Iterator[Mode]:
    for *_, code in _answers(number, _ENUM_FMT, _FORMAT, (kind,), ask):
        letters = code.to_bytes(4, "little").decode("ascii", "replace").strip()
        for _, _, sort, *sides in _answers(number, _ENUM_FRAMESIZES, _SIZE, (code,), ask):
            if sort == _DISCRETE:
                width, height = sides[:2]
                rates = _rates(number, (code, width, height), ask)
                yield Mode(letters, width, height, rates)
            else:
                # Least, greatest and step of the width, then of the height; the only answer.
                yield Mode(letters, sides[1], sides[4], up_to=True)
                break


def _rates(number: int, mode: tuple[int, int, int], ask: Ask) -> tuple[float, ...]:
    found = _answers(number, _ENUM_FRAMEINTERVALS, _INTERVAL, mode, ask)
    rates = [
        denominator / numerator
        for *_, sort, numerator, denominator in found
        if sort == _DISCRETE and numerator
    ]
    return tuple(sorted(rates, reverse=True))
