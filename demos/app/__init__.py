"""`pranet-demo`: the engine in a browser."""

from demos.app.command import main

__all__ = ["main"]
