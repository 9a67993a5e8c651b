"""Short streams of video, and what can happen to their bytes on the way; each case has a seed."""

import io
from collections.abc import Callable
from random import Random

import av
import numpy as np

TS_PACKET = 188
#: Kinds of streams: name → format, codec, what FFmpeg is told to read them as, if anything.
KINDS: dict[str, tuple[str, str, str | None]] = {
    "mpegts": ("mpegts", "libx264", "mpegts"),
    "mpegts, not named": ("mpegts", "libx264", None),
    "h264": ("h264", "libx264", "h264"),
    "mjpeg": ("mjpeg", "mjpeg", "mjpeg"),
}
SIZE = (128, 96)
RATE = 25
PICTURES = 60


def stream(kind: str) -> bytes:
    """A short stream with motion in it."""
    container, codec, _ = KINDS[kind]
    buffer = io.BytesIO()
    options = {"preset": "ultrafast", "tune": "zerolatency"} if codec == "libx264" else {}
    rng = np.random.default_rng(0)
    texture = rng.integers(40, 200, (SIZE[1] // 8, SIZE[0] // 8 + PICTURES, 3), np.uint8)
    with av.open(buffer, "w", format=container) as output:
        video = output.add_stream(codec, rate=RATE, options=options)
        assert isinstance(video, av.VideoStream)
        video.width, video.height = SIZE
        video.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        video.gop_size = 10
        for number in range(PICTURES):
            part = texture[:, number : number + SIZE[0] // 8].repeat(8, 0).repeat(8, 1)
            picture = av.VideoFrame.from_ndarray(part)
            picture.pts = number
            output.mux(video.encode(picture))
        output.mux(video.encode(None))
    return buffer.getvalue()


def damage(content: bytes, kind: str, seed: int) -> tuple[bytes, str]:
    """Damage a stream in one to three ways.

    Returns:
        What is left of it, and the names of the ways.
    """
    rng = Random(seed)
    names = rng.sample(sorted(_WAYS), rng.randint(1, 3))
    unit = TS_PACKET if kind.startswith("mpegts") else 512
    for name in names:
        content = _WAYS[name](content, unit, rng)
    return content, "+".join(names)


def _units(content: bytes, size: int) -> list[bytes]:
    return [content[at : at + size] for at in range(0, len(content), size)]


def _flipped(content: bytes, unit: int, rng: Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 10, 100, 1000]) if damaged else 0):
        damaged[rng.randrange(len(damaged))] ^= 1 << rng.randrange(8)
    return bytes(damaged)


def _overwritten(content: bytes, unit: int, rng: Random) -> bytes:
    damaged = bytearray(content)
    for _ in range(rng.choice([1, 3])):
        at = rng.randrange(len(damaged) + 1)
        length = rng.choice([1, 16, unit, 10 * unit])
        damaged[at : at + length] = rng.randbytes(length)
    return bytes(damaged)


def _inserted(content: bytes, unit: int, rng: Random) -> bytes:
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.choice([1, 7, unit, 20 * unit])) + content[at:]


def _cut_short(content: bytes, unit: int, rng: Random) -> bytes:
    return content[: rng.randrange(len(content) + 1)]


def _begun_late(content: bytes, unit: int, rng: Random) -> bytes:
    return content[rng.randrange(len(content) // 2 + 1) :]


def _missing(content: bytes, unit: int, rng: Random) -> bytes:
    share = rng.choice([0.003, 0.03, 0.3])
    return b"".join(part for part in _units(content, unit) if rng.random() > share)


def _repeated(content: bytes, unit: int, rng: Random) -> bytes:
    parts = _units(content, unit)
    for _ in range(rng.choice([1, 10])):
        at, length = rng.randrange(len(parts) + 1), rng.choice([1, 1, 20, 200])
        parts[at:at] = parts[at : at + length]
    return b"".join(parts)


def _swapped(content: bytes, unit: int, rng: Random) -> bytes:
    parts = _units(content, unit)
    for _ in range(rng.choice([1, 10, 100]) if parts else 0):
        here, there = rng.randrange(len(parts)), rng.randrange(len(parts))
        parts[here], parts[there] = parts[there], parts[here]
    return b"".join(parts)


def _zeroed(content: bytes, unit: int, rng: Random) -> bytes:
    at, length = rng.randrange(len(content) + 1), rng.choice([1, 4, unit, 5 * unit])
    return content[:at] + bytes(length) + content[at + length :]


def _headers(content: bytes, unit: int, rng: Random) -> bytes:
    """Bits at the beginning of units, where lengths, identifiers and counters are."""
    damaged = bytearray(content)
    for at in range(0, len(damaged), unit):
        if rng.random() < 0.02:
            place = min(at + rng.randrange(12), len(damaged) - 1)
            damaged[place] ^= 1 << rng.randrange(8)
    return bytes(damaged)


_WAYS: dict[str, Callable[[bytes, int, Random], bytes]] = {
    "bits flipped": _flipped,
    "bytes overwritten": _overwritten,
    "garbage inserted": _inserted,
    "cut short": _cut_short,
    "begun late": _begun_late,
    "packets missing": _missing,
    "packets repeated": _repeated,
    "packets swapped": _swapped,
    "bytes zeroed": _zeroed,
    "headers flipped": _headers,
}
