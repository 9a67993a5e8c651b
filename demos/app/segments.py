"""A video that is played while it is still being made, and made ready to be kept afterwards.

`VideoSink` writes fragmented MP4: about one second each, complete as soon as it is in the file. A
browser takes these bytes as they come (Media Source Extensions) and shows them at once.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import av

from streamer.sinks.base import reporting_errors

POLL_S = 0.03
CHUNK_BYTES = 1 << 18
#: The header of such a file is far smaller.
_HEAD_BYTES = 1 << 16

#: H.264 configuration record: version 1, then profile, compatibility and level (ISO 14496-15).
_AVC = re.compile(rb"avcC\x01(.)(.)(.)", re.DOTALL)


def media_type(head: bytes) -> str | None:
    """What a browser has to be told of a fragmented MP4 file (RFC 6381), from its first bytes.

    Returns:
        None as long as the header is not complete.
    """
    found = _AVC.search(head)
    # The first fragment follows upon the complete header.
    if found is None or b"moof" not in head[found.end() :]:
        return None
    codecs = ["avc1." + b"".join(found.groups()).hex().upper()]
    if b"mp4a" in head[: head.index(b"moof", found.end())]:
        codecs.append("mp4a.40.2")
    return f'video/mp4; codecs="{",".join(codecs)}"'


async def wait_for_head(path: Path, is_over: Callable[[], bool]) -> str | None:
    """The media type of a file that is being written, once its first fragment is there.

    Args:
        is_over: whether nothing more will be written.

    Returns:
        None if nothing ever came.
    """
    while True:
        over = is_over()
        found = media_type(_read(path, 0, _HEAD_BYTES))
        if found is not None or over:
            return found
        await asyncio.sleep(POLL_S)


async def follow(path: Path, is_over: Callable[[], bool]) -> AsyncIterator[bytes]:
    """The bytes of a file that is being written, as they come, to its end.

    Args:
        is_over: whether nothing more will be written.
    """
    place = 0
    while True:
        # Asked first: what is written between the two is still read.
        over = is_over()
        part = await asyncio.to_thread(_read, path, place, CHUNK_BYTES)
        place += len(part)
        if part:
            yield part
        elif over:
            return
        else:
            await asyncio.sleep(POLL_S)


def _read(path: Path, place: int, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(place)
            return file.read(most)
    except FileNotFoundError:
        return b""


def make_seekable(source: Path, target: Path) -> None:
    """Copy a fragmented MP4 into one with its index in front; nothing is encoded anew.

    Raises:
        OutputError: it cannot be written.
    """
    with (
        reporting_errors(target),
        av.open(f"file:{source}") as fragments,
        av.open(
            f"file:{target}", "w", format="mp4", container_options={"movflags": "+faststart"}
        ) as whole,
    ):
        streams = {
            stream.index: whole.add_stream_from_template(stream)
            for stream in (*fragments.streams.video, *fragments.streams.audio)
        }
        for packet in fragments.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream.index]
                whole.mux_one(packet)
