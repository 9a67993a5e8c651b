"""What every request has to pass, and what every reply says."""

import asyncio
import json
from typing import Any

import pytest

from demos.app.guard import MAX_BODY_BYTES, Guard, Message, Receive, Scope, Send, is_this_machine

HERE = {"host": "127.0.0.1:7860"}


class Answer:
    """How a request was answered; `body` is what got through to the page."""

    def __init__(
        self,
        *,
        method: str = "GET",
        path: str = "/",
        headers: dict[str, str] | None = None,
        parts: tuple[bytes, ...] = (b"",),
        local: bool = True,
        kind: str = "http",
    ) -> None:
        self.body: bytes | None = None
        self.sent: list[Message] = []
        given = HERE if headers is None else headers
        scope = {
            "type": kind,
            "method": method,
            "path": path,
            "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        }
        left = list(parts)

        async def receive() -> Message:
            part = left.pop(0)
            return {"type": "http.request", "body": part, "more_body": bool(left)}

        async def send(message: Message) -> None:
            self.sent.append(message)

        asyncio.run(Guard(self._page, local=local)(scope, receive, send))

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.body = b""
        while True:
            message = await receive()
            self.body += message["body"]
            if not message["more_body"]:
                break
        own = [(b"x-frame-options", b"SAMEORIGIN"), (b"content-type", b"text/html")]
        await send({"type": "http.response.start", "status": 200, "headers": own})

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name, value in self.sent[0]["headers"]:
            found.setdefault(name.decode(), []).append(value.decode())
        return found


def test_a_reply_lets_nothing_from_elsewhere_in() -> None:
    headers = Answer().headers

    (policy,) = headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy
    assert headers["x-frame-options"] == ["DENY"]
    assert headers["content-type"] == ["text/html"]


@pytest.mark.parametrize(
    ("host", "known"),
    [
        ("127.0.0.1", True),
        ("127.0.0.1:7860", True),
        ("localhost:7860", True),
        ("[::1]:7860", True),
        ("attacker.example", False),
        ("127.0.0.1.attacker.example", False),
        ("10.0.0.1", False),
        ("", False),
        ("[", False),
    ],
)
def test_names_of_this_machine(host: str, known: bool) -> None:
    assert is_this_machine(host) is known
    assert (Answer(headers={"host": host}).status == 200) is known


def test_a_page_that_is_open_to_others_has_any_name() -> None:
    assert Answer(headers={"host": "demo.example"}, local=False).status == 200


@pytest.mark.parametrize(
    ("site", "target", "status"),
    [
        ("none", "document", 200),
        ("same-origin", "empty", 200),
        ("cross-site", "document", 200),
        ("cross-site", "empty", 403),
        ("cross-site", "iframe", 403),
        ("same-site", "image", 403),
    ],
)
def test_other_pages_get_nothing(site: str, target: str, status: int) -> None:
    told = HERE | {"sec-fetch-site": site, "sec-fetch-dest": target}

    assert Answer(headers=told).status == status


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/gradio_api/upload"),
        ("POST", "/gradio_api/run/predict"),
        ("POST", "/gradio_api/stream/x"),
        ("POST", "/login"),
        ("POST", "/"),
        ("PUT", "/demo/upload/video"),
        ("GET", "/gradio_api/file=/etc/passwd"),
        ("GET", "/gradio_api/proxy=http://attacker.example"),
        ("GET", "/monitoring"),
        ("GET", "/etc/passwd"),
        ("GET", "/configuration"),
    ],
)
def test_ways_of_gradio_that_the_page_does_not_use_are_closed(method: str, path: str) -> None:
    answer = Answer(method=method, path=path)

    assert answer.status == 403
    assert answer.body is None


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("HEAD", "/"),
        ("GET", "/assets/index.js"),
        ("GET", "/gradio_api/queue/data"),
        ("POST", "/demo/upload/video"),
    ],
)
def test_what_the_page_asks_for_is_open(method: str, path: str) -> None:
    assert Answer(method=method, path=path).status == 200


class TestData:
    def send(self, body: Any, *parts: bytes) -> Answer:
        first = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Answer(method="POST", path="/gradio_api/queue/join", parts=(first, *parts))

    def test_settings_get_through_as_they_came(self) -> None:
        answer = self.send(b'{"data": ["balanced", 0.5], "fn_index": 1,', b' "event_data": null}')

        assert answer.status == 200
        assert answer.body == b'{"data": ["balanced", 0.5], "fn_index": 1, "event_data": null}'

    @pytest.mark.parametrize(
        "data",
        [
            {"data": [{"path": "http://attacker.example/x", "meta": {"_type": "gradio.FileData"}}]},
            {"data": [[{"deep": {"url": "http://attacker.example"}}]]},
            b'{"data": [{"p\\u0061th": "x"}]}',
            b"no JSON",
            b"[" * 100_000,
            b" " * (MAX_BODY_BYTES + 1),
        ],
    )
    def test_files_and_addresses_do_not(self, data: Any) -> None:
        answer = self.send(data)

        assert answer.status == 403
        assert answer.body is None


def test_web_sockets_are_closed() -> None:
    assert Answer(kind="websocket").sent[0]["type"] == "websocket.close"
