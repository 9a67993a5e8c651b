"""`pranet-stream`: a video in, polyp boundaries out."""

from streamer.cli.command import main

__all__ = ["main"]
