"""Compiled engines, kept per user."""

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

_DIGEST_BYTES = hashlib.sha256().digest_size


def cache_folder() -> Path:
    """``$PRANET_STREAM_CACHE``, else ``pranet-stream`` in the user's cache folder."""
    chosen = os.environ.get("PRANET_STREAM_CACHE")
    if chosen:
        return Path(chosen)
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        # A user without a home: nothing can be kept, which costs time and nothing else.
        base = Path(os.devnull)
    return base / "pranet-stream"


def keep_compiled() -> None:
    """Have PyTorch's and Triton's compilers keep what they make in the user's cache as well.

    PyTorch's own folder may be emptied when the machine starts, and where Triton's is depends on
    whether PyTorch has compiled something before. Folders that the environment names are left.
    """
    for variable, name in (("TORCHINDUCTOR_CACHE_DIR", "inductor"), ("TRITON_CACHE_DIR", "triton")):
        os.environ.setdefault(variable, str(cache_folder() / name))


def cache_key(facts: Mapping[str, object]) -> str:
    """One name for everything that a compiled engine depends on."""
    text = "\n".join(f"{name}={facts[name]}" for name in sorted(facts))
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def read(path: Path) -> bytes | None:
    """The cached bytes, or None if there are none or they are damaged."""
    try:
        stored = path.read_bytes()
    except OSError:
        return None
    content = stored[_DIGEST_BYTES:]
    # A damaged engine may well load, and then find other polyps.
    return content if _digest(content) == stored[:_DIGEST_BYTES] else None


def write(path: Path, content: bytes) -> bool:
    """Keep the bytes; false where the folder cannot be written, which costs time, not function."""
    partial = path.with_suffix(f".{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(_digest(content) + content)
        # In one step: another process sees the whole file or none.
        partial.replace(path)
    except OSError:
        with suppress(OSError):
            partial.unlink()
        return False
    return True


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()
