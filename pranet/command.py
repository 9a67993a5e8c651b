"""How a module that is run by itself ends: one line that says what is wrong, never a traceback."""

import sys
from collections.abc import Callable

import typer

from pranet.errors import PranetError


def run_module(name: str, function: Callable[..., None]) -> None:
    """Run a function as a command line; what a user can mend ends with exit code 2.

    Args:
        name: of the module, for the line.
    """
    try:
        typer.run(function)
    except PranetError as error:
        print(f"{name}: {error}", file=sys.stderr)
        raise SystemExit(2) from error
