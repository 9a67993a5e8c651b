"""A very small HTTP server for pages of our own: read-only, and for this machine unless told.

It answers GET and HEAD and nothing else. A web page from elsewhere that runs in the user's browser
must not get at the picture: names that such a page could have pointed at this machine are refused
(the `Host` header), and so is being embedded (`Sec-Fetch-Site`, `Cross-Origin-Resource-Policy`).
"""

import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from ipaddress import ip_address
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from streamer.errors import OutputError

logger = logging.getLogger(__name__)

LOOPBACK = "127.0.0.1"
#: A client that takes nothing, or says nothing, for so long is given up.
CLIENT_TIMEOUT_S = 10.0
#: What the system may keep for one client: old pictures must not queue up on a slow line.
_SEND_BUFFER_BYTES = 256 * 1024

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Address(NamedTuple):
    """Where to listen.

    Attributes:
        host: name or address.
        port: 0…65535; 0 takes any that is free.
    """

    host: str
    port: int


def parse_address(text: str) -> Address:
    """Read ``PORT``, ``:PORT``, ``HOST:PORT`` or ``[IPV6]:PORT``; no host means this machine only.

    Raises:
        OutputError: it is none of them.
    """
    host, _, port = text.strip().rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif ":" in host:
        raise OutputError(f"{text}: write an IPv6 address in brackets, as in [::1]:8000")
    if not (port.isascii() and port.isdigit() and int(port) <= 65535):
        raise OutputError(f"{text}: HOST:PORT is needed, as in {LOOPBACK}:8000")
    return Address(host or LOOPBACK, int(port))


@dataclass(frozen=True, slots=True)
class Reply:
    """What a client gets.

    Attributes:
        content_type: media type of the body.
        body: all of it, or parts that are sent as they come until they end or the client goes.
        status: of HTTP.
        headers: further ones, or others in the place of the usual ones.
    """

    content_type: str
    body: bytes | Generator[bytes, None, None]
    status: HTTPStatus = HTTPStatus.OK
    headers: Mapping[str, str] = field(default_factory=dict)


#: From the path of a request, without its query, to the reply; None where nothing is.
Answer = Callable[[str], Reply | None]


class PageServer:
    """Listens from the moment that it is made until it is closed, in threads of its own.

    Args:
        name: of what is served, for messages.
        address: where to listen. Other machines reach it only if an address that is not a
            loopback address is named; that is logged as a warning.
        answer: called in a thread per client.
        shows: what others could see, for the warning.
        max_clients: at once; further ones are turned away.

    Raises:
        OutputError: it cannot listen there.
    """

    def __init__(
        self, name: str, address: Address, answer: Answer, *, shows: str, max_clients: int = 16
    ) -> None:
        host = LOOPBACK if address.host == "localhost" else address.host
        try:
            family, _, _, _, where = socket.getaddrinfo(
                host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            local = ip_address(where[0]).is_loopback
            self._server = _Server(family, where, answer, _Hosts(address.host, local), max_clients)
        except (OSError, UnicodeError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise OutputError(
                f"{name}: cannot listen on {address.host}:{address.port} ({reason})"
            ) from error
        if not local:
            logger.warning(
                "%s: open to other machines on %s; whoever reaches it sees %s",
                name,
                address.host,
                shows,
            )
        shown = f"[{address.host}]" if ":" in address.host else address.host
        self.port: int = self._server.server_address[1]
        self.url = f"http://{shown}:{self.port}/"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.1,), name=name, daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop listening and cut off whoever is connected; may be called twice."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        self._server.cut_off()


class _Hosts:
    """The names that a browser of somebody who is meant to look uses for this machine.

    A page from elsewhere can point a name of its own at this machine, but it cannot change that
    the browser then says that name. So any address is fine, and of names only those known here.
    """

    def __init__(self, named: str, local: bool) -> None:
        self._local = local
        self._names = {"localhost", named.lower()}
        if not local:
            machine = socket.gethostname().lower()
            self._names |= {machine, f"{machine}.local"}

    def knows(self, header: str) -> bool:
        """Whether a `Host` header may be answered."""
        try:
            host = urlsplit(f"//{header}").hostname or ""
        except ValueError:
            return False
        if host in self._names:
            return True
        try:
            return ip_address(host).is_loopback or not self._local
        except ValueError:
            return False


class _Server(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """A thread per client, and only so many of them."""

    daemon_threads = True
    # Elsewhere than on Windows, where it would let another program take the port over.
    allow_reuse_address = sys.platform != "win32"

    def __init__(
        self,
        family: int,
        where: tuple[Any, ...],
        answer: Answer,
        hosts: _Hosts,
        max_clients: int,
    ) -> None:
        self.address_family = family
        self.answer, self.hosts = answer, hosts
        self._max_clients = max_clients
        self._lock = threading.Lock()
        self._clients: set[socket.socket] = set()
        super().__init__((where[0], where[1]), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            room = len(self._clients) < self._max_clients
            if room:
                self._clients.add(request)
        if room:
            super().process_request(request, client_address)
        else:
            super().shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._clients.discard(request)
        super().shutdown_request(request)

    def cut_off(self) -> None:
        """Release the threads that still send."""
        with self._lock:
            for client in self._clients:
                with suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients go when they like; anything else is a fault of ours.
        if not isinstance(sys.exception(), OSError):
            logger.exception("a request failed")


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = CLIENT_TIMEOUT_S
    error_content_type = "text/plain; charset=utf-8"
    error_message_format = "%(code)d %(message)s\n"

    def setup(self) -> None:
        self._extra: Mapping[str, str] = {}
        self.request.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER_BYTES)
        super().setup()

    def parse_request(self) -> bool:
        """Also refuses what is not ours to answer."""
        if not super().parse_request():
            return False
        hosts = self.headers.get_all("Host", [])
        status = None
        if self.command not in ("GET", "HEAD"):
            status = HTTPStatus.METHOD_NOT_ALLOWED
            self._extra = {"Allow": "GET, HEAD"}
        elif len(hosts) != 1 or not self.server.hosts.knows(hosts[0]) or self._embedded():
            status = HTTPStatus.FORBIDDEN
        if status is not None:
            self.send_error(status)
        return status is None

    def _embedded(self) -> bool:
        """Whether a page from elsewhere asks for a part of its own; following a link is fine."""
        site = self.headers.get("Sec-Fetch-Site", "none")
        return site in ("cross-site", "same-site") and (
            self.headers.get("Sec-Fetch-Dest") != "document"
        )

    def do_GET(self) -> None:
        reply = self.server.answer(self.path.partition("?")[0])
        if reply is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self._extra = reply.headers
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.content_type)
        if isinstance(reply.body, bytes):
            self.send_header("Content-Length", str(len(reply.body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        if isinstance(reply.body, bytes):
            self.wfile.write(reply.body)
            return
        with closing(reply.body) as parts:
            for part in parts:
                self.wfile.write(part)

    do_HEAD = do_GET  # noqa: N815

    def end_headers(self) -> None:
        for name, value in (_HEADERS | dict(self._extra)).items():
            self.send_header(name, value)
        super().end_headers()

    def version_string(self) -> str:
        """Nobody needs to know more."""
        return "pranet-stream"

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Who looked is nobody's business, and the log would be full of it."""
