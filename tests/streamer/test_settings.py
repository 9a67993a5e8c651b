"""The settings file, and the names that it gives to sources."""

import dataclasses
import re
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

from streamer import settings as module
from streamer import sources
from streamer.errors import SourceError, StreamError
from streamer.frame import View
from streamer.settings import Settings, SourceSettings, load_settings, settings_path
from streamer.sources import is_live, open_live, open_source, resolve_source
from streamer.sources.address import Kind
from streamer.sources.devices import Device

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a settings file."""

    def make(text: str) -> Path:
        path = tmp_path / "settings.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return make


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of work and a home without any settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv(module.ENVIRONMENT_KEY, raising=False)
    return tmp_path


class TestPlace:
    def test_none(self, bare: Path) -> None:
        assert settings_path() is None
        assert load_settings() == Settings()

    def test_the_nearest_wins(self, bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        users = bare / "home" / ".config" / "pranet-stream" / "settings.toml"
        users.parent.mkdir(parents=True)
        users.touch()
        assert settings_path() == users

        (bare / "pranet-stream.toml").touch()
        assert settings_path() == Path("pranet-stream.toml")

        (bare / "own.toml").write_text("[stream]\nfill = 0.5\n")
        monkeypatch.setenv(module.ENVIRONMENT_KEY, str(bare / "own.toml"))
        assert load_settings().defaults == {"fill": 0.5}

    def test_home_of_the_environment_is_expanded(self, bare: Path) -> None:
        (bare / "home").mkdir()
        (bare / "home" / "a.toml").touch()

        assert settings_path({module.ENVIRONMENT_KEY: "~/a.toml"}) == bare / "home" / "a.toml"

    def test_one_that_is_named_has_to_be_there(self, bare: Path) -> None:
        with pytest.raises(StreamError, match=r"gone\.toml: no such settings file"):
            settings_path({module.ENVIRONMENT_KEY: "gone.toml"})


class TestContent:
    def test_every_key(self, write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", "/home/me")
        read = load_settings(
            write(
                """
                [stream]
                backend = "openvino"
                fill = 0.2

                [sources.capture_card0]
                device = "~/dev/card"
                format = "v4l2"
                size = "1920x1080"
                rate = 59.94
                interlaced = "yes"
                deinterlace = "blend"
                color_matrix = "bt709"
                color_range = "full"
                view = "10,20,640,480"
                pixel_format = "nv12"
                rtsp_transport = "udp"
                open_timeout_s = 3
                read_timeout_s = 1.5

                [sources.tower]
                url = "rtsp://user:geheim@tower/1"
                rate = "30000/1001"
                """
            )
        )

        assert read.defaults == {"backend": "openvino", "fill": 0.2}
        assert read.sources["capture_card0"] == SourceSettings(
            device="/home/me/dev/card",
            format="v4l2",
            size=(1920, 1080),
            rate=Fraction(2997, 50),
            interlaced="yes",
            deinterlace="blend",
            color_matrix="bt709",
            color_range="full",
            view=View(10, 20, 640, 480),
            pixel_format="nv12",
            rtsp_transport="udp",
            open_timeout_s=3.0,
            read_timeout_s=1.5,
        )
        assert read.sources["tower"].rate == Fraction(30000, 1001)

    def test_every_attribute_has_a_key(self) -> None:
        assert list(module._READERS) == [one.name for one in dataclasses.fields(SourceSettings)]

    @pytest.mark.parametrize(("word", "full"), [("auto", None), ("limited", False), ("full", True)])
    def test_range_as_the_sources_take_it(self, word: str, full: bool | None) -> None:
        assert SourceSettings(color_range=word).full_range is full

    @pytest.mark.parametrize("asked", ["auto", "whole"])
    def test_view_by_name(self, write: Write, asked: str) -> None:
        read = load_settings(write(f'[sources.card]\nurl = "rtsp://a/b"\nview = "{asked}"\n'))

        assert read.sources["card"].view == asked

    @pytest.mark.parametrize(
        ("line", "key"),
        [
            ('devise = "/dev/video0"', "devise"),
            ("device = 0", "device"),
            ('device = " "', "device"),
            ('size = "1920"', "size"),
            ('size = "0x1080"', "size"),
            ("size = [1920, 1080]", "size"),
            ("rate = 0", "rate"),
            ("rate = true", "rate"),
            ("rate = nan", "rate"),
            ("rate = inf", "rate"),
            ('rate = "fast"', "rate"),
            ('rate = "1/0"', "rate"),
            ("interlaced = true", "interlaced"),
            ("interlaced = []", "interlaced"),
            ('deinterlace = "weave"', "deinterlace"),
            ('color_matrix = "709"', "color_matrix"),
            ('color_range = "tv"', "color_range"),
            ('view = "1,2,3"', "view"),
            ('view = "1,2,-3,4"', "view"),
            ("view = [1, 2, 3, 4]", "view"),
            ('view = "all"', "view"),
            ('rtsp_transport = "http"', "rtsp_transport"),
            ("open_timeout_s = 0", "open_timeout_s"),
            ("open_timeout_s = true", "open_timeout_s"),
            ("read_timeout_s = inf", "read_timeout_s"),
        ],
    )
    def test_wrong_key_or_value_is_named_in_one_line(
        self, write: Write, line: str, key: str
    ) -> None:
        path = write(f'[sources.card]\nurl = "rtsp://a/b"\n{line}\n')

        with pytest.raises(StreamError) as caught:
            load_settings(path)

        assert str(caught.value).startswith(f"{path}: sources.card.{key}: ")
        assert "\n" not in str(caught.value)

    @pytest.mark.parametrize(
        ("text", "place"),
        [
            ("sources = 3", "sources: has to be a table"),
            ("[sources]\ncard = 3", "sources.card: has to be a table"),
            ("stream = []", "stream: has to be a table"),
            ("[source.card]", "source: no such key"),
            ("[sources.card]", "sources.card: needs either device or url"),
            ('[sources.card]\ndevice="a"\nurl="b"', "sources.card: needs either device or url"),
            ('[sources."my card"]\ndevice="a"', "sources.my card: a name has letters"),
            ('[sources.mock]\ndevice="a"', "sources.mock: the name has a meaning"),
            ("[sources", "cannot be read as settings"),
            ("a = 1\na = 2", "cannot be read as settings"),
        ],
    )
    def test_wrong_structure(self, write: Write, text: str, place: str) -> None:
        path = write(text)

        with pytest.raises(StreamError) as caught:
            load_settings(path)

        assert str(caught.value).startswith(f"{path}: {place}")
        assert "\n" not in str(caught.value)

    def test_file_that_cannot_be_read(self, tmp_path: Path) -> None:
        with pytest.raises(StreamError, match="cannot be read as settings"):
            load_settings(tmp_path)
        (tmp_path / "a.toml").write_bytes(b"\xff\xfe\x00")
        with pytest.raises(StreamError, match="cannot be read as settings"):
            load_settings(tmp_path / "a.toml")

    def test_wrong_value_is_not_repeated(self, write: Write) -> None:
        path = write('[sources.card]\nurl = ["rtsp://user:geheim@host/"]\n')

        with pytest.raises(StreamError) as caught:
            load_settings(path)

        assert "geheim" not in str(caught.value)


def with_sources(**aliases: SourceSettings) -> Settings:
    return Settings(Path("settings.toml"), aliases)


class TestAliases:
    def test_device(self) -> None:
        settings = with_sources(card=SourceSettings(device="/dev/v4l/by-id/usb-x", size=(64, 48)))
        found = resolve_source("card", settings)

        assert (found.address.kind, found.address.target) == (Kind.DEVICE, "/dev/v4l/by-id/usb-x")
        assert found.settings.size == (64, 48)
        assert found.name == "card (/dev/v4l/by-id/usb-x)"

    def test_address_shows_no_password(self) -> None:
        settings = with_sources(tower=SourceSettings(url="rtsp://user:geheim@tower/1"))
        found = resolve_source("tower", settings)

        assert found.address.target == "rtsp://user:geheim@tower/1"
        assert found.name == "tower (rtsp://tower/1)"

    def test_no_alias_of_an_alias(self) -> None:
        settings = with_sources(one=SourceSettings(url="two"), two=SourceSettings(device="/dev/x"))

        with pytest.raises(SourceError, match=r"sources\.one\.url: .* no other alias"):
            resolve_source("one", settings)

    def test_goes_before_a_folder_of_that_name(self, bare: Path) -> None:
        (bare / "card").mkdir()

        assert resolve_source("card", Settings()).address.kind == Kind.IMAGES
        settings = with_sources(card=SourceSettings(device="/dev/x"))
        assert resolve_source("card", settings).address.kind == Kind.DEVICE

    def test_file_without_an_ending(self, bare: Path) -> None:
        (bare / "recording").touch()

        assert resolve_source("recording", Settings()).address.kind == Kind.FILE

    def test_unknown_one_says_what_there_is_and_how_to_make_it(
        self, bare: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        device = Device(Path("/dev/video3"), Path("/dev/v4l/by-id/usb-Acme"), "Acme Grabber")
        monkeypatch.setattr(sources, "list_devices", lambda: [device])
        settings = with_sources(tower=SourceSettings(url="rtsp://user:geheim@tower/1"))

        with pytest.raises(SourceError) as caught:
            resolve_source("capture_card0", settings)

        lines = str(caught.value).splitlines()
        assert lines[0].startswith("capture_card0: no such")
        assert "tower" in lines[1]
        assert "/dev/v4l/by-id/usb-Acme (Acme Grabber)" in lines[2]
        assert lines[3].endswith(" settings.toml:")
        proposed = bare / "proposed.toml"
        proposed.write_text("\n".join(lines[4:]))
        made = load_settings(proposed).sources["capture_card0"]
        assert made.device == "/dev/v4l/by-id/usb-Acme"
        assert "geheim" not in str(caught.value)

    def test_without_a_settings_file_its_place_is_told(self, bare: Path) -> None:
        place = bare / "home" / ".config" / "pranet-stream" / "settings.toml"

        with pytest.raises(SourceError, match=re.escape(str(place))):
            resolve_source("capture_card0", Settings())

    def test_address_of_no_known_kind_is_told_with_its_key(self) -> None:
        settings = with_sources(tower=SourceSettings(url="gopher://user:geheim@tower/1"))

        with pytest.raises(SourceError) as caught:
            resolve_source("tower", settings)

        assert str(caught.value).startswith("settings.toml: sources.tower.url: gopher://tower")

    def test_paths_and_addresses_need_no_settings_file(
        self, bare: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(module.ENVIRONMENT_KEY, "gone.toml")

        assert resolve_source("clip.mp4").address.kind == Kind.FILE
        assert resolve_source("/dev/video0").address.kind == Kind.DEVICE
        with pytest.raises(StreamError, match="no such settings file"):
            resolve_source("card")


class TestMode:
    @pytest.mark.parametrize(
        ("name", "live"),
        [
            ("clip.mp4", False),
            ("/dev/video0", True),
            ("udp://host:1", True),
            ("screen:", True),
            ("lavfi:testsrc2", True),
            ("synthetic", True),
            ("mock:3", True),
            ("card", True),
            ("film", False),
        ],
    )
    def test_by_kind(self, bare: Path, name: str, live: bool) -> None:
        settings = with_sources(
            card=SourceSettings(device="/dev/x"), film=SourceSettings(url="film.mp4")
        )

        assert is_live(name, settings) == live

    def test_folder_of_pictures(self, bare: Path) -> None:
        (bare / "stills").mkdir()

        assert not is_live("stills", Settings())
        with pytest.raises(SourceError, match="is a folder without pictures"):
            open_source("stills")

    def test_flags_go_before_the_settings_of_an_alias(self) -> None:
        settings = with_sources(
            test=SourceSettings(
                url="lavfi:testsrc2=size=64x48:rate=100", color_matrix="bt709", color_range="full"
            )
        )
        by_settings = open_live("test", settings=settings)(None)
        by_flags = open_live(
            "test", settings=settings, color_matrix="bt2020", full_range=False, interlaced="yes"
        )(None)
        try:
            first, second = by_settings.info, by_flags.info
        finally:
            by_settings.close()
            by_flags.close()

        assert str(first.color) == "bt709 full range"
        assert str(second.color) == "bt2020 limited range"
        assert (first.rate, second.rate) == (100, 200)
