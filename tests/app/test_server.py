"""Where the demo listens, and what its command says of what is wrong."""

import socket
import sys
from pathlib import Path

import pytest

from demos.app import main
from demos.app.server import address_of, is_local, listen
from pranet.errors import PranetError


def test_it_listens_on_this_machine() -> None:
    with listen("127.0.0.1", 0) as listening:
        assert is_local(listening)
        port = listening.getsockname()[1]
        assert address_of(listening, "127.0.0.1") == f"http://127.0.0.1:{port}/"
        assert address_of(listening, "localhost") == f"http://127.0.0.1:{port}/"


def test_it_knows_when_others_can_reach_it() -> None:
    with listen("0.0.0.0", 0) as listening:
        assert not is_local(listening)


@pytest.mark.parametrize("host", ["x" * 300, "203.0.113.1"])
def test_where_it_cannot_listen(host: str) -> None:
    with pytest.raises(PranetError, match="cannot listen"):
        listen(host, 0)


class TestCommand:
    def complaint(
        self,
        arguments: list[str],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> str:
        monkeypatch.setattr(sys, "argv", ["pranet-demo", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        assert caught.value.code == 2
        errors = capsys.readouterr().err
        assert "Traceback" not in errors
        return errors

    @pytest.fixture(autouse=True)
    def gradio(self) -> None:
        pytest.importorskip("gradio", reason="the demo's packages are not installed")

    def test_a_port_that_is_taken(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = str(taken.getsockname()[1])
            assert "--port" in self.complaint(["--port", port], monkeypatch, capsys)

    @pytest.mark.parametrize(
        ("arguments", "told"),
        [
            (["--model", "no_such_model"], "no checkpoint 'no_such_model'"),
            (["--source", "no_such_source", "--port", "0"], "no such name in the settings"),
            (["--settings", "no_such_file.toml"], "cannot be read as settings"),
            (["--max-mb", "0"], "--max-mb"),
        ],
    )
    def test_what_cannot_be(
        self,
        arguments: list[str],
        told: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        tmp_path: Path,
    ) -> None:
        monkeypatch.chdir(tmp_path)

        assert told in self.complaint(arguments, monkeypatch, capsys)
