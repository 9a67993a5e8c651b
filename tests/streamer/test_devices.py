"""Capture devices, on made-up folders and with a made-up driver."""

import errno
import os
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from streamer.errors import SourceError
from streamer.sources.devices import Ask, DeviceIdentity, Mode, find_by_id, list_devices

Plug = Callable[..., Path]


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """The folder /sys."""
    return tmp_path / "sys"


@pytest.fixture
def devices(tmp_path: Path) -> Path:
    """The folder /dev."""
    (tmp_path / "dev" / "v4l" / "by-id").mkdir(parents=True)
    return tmp_path / "dev"


@pytest.fixture
def plug(devices: Path, system: Path) -> Plug:
    """Makes a device appear."""

    def appear(number: int, name: str = "", link: str | None = None) -> Path:
        path = devices / f"video{number}"
        path.touch()
        if name:
            folder = system / "class" / "video4linux" / path.name
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "name").write_text(f"{name}\n")
        if link:
            (devices / "v4l" / "by-id" / link).symlink_to(f"../../{path.name}")
        return path

    return appear


def deaf(number: int, request: int, buffer: bytearray) -> None:
    raise OSError(errno.ENOTTY, "no device")


class Driver:
    """Answers as the Linux interface has it.

    modes: pixel format → [(width, height, [(numerator, denominator) of the interval])].
    capabilities: of this node; 1 is capturing.
    """

    QUERYCAP, ENUM_FMT, SIZES, INTERVALS = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B

    def __init__(
        self,
        name: str = "Acme Grabber",
        modes: dict[str, list[tuple[int, int, list[tuple[int, int]]]]] | None = None,
        capabilities: int = 1,
        stepwise: bool = False,
    ) -> None:
        self.name, self.modes, self.capabilities = name, modes or {}, capabilities
        self.stepwise = stepwise

    def __call__(self, number: int, request: int, buffer: bytearray) -> None:
        os.fstat(number)
        assert len(buffer) == (request >> 16) & 0x3FFF, "the request says how long the structure is"
        if request == self.QUERYCAP:
            struct.pack_into("=16s32s", buffer, 0, b"acme", self.name.encode())
            # What all nodes of the card can do, and what this one can.
            struct.pack_into("=2I", buffer, 84, 0x8000_0001, self.capabilities)
            return
        index, second, third, fourth = struct.unpack_from("=4I", buffer)
        try:
            self._enumerate(request, buffer, index, second, third, fourth)
        except IndexError:
            raise OSError(errno.EINVAL, "no more") from None

    def _enumerate(
        self, request: int, buffer: bytearray, index: int, second: int, third: int, fourth: int
    ) -> None:
        if request == self.ENUM_FMT:
            assert second == (9 if self.capabilities == 0x1000 else 1)
            code = list(self.modes)[index].encode()
            struct.pack_into("=4s", buffer, 44, code)
            return
        modes = self.modes[struct.pack("=I", second).decode()]
        if request == self.SIZES and self.stepwise:
            struct.pack_into("=7I", buffer, 8, 3, 16, 1920, 8, 16, 1080, 8)
        elif request == self.SIZES:
            struct.pack_into("=3I", buffer, 8, 1, *modes[index][:2])
        elif request == self.INTERVALS:
            (rates,) = (rates for *size, rates in modes if size == [third, fourth])
            struct.pack_into("=3I", buffer, 16, 1, *rates[index])


class TestList:
    def test_no_devices(self, tmp_path: Path) -> None:
        assert list_devices(tmp_path / "none", tmp_path / "none") == []

    def test_names_links_and_order(self, devices: Path, system: Path, plug: Plug) -> None:
        plug(10, "Tenth")
        plug(2, "Second", link="usb-Acme_1234-video-index0")
        plug(0)
        (devices / "video-notes").touch()
        (devices / "null").touch()

        first, second, tenth = list_devices(devices, system, ask=deaf)

        assert (first.path.name, first.name, first.by_id) == ("video0", "video0", None)
        assert second.name == "Second"
        assert second.by_id == devices / "v4l" / "by-id" / "usb-Acme_1234-video-index0"
        assert tenth.path == devices / "video10"
        assert str(second) == f"{second.by_id} (Second)"
        assert str(tenth) == f"{devices}/video10 (Tenth)"

    def test_the_systems_own_request_on_a_plain_file(
        self, devices: Path, system: Path, plug: Plug
    ) -> None:
        plug(0, "Card")

        assert [device.name for device in list_devices(devices, system)] == ["Card"]

    def test_modes(self, devices: Path, system: Path, plug: Plug) -> None:
        plug(0, "from the system")
        driver = Driver(
            modes={
                "YUYV": [(1920, 1080, [(1, 30), (1001, 60000)]), (640, 480, [])],
                "MJPG": [(1280, 720, [(1, 25)])],
            }
        )

        (device,) = list_devices(devices, system, ask=driver)

        assert device.name == "Acme Grabber"
        assert device.modes == (
            Mode("YUYV", 1920, 1080, (60000 / 1001, 30.0)),
            Mode("YUYV", 640, 480),
            Mode("MJPG", 1280, 720, (25.0,)),
        )
        assert [str(mode) for mode in device.modes] == [
            "YUYV 1920x1080 at 59.9401, 30",
            "YUYV 640x480",
            "MJPG 1280x720 at 25",
        ]

    def test_range_of_sizes(self, devices: Path, system: Path, plug: Plug) -> None:
        plug(0)
        driver = Driver(modes={"UYVY": []}, stepwise=True)

        (device,) = list_devices(devices, system, ask=driver)

        assert device.modes == (Mode("UYVY", 1920, 1080, up_to=True),)
        assert str(device.modes[0]) == "UYVY up to 1920x1080"

    def test_capture_in_several_planes(self, devices: Path, system: Path, plug: Plug) -> None:
        plug(0)
        driver = Driver(modes={"NM12": [(64, 48, [])]}, capabilities=0x1000)

        (device,) = list_devices(devices, system, ask=driver)

        assert device.modes == (Mode("NM12", 64, 48),)

    def test_node_for_data_is_left_out(self, devices: Path, system: Path, plug: Plug) -> None:
        plug(0)

        assert list_devices(devices, system, ask=Driver(capabilities=0x00A0_0000)) == []

    def test_driver_without_an_end(self, devices: Path, system: Path, plug: Plug) -> None:
        plug(0)

        def endless(number: int, request: int, buffer: bytearray) -> None:
            if request == Driver.QUERYCAP:
                Driver()(number, request, buffer)

        ask: Ask = endless
        (device,) = list_devices(devices, system, ask=ask)

        assert len(device.modes) <= 256

    def test_device_that_may_not_be_asked(
        self, devices: Path, system: Path, plug: Plug, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        plug(0, "Locked")

        def refuse(*_: object) -> int:
            raise PermissionError(errno.EACCES, "may not")

        monkeypatch.setattr(os, "open", refuse)
        (device,) = list_devices(devices, system, ask=Driver())

        assert (device.name, device.modes) == ("Locked", ())

    def test_nothing_stays_open(self, devices: Path, system: Path, plug: Plug) -> None:
        plug(0)
        before = len(os.listdir("/proc/self/fd"))
        list_devices(devices, system, ask=deaf)
        list_devices(devices, system, ask=Driver())

        assert len(os.listdir("/proc/self/fd")) == before


class TestIdentity:
    def test_link_of_a_device(self, devices: Path, plug: Plug) -> None:
        path = plug(3, link="usb-Acme-video-index0")
        other = plug(4)
        link = devices / "v4l" / "by-id" / "usb-Acme-video-index0"

        assert find_by_id(path, devices) == link
        assert find_by_id(link, devices) == link
        assert find_by_id(other, devices) is None
        assert find_by_id(path, devices / "none") is None

    def replug(self, devices: Path, link: str, number: int) -> None:
        (devices / "v4l" / "by-id" / link).unlink(missing_ok=True)
        (devices / "v4l" / "by-id" / link).symlink_to(f"../../video{number}")

    def test_found_under_another_number(self, devices: Path, plug: Plug) -> None:
        path = plug(0, link="usb-Acme")
        identity = DeviceIdentity(path, "card", devices)
        identity.remember(identity.find())
        plug(5)
        self.replug(devices, "usb-Acme", 5)

        assert identity.find().resolve() == devices / "video5"

    def test_another_device_under_the_same_number_is_refused(
        self, devices: Path, plug: Plug
    ) -> None:
        path = plug(0, link="usb-Acme")
        identity = DeviceIdentity(path, "card", devices)
        identity.remember(identity.find())
        (devices / "v4l" / "by-id" / "usb-Acme").unlink()
        plug(0, link="usb-Other")

        with pytest.raises(SourceError, match=r"card: not connected; .*video0 is another device"):
            identity.find()

    def test_unplugged(self, devices: Path, plug: Plug) -> None:
        path = plug(0, link="usb-Acme")
        link = devices / "v4l" / "by-id" / "usb-Acme"
        identity = DeviceIdentity(link, "card", devices)
        identity.remember(identity.find())
        # The link is left over for a moment.
        path.unlink()

        with pytest.raises(SourceError, match="card: no such device; no capture device"):
            identity.find()

        plug(0)
        assert identity.find() == link

    def test_device_without_a_link_is_known_by_its_number(self, devices: Path, plug: Plug) -> None:
        identity = DeviceIdentity(plug(0), "card", devices)
        identity.remember(identity.find())
        plug(1, link="usb-Other")

        assert identity.find() == devices / "video0"

    def test_missing_one_says_what_is_connected(self, devices: Path, plug: Plug) -> None:
        plug(1, link="usb-Other")

        with pytest.raises(
            SourceError, match=r"no such device; connected: .*/usb-Other \(video1\)"
        ):
            DeviceIdentity(devices / "video7", "card", devices).find()
