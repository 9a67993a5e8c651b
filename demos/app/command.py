"""The command `pranet-demo`."""

import logging
import signal
import sys
import threading
import webbrowser
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from demos.app.choices import Offer
from demos.app.live_desk import offered_sources
from demos.app.live_tab import LiveTab
from demos.app.server import address_of, build_app, is_local, listen, make_server
from demos.app.services import Limits, Services
from demos.app.uploads import UploadLimits
from demos.app.video_job import VideoLimits
from pranet.checkpoint import DEFAULT_MODEL, read_info
from pranet.errors import PranetError
from streamer.errors import StreamError
from streamer.serving import LOOPBACK
from streamer.settings import load_settings

console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)

EXIT_BAD_INPUT = 2


def demo(
    host: Annotated[str, typer.Option(help="Where to listen; other than loopback: for all.")] = (
        LOOPBACK
    ),
    port: Annotated[int, typer.Option(help="0 takes any that is free.", min=0, max=65535)] = 7860,
    model: Annotated[
        list[str] | None, typer.Option(help="Offered to visitors; may be repeated.")
    ] = None,
    source: Annotated[
        list[str] | None, typer.Option(help="Live source that is offered; may be repeated.")
    ] = None,
    settings: Annotated[Path | None, typer.Option(help="Settings file (TOML).")] = None,
    max_mb: Annotated[int, typer.Option(help="Largest upload.", min=1)] = 500,
    max_minutes: Annotated[float, typer.Option(help="Longest video.", min=0.1)] = 10.0,
    max_waiting: Annotated[int, typer.Option(help="Videos that may wait.", min=1)] = 6,
    browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = False,
) -> None:
    """Find polyps in videos, live pictures and stills, in a browser.

    Research use only: this is not a medical device.
    """
    missing = [name for name in ("gradio", "uvicorn") if find_spec(name) is None]
    if missing:
        raise StreamError(
            f"{' and '.join(missing)} not installed; pip install 'pranet-stream[demo]' adds it"
        )
    offer = Offer(tuple(model or [DEFAULT_MODEL]))
    for name in offer.models:
        read_info(name)
    limits = Limits(
        upload=UploadLimits(max_video_bytes=max_mb * 1_000_000),
        video=VideoLimits(max_s=60 * max_minutes),
        max_waiting=max_waiting,
    )
    loaded = load_settings(settings)
    with closing(listen(host, port)) as listening:
        local = is_local(listening)
        sources = offered_sources(loaded, source or [], local=local)
        if not local:
            console.print(
                f"pranet-demo: open to other machines on {host}; whoever reaches it can use it"
            )
        services = Services(offer, limits)
        with closing(services):
            app = build_app(services, LiveTab(services, sources, settings), local=local)
            url = address_of(listening, host)
            console.print(f"page    {url}   (Ctrl-C ends it)")
            if browser:
                # It answers as soon as the server below does.
                threading.Thread(target=webbrowser.open, args=(url,), daemon=True).start()
            make_server(app).run(sockets=[listening])


def main() -> None:
    """Entry point of the console script."""
    # As Ctrl-C does: all that was started is ended, and all files are removed.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    logging.basicConfig(format="%(levelname)s %(message)s", level=logging.WARNING)
    try:
        typer.run(demo)
    except PranetError as error:
        console.print(f"pranet-demo: {error}")
        sys.exit(EXIT_BAD_INPUT)
    except KeyboardInterrupt:
        console.print("pranet-demo: stopped")
        sys.exit(130)
