"""What the doctor finds."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from streamer.cli import doctor
from streamer.engine.choice import Choice
from streamer.sources.devices import Device


def test_this_machine_can_do_what_the_tests_need() -> None:
    findings = {
        (finding.part, finding.found.split(" ")[0]): finding for finding in doctor.examine()
    }

    for part, found in (("encoder", "libx264"), ("encoder", "ffv1"), ("input", "lavfi")):
        assert findings[part, found].works
    assert any(part == "openvino" and finding.works for (part, _), finding in findings.items())
    assert any(part == "model" and finding.works for (part, _), finding in findings.items())


def test_part_that_breaks_is_a_finding_and_the_others_go_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks() -> Iterator[doctor.Finding]:
        raise OSError("no such thing")
        yield

    def works() -> Iterator[doctor.Finding]:
        yield doctor.Finding("other", True, "fine")

    monkeypatch.setattr(doctor, "_LOOKS", {"broken": breaks, "other": works})

    broken, other = doctor.examine()

    assert broken.works is False
    assert "no such thing" in broken.found
    assert other.works


def test_line_says_what_adds_what_is_missing() -> None:
    missing = doctor.Finding("capture", False, "none", "connect one")

    assert str(missing).splitlines()[0].startswith("--  capture")
    assert "to add it: connect one" in str(missing)
    assert "\n" not in str(doctor.Finding("model", True, "there"))


def test_broken_settings_are_a_finding(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(doctor, "_LOOKS", {"settings": doctor._settings})
    settings = tmp_path / "settings.toml"
    monkeypatch.setenv("PRANET_STREAM_SETTINGS", str(settings))

    settings.write_text("[stream]\nmax-frame = 5\n")
    (broken,) = doctor.examine()
    settings.write_text('[sources.tower]\nurl = "rtsp://user:s3cret@tower/1"\n')
    (sound,) = doctor.examine()

    assert (broken.works, sound.works) == (False, True)
    assert "stream.max-frame" in broken.found
    assert "tower" in sound.found
    assert "s3cret" not in sound.found


def test_device_that_may_not_be_used_says_how_to_get_at_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    device = Device(tmp_path / "video0", None, "Acme")
    monkeypatch.setattr(doctor, "list_devices", lambda: [device])
    monkeypatch.setattr(doctor, "_LOOKS", {"capture": doctor._devices})

    found = next(iter(doctor.examine()))

    assert found.works is False
    assert "usermod -aG video" in found.remedy


def test_package_that_is_not_installed_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing() -> Iterator[doctor.Finding]:
        raise ModuleNotFoundError("No module named 'openvino'", name="openvino")
        yield

    monkeypatch.setattr(doctor, "_LOOKS", {"openvino": missing})

    (found,) = doctor.examine()

    assert found.remedy == "pip install openvino"


@pytest.mark.parametrize("usable", [False, True])
def test_a_driver_alone_does_not_make_the_gpu_work(
    monkeypatch: pytest.MonkeyPatch, usable: bool
) -> None:
    answer = SimpleNamespace(returncode=0, stdout="Acme 5000, 16 GiB, 580.1\n")
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "nvidia-smi")
    monkeypatch.setattr(doctor.subprocess, "run", lambda *_, **__: answer)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: usable)
    monkeypatch.setattr(doctor, "_LOOKS", {"gpu": doctor._gpu})

    found = {finding.part: finding for finding in doctor.examine()}

    assert found["gpu"].works
    assert found["cuda"].works is usable
    assert bool(found["cuda"].remedy) is not usable
    assert ("nvdec" in found) is usable
    assert ("nvenc" in found) is usable


@pytest.mark.parametrize(
    ("hindrance", "works", "told"),
    [
        (None, True, "encodes H.264 (--encoder gpu)"),
        ("NVENC cannot be used (why)", None, "NVENC cannot be used (why)"),
    ],
)
def test_nvenc_is_tried(
    monkeypatch: pytest.MonkeyPatch, hindrance: str | None, works: bool | None, told: str
) -> None:
    monkeypatch.setattr(doctor, "why_no_nvenc", lambda: hindrance)

    found = doctor._nvenc()

    assert (found.works, found.found, found.remedy) == (works, told, "")


def test_an_ffmpeg_without_nvenc_has_a_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "NVENC", "h264_of_nobody")

    found = doctor._nvenc()

    assert found.works is False
    assert "--no-binary av" in found.remedy


def test_what_auto_takes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_LOOKS", {"model": doctor._model})
    monkeypatch.setattr(doctor, "choose_backend", lambda _: Choice("cuda", "a card is there"))

    found = {finding.part: finding for finding in doctor.examine()}

    assert found["engine"].found == "--backend auto takes cuda: a card is there"
