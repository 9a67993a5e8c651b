"""The preview: who may look, what they get, and that nobody who looks holds anything up."""

import base64
import hashlib
import http.client
import json
import logging
import re
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.audio import AudioPacket
from streamer.errors import OutputError
from streamer.frame import Frame
from streamer.live.state import State, StateChange
from streamer.rgb import RgbReader
from streamer.serving import Address, PageServer, Reply, parse_address
from streamer.sinks import Composed, PreviewSink, preview

SECOND_NS = 1_000_000_000
#: Nothing takes so long; what does, hangs.
DEADLINE_S = 120
LOCAL = Address("127.0.0.1", 0)


@dataclass
class Clock:
    """Stands still until it is set."""

    ns: int = 10 * SECOND_NS

    def now_ns(self) -> int:
        return self.ns

    def wait_until(self, due_ns: int, cancelled: threading.Event) -> bool:
        raise AssertionError("nobody waits")


@pytest.fixture
def open_preview() -> Iterator[Callable[..., PreviewSink]]:
    """Makes previews on ports that are free, and closes them."""
    opened: list[PreviewSink] = []

    def make(address: Address = LOCAL, **options: Any) -> PreviewSink:
        opened.append(PreviewSink(address, **options))
        return opened[-1]

    yield make
    for sink in opened:
        sink.close()


@pytest.fixture
def compose(
    make_frame: Callable[..., Frame], make_picture: Callable[..., Any]
) -> Callable[..., Composed]:
    """A frame of one brightness, which its index says."""

    def make(index: int = 0, *, size: tuple[int, int] = (64, 48), **changes: Any) -> Composed:
        codes = (40 + 4 * (index % 50), 110, 150)
        picture = make_picture(width=size[0], height=size[1], codes=codes)
        return replace(Composed(make_frame(index, picture=picture), picture, None, []), **changes)

    return make


def eventually(met: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + DEADLINE_S
    while not met():
        assert time.monotonic() < deadline_s, "it never comes to that"
        time.sleep(0.005)


def ask(
    port: int, path: str = "/", method: str = "GET", **headers: str
) -> tuple[http.client.HTTPResponse, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=DEADLINE_S)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, headers=named)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def ask_raw(port: int, text: str) -> bytes:
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as connection:
        connection.sendall(text.replace("\n", "\r\n").encode())
        found = b""
        while part := connection.recv(65536):
            found += part
        return found


class Watcher:
    """A browser that shows the pictures."""

    def __init__(self, sink: PreviewSink) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", sink.port, timeout=DEADLINE_S)
        before = sink._feed.watchers
        self._connection.request("GET", "/picture")
        self.response = self._connection.getresponse()
        if self.response.status == 200:
            assert self.response.readline() == b"--picture\r\n"
            eventually(lambda: sink._feed.watchers > before)

    def next(self) -> NDArray[np.uint8]:
        """The next picture, BGR."""
        lines = []
        while (line := self.response.readline()) != b"\r\n":
            assert line, "the stream has ended"
            lines.append(line.strip().decode())
        headers = dict(line.split(": ") for line in lines)
        assert headers["Content-Type"] == "image/jpeg"
        jpeg = self.response.read(int(headers["Content-Length"]))
        # The boundary is there at once: a browser shows a picture when it comes.
        assert self.response.readline() == b"\r\n"
        assert self.response.readline() == b"--picture\r\n"
        found = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
        assert found is not None
        return np.asarray(found, np.uint8)

    def close(self) -> None:
        self.response.close()
        self._connection.close()


class TestPage:
    def test_needs_nothing_from_elsewhere(self, open_preview: Callable[..., PreviewSink]) -> None:
        response, body = ask(open_preview().port)
        page = body.decode()

        assert response.status == 200
        assert response.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "Research use only. Not a medical device." in page
        assert "://" not in page
        assert not re.search(r"\b(src|href)\s*=", page)
        assert "@import" not in page
        assert "url(" not in page

    def test_fits_screens_of_both_kinds(self, open_preview: Callable[..., PreviewSink]) -> None:
        page = ask(open_preview().port)[1].decode()

        assert '<meta name="viewport" content="width=device-width' in page
        assert "prefers-color-scheme: dark" in page
        assert '<html lang="en">' in page

    def test_only_its_own_script_and_style_may_run(
        self, open_preview: Callable[..., PreviewSink]
    ) -> None:
        response, body = ask(open_preview().port)
        policy = response.headers["Content-Security-Policy"]
        rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
        for tag, rule in ((b"script", "script-src"), (b"style", "style-src")):
            content = body.split(b"<%b>" % tag)[1].split(b"</%b>" % tag)[0]
            digest = base64.b64encode(hashlib.sha256(content).digest()).decode()
            assert rules[rule] == f"'sha256-{digest}'"
        assert rules["default-src"] == rules["frame-ancestors"] == "'none'"
        assert rules["connect-src"] == "'self'"
        assert not re.search(rb"\s(style|on\w+)=", body)

    @pytest.mark.parametrize("path", ["/", "/figures", "/nothing"])
    def test_every_answer_is_guarded(
        self, path: str, open_preview: Callable[..., PreviewSink]
    ) -> None:
        headers = ask(open_preview().port, path)[0].headers

        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cache-Control"] == "no-store"
        assert "default-src 'none'" in headers["Content-Security-Policy"]
        assert headers["Server"] == "pranet-stream"
        assert "Access-Control-Allow-Origin" not in headers


class TestRequests:
    @pytest.mark.parametrize("path", ["/", "/figures", "/picture"])
    def test_head(self, path: str, open_preview: Callable[..., PreviewSink]) -> None:
        sink = open_preview()
        response, body = ask(sink.port, path, "HEAD")

        assert (response.status, body) == (200, b"")
        assert sink._feed.watchers == 0

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "X"])
    def test_nothing_else(self, method: str, open_preview: Callable[..., PreviewSink]) -> None:
        response, _ = ask(open_preview().port, "/", method)

        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD"

    @pytest.mark.parametrize("path", ["/x", "/../etc/passwd", "/preview.html", "/figures/"])
    def test_unknown_path(self, path: str, open_preview: Callable[..., PreviewSink]) -> None:
        assert ask(open_preview().port, path)[0].status == 404

    def test_query_does_not_matter(self, open_preview: Callable[..., PreviewSink]) -> None:
        assert ask(open_preview().port, "/figures?1234")[0].status == 200

    @pytest.mark.parametrize(
        ("host", "status"),
        [
            *((name, 200) for name in ("127.0.0.1", "localhost", "LOCALHOST:9", "[::1]:80")),
            *((name, 403) for name in ("evil.example", "127.0.0.1.evil.example", "10.1.2.3")),
            *(
                (name, 403)
                for name in ("", "localhost.evil.example:80", "[::1", "a@b", "2130706433")
            ),
        ],
    )
    @pytest.mark.parametrize("path", ["/", "/picture"])
    def test_names_that_others_point_here_are_refused(
        self, path: str, host: str, status: int, open_preview: Callable[..., PreviewSink]
    ) -> None:
        """So that no web page can look at the picture by way of its own name."""
        assert ask(open_preview().port, path, "HEAD", Host=host)[0].status == status

    @pytest.mark.parametrize(
        "text",
        [
            "GET / HTTP/1.0\n\n",
            "GET / HTTP/1.1\nHost: localhost\nHost: localhost\n\n",
            "GET / HTTP/1.1\nHost: localhost\nHost: evil.example\n\n",
        ],
    )
    def test_one_host_is_needed(self, text: str, open_preview: Callable[..., PreviewSink]) -> None:
        assert b" 403 " in ask_raw(open_preview().port, text).splitlines()[0]

    @pytest.mark.parametrize(
        "text", ["GET /\n\n", "\n\n", "GET\n\n", "GET / HTTP/9.9\n\n", "\x16\x03\x01 \x00\n\n"]
    )
    def test_rubbish(
        self,
        text: str,
        open_preview: Callable[..., PreviewSink],
        caplog: pytest.LogCaptureFixture,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        sink = open_preview()
        found = ask_raw(sink.port, text)

        assert b"200" not in found[:15]
        assert b"<html" not in found
        assert ask(sink.port)[0].status == 200
        assert (caplog.text, capsys.readouterr().err) == ("", "")

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    @pytest.mark.parametrize("path", ["/picture", "/figures"])
    def test_other_pages_may_not_embed_it(
        self, path: str, site: str, open_preview: Callable[..., PreviewSink]
    ) -> None:
        port = open_preview().port
        for kind in ("image", "empty", "iframe"):
            headers = {"Sec_Fetch_Site": site, "Sec_Fetch_Dest": kind}
            assert ask(port, path, "HEAD", **headers)[0].status == 403
        own = {"Sec_Fetch_Site": "same-origin", "Sec_Fetch_Dest": "empty"}
        assert ask(port, path, "HEAD", **own)[0].status == 200

    def test_links_may_lead_to_it(self, open_preview: Callable[..., PreviewSink]) -> None:
        headers = {"Sec_Fetch_Site": "cross-site", "Sec_Fetch_Dest": "document"}

        assert ask(open_preview().port, "/", **headers)[0].status == 200

    def test_so_many_clients_and_no_more(self, open_preview: Callable[..., PreviewSink]) -> None:
        sink = open_preview(max_watchers=1)
        idle = [socket.create_connection(("127.0.0.1", sink.port)) for _ in range(4)]
        eventually(lambda: len(sink._server._server._clients) == 4)
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            ask(sink.port)
        for connection in idle:
            connection.close()
        eventually(lambda: not sink._server._server._clients)

        assert ask(sink.port)[0].status == 200


class TestPicture:
    def test_every_picture_at_once_in_its_colours(
        self, open_preview: Callable[..., PreviewSink], compose: Callable[..., Composed]
    ) -> None:
        sink = open_preview(quality=100)
        watcher = Watcher(sink)
        for index in range(20):
            composed = compose(index)
            sink.write(composed)
            found = watcher.next()
            rgb = RgbReader().read(composed.picture, composed.frame.color, 64, 48)

            assert found.shape == (48, 64, 3)
            assert np.abs(found[..., ::-1].astype(int) - rgb).max() <= 4
        watcher.close()

    def test_markers_are_shown(
        self,
        open_preview: Callable[..., PreviewSink],
        compose: Callable[..., Composed],
        make_picture: Callable[..., Any],
    ) -> None:
        sink = open_preview()
        watcher = Watcher(sink)
        sink.write(compose(0, picture=make_picture(codes=(235, 128, 128))))

        assert watcher.next().min() > 250
        watcher.close()

    def test_is_encoded_only_while_somebody_watches_and_once_for_all(
        self,
        open_preview: Callable[..., PreviewSink],
        compose: Callable[..., Composed],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        encoded: list[str] = []
        encode = cv2.imencode

        def counted(suffix: str, *arguments: Any) -> Any:
            encoded.append(suffix)
            return encode(suffix, *arguments)

        monkeypatch.setattr(preview.cv2, "imencode", counted)
        sink = open_preview()
        for index in range(5):
            sink.write(compose(index))
        ask(sink.port)
        ask(sink.port, "/figures")
        assert encoded == []
        watchers = [Watcher(sink) for _ in range(3)]
        sink.write(compose(9))
        for watcher in watchers:
            watcher.next()
        assert encoded == [".jpg"]
        for watcher in watchers:
            watcher.close()

    def test_who_comes_later_is_not_shown_an_old_picture(
        self, open_preview: Callable[..., PreviewSink], compose: Callable[..., Composed]
    ) -> None:
        sink = open_preview(quality=100)
        first = Watcher(sink)
        sink.write(compose(0))
        first.next()
        second = Watcher(sink)
        sink.write(compose(40))

        assert second.next().mean() == pytest.approx(first.next().mean())
        first.close()
        second.close()

    def test_slow_client_holds_up_nobody_and_gets_the_newest(
        self, open_preview: Callable[..., PreviewSink], compose: Callable[..., Composed]
    ) -> None:
        sink = open_preview(quality=100)
        slow, fast = Watcher(sink), Watcher(sink)
        frames = [compose(index, size=(640, 480)) for index in (0, 49)]
        rng = np.random.default_rng(0)
        for composed in frames:
            # Noise makes large files: a few of them fill all buffers on the way.
            luma = np.frombuffer(memoryview(composed.picture.planes[0]), np.uint8)
            luma[:] = rng.integers(0, 120, luma.size) + 100 * (composed is frames[1])
        for _ in range(60):
            sink.write(frames[0])
            assert fast.next().mean() < 150
        sink.write(frames[1])
        assert fast.next().mean() > 150
        count = 1
        while slow.next().mean() < 150:
            count += 1

        # It has skipped most of them.
        assert count < 40
        fast.close()
        slow.close()

    def test_so_many_watchers_and_no_more(
        self, open_preview: Callable[..., PreviewSink], compose: Callable[..., Composed]
    ) -> None:
        sink = open_preview(max_watchers=2)
        watchers = [Watcher(sink) for _ in range(2)]
        assert ask(sink.port, "/picture")[0].status == 503
        assert ask(sink.port)[0].status == 200
        watchers[0].close()

        def left() -> bool:
            sink.write(compose(0))
            return sink._feed.watchers == 1

        eventually(left)
        watchers[0] = Watcher(sink)
        assert watchers[0].response.status == 200
        for watcher in watchers:
            watcher.close()

    def test_client_that_goes_while_no_picture_comes_is_found(
        self,
        open_preview: Callable[..., PreviewSink],
        compose: Callable[..., Composed],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(preview, "REPEAT_S", 0.01)
        sink = open_preview()
        watcher = Watcher(sink)
        sink.write(compose(7))
        again = [watcher.next() for _ in range(3)]
        assert all((picture == again[0]).all() for picture in again)
        watcher.close()

        eventually(lambda: sink._feed.watchers == 0)


class TestFigures:
    def figures(self, sink: PreviewSink) -> dict[str, Any]:
        response, body = ask(sink.port, "/figures")
        assert response.headers["Content-Type"] == "application/json"
        found: dict[str, Any] = json.loads(body)
        return found

    def test_before_the_first_picture(self, open_preview: Callable[..., PreviewSink]) -> None:
        assert self.figures(open_preview(clock=Clock())) == {
            "state": "WARMING",
            "frames": 0,
            "fps": 0.0,
            "delay_ms": None,
            "mask_age_ms": None,
            "objects": 0,
            "silent_ms": None,
        }

    def test_rate_delay_and_state(
        self, open_preview: Callable[..., PreviewSink], compose: Callable[..., Composed]
    ) -> None:
        clock = Clock()
        sink = open_preview(clock=clock)
        for index in range(100):
            clock.ns += 40_000_000
            composed = compose(index, state="DEGRADED", mask_age_ms=66.66)
            delay_ns = 9_000_000 if index % 3 else 500_000_000
            frame = replace(composed.frame, captured_ns=clock.ns - delay_ns)
            sink.write(replace(composed, frame=frame))
        clock.ns += 30_000_000

        assert self.figures(sink) == {
            "state": "DEGRADED",
            "frames": 100,
            "fps": 25.0,
            "delay_ms": 9.0,
            "mask_age_ms": 66.7,
            "objects": 0,
            "silent_ms": 30,
        }

    def test_when_no_picture_comes_any_more(
        self, open_preview: Callable[..., PreviewSink], compose: Callable[..., Composed]
    ) -> None:
        clock = Clock()
        sink = open_preview(clock=clock)
        sink.write(compose(0, mask_age_ms=None))
        clock.ns += 75 * SECOND_NS
        found = self.figures(sink)

        assert (found["fps"], found["delay_ms"], found["mask_age_ms"]) == (0.0, None, None)
        assert found["silent_ms"] == 75_000

    def test_state_without_a_picture(
        self, open_preview: Callable[..., PreviewSink], compose: Callable[..., Composed]
    ) -> None:
        sink = open_preview()
        sink.write(compose(0, state="RUNNING"))
        sink.write_state(StateChange(State.RECONNECTING, 0, "source: unplugged"))
        assert self.figures(sink)["state"] == "RECONNECTING"
        # What was on its way does not change that.
        sink.write(compose(1, state="RUNNING"))
        assert self.figures(sink)["state"] == "RECONNECTING"


class TestListening:
    def test_on_this_machine_without_a_word(
        self, open_preview: Callable[..., PreviewSink], caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO):
            sink = open_preview(Address("localhost", 0))

        assert caplog.text == ""
        assert sink._server._server.server_address[0] == "127.0.0.1"
        assert sink.url == f"http://localhost:{sink.port}/"

    def test_for_others_with_a_warning(
        self, open_preview: Callable[..., PreviewSink], caplog: pytest.LogCaptureFixture
    ) -> None:
        sink = open_preview(Address("0.0.0.0", 0))
        (line,) = caplog.records

        assert line.levelno == logging.WARNING
        assert "may show patient data" in line.getMessage()
        for host, status in (
            *(("10.1.2.3", 200), (socket.gethostname(), 200), ("localhost", 200)),
            *(("evil.example", 403), ("0.0.0.0.evil.example", 403)),
        ):
            assert ask(sink.port, Host=host)[0].status == status

    def test_port_that_is_taken(self, open_preview: Callable[..., PreviewSink]) -> None:
        sink = open_preview()
        with pytest.raises(OutputError, match=f"preview: cannot listen on 127.0.0.1:{sink.port}"):
            open_preview(Address("127.0.0.1", sink.port))

    @pytest.mark.parametrize("host", ["host.invalid", "1.2.3.4.5", "a" * 70, "192.0.2.1"])
    def test_address_that_is_not_ours(
        self, host: str, open_preview: Callable[..., PreviewSink], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if host == "host.invalid":
            # Without asking a name server.
            def unknown(*_: Any, **__: Any) -> Any:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

            monkeypatch.setattr(socket, "getaddrinfo", unknown)
        with pytest.raises(OutputError, match=f"preview: cannot listen on {host}:8000"):
            open_preview(Address(host, 8000))

    def test_end_cuts_off_whoever_watches(
        self, open_preview: Callable[..., PreviewSink], compose: Callable[..., Composed]
    ) -> None:
        sink = open_preview()
        watcher = Watcher(sink)
        sink.close()
        sink.close()

        assert watcher.response.read() == b""
        with pytest.raises(ConnectionError):
            ask(sink.port)
        sink.write(compose(0))
        watcher.close()

    def test_end_does_not_wait_for_a_client_that_takes_nothing(
        self, open_preview: Callable[..., PreviewSink], compose: Callable[..., Composed]
    ) -> None:
        sink = open_preview(quality=100)
        Watcher(sink)
        rng = np.random.default_rng(0)
        for index in range(20):
            composed = compose(index, size=(640, 480))
            luma = np.frombuffer(memoryview(composed.picture.planes[0]), np.uint8)
            luma[:] = rng.integers(0, 256, luma.size)
            sink.write(composed)
        sink.close()

        eventually(lambda: not sink._server._server._clients)

    def test_sound_is_nothing_to_it(self, open_preview: Callable[..., PreviewSink]) -> None:
        packet: AudioPacket = None  # type: ignore[assignment]
        open_preview().write_audio(packet)

    def test_fault_of_ours_is_logged_and_ends_one_request(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        def answer(path: str) -> Reply | None:
            if path == "/":
                return Reply("text/plain", b"fine")
            raise ValueError("broken")

        server = PageServer("test", LOCAL, answer, shows="nothing")
        try:
            with pytest.raises((http.client.HTTPException, ConnectionError)):
                ask(server.port, "/x")
            assert ask(server.port)[1] == b"fine"
        finally:
            server.close()
        assert "broken" in caplog.text


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("8000", ("127.0.0.1", 8000)),
            (":8000", ("127.0.0.1", 8000)),
            (" localhost:0 ", ("localhost", 0)),
            ("0.0.0.0:65535", ("0.0.0.0", 65535)),
            ("[::1]:80", ("::1", 80)),
            ("[]:80", ("127.0.0.1", 80)),
            ("theatre-3.example:8080", ("theatre-3.example", 8080)),
        ],
    )
    def test_read(self, text: str, expected: tuple[str, int]) -> None:
        assert parse_address(text) == expected

    @pytest.mark.parametrize(
        "text", ["", "host", "host:", "host:http", ":65536", ":-1", "host:1e3", ":٣", ": 80"]
    )
    def test_refused(self, text: str) -> None:
        with pytest.raises(OutputError, match="HOST:PORT is needed"):
            parse_address(text)

    def test_version_6_needs_brackets(self) -> None:
        with pytest.raises(OutputError, match="in brackets"):
            parse_address("::1:8000")


#: A browser as far as the page's script sees one: says what is on the page when it changes.
BROWSER = """
const [address, script] = process.argv.slice(1);
const elements = {};
const element = (id) => elements[id] ??= {
  textContent: "", className: "", listeners: {},
  classList: { toggle(name, on) { elements[id].stale = on; } },
  addEventListener() {}, getContext: () => ({ drawImage(p) { elements.drawn = p; } }),
};
globalThis.document = { getElementById: element };
const real = fetch;
globalThis.fetch = (path, options) => real(new URL(path, address), options);
globalThis.createImageBitmap = async (blob) => {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (bytes[0] !== 0xff || bytes.at(-1) !== 0xd9) throw new Error("not a JPEG");
  return { width: bytes.length, height: 1, close() {} };
};
let before = "";
setInterval(() => {
  const text = ["state", "fps", "delay", "age", "notice"].map((id) => element(id).textContent);
  const now = JSON.stringify([...text, !!element("stage").stale, !!elements.drawn]);
  if (now !== before) console.log(before = now);
}, 20);
(0, eval)(script);
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not on the PATH")
def test_script_of_the_page(compose: Callable[..., Composed], tmp_path: Path) -> None:
    """In a stand-in for a browser: what the page shows while pictures come, stop, and all ends."""
    sink = PreviewSink(LOCAL)
    page = ask(sink.port)[1].decode()
    script = page.split("<script>")[1].split("</script>")[0]
    done = threading.Event()

    def write() -> None:
        index = 0
        while not done.wait(0.02):
            index += 1
            composed = compose(index, state="NO_SIGNAL", mask_age_ms=None)
            now_ns = time.monotonic_ns()
            sink.write(replace(composed, frame=replace(composed.frame, captured_ns=now_ns)))

    writer = threading.Thread(target=write)
    process = subprocess.Popen(
        ["node", "-e", BROWSER, sink.url, script], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    lines = (json.loads(line) for line in process.stdout)
    try:
        assert any(line[4] == "Waiting for the picture" for line in lines)
        writer.start()
        state, fps, delay, age = next(
            line[:4] for line in lines if line[6] and not line[5] and line[4] == ""
        )
        assert state == "NO SIGNAL"
        assert fps.endswith(" fps")
        assert delay.endswith(" ms")
        assert age == "–"
        done.set()
        assert any(line[4].startswith("No picture for ") and line[5] for line in lines)
        sink.close()
        assert any(line[0] == "NO CONNECTION" and line[5] for line in lines)
    finally:
        done.set()
        process.kill()
        process.wait()
        process.stdout.close()
        sink.close()
        writer.join(DEADLINE_S)
