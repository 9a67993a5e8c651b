"""Capture devices and screens, made up."""

import errno
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
import pytest
from streams import (
    Open,
    Waiter,
    read_all,
    read_all_or_raise,
)

from streamer.errors import SourceEndedError, SourceError, SourceLostError
from streamer.settings import SourceSettings
from streamer.sources.address import Address, Kind
from streamer.sources.ffmpeg_live import OpenFFmpeg


class Card:
    """A container as a capture card without frames in between makes it: mostly it has nothing."""

    def __init__(self, container: Any, *, pictures: int) -> None:
        self._container = container
        self._packets = container.demux()
        self._left = pictures
        self._asked = 0
        self.streams = container.streams

    def demux(self) -> Iterator[Any]:
        while True:
            self._asked += 1
            if self._asked % 3 or not self._left:
                raise av.BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
            self._left -= 1
            yield next(self._packets)

    def close(self) -> None:
        self._container.close()


@pytest.fixture
def card(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., OpenFFmpeg]:
    """A capture card that has so many pictures and then falls silent."""

    def make(pictures: int, **settings: Any) -> OpenFFmpeg:
        real = av.open

        def fake(url: str, format: str, **_: Any) -> Card:  # noqa: A002
            assert format == "v4l2"
            assert Path(url).exists()
            return Card(real("testsrc2=size=96x64:rate=25", format="lavfi"), pictures=pictures)

        monkeypatch.setattr(av, "open", fake)
        path = tmp_path / "video0"
        path.touch()
        asked = SourceSettings(device=str(path), **{"read_timeout_s": 30, **settings})
        return OpenFFmpeg(Address(Kind.DEVICE, str(path)), asked, "card", devices=tmp_path)

    return make


class TestDevice:
    def test_without_a_picture_yet_it_is_asked_again(
        self, opened: Open, card: Callable[..., OpenFFmpeg]
    ) -> None:
        source = opened(card(20))

        assert [source.read().index for _ in range(20)] == list(range(20))

    def test_without_a_signal(self, opened: Open, card: Callable[..., OpenFFmpeg]) -> None:
        frames, error = read_all(opened(card(5, read_timeout_s=0.2)))

        assert len(frames) == 5
        assert isinstance(error, SourceLostError)
        assert str(error) == "card: silent for 0.2 s"

    def test_without_a_signal_from_the_start(
        self, opened: Open, card: Callable[..., OpenFFmpeg]
    ) -> None:
        with pytest.raises(SourceError, match=r"card: silent for 0\.2 s"):
            opened(card(0, read_timeout_s=0.2))

    def test_closed_while_another_waits(
        self, opened: Open, card: Callable[..., OpenFFmpeg]
    ) -> None:
        source = opened(card(3, read_timeout_s=3600))
        waiter = Waiter(source)
        waiter.wait_for_picture()
        source.close()

        assert isinstance(waiter.finish(), SourceEndedError)

    def test_pulled_out_while_it_is_read(
        self, opened: Open, card: Callable[..., OpenFFmpeg], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        source = opened(card(20))
        source.read()

        def gone(self: Card) -> Iterator[Any]:
            raise av.FFmpegError(errno.ENODEV, "No such device")
            yield

        monkeypatch.setattr(Card, "demux", gone)
        reader = source._reader  # type: ignore[attr-defined]
        reader._packets = reader._container.demux()
        with pytest.raises(SourceLostError, match=r"card: lost \(No such device\)"):
            read_all_or_raise(source)

    def test_is_no_capture_device(self, opened: Open) -> None:
        with pytest.raises(SourceError, match="null: is not a capture device"):
            opened(OpenFFmpeg(Address(Kind.DEVICE, "/dev/null"), SourceSettings(), "null"))

    def test_is_not_there(self, opened: Open, tmp_path: Path) -> None:
        opener = OpenFFmpeg(
            Address(Kind.DEVICE, str(tmp_path / "video0")),
            SourceSettings(),
            "card",
            devices=tmp_path,
        )
        with pytest.raises(SourceError, match="card: no such device; no capture device"):
            opened(opener)

    @pytest.mark.parametrize(
        ("number", "said"),
        [(errno.EACCES, "group video"), (errno.EBUSY, "in use by another program")],
    )
    def test_cannot_be_had(
        self, opened: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, said: str
    ) -> None:
        path = tmp_path / "video0"
        path.touch()

        def refuse(*_: Any, **__: Any) -> None:
            raise av.FFmpegError(number, "no", str(path))

        monkeypatch.setattr(av, "open", refuse)
        with pytest.raises(SourceError, match=f"card: .*{said}"):
            opened(
                OpenFFmpeg(
                    Address(Kind.DEVICE, str(path)), SourceSettings(), "card", devices=tmp_path
                )
            )

    def test_another_one_in_its_place_is_left_alone(
        self, opened: Open, card: Callable[..., OpenFFmpeg], tmp_path: Path
    ) -> None:
        links = tmp_path / "v4l" / "by-id"
        links.mkdir(parents=True)
        (links / "usb-Acme").symlink_to("../../video0")
        opener = card(20)
        opened(opener).close()
        (links / "usb-Acme").unlink()

        with pytest.raises(SourceError, match="is another device now and is left alone"):
            opener(None)

        (tmp_path / "video7").touch()
        (links / "usb-Acme").symlink_to("../../video7")
        assert opened(opener).read().index == 0


@pytest.mark.parametrize("place", ["screen:", "screen:99"])
def test_screen_that_is_not_there(
    opened: Open, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("DISPLAY", ":98")

    with pytest.raises(SourceError, match=r"no such X display, .* DISPLAY"):
        opened(place)
