"""What every request has to pass, and what every reply says: nothing from or to elsewhere.

Of Gradio's own addresses only those that the page uses are open. Its ways of taking in files are
not among them (`uploads` is stricter), nor is a request that would have it fetch an address.
"""

import json
from collections.abc import Awaitable, Callable, Iterator, MutableMapping
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

#: Gradio's page needs inline scripts and styles; nothing may come from or go to another host.
POLICY = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "media-src 'self' blob: data:",
        "font-src 'self' data:",
        "connect-src 'self' blob: data:",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "base-uri 'self'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

#: Where the page's own addresses begin, see `routes`.
PREFIX = "/demo"
#: What the page asks for; what ends with a slash stands for all below it.
_READ = (
    "/",
    "/assets/",
    "/static/",
    "/config",
    "/favicon.ico",
    "/robots.txt",
    "/theme.css",
    "/gradio_api/heartbeat/",
    "/gradio_api/queue/data",
    f"{PREFIX}/",
)
_SENT = ("/gradio_api/queue/join", "/gradio_api/cancel", "/gradio_api/reset")
OPEN = {"GET": _READ, "HEAD": _READ, "POST": (*_SENT, f"{PREFIX}/")}
#: Settings and numbers are all that Gradio's own requests hold.
MAX_BODY_BYTES = 200_000


class Guard:
    """ASGI middleware.

    Args:
        app: what is guarded.
        local: only this machine is to reach the page, so names of other machines are refused: a
            web page from elsewhere can point its own name at this machine.
    """

    def __init__(self, app: App, *, local: bool) -> None:
        self._app = app
        self._local = local

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        headers = {
            name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]
        }
        refusal = self._refusal(scope, headers)
        if scope["type"] != "http" or refusal:
            await _refuse(scope, send, refusal or "not here")
            return
        if scope["method"] == "POST" and not scope["path"].startswith(f"{PREFIX}/"):
            body = await _read(receive)
            if body is None or _holds_files(body):
                await _refuse(scope, send, "not taken here")
                return
            receive = _again(body, receive)

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                own = [pair for pair in message["headers"] if pair[0].decode() not in HEADERS]
                message["headers"] = own + extra
            await send(message)

        await self._app(scope, receive, send_guarded)

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> str | None:
        if self._local and not is_this_machine(headers.get("host", "")):
            return "this page is for this machine only"
        site = headers.get("sec-fetch-site", "none")
        if site in ("cross-site", "same-site") and headers.get("sec-fetch-dest") != "document":
            return "this page is not for other pages"
        if scope["type"] == "http" and not is_open(scope["method"], scope["path"]):
            return "closed"
        return None


def is_open(method: str, path: str) -> bool:
    """Whether the page asks for this."""
    return any(
        path == each or (each.endswith("/") and each != "/" and path.startswith(each))
        for each in OPEN.get(method, ())
    )


def is_this_machine(host: str) -> bool:
    """Whether a `Host` header names this machine by its loopback address or as localhost."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False


async def _read(receive: Receive) -> bytes | None:
    """The whole body; None if it is too large or breaks off."""
    body: bytes = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return None
        body += message.get("body", b"")
        if len(body) > MAX_BODY_BYTES:
            return None
        if not message.get("more_body", False):
            return body


def _again(body: bytes, receive: Receive) -> Receive:
    """Gives the body once more, then what comes after it."""
    given = False

    async def replay() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replay


def _holds_files(body: bytes) -> bool:
    """Whether a request of Gradio's names a file or an address that Gradio would go and fetch."""
    if not body:
        return False
    try:
        return any("path" in each or "url" in each for each in _tables(json.loads(body)))
    except (ValueError, RecursionError):
        return True


def _tables(value: Any) -> Iterator[dict[str, Any]]:
    if isinstance(value, dict):
        yield value
        for each in value.values():
            yield from _tables(each)
    elif isinstance(value, list):
        for each in value:
            yield from _tables(each)


async def _refuse(scope: Scope, send: Send, reason: str) -> None:
    if scope["type"] != "http":
        await send({"type": "websocket.close", "code": 1008})
        return
    body = reason.encode() + b"\n"
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 403, "headers": headers})
    await send({"type": "http.response.body", "body": body})
