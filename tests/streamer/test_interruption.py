"""What is left of the outputs when a run does not come to its end."""

import json
import os
import resource
import signal
from collections.abc import Callable
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av
import pytest

from pranet import build_model, save_model
from streamer import Pipeline, VideoSink, open_source
from streamer.cli import file_mode
from streamer.errors import EngineError, OutputError
from streamer.sinks import Composed

Film = Callable[..., Path]
Play = Callable[[Path], Any]

FULL_DEVICE = Path("/dev/full")
needs_full_device = pytest.mark.skipif(not FULL_DEVICE.exists(), reason="no /dev/full here")


@pytest.fixture(scope="module")
def long_clip(tmp_path_factory: pytest.TempPathFactory, film: Film) -> Path:
    """16 s with sound, which no test waits for."""
    return film(tmp_path_factory.mktemp("long") / "long.mp4", count=400, audio="aac")


def _playable(path: Path) -> int:
    """How many whole pictures come before the file breaks off."""
    count = 0
    with av.open(str(path)) as container:
        try:
            for picture in container.decode(video=0):
                assert not picture.is_corrupt
                count += 1
        except av.FFmpegError:
            pass
    return count


def _report(path: Path) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(path.read_text())
    return report


def _events(path: Path) -> list[dict[str, Any]]:
    """The lines on frames of an events file, each line of which is whole."""
    text = path.read_text()
    assert text.endswith("\n")
    lines = [json.loads(line) for line in text.splitlines()]
    events = [line for line in lines if line["type"] == "frame"]
    assert [event["frame"] for event in events] == list(range(len(events)))
    return events


class TestSignal:
    """Ctrl-C and SIGTERM end a run between two frames."""

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_half_way_leaves_outputs_that_agree(
        self,
        launch: Callable[..., Any],
        play: Play,
        long_clip: Path,
        tmp_path: Path,
        number: int,
        suffix: str,
    ) -> None:
        output, masks = tmp_path / f"out{suffix}", tmp_path / "masks.mkv"
        events, report = tmp_path / "events.jsonl", tmp_path / "report.json"
        running = launch(
            *("--source", long_clip, "--output", output, "--masks", masks),
            *("--events", events, "--report", report),
        )
        running.wait_for_frames(40, events)
        running.send(number)
        outcome = running.finish()

        told = _report(report)
        count = told["frames"]["out"]
        assert outcome.code == 130, outcome
        assert not any("Traceback" in line for line in outcome.errors)
        assert any(f"stopped by the user after {count} frames" in line for line in outcome.errors)
        assert (told["interrupted"], told["error"]) == (True, None)
        assert 40 <= count < 400
        assert told["frames"]["dropped"].get("stopped", 0) == told["frames"]["in"] - count
        for path in (output, masks):
            assert len(play(path).pictures) == count
        assert len(_events(events)) == count

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_between_two_sinks_waits_for_the_second(
        self,
        command: Callable[..., Any],
        monkeypatch: pytest.MonkeyPatch,
        film: Film,
        play: Play,
        tmp_path: Path,
        number: int,
    ) -> None:
        output, events = tmp_path / "out.mp4", tmp_path / "events.jsonl"

        class Signalling(VideoSink):
            def write(self, composed: Composed) -> None:
                super().write(composed)
                if composed.frame.index == 9:
                    signal.raise_signal(number)

        monkeypatch.setattr(file_mode, "VideoSink", Signalling)

        outcome = command(
            *("--source", film(tmp_path / "clip.mp4"), "--output", output, "--events", events)
        )

        assert outcome.code == 130
        assert len(play(output).pictures) == len(_events(events)) == 10

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
    def test_before_the_first_frame(
        self, launch: Callable[..., Any], long_clip: Path, tmp_path: Path, number: int
    ) -> None:
        output = tmp_path / "out.mp4"
        running = launch("--source", long_clip, "--output", output, loading_s=600)
        running.wait_for_lines(2)  # of stderr: the source is open, the engine is being loaded
        running.send(number)
        outcome = running.finish()

        assert outcome.code == 130
        assert outcome.complaint == "pranet-stream: stopped"
        assert not output.exists()

    def test_with_a_real_engine(
        self, launch: Callable[..., Any], play: Play, long_clip: Path, tmp_path: Path
    ) -> None:
        model = tmp_path / "untrained.safetensors"
        save_model(build_model("pranet_v2_lite0", input_size=352), model)
        output, events = tmp_path / "out.mp4", tmp_path / "events.jsonl"
        running = launch(
            *("--source", long_clip, "--output", output, "--events", events),
            *("--model", model, "--backend", "eager", "--threads", "1"),
            fake=False,
        )
        running.wait_for_frames(5, events)
        running.send(signal.SIGINT)
        outcome = running.finish()

        assert outcome.code == 130, outcome
        assert not any("Traceback" in line for line in outcome.errors)
        assert len(play(output).pictures) == len(_events(events))


class TestKill:
    """A run that is killed loses about a second."""

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_half_way(
        self, launch: Callable[..., Any], long_clip: Path, tmp_path: Path, suffix: str
    ) -> None:
        output, masks = tmp_path / f"out{suffix}", tmp_path / "masks.mkv"
        events = tmp_path / "events.jsonl"
        running = launch(
            *("--source", long_clip, "--output", output, "--masks", masks, "--events", events),
            *("--threshold", "0.99"),  # empty masks, which do not fill a buffer soon
        )
        running.wait_for_frames(95, events)
        running.send(signal.SIGKILL)
        outcome = running.finish()

        seen = len(_events(events))
        assert outcome.code == -signal.SIGKILL
        assert 95 <= seen < 400
        for path in (output, masks):
            # One second is 25 frames; encoder and container may hold a few more.
            assert seen - 35 <= _playable(path) <= seen + 1

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_key_frames_come_each_second_whatever_rate_the_source_claims(
        self, segmenter: Any, film: Film, tmp_path: Path, suffix: str
    ) -> None:
        source = open_source(
            str(
                film(
                    tmp_path / "claim.mkv",
                    rate=1000,
                    time_base=Fraction(1, 1000),
                    pts=range(0, 6000, 40),
                )
            )
        )
        assert source.info.rate == 1000
        output = tmp_path / f"out{suffix}"

        Pipeline(source, segmenter, [VideoSink(output, source.info)]).run()

        with av.open(str(output)) as container:
            keys_s = [
                packet.pts * packet.time_base
                for packet in container.demux(video=0)
                if packet.is_keyframe and packet.pts is not None
            ]
        assert len(keys_s) >= 6
        assert all(after - before <= 1 for before, after in pairwise(keys_s))


class TestFullDisk:
    """No space left: one line, and what was written so far can be read."""

    @needs_full_device
    @pytest.mark.parametrize(
        ("option", "name"),
        [
            ("--output", "out.mp4"),
            ("--output", "out.mkv"),
            ("--masks", "masks.mkv"),
            ("--events", "events.jsonl"),
        ],
    )
    def test_from_the_start(
        self, refuse: Callable[..., str], film: Film, tmp_path: Path, option: str, name: str
    ) -> None:
        source, report = film(tmp_path / "clip.mp4", audio="aac"), tmp_path / "report.json"
        (tmp_path / name).symlink_to(FULL_DEVICE)

        complaint = refuse("--source", source, option, tmp_path / name, "--report", report)

        assert f"{name}: " in complaint
        assert "no space left" in complaint
        assert complaint.endswith(_report(report)["error"])

    @needs_full_device
    def test_for_the_report_is_known_before_the_work(
        self, command: Callable[..., Any], film: Film, tmp_path: Path
    ) -> None:
        report = tmp_path / "report.json"
        report.symlink_to(FULL_DEVICE)

        outcome = command("--source", film(tmp_path / "clip.mp4"), "--report", report)

        assert outcome.code == 2
        assert "report.json: cannot be written (no space left" in outcome.complaint
        assert not any(line.startswith(("engine", "failed")) for line in outcome.errors)

    @pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
    def test_half_way(
        self,
        command: Callable[..., Any],
        launch: Callable[..., Any],
        film: Film,
        tmp_path: Path,
        suffix: str,
    ) -> None:
        source = film(tmp_path / "clip.mp4", count=100, audio="aac")
        output, report = tmp_path / f"out{suffix}", tmp_path / "report.json"
        arguments = ("--source", source, "--output", output, "--report", report, "--quality", "5")
        assert command(*arguments).code == 0
        limit = output.stat().st_size * 7 // 10

        outcome = launch(
            *arguments, before=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        ).finish()

        told = _report(report)
        assert outcome.code == 2, outcome
        assert "(no space left; what was written so far is kept)" in outcome.complaint
        assert outcome.complaint.endswith(told["error"])
        assert any(line.startswith("failed after") for line in outcome.errors)
        assert output.stat().st_size <= limit
        assert 25 <= _playable(output) <= told["frames"]["out"] + 1 < 100


class TestFailure:
    """An engine that fails half-way."""

    def test_leaves_what_was_seen_before(
        self,
        refuse: Callable[..., str],
        monkeypatch: pytest.MonkeyPatch,
        segmenter: Any,
        play: Play,
        film: Film,
        tmp_path: Path,
    ) -> None:
        class Failing:
            info = segmenter.info
            reader = segmenter.reader
            left = 20

            def submit(self, image: Any) -> Any:
                self.left -= 1
                if self.left < 0:
                    raise EngineError("the engine has stopped working")
                return segmenter.submit(image)

            def close(self) -> None:
                pass

        monkeypatch.setattr(file_mode, "load_segmenter", lambda *_, **__: Failing())
        output, report = tmp_path / "out.mp4", tmp_path / "report.json"

        complaint = refuse(
            *("--source", film(tmp_path / "clip.mp4"), "--output", output, "--report", report),
            fake=False,
        )

        told = _report(report)
        assert complaint == "pranet-stream: the engine has stopped working"
        assert told["error"] == "the engine has stopped working"
        assert 10 <= told["frames"]["out"] <= 20
        assert len(play(output).pictures) == told["frames"]["out"]


class TestOutput:
    """Outputs that cannot be, or must not be, written."""

    @pytest.fixture
    def source(self, film: Film, tmp_path: Path) -> Path:
        return film(tmp_path / "clip.mp4")

    @pytest.mark.parametrize("option", ["--output", "--masks", "--events", "--report"])
    def test_folder_that_is_missing_is_made(
        self, command: Callable[..., Any], source: Path, tmp_path: Path, option: str
    ) -> None:
        output = tmp_path / "one" / "two" / "three.mkv"

        assert command("--source", source, option, output).code == 0
        assert output.stat().st_size > 100

    @pytest.mark.parametrize("option", ["--output", "--masks", "--events", "--report"])
    def test_file_in_place_of_a_folder(
        self, refuse: Callable[..., str], source: Path, tmp_path: Path, option: str
    ) -> None:
        (tmp_path / "file").write_text("mine")

        complaint = refuse("--source", source, option, tmp_path / "file" / "out.mkv")

        assert f"{tmp_path / 'file'}: a folder is needed" in complaint
        assert (tmp_path / "file").read_text() == "mine"

    @pytest.mark.parametrize("option", ["--output", "--masks", "--events", "--report"])
    def test_folder_in_place_of_a_file(
        self, refuse: Callable[..., str], source: Path, tmp_path: Path, option: str
    ) -> None:
        (tmp_path / "out.mkv").mkdir()

        assert "is a folder" in refuse("--source", source, option, tmp_path / "out.mkv")

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    @pytest.mark.parametrize("option", ["--output", "--masks", "--events", "--report"])
    def test_folder_that_may_not_be_written(
        self, refuse: Callable[..., str], source: Path, tmp_path: Path, option: str
    ) -> None:
        (tmp_path / "locked").mkdir(mode=0o555)

        complaint = refuse("--source", source, option, tmp_path / "locked" / "out.mkv")

        assert "cannot be written (Permission denied)" in complaint

    @pytest.mark.parametrize(
        ("option", "name"),
        [("--output", "out.avi"), ("--output", "out"), ("--masks", "out.mp4")],
    )
    def test_kind_that_is_unknown(
        self, refuse: Callable[..., str], source: Path, tmp_path: Path, option: str, name: str
    ) -> None:
        complaint = refuse("--source", source, option, tmp_path / name)

        assert ".mkv" in complaint
        assert not (tmp_path / name).exists()

    def test_none_at_all(self, refuse: Callable[..., str], source: Path) -> None:
        assert "nothing to write" in refuse("--source", source)

    @pytest.mark.parametrize("option", ["--output", "--masks", "--events", "--report"])
    @pytest.mark.parametrize("way", ["same name", "detour", "symbolic link", "hard link"])
    def test_source_is_never_written_to(
        self, refuse: Callable[..., str], source: Path, tmp_path: Path, option: str, way: str
    ) -> None:
        before = source.read_bytes()
        other = tmp_path / "other.mkv"
        if way == "same name":
            other = source
        elif way == "detour":
            (tmp_path / "folder").mkdir()
            other = tmp_path / "folder" / ".." / source.name
        elif way == "symbolic link":
            other.symlink_to(source)
        else:
            other.hardlink_to(source)

        complaint = refuse("--source", source, option, other)

        assert f"{option} {other} is also the source; choose another file" in complaint
        assert source.read_bytes() == before

    def test_two_into_one_file(
        self, refuse: Callable[..., str], source: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
        output, masks = tmp_path / "out.mkv", tmp_path / "link" / "out.mkv"

        complaint = refuse("--source", source, "--output", output, "--masks", masks)

        assert "is also --output" in complaint
        assert not output.exists()

    def test_preset_that_the_encoder_does_not_know(
        self, segmenter: Any, source: Path, tmp_path: Path
    ) -> None:
        opened = open_source(str(source))
        sink = VideoSink(tmp_path / "out.mp4", opened.info, preset="best")

        with pytest.raises(OutputError, match="refuses the size of the pictures or its settings"):
            Pipeline(opened, segmenter, [sink]).run()

    def test_video_that_would_replace_its_own_source(self, source: Path) -> None:
        before = source.read_bytes()
        opened = open_source(str(source))

        with pytest.raises(OutputError, match="is also the source"):
            VideoSink(source, opened.info)
        assert source.read_bytes() == before

    def test_output_that_would_replace_the_checkpoint(
        self, refuse: Callable[..., str], source: Path, tmp_path: Path
    ) -> None:
        weights = tmp_path / "w.safetensors"
        weights.write_bytes(b"weights")

        complaint = refuse("--source", source, "--model", weights, "--events", weights)

        assert "is also the checkpoint" in complaint
        assert weights.read_bytes() == b"weights"

    def test_failure_of_one_output_leaves_an_older_one_as_it_was(
        self, refuse: Callable[..., str], source: Path, tmp_path: Path
    ) -> None:
        older = tmp_path / "older.mkv"
        older.write_bytes(b"an older result")
        blocked = tmp_path / "file"
        blocked.write_bytes(b"")

        refuse("--source", source, "--output", older, "--events", blocked / "e.jsonl")

        assert older.read_bytes() == b"an older result"

    @pytest.mark.parametrize(
        "view", ["1,2,3", "a,b,c,d", "-1,0,32,32", "0,0,97,64", "80,0,32,32", "0,0,8,8"]
    )
    def test_view_that_is_not_in_the_picture(
        self, refuse: Callable[..., str], source: Path, tmp_path: Path, view: str
    ) -> None:
        complaint = refuse("--source", source, "--report", tmp_path / "r.json", f"--view={view}")

        assert f"view {view}" in complaint
