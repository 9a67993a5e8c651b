"""`pranet-build` as it is typed: what it prints, and one line for what is wrong."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamer.cli import build as build_command
from streamer.engine import tensorrt_build
from streamer.engine.layer_types import LayerTypes
from streamer.engine.manifest import Facts, Manifest
from streamer.engine.parity import Parity
from streamer.engine.tensorrt_build import Built
from streamer.errors import EngineError

FACTS = Facts(
    weights_sha256="a1" * 32,
    model="pranet_v2_lite0",
    shape=(1, 3, 352, 352),
    precision="fp16",
    ranges="",
    pranet_stream="0.1.0",
    torch="2.14.1",
    torch_tensorrt="2.14.0",
    tensorrt="11.1.0.106",
    gpu="NVIDIA H100",
    compute_capability="9.0",
    driver="580.65.06",
)
MANIFEST = Manifest(
    FACTS,
    209,
    LayerTypes(61, 2, 0, ("a cast", "a sigmoid"), "engine"),
    False,
    Parity(8, 0.003, 0.09, 0.9998, 91234),
)
BUILT = Built(
    Path("somewhere"), MANIFEST, LayerTypes(207, 2, 0, ("a cast", "a sigmoid"), "network"), 9.8
)


@dataclass(frozen=True)
class Outcome:
    code: int
    answers: str
    errors: list[str]


Run = Callable[..., Outcome]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command with these arguments in this process."""

    def run(*arguments: str | Path) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["pranet-build", *map(str, arguments)])
        code: Any = 0
        try:
            build_command.main()
        except SystemExit as caught:
            code = caught.code
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err.splitlines())

    return run


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the build is asked for; it answers at once, with ``built`` if that is there."""
    seen: dict[str, Any] = {}

    def build(checkpoint: Any, precision: str, **options: Any) -> Built:
        seen.update(options, checkpoint=checkpoint, precision=precision)
        options["tell"]("building")
        built: Built = seen.get("built", BUILT)
        return built

    monkeypatch.setattr(tensorrt_build, "build_engine", build)
    return seen


def test_says_what_was_built(run: Run, asked: dict[str, Any], tmp_path: Path) -> None:
    done = run("--size", "256", "--output", tmp_path)

    assert done.code == 0
    assert done.errors == ["building"]
    assert (asked["precision"], asked["size_px"], asked["folder"]) == ("fp16", 256, tmp_path)
    assert asked["checkpoint"].path.stem == "pranet_v2_lite0"
    rows = [line.replace("│", " ").split() for line in done.answers.splitlines()]
    assert ["network", "0", "207", "2", "0"] in rows
    assert ["engine", "0", "61", "2", "0"] in rows
    assert "float   a cast, a sigmoid\n" in done.answers
    assert (
        "parity  relative error 0.003, largest 0.09, Dice 0.9998, over 8 frames\n" in done.answers
    )
    assert "engine  somewhere, 9.8 MB\n" in done.answers
    assert "note" not in done.answers


def test_says_that_it_was_careful(run: Run, asked: dict[str, Any]) -> None:
    names = tuple(f"norm {number}" for number in range(40))
    layers = LayerTypes(50, 40, 0, names, "engine")
    asked["built"] = replace(BUILT, manifest=replace(MANIFEST, careful=True, layers=layers))
    done = run("--precision", "fp16")

    assert "note    layer norms and attention are in float32" in done.answers
    assert "norm 5 and 34 more\n" in done.answers


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["--precision", "fp4"], "Invalid value for '--precision'"),
        (["--backend", "onnx"], "Invalid value for '--backend'"),
        (["--size", "100"], "multiple of 32 px up to 4096, not 100"),
        (["--size", "-1"], "Invalid value for '--size'"),
        (["--model", "nobody"], "no checkpoint 'nobody'"),
        (["--frames", "nothing.mp4"], "no clip nothing.mp4; name another with --frames"),
        (["--bogus"], "No such option: --bogus; --help shows the options"),
        ([], "needs an NVIDIA GPU, and torch sees none here; use --backend openvino"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_what_is_wrong_is_one_line(
    arguments: list[str], problem: str, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = run(*arguments)

    assert done.code == 2
    (line,) = done.errors
    assert line.startswith("pranet-build: ")
    assert problem in line
    assert done.answers == ""


def test_failed_build_is_one_line(
    run: Run, asked: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise EngineError("torch-tensorrt is not installed; see docs/gpu.md")

    monkeypatch.setattr(tensorrt_build, "build_engine", fail)
    done = run()

    assert (done.code, done.errors) == (
        2,
        ["pranet-build: torch-tensorrt is not installed; see docs/gpu.md"],
    )


class TestPictures:
    def test_of_a_clip(self, clip: Path) -> None:
        pictures = list(build_command._pictures(clip)(64))

        assert len(pictures) == build_command.FRAMES
        assert all(picture.shape == (64, 64, 3) for picture in pictures)
        assert not np.array_equal(pictures[0], pictures[-1])

    def test_of_the_sample(self) -> None:
        if not build_command.SAMPLE.is_file():
            pytest.skip("there is no sample clip")
        (first, *_) = build_command._pictures(None)(64)

        assert first.dtype == np.uint8
        assert first.std() > 10

    def test_made_up_where_there_is_no_clip(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(build_command, "SAMPLE", tmp_path / "none.mp4")
        pictures = list(build_command._pictures(None)(64))

        assert len(pictures) == build_command.FRAMES
        assert all(picture.shape == (64, 64, 3) for picture in pictures)
        assert pictures[0].std() > 10

    @pytest.fixture
    def clip(self, film: Callable[..., Path], tmp_path: Path) -> Path:
        return film(tmp_path / "clip.mp4", count=12)


@pytest.mark.parametrize("precision", ["int8", "fp8"])
def test_8_bits_need_ranges(precision: str, run: Run, checkpoint: Path) -> None:
    done = run("--precision", precision, "--model", checkpoint)

    assert done.code == 2
    (line,) = done.errors
    assert line.startswith(f"pranet-build: {precision} needs to know how large activations become")
    assert f"precision --backend tensorrt --precision {precision} --model {checkpoint} " in line


def test_torch_is_not_loaded_for_a_wrong_option() -> None:
    """The entry point says what is wrong with the options at once."""
    script = (
        "import sys\nfrom streamer.cli.build import main\n"
        "sys.argv = ['pranet-build', '--model', 'nobody']\n"
        "try:\n    main()\nexcept SystemExit as end:\n    print(end.code, 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parents[3],
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stdout.split() == ["2", "False"]
