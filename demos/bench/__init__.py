"""`pranet-bench`: how fast the engine is, how late, and at what cost."""

from demos.bench.command import main

__all__ = ["main"]
