"""The command itself: options in, the right mode, exit codes out."""

import inspect
import sys
from typing import Any

import cv2
import typer

from pranet.errors import PranetError
from streamer.cli import file_mode, live_mode
from streamer.cli.console import answers, console
from streamer.cli.doctor import examine
from streamer.cli.logs import log_to_file, log_to_terminal, stop_logging_to
from streamer.cli.options import SETTINGS_PATH, Options, defaults_of
from streamer.cli.signals import EXIT_INTERRUPTED, ending_on_signals
from streamer.errors import StreamError
from streamer.settings import Settings, load_settings
from streamer.sources import is_live, resolve_source
from streamer.sources.devices import list_devices

EXIT_BAD_INPUT = 2

#: What Typer raises where the options are wrong: click's error, or that of its own copy of click.
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


def stream(**values: Any) -> None:
    """Find polyps in colonoscopy video and draw their boundaries on the picture.

    Research use only: this is not a medical device.
    """
    options = Options(**values)
    with ending_on_signals():
        if options.doctor:
            for finding in examine():
                answers.print(str(finding))
            return
        settings = load_settings(options.settings)
        defaults_of(settings)
        if options.list_sources:
            _list_sources(settings)
            return
        interrupted = _run(options, settings)
    if interrupted:
        raise SystemExit(EXIT_INTERRUPTED)


def _run(options: Options, settings: Settings) -> bool:
    if options.source is None:
        raise StreamError("name a --source; --list-sources shows what there is")
    live = is_live(options.source, settings)
    if live and options.mode == "file":
        name = resolve_source(options.source, settings).name
        raise StreamError(f"{name}: has no end; leave out --mode file")
    handler = log_to_file(options.log) if options.log else None
    try:
        if live or options.mode == "live":
            return live_mode.run(options, options.source, settings)
        return file_mode.run(options, options.source, settings)
    finally:
        if handler is not None:
            stop_logging_to(handler)


def _list_sources(settings: Settings) -> None:
    answers.print("devices")
    devices = list_devices()
    for device in devices:
        answers.print(f"  {device}")
        for mode in device.modes:
            answers.print(f"    {mode}")
    if not devices and sys.platform == "linux":
        answers.print("  none")
    elif sys.platform != "linux":
        answers.print("  are listed on Linux only; named like video=NAME or avfoundation:NUMBER")
    answers.print(f"names in {settings.path or 'the settings (there is no file yet)'}")
    for name in settings.sources:
        try:
            answers.print(f"  {resolve_source(name, settings).name}")
        except StreamError as error:
            answers.print(f"  {name}: {error}")
    answers.print("always there\n  synthetic\n  mock\n  screen:\n  lavfi:testsrc2=size=1280x720")


def _app() -> typer.Typer:
    # Typer reads the options off the signature, which is that of the dataclass.
    signature = inspect.signature(Options)
    stream.__signature__ = signature  # type: ignore[attr-defined]
    stream.__annotations__ = {
        name: parameter.annotation for name, parameter in signature.parameters.items()
    }
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(stream)
    return app


def main() -> None:
    """Entry point of the console script."""
    log_to_terminal()
    # The stages run side by side already; threads inside OpenCV would only fight them.
    cv2.setNumThreads(1)
    try:
        sys.exit(_app()(standalone_mode=False))
    except _UsageError as error:
        _end(_explain(error))
    except PranetError as error:
        _end(str(error))


def _end(problem: str) -> None:
    console.print(f"pranet-stream: {problem}")
    sys.exit(EXIT_BAD_INPUT)


def _explain(error: Any) -> str:
    """One line for an option that is wrong; says so if it is from the settings file."""
    context, option = error.ctx, getattr(error, "param", None)
    if context is not None and option is not None:
        source = context.get_parameter_source(option.name)
        if source is not None and source.name == "DEFAULT_MAP":
            path = context.meta[SETTINGS_PATH]
            return f"{path}: stream.{option.name.replace('_', '-')}: {error.message}"
    return f"{error.format_message().rstrip('.')}; --help shows the options"
