"""`pranet-stream` as a user types it: modes, limits, settings, what is said of mistakes."""

import json
import sys
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from streamer import sources
from streamer.cli import live_mode
from streamer.errors import OutputError
from streamer.sources.devices import Device

PATTERN = "lavfi:testsrc2=size=96x64:rate=50"

Film = Callable[..., Path]


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


class TestLive:
    def test_run_ends_after_so_many_frames_and_everything_is_on_record(
        self, command: Callable[..., Any], tmp_path: Path
    ) -> None:
        report, events, log = (tmp_path / name for name in ("r.json", "e.jsonl", "l.jsonl"))

        outcome = command(
            *("--source", PATTERN, "--max-frames", "20", "--min-free-gb", "0"),
            *("--output", tmp_path / "o.mp4", "--report", report, "--events", events),
            *("--log", log),
        )

        told = json.loads(report.read_text())
        assert outcome.code == 0
        assert told["mode"] == "live"
        assert told["frames"]["out"] == 20
        assert told["frames"]["in"] == 20 + sum(told["frames"]["dropped"].values())
        assert told["states"][0] == {"state": "WARMING", "at_s": 0.0, "reason": "started"}
        assert told["states"][-1]["state"] == "STOPPED"
        assert {"video_delay", "draw"} <= set(told["latency_ms"])
        assert (tmp_path / "o.mp4").stat().st_size > 0
        assert sum(event["type"] == "frame" for event in lines(events)) == 20
        assert lines(log)[-1]["state"] == "STOPPED"

    def test_duration_ends_a_run(self, command: Callable[..., Any], tmp_path: Path) -> None:
        report = tmp_path / "r.json"

        outcome = command("--source", PATTERN, "--duration", "0.2", "--report", report)

        assert outcome.code == 0
        assert "0.2 s are over" in json.loads(report.read_text())["states"][-1]["reason"]

    def test_file_is_played_at_its_own_pace(
        self, command: Callable[..., Any], film: Film, tmp_path: Path
    ) -> None:
        report = tmp_path / "r.json"

        outcome = command(
            *("--source", film(tmp_path / "clip.mp4", count=10), "--mode", "live"),
            *("--report", report),
        )

        told = json.loads(report.read_text())
        assert outcome.code == 0
        assert told["mode"] == "live"
        assert told["wall_s"] > 9 / 25

    def test_password_in_an_address_is_never_told(
        self, refuse: Callable[..., str], tmp_path: Path
    ) -> None:
        log = tmp_path / "l.jsonl"

        complaint = refuse(
            *("--source", "tcp://doctor:s3cret@127.0.0.1:9/x?token=t0ken"),
            *("--events", tmp_path / "e.jsonl", "--log", log),
        )

        for secret in ("s3cret", "t0ken"):
            assert secret not in complaint
            assert secret not in log.read_text()
        assert "127.0.0.1:9" in complaint

    def test_live_source_has_no_file_mode(self, refuse: Callable[..., str]) -> None:
        assert "has no end" in refuse("--source", PATTERN, "--mode", "file", "--events", "e.jsonl")


class TestFile:
    @pytest.mark.parametrize("limit", [("--max-frames", "7"), ("--duration", "0.28")])
    def test_run_ends_cleanly_at_a_limit(
        self, command: Callable[..., Any], film: Film, tmp_path: Path, limit: tuple[str, str]
    ) -> None:
        events = tmp_path / "e.jsonl"

        outcome = command("--source", film(tmp_path / "clip.mp4"), "--events", events, *limit)

        assert outcome.code == 0
        frames = [line for line in lines(events) if line["type"] == "frame"]
        assert len(frames) == 7

    def test_options_of_live_mode_are_refused(
        self, refuse: Callable[..., str], film: Film, tmp_path: Path
    ) -> None:
        clip = film(tmp_path / "clip.mp4")

        complaint = refuse("--source", clip, "--preview", "0", "--raw-output", "r.mp4")

        assert "--raw-output, --preview: needs live mode" in complaint
        assert not Path("r.mp4").exists()


class TestSettings:
    def test_flags_of_the_settings_file_are_defaults_that_the_command_line_replaces(
        self, command: Callable[..., Any], film: Film, tmp_path: Path
    ) -> None:
        settings, clip = tmp_path / "mine.toml", film(tmp_path / "clip.mp4")
        settings.write_text('[stream]\nmax-frames = 5\nevents = "from_settings.jsonl"\n')
        base = ("--source", clip, "--settings", settings)

        assert command(*base).code == 0
        assert command(*base, "--max-frames", "3", "--events", "mine.jsonl").code == 0

        assert len(lines(Path("from_settings.jsonl"))) == 5
        assert len(lines(Path("mine.jsonl"))) == 3

    def test_alias_is_opened_as_the_settings_say(
        self, command: Callable[..., Any], tmp_path: Path
    ) -> None:
        Path("pranet-stream.toml").write_text(f'[sources.capture_card0]\nurl = "{PATTERN}"\n')

        outcome = command("--source", "capture_card0", "--max-frames", "3", "--events", "e.jsonl")

        assert outcome.code == 0
        assert any("capture_card0" in line and "96x64" in line for line in outcome.errors)

    def test_flag_that_there_is_not_is_told_with_the_file(self, refuse: Callable[..., str]) -> None:
        Path("pranet-stream.toml").write_text("[stream]\nmax-frame = 5\n")

        complaint = refuse("--source", PATTERN)

        assert "pranet-stream.toml: stream.max-frame: " in complaint
        assert "max-frames meant" in complaint

    @pytest.mark.parametrize(
        ("line", "key"),
        [
            ('max-frames = "x"', "max-frames"),
            ("max_frames = 2.5", "max-frames"),
            ('mode = "slow"', "mode"),
            ("threshold = 7", "threshold"),
            ("output = []", "output"),
        ],
    )
    def test_wrong_value_is_told_in_one_line_with_file_and_key(
        self, command: Callable[..., Any], line: str, key: str
    ) -> None:
        Path("pranet-stream.toml").write_text(f"[stream]\n{line}\n")

        outcome = command("--source", PATTERN)

        assert outcome.code == 2
        (told,) = outcome.errors
        assert told.startswith(f"pranet-stream: pranet-stream.toml: stream.{key}: ")

    def test_alias_of_a_file_is_read_in_file_mode_as_the_settings_say(
        self, command: Callable[..., Any], refuse: Callable[..., str], film: Film, tmp_path: Path
    ) -> None:
        clip = film(tmp_path / "clip.mp4")
        Path("pranet-stream.toml").write_text(
            f'[sources.good]\nurl = "{clip}"\ncolor_matrix = "bt2020"\n'
            f'[sources.bad]\nurl = "{clip}"\nview = "0,0,900,64"\n'
        )

        outcome = command("--source", "good", "--max-frames", "2", "--events", "e.jsonl")

        assert outcome.code == 0
        assert any("bt2020" in line for line in outcome.errors)
        assert "does not lie inside" in refuse("--source", "bad", "--events", "e.jsonl")

    def test_broken_file_does_not_stop_the_doctor(self, command: Callable[..., Any]) -> None:
        Path("pranet-stream.toml").write_text("[stream]\nmax-frame = 5\n")

        assert command("--doctor").code == 0
        assert command("--list-sources").code == 2

    def test_unknown_alias_says_how_to_make_it_one(self, command: Callable[..., Any]) -> None:
        Path("pranet-stream.toml").write_text(f'[sources.room2]\nurl = "{PATTERN}"\n')

        outcome = command("--source", "capture_card0", "--events", "e.jsonl")

        assert outcome.code == 2
        told = "\n".join(outcome.errors)
        assert "room2" in told
        assert "[sources.capture_card0]" in told
        assert 'device = "' in told


def test_source_is_asked_for(refuse: Callable[..., str]) -> None:
    assert "--source" in refuse("--events", "e.jsonl")
    assert "--source" in refuse()


@pytest.mark.parametrize("argument", ["--max-frames=x", "--no-such-option"])
def test_wrong_option_is_told_in_one_line(command: Callable[..., Any], argument: str) -> None:
    outcome = command(argument)

    assert outcome.code == 2
    (told,) = outcome.errors
    assert told.startswith("pranet-stream: ")
    assert argument.partition("=")[0] in told


def test_device_that_is_not_there_is_told_with_what_names_another(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = Device(Path("/dev/video3"), Path("/dev/v4l/by-id/usb-Acme"), "Acme")
    monkeypatch.setattr(sources, "list_devices", lambda: [there])
    Path("pranet-stream.toml").write_text('[sources.card]\ndevice = "/dev/video999"\n')

    outcome = command("--source", "card", "--events", "e.jsonl")

    told = "\n".join(outcome.errors)
    assert outcome.code == 2
    assert told.startswith("pranet-stream: card (/dev/video999): no such device")
    assert "/dev/v4l/by-id/usb-Acme (Acme)" in told
    assert told.endswith(
        '  [sources.card]\n  device = "/dev/v4l/by-id/usb-Acme"\n  size = "1920x1080"'
    )


def test_without_a_screen_an_output_has_to_be_named(
    refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)

    assert "DISPLAY is not set" in refuse("--source", PATTERN)


def test_run_that_never_began_is_not_summed_up(
    command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(**_: object) -> None:
        raise OutputError("window: none")

    monkeypatch.setattr(live_mode, "WindowSink", fails)

    outcome = command("--source", PATTERN, "--display")

    assert outcome.code == 2
    assert not any("frames in" in line for line in outcome.errors)


@pytest.mark.parametrize("mode", ["file", "live"])
def test_outputs_have_to_differ(
    refuse: Callable[..., str], film: Film, tmp_path: Path, mode: str
) -> None:
    clip = film(tmp_path / "clip.mp4")
    before = clip.read_bytes()
    base = ("--source", clip, "--mode", mode)

    assert "is also --output" in refuse(*base, "--output", "o.mp4", "--events", "o.mp4")
    assert "is also the source" in refuse(*base, "--output", clip)
    assert clip.read_bytes() == before


@pytest.mark.parametrize("mode", ["file", "live"])
def test_without_steadying_there_is_no_operating_point(
    refuse: Callable[..., str], film: Film, tmp_path: Path, mode: str
) -> None:
    clip = film(tmp_path / "clip.mp4")
    base = ("--source", clip, "--mode", mode, "--events", "e.jsonl", "--temporal", "off")

    assert "leave out --temporal off" in refuse(*base, "--operating-point", "specific")
    assert not Path("e.jsonl").exists()


@pytest.mark.parametrize("mode", ["file", "live"])
def test_file_is_not_deinterlaced(
    refuse: Callable[..., str], film: Film, tmp_path: Path, mode: str
) -> None:
    clip = film(tmp_path / "clip.mp4")

    complaint = refuse(
        *("--source", clip, "--mode", mode, "--interlaced", "yes", "--events", "e.jsonl")
    )

    assert "is not deinterlaced" in complaint


def test_sources_are_listed(command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    Path("pranet-stream.toml").write_text(
        '[sources.room2]\nurl = "rtsp://user:s3cret@camera/stream"\n'
        '[sources.room3]\nurl = "gopher://user:s3cret@camera/stream"\n'
    )
    output = StringIO()
    monkeypatch.setattr(sys, "stdout", output)

    outcome = command("--list-sources")

    told = output.getvalue()
    assert outcome.code == 0
    assert "room2 (rtsp://camera/stream)" in told
    assert "room3: pranet-stream.toml: sources.room3.url: gopher://camera" in told
    assert "s3cret" not in told
    assert "synthetic" in told
