"""The benchmark measures what it says: the same frames, and every stage."""

import itertools
import json
import sys
from pathlib import Path

import av
import numpy as np
import pytest

import pranet
from demos import bench
from streamer.frame import Frame

FRAMES = 40


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    path = tmp_path / "clip.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height = 64, 48
        for level in range(FRAMES):
            pixels = np.full((48, 64, 3), level, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
        container.mux(stream.encode(None))
    return path


def test_a_source_longer_than_its_clip_goes_round_with_rising_times(clip: Path) -> None:
    source = bench.Limited(str(clip), 2 * FRAMES + 5)
    frames = [item for item in source if isinstance(item, Frame)]
    source.close()
    assert [frame.index for frame in frames] == list(range(2 * FRAMES + 5))
    steps = {after.pts - before.pts for before, after in itertools.pairwise(frames)}
    assert len(steps) == 1
    assert steps.pop() > 0


def test_report_holds_every_stage_the_ratio_and_memory(
    clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRANET_STREAM_CACHE", str(tmp_path / "cache"))
    model = tmp_path / "tiny.safetensors"
    pranet.save_model(pranet.build_model("pranet_v2_lite0", input_size=64), model)
    report = tmp_path / "bench.json"
    arguments = ["--frames", "32", "--repeats", "2", "--soak", "50", "--size", "96x64"]
    arguments += ["--file", str(clip), "--model", str(model), "--report", str(report)]
    monkeypatch.setattr(sys, "argv", ["pranet-bench", *arguments])
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 0

    content = json.loads(report.read_text())
    assert (content["clip"]["width"], content["clip"]["height"]) == (96, 64)
    stages = content["file"]["stages_ms"]
    assert set(stages) == set(bench.STAGES)
    assert all(stages[name]["cpu"]["median"] > 0 for name in ("decode", "convert", "encode"))
    ratio = content["file"]["cpu_ratio"]
    assert 0 < ratio["min"] <= ratio["median"] <= ratio["max"]
    assert list(content["resident_mb"]) == [str(n) for n in range(5, 51, 5)]


@pytest.mark.parametrize("size", ["1920", "0x0", "9000x9000", "axb"])
def test_a_size_that_makes_no_sense_is_refused_in_one_line(
    size: str, clip: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["pranet-bench", "--file", str(clip), "--size", size])
    monkeypatch.setattr(bench, "load_segmenter", lambda *_, **__: None)
    with pytest.raises(SystemExit) as ended:
        bench.main()
    assert ended.value.code == 2
    assert capsys.readouterr().out.startswith(f"pranet-bench: --size {size}")
