"""What a user names as a source: its kind, its name without secrets, what FFmpeg is told."""

import errno
from fractions import Fraction

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.errors import SourceError
from streamer.settings import SourceSettings
from streamer.sources.address import (
    Address,
    Input,
    Kind,
    explain,
    ffmpeg_input,
    parse_address,
    safe_name,
)


def parse(text: str) -> Address:
    return parse_address(text, is_folder=lambda path: path == "stills")


class TestParse:
    @pytest.mark.parametrize(
        ("text", "kind"),
        [
            ("clip.mp4", Kind.FILE),
            ("./capture_card0", Kind.FILE),
            ("/data/clip", Kind.FILE),
            ("C:\\clips\\a.mp4", Kind.FILE),
            ("/dev/null", Kind.FILE),
            ("stills", Kind.IMAGES),
            ("/dev/video0", Kind.DEVICE),
            ("/dev/v4l/by-id/usb-Card_1-video-index0", Kind.DEVICE),
            ("video=Capture Card", Kind.DEVICE),
            ("avfoundation:0", Kind.DEVICE),
            ("rtsp://camera/1", Kind.NETWORK),
            ("RTSPS://camera/1", Kind.NETWORK),
            ("udp://239.0.0.1:5000", Kind.NETWORK),
            ("tcp://127.0.0.1:5000", Kind.NETWORK),
            ("srt://host:1?mode=caller", Kind.NETWORK),
            ("https://host/live.m3u8", Kind.NETWORK),
            ("rtmp://host/app/name", Kind.NETWORK),
            ("screen:", Kind.SCREEN),
            ("lavfi:testsrc2=size=320x240", Kind.LAVFI),
            ("synthetic", Kind.SYNTHETIC),
            ("mock", Kind.MOCK),
            ("capture_card0", Kind.ALIAS),
            ("card-2", Kind.ALIAS),
        ],
    )
    def test_kind(self, text: str, kind: Kind) -> None:
        assert parse(text).kind == kind

    def test_graph_of_filters_is_the_rest(self) -> None:
        assert (
            parse("lavfi:testsrc2=size=320x240:rate=25").target == "testsrc2=size=320x240:rate=25"
        )

    @pytest.mark.parametrize(
        ("text", "target", "options"),
        [
            ("screen", "", {}),
            ("screen:", "", {}),
            ("screen:1", ":1", {}),
            ("screen:0.0+10,20", ":0.0", {"grab_x": "10", "grab_y": "20"}),
            (
                "screen:0.0+10,20,640x480",
                ":0.0",
                {"grab_x": "10", "grab_y": "20", "video_size": "640x480"},
            ),
        ],
    )
    def test_screen(self, text: str, target: str, options: dict[str, str]) -> None:
        address = parse(text)

        assert (address.target, dict(address.options)) == (target, options)
        assert parse(safe_name(address)) == address

    def test_seed_of_the_mock_card(self) -> None:
        assert dict(parse("mock:17").options) == {"seed": "17"}
        assert dict(parse("mock").options) == {"seed": "0"}

    def test_options_of_the_synthetic_source(self) -> None:
        assert dict(parse("synthetic:size=640x360:rate=59.94").options) == {
            "size": "640x360",
            "rate": "59.94",
        }

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", "empty"),
            ("foo://host", "rtsp://"),
            ("screen:left", "WIDTHxHEIGHT"),
            ("screen:0+1,2,0x5", "WIDTHxHEIGHT"),
            ("mock:many", "mock:SEED"),
            ("synthetic:size=huge", "synthetic:size="),
            ("synthetic:fps=30", "synthetic:size="),
        ],
    )
    def test_wrong_ones_say_how_it_is_done(self, text: str, said: str) -> None:
        with pytest.raises(SourceError, match=said):
            parse(text)

    def test_unknown_address_hides_its_password(self) -> None:
        with pytest.raises(SourceError) as caught:
            parse("gopher+x://user:geheim@host/")

        assert "geheim" not in str(caught.value)


SECRET = "Geheim7"


class TestSafeName:
    @pytest.mark.parametrize(
        ("text", "shown"),
        [
            ("rtsp://camera:554/live", "rtsp://camera:554/live"),
            (f"rtsp://user:{SECRET}@camera:554/live", "rtsp://camera:554/live"),
            (f"rtsp://{SECRET}@camera/live", "rtsp://camera/live"),
            (f"rtsp://user:a@b{SECRET}@camera/live", "rtsp://camera/live"),
            (f"rtsp://user:a b{SECRET}@camera/live", "rtsp://camera/live"),
            (f"rtsp://user:a/{SECRET}@camera/live", "rtsp://***@camera/live"),
            (f"rtsp://user:a?{SECRET}@camera/live", "rtsp://***@camera/live"),
            (f"rtsp://user:a#{SECRET}@camera/live", "rtsp://***@camera/live"),
            ("https://host/a?width=5&height=6", "https://host/a?width=5&height=6"),
            (f"https://host/a?Token={SECRET}&height=6", "https://host/a?Token=***&height=6"),
            (f"https://host/a?x=1;access_token={SECRET}", "https://host/a?x=1;access_token=***"),
            (f"https://host/a?sig=a/b=={SECRET}", "https://host/a?sig=***"),
            (f"https://host/a?%74oken={SECRET}", "https://host/a?%74oken=***"),
            (f"https://host/a#api_key={SECRET}", "https://host/a#api_key=***"),
            (f"srt://host:9?passphrase={SECRET}&mode=caller", "srt://host:9?passphrase=***&mode=caller"),
            (f"srt://host:9?streamid=#!::u=a,s={SECRET}", "srt://host:9?streamid=***"),
            (f"rtsp://host/user=admin_password={SECRET}_channel=1.sdp", "rtsp://host/user=***"),
            (f"rtmp://host:9/app/{SECRET}?a=1", "rtmp://host:9/app/***?a=1"),
            (f"RTMPS://host/app/{SECRET}/{SECRET}", "RTMPS://host/app/***"),
            ("lavfi:testsrc2=size=1x1", "lavfi:testsrc2=size=1x1"),
            (f"lavfi:movie=rtsp\\://u:{SECRET}@host/a", "lavfi:movie=rtsp\\://host/a"),
            ("/data/token=7@home.mp4", "/data/token=7@home.mp4"),
        ],
    )  # fmt: skip
    def test_examples(self, text: str, shown: str) -> None:
        assert safe_name(text) == shown
        assert safe_name(parse(text)) == shown

    @given(
        key=st.sampled_from(["password", "token", "key", "passphrase", "secret", "sig", "pwd"]),
        value=st.text(st.characters(exclude_characters="&", codec="utf-8"), max_size=20),
    )
    def test_no_value_of_a_secret_shows(self, key: str, value: str) -> None:
        assert safe_name(f"http://host/a?b=1&{key}={value}{SECRET}&c=2").find(SECRET) == -1

    @given(
        user=st.text(max_size=8),
        password=st.text(max_size=8),
        rest=st.sampled_from(["", "/a", "/a?b=1", ":99/x@y"]),
    )
    def test_no_password_shows(self, user: str, password: str, rest: str) -> None:
        shown = safe_name(f"rtsp://{user}:{password}{SECRET}@host{rest}".replace("\n", ""))

        assert SECRET not in shown


def told(text: str, **settings: object) -> Input:
    return ffmpeg_input(parse(text), SourceSettings(**settings), platform="linux")  # type: ignore[arg-type]


class TestToldFFmpeg:
    def test_device_is_asked_for_its_mode(self) -> None:
        found = told(
            "/dev/video0", size=(1920, 1080), rate=Fraction(30000, 1001), pixel_format="mjpeg"
        )

        assert (found.url, found.format) == ("/dev/video0", "v4l2")
        assert found.options["video_size"] == "1920x1080"
        assert found.options["framerate"] == "30000/1001"
        assert found.options["input_format"] == "mjpeg"

    def test_device_never_blocks_and_keeps_nothing_back(self) -> None:
        options = told("/dev/video0").options
        with av.open("testsrc2=duration=0.1", format="lavfi", container_options=options) as opened:
            flags = av.container.Flags(opened.flags)

        assert av.container.Flags.non_block in flags
        assert av.container.Flags.no_buffer in flags

    @pytest.mark.parametrize(
        ("text", "url", "form"),
        [
            ("video=Card", "video=Card", "dshow"),
            ("avfoundation:0", "0", "avfoundation"),
            ("screen:0+1,2", ":0", "x11grab"),
            ("lavfi:testsrc2", "testsrc2", "lavfi"),
            ("udp://host:1", "udp://host:1", "mpegts"),
            ("tcp://host:1", "tcp://host:1", None),
        ],
    )
    def test_format(self, text: str, url: str, form: str | None) -> None:
        assert (told(text).url, told(text).format) == (url, form)

    def test_settings_choose_the_format(self) -> None:
        found = told("udp://host:1", format="rtp_mpegts")

        assert found.format == "rtp_mpegts"
        assert found.options["format_whitelist"].endswith(",rtp_mpegts")

    def test_screen_may_be_asked_for_a_part(self) -> None:
        assert told("screen:0+1,2,30x40").options["video_size"] == "30x40"
        with pytest.raises(SourceError, match="Linux"):
            ffmpeg_input(parse("screen:"), SourceSettings(), platform="win32")

    @pytest.mark.parametrize("scheme", ["rtsp", "udp", "tcp", "srt", "http", "https", "rtmp"])
    def test_network_cannot_open_files(self, scheme: str) -> None:
        protocols = told(f"{scheme}://host:1/a").options["protocol_whitelist"].split(",")

        assert not {"file", "pipe", "fd", "concat", "subfile", "unix", "data"} & set(protocols)
        assert {"http", "tcp"} & set(protocols) or scheme in ("udp", "srt")

    def test_what_is_encrypted_stays_so(self) -> None:
        assert "http" not in told("https://host/a.m3u8").options["protocol_whitelist"].split(",")

    def test_network_keeps_the_key_picture_that_it_has_probed(self) -> None:
        assert "fflags" not in told("udp://host:1").options

    def test_rtsp_goes_over_tcp(self) -> None:
        assert told("rtsp://host/a").options["rtsp_transport"] == "tcp"
        assert told("rtsp://host/a", rtsp_transport="udp").options["rtsp_transport"] == "udp"

    @pytest.mark.parametrize(
        ("url", "in_parts"),
        [
            ("http://host/live.m3u8?x=1", True),
            ("http://host/live.m3u8", True),
            ("http://host/live.ts", False),
        ],
    )
    def test_play_list_is_read_by_time_and_may_pause(self, url: str, in_parts: bool) -> None:
        found = told(url)

        assert found.by_time == in_parts
        assert (found.read_timeout_s > 10) == in_parts

    def test_settings_choose_the_patience(self) -> None:
        assert told("udp://host:1", read_timeout_s=7.5).read_timeout_s == 7.5


class TestExplain:
    @pytest.mark.parametrize(
        ("form", "number", "said"),
        [
            ("v4l2", errno.EACCES, "group video"),
            ("v4l2", errno.EPERM, "group video"),
            ("v4l2", errno.EBUSY, "in use by another program"),
            ("v4l2", errno.ENOENT, "no such device"),
            ("v4l2", errno.ENODEV, "not a capture device"),
            ("v4l2", errno.ENOTTY, "not a capture device"),
            ("v4l2", errno.EINVAL, "size, rate or pixel format"),
            ("x11grab", errno.EIO, "DISPLAY"),
            (None, errno.EIO, "name of the host"),
            ("mpegts", errno.EIO, "name of the host"),
            ("lavfi", errno.EINVAL, "graph of filters"),
            ("mpegts", errno.EACCES, "Permission denied"),
            (None, errno.ECONNREFUSED, "Connection refused"),
        ],
    )
    def test_says_what_to_do(self, form: str | None, number: int, said: str) -> None:
        text = {errno.EACCES: "Permission denied", errno.ECONNREFUSED: "Connection refused"}
        error = av.FFmpegError(number, text.get(number, "?"), "place")

        assert said in explain(error, Input("place", form, {}, 1.0), 5.0)

    def test_silence(self) -> None:
        error = av.ExitError(1, "Immediate exit requested")

        assert explain(error, Input("udp://a", None, {}, 1.0), 5.0) == "no answer within 5 s"

    def test_address_in_an_error_is_left_out(self) -> None:
        url = f"rtsp://user:{SECRET}@host/a"
        for error in (ValueError(f"{url} is bad"), av.FFmpegError(1, f"bad {url}", url)):
            assert SECRET not in explain(error, Input(url, None, {}, 1.0), 5.0)
