"""What is taken in, kept apart, and removed."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path

import pytest

from demos.app import uploads as module
from demos.app.uploads import UploadError, UploadLimits, Uploads, shown_name

MAX_BYTES = 100
LIMITS = UploadLimits(max_at_once=1, max_kept=3, min_free_bytes=0)


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., Uploads]:
    def make_one(**changes: float) -> Uploads:
        return Uploads(tmp_path, replace(LIMITS, **changes))

    return make_one


async def parts(*given: bytes) -> AsyncIterator[bytes]:
    for part in given:
        yield part


def receive(
    uploads: Uploads, *given: bytes, announced: int | None = None, file: str = "upload"
) -> str:
    return asyncio.run(uploads.receive(parts(*given), announced, file, MAX_BYTES))


def refused(uploads: Uploads, *given: bytes, announced: int | None = None) -> UploadError:
    with pytest.raises(UploadError) as caught:
        receive(uploads, *given, announced=announced)
    return caught.value


def test_an_upload_is_kept_as_it_came(make: Callable[..., Uploads], tmp_path: Path) -> None:
    uploads = make()
    token = receive(uploads, b"some ", b"bytes")

    folder = uploads.claim(token, "anna")
    assert (folder / "upload").read_bytes() == b"some bytes"
    assert folder.parent == tmp_path
    assert folder.stat().st_mode & 0o077 == 0


def test_folders_cannot_be_guessed(make: Callable[..., Uploads]) -> None:
    uploads = make()
    tokens = {receive(uploads, b"x") for _ in range(3)}

    assert len(tokens) == 3
    assert {len(token) for token in tokens} == {22}


class TestRefused:
    def test_announced_too_large(self, make: Callable[..., Uploads], tmp_path: Path) -> None:
        error = refused(make(), b"x", announced=101)

        assert error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert list(tmp_path.iterdir()) == []

    def test_larger_than_announced(self, make: Callable[..., Uploads], tmp_path: Path) -> None:
        error = refused(make(), b"x" * 60, b"x" * 60, announced=1)

        assert error.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        assert list(tmp_path.iterdir()) == []

    def test_empty(self, make: Callable[..., Uploads], tmp_path: Path) -> None:
        assert "empty" in str(refused(make()))
        assert list(tmp_path.iterdir()) == []

    def test_too_many_kept(self, make: Callable[..., Uploads]) -> None:
        uploads = make(max_kept=1)
        receive(uploads, b"x")

        assert refused(uploads, b"x").status == HTTPStatus.INSUFFICIENT_STORAGE

    def test_disk_nearly_full(self, make: Callable[..., Uploads]) -> None:
        assert refused(make(min_free_bytes=2**62), b"x").status == HTTPStatus.INSUFFICIENT_STORAGE

    def test_another_is_under_way(self, make: Callable[..., Uploads]) -> None:
        uploads = make()

        async def both() -> UploadError:
            begun, go_on = asyncio.Event(), asyncio.Event()

            async def slow() -> AsyncIterator[bytes]:
                begun.set()
                await go_on.wait()
                yield b"x"

            first = asyncio.create_task(uploads.receive(slow(), None, "upload", MAX_BYTES))
            await begun.wait()
            with pytest.raises(UploadError) as caught:
                await uploads.receive(parts(b"x"), None, "upload", MAX_BYTES)
            go_on.set()
            await first
            return caught.value

        assert asyncio.run(both()).status == HTTPStatus.SERVICE_UNAVAILABLE
        # There is room again.
        receive(uploads, b"x")

    def test_silent(
        self, make: Callable[..., Uploads], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(module, "SILENT_S", 0.0)

        async def silent() -> AsyncIterator[bytes]:
            await asyncio.Event().wait()
            yield b"x"

        with pytest.raises(UploadError) as caught:
            asyncio.run(make().receive(silent(), None, "upload", MAX_BYTES))
        assert caught.value.status == HTTPStatus.REQUEST_TIMEOUT
        assert list(tmp_path.iterdir()) == []

    def test_breaks_off(self, make: Callable[..., Uploads], tmp_path: Path) -> None:
        async def broken() -> AsyncIterator[bytes]:
            yield b"x"
            raise ConnectionError

        with pytest.raises(UploadError):
            asyncio.run(make().receive(broken(), None, "upload", MAX_BYTES))
        assert list(tmp_path.iterdir()) == []


class TestApart:
    def test_nobody_takes_what_another_has(self, make: Callable[..., Uploads]) -> None:
        uploads = make()
        token = receive(uploads, b"x")
        uploads.claim(token, "anna")

        with pytest.raises(UploadError):
            uploads.claim(token, "berta")
        assert uploads.tokens_of("anna") == [token]
        assert uploads.tokens_of("berta") == []

    @pytest.mark.parametrize("token", ["", "..", "../x", "/etc", "A" * 22, "A" * 10_000, "\0"])
    def test_a_made_up_token_finds_nothing(self, make: Callable[..., Uploads], token: str) -> None:
        uploads = make()

        assert uploads.find(token) is None
        with pytest.raises(UploadError):
            uploads.claim(token, "anna")

    def test_a_made_up_token_erases_nothing(
        self, make: Callable[..., Uploads], tmp_path: Path
    ) -> None:
        uploads = make()
        kept = receive(uploads, b"x")
        for token in ("", ".", "..", kept[:-1]):
            uploads.erase(token)

        assert [path.name for path in tmp_path.iterdir()] == [kept]

    def test_nobody_finds_what_was_retired(self, make: Callable[..., Uploads]) -> None:
        uploads = make()
        token = receive(uploads, b"x")
        uploads.retire(token)

        assert uploads.find(token) is None

    def test_erased(self, make: Callable[..., Uploads], tmp_path: Path) -> None:
        uploads = make()
        token = receive(uploads, b"x")
        uploads.erase(token)
        uploads.erase(token)

        assert list(tmp_path.iterdir()) == []

    def test_forgotten_is_what_nobody_asked_for(
        self, make: Callable[..., Uploads], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now_s = 1000.0
        monkeypatch.setattr(module, "monotonic", lambda: now_s)
        uploads = make(keep_s=10)
        old, used = receive(uploads, b"x"), receive(uploads, b"x")
        now_s += 8
        assert uploads.find(used) is not None
        now_s += 4

        assert uploads.forgotten() == [old]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("clip.mp4", "clip.mp4"),
        ("../../etc/passwd", "passwd"),
        ("C:\\films\\a.mkv", "a.mkv"),
        ("<img src=x onerror=alert(1)>.mp4", "img srcx onerroralert(1).mp4"),
        ("a\r\nSet-Cookie: x.mp4", "aSet-Cookie x.mp4"),
        ("..", "video"),
        ("", "video"),
        ("Darm­spiegelung_ä.mp4", "Darmspiegelung_ä.mp4"),
        ("x" * 500, "x" * 80),
    ],
)
def test_names_are_only_shown(name: str, shown: str) -> None:
    assert shown_name(name) == shown
