"""What visitors bring: taken in within limits, kept apart under unguessable names, and removed.

Each upload has a folder of its own. Its name is a token of 128 random bits: who knows it may see
the files in it, and nobody else can. Names that visitors give are only ever shown.
"""

import asyncio
import re
import secrets
import shutil
import threading
import unicodedata
from collections.abc import AsyncIterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from time import monotonic

from pranet.errors import PranetError

_TOKEN = re.compile(r"[A-Za-z0-9_-]{22}")
_LONGEST_NAME = 80
#: A client that sends nothing for so long is given up.
SILENT_S = 20.0


class UploadError(PranetError):
    """An upload is not taken; `status` says why to a machine."""

    def __init__(self, reason: str, status: HTTPStatus) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True)
class UploadLimits:
    """What is taken in and kept.

    Attributes:
        max_video_bytes, max_picture_bytes: of one upload.
        max_at_once: uploads that may be on their way.
        max_kept: uploads that are kept, with what was made of them.
        max_upload_s: an upload that takes longer is given up.
        keep_s: what was not asked for any more for so long is removed.
        min_free_bytes: nothing is taken in when less is left on the disk.
    """

    max_video_bytes: int = 500_000_000
    max_picture_bytes: int = 50_000_000
    max_at_once: int = 4
    max_kept: int = 32
    max_upload_s: float = 900.0
    keep_s: float = 1800.0
    min_free_bytes: int = 2_000_000_000


@dataclass
class _Kept:
    owner: str | None
    used_s: float


class Uploads:
    """Folders under one root, each with its owner; from any thread.

    Args:
        root: an empty folder of this object's own.
        limits: see `UploadLimits`.
    """

    def __init__(self, root: Path, limits: UploadLimits) -> None:
        self._root = root
        self._limits = limits
        self._lock = threading.Lock()
        self._kept: dict[str, _Kept] = {}
        self._under_way = 0

    async def receive(
        self, parts: AsyncIterator[bytes], announced: int | None, file: str, max_bytes: int
    ) -> str:
        """Take in one upload.

        Args:
            parts: its bytes.
            announced: how many bytes will come, if the client says so.
            file: what to call it, in its folder.
            max_bytes: more are not taken.

        Returns:
            The token of its folder.

        Raises:
            UploadError: it is too large, empty, too slow, or there is no room for it.
        """
        if announced is not None and announced > max_bytes:
            raise _too_large(max_bytes)
        with self._lock:
            if self._under_way >= self._limits.max_at_once:
                raise UploadError(
                    "Several uploads are under way already. Try again in a minute.",
                    HTTPStatus.SERVICE_UNAVAILABLE,
                )
            self._under_way += 1
        try:
            token = self.make_folder()
            try:
                async with asyncio.timeout(self._limits.max_upload_s):
                    await _write(parts, self._root / token / file, max_bytes)
            except BaseException:
                self.erase(token)
                raise
            return token
        except TimeoutError:
            raise UploadError(
                "The upload took too long and was given up.", HTTPStatus.REQUEST_TIMEOUT
            ) from None
        except OSError as error:
            raise UploadError(
                f"The upload cannot be kept ({error.strerror}).", HTTPStatus.INSUFFICIENT_STORAGE
            ) from error
        finally:
            with self._lock:
                self._under_way -= 1

    def make_folder(self) -> str:
        """A new, empty folder; its token is returned.

        Raises:
            UploadError: there is no room for it.
        """
        with self._lock:
            full = len(self._kept) >= self._limits.max_kept
        if full or shutil.disk_usage(self._root).free < self._limits.min_free_bytes:
            raise UploadError(
                "There is no room for more videos at the moment. Try again later.",
                HTTPStatus.INSUFFICIENT_STORAGE,
            )
        token = secrets.token_urlsafe(16)
        (self._root / token).mkdir(mode=0o700)
        with self._lock:
            self._kept[token] = _Kept(None, monotonic())
        return token

    def claim(self, token: str, owner: str) -> Path:
        """Give an upload to the visitor who brought it.

        Returns:
            Its folder.

        Raises:
            UploadError: there is none, or it is another visitor's.
        """
        with self._lock:
            kept = self._kept.get(token)
            if kept is None or kept.owner not in (None, owner):
                raise UploadError("This upload is no longer here.", HTTPStatus.NOT_FOUND)
            kept.owner, kept.used_s = owner, monotonic()
        return self._root / token

    def find(self, token: str) -> Path | None:
        """The folder of a token, if it is there; looking for it keeps it longer."""
        with self._lock:
            kept = self._kept.get(token)
            if kept is None:
                return None
            kept.used_s = monotonic()
        return self._root / token

    def tokens_of(self, owner: str) -> list[str]:
        """The folders that a visitor has."""
        with self._lock:
            return [token for token, kept in self._kept.items() if kept.owner == owner]

    def retire(self, token: str) -> None:
        """Nobody finds the folder from now on; nothing happens if it is gone."""
        with self._lock:
            self._kept.pop(token, None)

    def erase(self, token: str) -> None:
        """Remove a folder and all that is in it, when nobody writes to it any more."""
        self.retire(token)
        if _TOKEN.fullmatch(token):
            shutil.rmtree(self._root / token, ignore_errors=True)

    def forgotten(self) -> list[str]:
        """The folders that were not asked for any more for too long."""
        now_s = monotonic()
        with self._lock:
            return [
                token
                for token, kept in self._kept.items()
                if now_s - kept.used_s > self._limits.keep_s
            ]


async def _write(parts: AsyncIterator[bytes], path: Path, max_bytes: int) -> None:
    received = 0
    with path.open("xb") as file:
        while True:
            async with asyncio.timeout(SILENT_S):
                part = await anext(parts, None)
            if part is None:
                break
            received += len(part)
            if received > max_bytes:
                raise _too_large(max_bytes)
            await asyncio.to_thread(file.write, part)
    if not received:
        raise UploadError("The file is empty.", HTTPStatus.BAD_REQUEST)


def _too_large(max_bytes: int) -> UploadError:
    return UploadError(
        f"The file is larger than {max_bytes / 1e6:.0f} MB. Cut it to the part that matters.",
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    )


def shown_name(name: str) -> str:
    """A file's name as the visitor gave it, fit to be shown and to name a download."""
    last = name.replace("\\", "/").rpartition("/")[2]
    plain = "".join(
        each for each in unicodedata.normalize("NFC", last) if each.isalnum() or each in " ._-()"
    )
    return plain.strip(" .")[:_LONGEST_NAME] or "video"
