"""The page, its own routes and the guard, put together and served."""

import contextlib
import os
import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING

from demos.app.guard import App, Guard
from demos.app.live_tab import LiveTab
from demos.app.routes import Routes
from demos.app.services import Services
from streamer.errors import OutputError
from streamer.serving import LOOPBACK

if TYPE_CHECKING:
    import uvicorn

#: Requests at once; further ones are turned away.
MAX_REQUESTS = 256


def build_app(services: Services, live_tab: LiveTab, *, local: bool) -> App:
    """All of it as one ASGI application.

    Args:
        local: only this machine is to reach it.
    """
    # Before Gradio is loaded: it must neither report its use nor look for news.
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["GRADIO_TEMP_DIR"] = str(services.scratch)
    import gradio as gr
    from fastapi import FastAPI

    from demos.app.page import build_page, make_theme, read_static

    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.router.routes.extend(Routes(services).table())
    gr.mount_gradio_app(
        app,
        build_page(services, live_tab),
        path="/",
        theme=make_theme(),
        css=read_static("app.css"),
        ssr_mode=False,
        footer_links=[],
        run_history=False,
    )
    return Guard(app, local=local)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there.

    Raises:
        OutputError: that cannot be done.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except (OSError, UnicodeError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise OutputError(
            f"cannot listen on {host}:{port} ({reason}); name another --port"
        ) from None


def is_local(listening: socket.socket) -> bool:
    """Whether only this machine reaches it."""
    with contextlib.suppress(ValueError):
        return ip_address(listening.getsockname()[0]).is_loopback
    return False


def address_of(listening: socket.socket, host: str) -> str:
    """Where to point a browser."""
    port = listening.getsockname()[1]
    shown = LOOPBACK if host in ("localhost", "") else host
    return f"http://[{shown}]:{port}/" if ":" in shown else f"http://{shown}:{port}/"


def make_server(app: App) -> "uvicorn.Server":
    """What serves the application."""
    import uvicorn

    return uvicorn.Server(
        uvicorn.Config(
            app,
            log_level="warning",
            access_log=False,
            limit_concurrency=MAX_REQUESTS,
            # Pages that are open hold connections that never end by themselves.
            timeout_graceful_shutdown=1,
            server_header=False,
            date_header=False,
        )
    )
