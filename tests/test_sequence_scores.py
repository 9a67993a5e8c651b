"""`pranet-eval --sequences`: clips of which is known what is found, what is drawn and refused."""

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from demos import evaluate, operating_points, temporal_ablation
from demos.contact_sheet import FOUND_COLOUR, TILE_PX
from demos.sequence_drawings import WHITE, Drawings
from demos.sequence_runs import SIZE_PX, Clip, find_clips, record, replay
from demos.sequence_scores import score_folder
from pranet.errors import DataError, PranetError
from streamer.errors import EngineError
from streamer.temporal import OPERATING_POINTS, PRESETS, Temporal

SIZE = (96, 64)
RATE = 25

Film = Callable[..., Path]
Mask = NDArray[np.uint8]
Row = dict[str, Any]
#: Runs the command with these arguments: its exit code, and all that it said.
Evaluate = Callable[..., tuple[int, list[str]]]

#: The same network for this process and for others: how red a pixel is, but blind in every 5th
#: frame, where a faint light stays.
NETWORK = """
import os
import numpy as np
from streamer.engine import EngineInfo
from streamer.rgb import SquareReader

class Ready:
    def __init__(self, probability):
        self.probability = probability

    def result(self):
        return self.probability

class Blinking:
    def __init__(self, threads):
        self.info = EngineInfo(
            "red", "0" * 64, "fake", "fp32", "cpu", input_size=32, streams=2, threads=threads
        )
        self.seen = 0
        self.closed = False

    def reader(self) -> SquareReader:
        return SquareReader(self.info.input_size)

    def submit(self, image):
        self.seen += 1
        blind = 0.4 if self.seen % 5 == 0 else 1
        return Ready(image[..., 0].astype(np.float32) / 255 * np.float32(blind))

    def close(self):
        self.closed = True

loaded = []

def load(*, streams=2, threads=2):
    loaded.append(Blinking(threads))
    return loaded[-1]

def die(**_):
    os._exit(9)

def fail(**_):
    from streamer.errors import EngineError
    raise EngineError("no engine today")
"""


@pytest.fixture
def network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module of the fake network; other processes find it as well."""
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "blinking_network.py").write_text(NETWORK)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "blinking_network", raising=False)
    import blinking_network  # type: ignore[import-not-found]

    module: ModuleType = blinking_network
    return module


def disc(index: int) -> Mask:
    """What is red in frame `index` of the clips that `film` makes."""
    width, height = SIZE
    rows, columns = np.mgrid[:height, :width]
    away = np.hypot(columns - width * (0.3 + 0.02 * (index % 20)), rows - height / 2)
    return np.where(away < min(width, height) / 4, np.uint8(255), np.uint8(0))


def write_masks(path: Path, masks: list[Mask], *, pixel_format: str = "gray") -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("ffv1", rate=RATE)
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = masks[0].shape
        stream.pix_fmt = pixel_format
        for index, mask in enumerate(masks):
            picture = av.VideoFrame.from_ndarray(mask, format="gray").reformat(format=pixel_format)
            picture.pts = index
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


def write_video(path: Path, images: list[NDArray[np.uint8]]) -> Path:
    """RGB pictures as a clip with hardly any loss."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=RATE, options={"crf": "1"})
        assert isinstance(stream, av.VideoStream)
        stream.height, stream.width = images[0].shape[:2]
        for index, image in enumerate(images):
            picture = av.VideoFrame.from_ndarray(image, format="rgb24").reformat(format="yuv420p")
            picture.pts = index
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


def texture(seed: int, width_px: int = SIZE[0]) -> NDArray[np.uint8]:
    """An RGB picture with something everywhere in it."""
    coarse = np.random.default_rng(seed).integers(30, 255, (9, 13, 3), np.uint8)
    return np.asarray(cv2.resize(coarse, (width_px, SIZE[1]), interpolation=cv2.INTER_CUBIC))


AddClip = Callable[..., Path]


@pytest.fixture
def add_clip(film: Film, tmp_path: Path) -> AddClip:
    """Adds a clip to the folder ``clips``, which it returns; `masks` are the disc if not given."""
    folder = tmp_path / "clips"

    def add(name: str, masks: list[Mask] | None = None, *, count: int = 18) -> Path:
        film(folder / f"{name}.mp4", count=count, size=SIZE, rate=RATE)
        if masks is None:
            masks = [disc(index) for index in range(count)]
        if masks:
            write_masks(folder / f"{name}_masks.mkv", masks)
        return folder

    return add


def refuse_constant(text: str) -> NoReturn:
    raise AssertionError(f"{text} is no JSON")


def read_json(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(), parse_constant=refuse_constant)
    return content


STEADY = replace(PRESETS["balanced"], confirm_ms=0.0, start=0.0)
SETTINGS: dict[str, Temporal] = {"off": PRESETS["off"], "steady": STEADY}


class TestScoreFolder:
    def test_each_setting_is_replayed_over_the_same_answers(
        self, add_clip: AddClip, network: ModuleType
    ) -> None:
        folder = add_clip("a")

        results = score_folder(network.load, folder, SETTINGS)

        (segmenter,) = network.loaded
        assert segmenter.seen == 18
        assert segmenter.closed
        off, steady = (results.scores(name)[0] for name in SETTINGS)
        assert off.frames == steady.frames == 18
        assert off.duration_s == pytest.approx(18 / RATE)
        # Blind in frames 4, 9 and 14: off and on again each time.
        assert (off.toggles, steady.toggles) == (6, 0)
        assert off.judged is not None
        assert off.judged.toggles == 0
        assert off.values["Dice"] == pytest.approx(off.values["Dice_with_polyp"])
        assert 75 < off.values["Dice"] < 100 * 15 / 18
        assert 85 < steady.values["Dice"] < 100
        assert steady.values["consistency"] > 80 > off.values["consistency"]
        assert steady.values["flicker"] < off.values["flicker"]

    def test_truth_has_its_own_figures(self, add_clip: AddClip, network: ModuleType) -> None:
        results = score_folder(network.load, add_clip("a"), SETTINGS)

        off, steady = (results.rows(name)[0] for name in SETTINGS)

        assert 80 < off["consistency_of_truth"] <= 100
        assert off["consistency_of_truth"] == steady["consistency_of_truth"]
        assert off["label_changes_of_truth"] > 0

    def test_clips_come_in_the_order_of_their_names_in_any_number_of_processes(
        self, add_clip: AddClip, network: ModuleType
    ) -> None:
        for name in ("b", "a", "c"):
            folder = add_clip(name, count=10)

        alone = score_folder(network.load, folder, SETTINGS)
        spread = score_folder(network.load, folder, SETTINGS, jobs=2)

        # The blinking goes on from clip to clip, so only the first ones can be the same.
        for results in (alone, spread):
            assert [score.name for score in results.scores("off")] == ["a", "b", "c"]
        for name in SETTINGS:
            first, same = (
                results.report()["settings"][name]["clips"][0] for results in (alone, spread)
            )
            assert first == same
        assert [clip.engine.threads for clip in alone.clips] == [2, 2, 2]
        assert [clip.engine.threads for clip in spread.clips] == [1, 1, 1]

    @pytest.mark.parametrize("jobs", [1, 2])
    def test_engine_that_cannot_be_loaded(
        self, jobs: int, add_clip: AddClip, network: ModuleType
    ) -> None:
        folder = add_clip("a", count=2)

        with pytest.raises(EngineError, match="no engine today"):
            score_folder(network.fail, folder, SETTINGS, jobs=jobs)

    def test_process_that_dies_is_told_of(self, add_clip: AddClip, network: ModuleType) -> None:
        folder = add_clip("a", count=2)

        with pytest.raises(EngineError, match="ended while it scored"):
            score_folder(network.die, folder, SETTINGS, jobs=2)

    def test_clip_without_masks_is_scored_on_steadiness_alone(
        self, add_clip: AddClip, network: ModuleType
    ) -> None:
        add_clip("a", [])
        folder = add_clip("b")

        results = score_folder(network.load, folder, SETTINGS)

        report = results.report()
        assert (report["clips"], report["clips_with_truth"]) == (2, 1)
        alone, judged = report["settings"]["off"]["clips"]
        assert alone["consistency"] > 0
        assert alone["toggles_per_minute"] > 0
        assert alone["false_events_per_minute"] is None
        assert "Dice" not in alone
        assert report["settings"]["off"]["over_clips"]["Dice"]["sequences"] == 1
        assert report["settings"]["off"]["over_clips"]["consistency"]["sequences"] == 2
        assert judged["Dice"] == report["settings"]["off"]["over_clips"]["Dice"]["mean"]


class TestRecord:
    def test_it_holds_what_every_frame_needs(self, add_clip: AddClip, network: ModuleType) -> None:
        folder = add_clip("a", count=7)
        (clip,) = find_clips(folder)

        recording = record(network.load(), clip)

        assert recording.times_s.tolist() == pytest.approx([index / RATE for index in range(7)])
        assert [map_.shape for map_ in recording.probabilities] == [(32, 32)] * 7
        assert len(recording.lumas) == 7
        assert [flow is not None for flow in recording.flows] == [True] * 6
        truth = recording.truth
        assert truth is not None
        assert truth.inside.shape == (7, SIZE_PX, SIZE_PX)
        shares = truth.inside.mean(axis=(1, 2))
        expected = [(disc(index) > 0).mean() for index in range(7)]
        assert shares.tolist() == pytest.approx(expected, rel=0.02)
        # Nothing in the made-up picture is black.
        assert truth.seen.all()

    def test_flow_says_where_things_were(self, network: ModuleType, tmp_path: Path) -> None:
        wide = texture(0, SIZE[0] + 12)
        # All goes to the right and was to the left before.
        images = [np.ascontiguousarray(wide[:, 12 - at :][:, : SIZE[0]]) for at in (0, 4, 8, 12)]
        path = write_video(tmp_path / "pan.mp4", images)

        recording = record(network.load(), Clip(path, None))

        for flow in recording.flows:
            assert flow is not None
            inner = flow[10:-10, 20:-20]
            assert np.median(inner[..., 0]) == pytest.approx(-4 * flow.shape[1] / SIZE[0], abs=0.3)
            assert np.median(inner[..., 1]) == pytest.approx(0, abs=0.3)

    def test_other_scene_has_no_flow(self, network: ModuleType, tmp_path: Path) -> None:
        path = write_video(tmp_path / "cut.mp4", [texture(index // 3) for index in range(6)])

        recording = record(network.load(), Clip(path, None))

        assert [flow is None for flow in recording.flows] == [False, False, True, False, False]
        assert recording.truth is None

    def test_black_around_the_picture_is_not_seen(
        self, network: ModuleType, tmp_path: Path
    ) -> None:
        image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        image[8:56, 24:72] = 120
        # A dark place inside belongs to it.
        image[24:40, 40:56] = 0
        path = write_video(tmp_path / "dark.mp4", [image])
        masks = write_masks(tmp_path / "dark_masks.mkv", [disc(0)])

        truth = record(network.load(), Clip(path, masks)).truth

        assert truth is not None
        rows, columns = np.flatnonzero(truth.seen.any(1)), np.flatnonzero(truth.seen.any(0))
        across, down = SIZE_PX / SIZE[0], SIZE_PX / SIZE[1]
        # To one px of the network's picture, which is 32 px wide here.
        assert rows[[0, -1]].tolist() == pytest.approx([8 * down, 56 * down], abs=12)
        assert columns[[0, -1]].tolist() == pytest.approx([24 * across, 72 * across], abs=12)
        assert truth.seen[rows[0] : rows[-1], columns[0] : columns[-1]].all()

    def test_replay_shows_what_counts_only(self, add_clip: AddClip, network: ModuleType) -> None:
        (clip,) = find_clips(add_clip("a", count=12))
        recording = record(network.load(), clip)

        off = replay(recording, PRESETS["off"])
        confirmed = replay(recording, replace(STEADY, confirm_ms=60, window_ms=400))

        assert off.shape == (12, SIZE_PX, SIZE_PX)
        assert off[0].any()
        assert not confirmed[:3].any()
        assert confirmed[-1].any()


@pytest.fixture
def pranet_eval(
    network: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Evaluate:
    """Runs the command in this process, with the blinking network."""

    def run(*arguments: str | Path) -> tuple[int, list[str]]:
        with monkeypatch.context() as patch:
            patch.setattr(evaluate, "load_segmenter", lambda *_, **__: network.load())
            patch.setattr(sys, "argv", ["pranet-eval", *map(str, arguments)])
            with pytest.raises(SystemExit) as caught:
                evaluate.main()
        code = caught.value.code
        assert code is None or isinstance(code, int)
        said = capsys.readouterr()
        return code or 0, (said.out + said.err).splitlines()

    return run


@pytest.fixture
def refuse(pranet_eval: Evaluate) -> Callable[..., str]:
    """Runs the command, expects it to fail with exit code 2, and gives the one line it says."""

    def run(*arguments: str | Path) -> str:
        code, lines = pranet_eval(*arguments)
        assert code == 2, lines
        assert not any("Traceback" in line for line in lines), lines
        (line,) = (line for line in lines if line.startswith("pranet-eval: "))
        return line

    return run


class TestCommand:
    def test_report_holds_everything_and_the_tables_the_same(
        self, add_clip: AddClip, tmp_path: Path, pranet_eval: Evaluate
    ) -> None:
        add_clip("a")
        folder = add_clip("b", [np.zeros(SIZE[::-1], np.uint8)] * 18)
        path, table = tmp_path / "new" / "report.json", tmp_path / "new" / "table.md"

        code, lines = pranet_eval("--sequences", folder, "--report", path, "--markdown", table)

        assert code == 0, lines
        report = read_json(path)
        assert (report["clips"], report["frames"]) == (2, 36)
        assert report["engine"]["checkpoint_sha256"] == "0" * 64
        assert report["versions"]["numpy"] == np.__version__
        assert list(report["settings"]) == ["off", "balanced"]
        off = report["settings"]["off"]
        assert off["temporal"]["smoothing_ms"] == 0
        assert [clip["name"] for clip in off["clips"]] == ["a", "b"]
        minutes = 36 / RATE / 60
        # In the second clip the network is blind in four frames with others before and after.
        assert off["pooled"]["false_events_per_minute"] == pytest.approx(5 / minutes)
        assert [len(clip["false_events"]) for clip in off["clips"]] == [0, 5]
        assert off["pooled"]["appearances"] == 1
        assert off["clips"][0]["appearance_list"][0]["found_after_ms"] == 0
        dice = off["over_clips"]["Dice"]
        values = [clip["Dice"] for clip in off["clips"]]
        assert dice["mean"] == pytest.approx(np.mean(values))
        assert dice["sd"] == pytest.approx(np.std(values, ddof=1))
        rows = [
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in table.read_text().splitlines()
        ]
        assert rows[0] == ["figure", "off", "balanced"]
        cells = {title: row for title, *row in rows[2:]}
        assert cells["Dice, %"][0] == f"{dice['mean']:.2f} ± {dice['sd']:.2f}"
        assert cells["false events a minute"][0] == f"{5 / minutes:.2f}"
        assert cells["appearances of a polyp"] == ["1", "1"]
        # What is nowhere defined has no row; what one setting lacks has a dash.
        assert "lag at over 8 px a frame, px" not in cells
        assert any("false events a minute " in line and cells["false events a minute"][1] in line
                   for line in lines)  # fmt: skip

    def test_presets_are_those_that_are_asked_for(
        self, add_clip: AddClip, tmp_path: Path, pranet_eval: Evaluate
    ) -> None:
        folder, path = add_clip("a", count=5), tmp_path / "report.json"

        pranet_eval(
            "--sequences", folder, "--temporal", "calm", "--temporal", "off", "--temporal", "calm",
            "--report", path,
        )  # fmt: skip

        assert list(read_json(path)["settings"]) == ["calm", "off"]

    def test_several_classes_are_refused(
        self, add_clip: AddClip, refuse: Callable[..., str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        info = evaluate.read_info("pranet_v2_lite0")
        several = replace(info, config={**info.config, "num_classes": 3})
        monkeypatch.setattr(evaluate, "read_info", lambda _: several)

        assert "one class only" in refuse("--sequences", add_clip("a", count=2))

    @pytest.mark.parametrize(
        ("arguments", "complaint"),
        [
            ([], "name a folder of images with --data, or of clips with --sequences"),
            (["--sequences", "x", "--data", "y"], "--data and --sequences do not go together"),
            (["--sequences", "x", "--minmax"], "--minmax and --sequences do not go together"),
            (["--data", "x", "--temporal", "off"], "--data and --temporal do not go together"),
            (["--temporal", "off"], "--temporal needs --sequences"),
            (["--strips", "x"], "--strips needs --sequences"),
            (["--worst", "3"], "--worst needs --data"),
            (["--sequences", "x", "--temporal", "mild"], "unknown preset 'mild'"),
        ],
    )
    def test_options_that_make_no_sense(
        self, arguments: list[str], complaint: str, refuse: Callable[..., str]
    ) -> None:
        assert complaint in refuse(*arguments)


class TestBadClips:
    def test_folder_without_clips(self, tmp_path: Path, refuse: Callable[..., str]) -> None:
        assert f"{tmp_path / 'none'}: no clips found" in refuse("--sequences", tmp_path / "none")

    def test_masks_without_a_clip(self, add_clip: AddClip, refuse: Callable[..., str]) -> None:
        folder = add_clip("a", count=2)
        write_masks(folder / "b_masks.mkv", [disc(0)])

        assert f"{folder / 'b_masks.mkv'}: there is no clip" in refuse("--sequences", folder)

    @pytest.mark.parametrize("count", [3, 5])
    def test_masks_of_another_length(
        self, count: int, add_clip: AddClip, refuse: Callable[..., str]
    ) -> None:
        folder = add_clip("a", [disc(index) for index in range(count)], count=4)

        complaint = refuse("--sequences", folder)

        assert f"{folder / 'a_masks.mkv'}: has {count} frames, the clip has 4" in complaint

    def test_masks_of_another_size(self, add_clip: AddClip, refuse: Callable[..., str]) -> None:
        folder = add_clip("a", [np.zeros((32, 48), np.uint8)] * 4, count=4)

        assert "masks are 48x32, the clip is 96x64" in refuse("--sequences", folder)

    def test_masks_that_are_not_gray(self, add_clip: AddClip, refuse: Callable[..., str]) -> None:
        folder = add_clip("a", [], count=4)
        masks = [disc(index) for index in range(4)]
        write_masks(folder / "a_masks.mkv", masks, pixel_format="yuv420p")

        assert "gray masks are needed, not yuv420p" in refuse("--sequences", folder)

    def test_clip_that_cannot_be_read(self, add_clip: AddClip, refuse: Callable[..., str]) -> None:
        folder = add_clip("b", count=4)
        (folder / "a.mp4").write_bytes(b"no video")

        assert f"{folder / 'a.mp4'}: " in refuse("--sequences", folder)

    def test_clip_that_would_fill_the_memory(
        self, add_clip: AddClip, network: ModuleType, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("demos.sequence_runs.MAX_FRAMES", 5)
        add_clip("a", count=5)
        score_folder(network.load, add_clip("a", count=5), SETTINGS)

        with pytest.raises(DataError, match="more than 5 frames"):
            score_folder(network.load, add_clip("a", count=6), SETTINGS)


class TestDrawings:
    def test_strip_shows_the_frames_around_the_worst_flicker_setting_by_setting(
        self, add_clip: AddClip, tmp_path: Path, network: ModuleType
    ) -> None:
        folder, strips = add_clip("a"), tmp_path / "new" / "strips"

        score_folder(network.load, folder, SETTINGS, drawings=Drawings(strips=strips))

        (path,) = strips.iterdir()
        assert path.name == "a_strip.png"
        sheet = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB))
        assert sheet.shape == (2 * TILE_PX, 8 * TILE_PX, 3)
        tiles = sheet.reshape(2, TILE_PX, 8, TILE_PX, 3).swapaxes(1, 2)
        # Above the title, which is white as well.
        tiles = tiles[:, :, : TILE_PX * SIZE[1] // SIZE[0]]
        marked = (tiles == FOUND_COLOUR).all(axis=-1).any(axis=(2, 3))
        # Frame 4 is the first of those that go blank; it stands behind 4 others.
        assert marked.tolist() == [[True] * 4 + [False] + [True] * 3, [True] * 8]
        assert (tiles[0, 4] == WHITE).all(axis=-1).any()

    def test_strip_of_a_short_clip_holds_all_of_it(
        self, add_clip: AddClip, tmp_path: Path, network: ModuleType
    ) -> None:
        add_clip("a", count=3)
        folder = add_clip("single", count=1)

        score_folder(network.load, folder, SETTINGS, drawings=Drawings(strips=tmp_path / "strips"))

        (path,) = (tmp_path / "strips").iterdir()
        assert np.asarray(cv2.imread(str(path))).shape == (2 * TILE_PX, 3 * TILE_PX, 3)

    def test_timeline_shows_areas_and_false_events(
        self, add_clip: AddClip, tmp_path: Path, network: ModuleType
    ) -> None:
        pytest.importorskip("matplotlib")
        add_clip("right")
        add_clip("wrong", [np.zeros(SIZE[::-1], np.uint8)] * 18)
        folder, timelines = add_clip("unknown", []), tmp_path / "new" / "timelines"
        settings = {"first": PRESETS["off"], "second": PRESETS["off"]}

        score_folder(network.load, folder, settings, drawings=Drawings(timeline=timelines))

        red = {}
        for name in ("right", "wrong", "unknown"):
            picture = np.asarray(
                cv2.imread(str(timelines / f"{name}_timeline.png"), cv2.IMREAD_COLOR_RGB)
            )
            # Matplotlib's "tab:red", and its first two colours, of the two settings.
            red[name] = bool((picture == (214, 39, 40)).all(axis=-1).any())
            for colour in ((31, 119, 180), (255, 127, 14)):
                assert (picture == colour).all(axis=-1).any()
        assert red == {"right": False, "wrong": True, "unknown": False}

    def test_without_matplotlib_timelines_are_refused_before_anything_is_scored(
        self,
        add_clip: AddClip,
        tmp_path: Path,
        network: ModuleType,
        refuse: Callable[..., str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib.figure", None)

        complaint = refuse("--sequences", add_clip("a", count=2), "--timeline", tmp_path / "new")

        assert "timelines need matplotlib: pip install" in complaint
        assert network.loaded == []

    def test_folder_that_cannot_be_made(
        self, add_clip: AddClip, tmp_path: Path, network: ModuleType, refuse: Callable[..., str]
    ) -> None:
        (tmp_path / "file").write_text("a file")

        complaint = refuse("--sequences", add_clip("a", count=2), "--strips", tmp_path / "file")

        assert "a folder is needed, but a file is there" in complaint
        assert network.loaded == []


class TestAblation:
    def test_steps_are_added_until_the_default_is_complete(self) -> None:
        found = temporal_ablation.variants()

        names = list(found)
        added = names[: 1 + len(temporal_ablation.ADDED)]
        assert found[names[0]] == PRESETS["off"]
        assert found[added[-1]] == PRESETS["balanced"]
        assert found["prompt"] == PRESETS["prompt"]
        assert found["calm"] == PRESETS["calm"]
        assert len({str(setting) for setting in found.values()}) == len(found)

    def test_every_setting_has_a_row(
        self,
        add_clip: AddClip,
        tmp_path: Path,
        network: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.setattr(temporal_ablation, "load_segmenter", lambda *_, **__: network.load())
        report, table = tmp_path / "report.json", tmp_path / "table.md"

        temporal_ablation.ablate(add_clip("a", count=8), report, table)

        names = list(temporal_ablation.variants())
        assert list(read_json(report)["settings"]) == names
        head, _, *rows = table.read_text().splitlines()
        assert [row.split(" | ")[0].removeprefix("| ") for row in rows] == names
        assert len({row.count("|") for row in (head, *rows)}) == 1
        assert capsys.readouterr().out.splitlines()[: len(rows) + 2] == [
            *table.read_text().splitlines()
        ]

    def test_clips_that_are_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(PranetError, match="no clips found"):
            temporal_ablation.ablate(tmp_path / "none", tmp_path / "report.json")


class TestOperatingPoints:
    def test_pairs_go_from_much_to_little_and_the_points_are_among_them(self) -> None:
        found = operating_points.pairs()
        pairs = [(each.trust, each.sure) for each in found.values()]

        assert pairs == sorted(set(pairs))
        assert [name for name in found if name in OPERATING_POINTS] == list(OPERATING_POINTS)
        assert found["balanced"] == PRESETS["balanced"]

    def test_figures_and_curve(
        self,
        add_clip: AddClip,
        network: ModuleType,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        pytest.importorskip("matplotlib")
        monkeypatch.setattr(operating_points, "load_segmenter", lambda *_, **__: network.load())
        report, plot = tmp_path / "out" / "points.json", tmp_path / "froc.png"
        operating_points.measure(add_clip("a", count=8), report, plot)

        assert list(read_json(report)["settings"]) == list(operating_points.pairs())
        assert cv2.imread(str(plot)) is not None
