"""`pranet-eval`: the figures it reports, the sheets it draws, what it refuses."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import pranet
from demos import evaluate
from pranet.attention import StageConfig
from pranet.data import find_pairs
from pranet.evaluate import evaluate as score_network
from pranet.metrics.structure import ADVICE
from pranet.model import ModelConfig

STRUCTURE = {"wFm", "S-m", "mEm"}

#: Height and width of what the fake network takes: at this size it is its own answer.
SIZE_PX = 32
GREEN, YELLOW = (60, 220, 60), (255, 210, 0)
FULL_DEVICE = Path("/dev/full")

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Ran:
    """How a run of the command ended, and all that it said."""

    code: int
    lines: list[str]

    @property
    def complaint(self) -> str:
        """The one line that says what is wrong; fails where there is another number of them."""
        assert self.code == 2, self
        assert not any("Traceback" in line for line in self.lines), self
        (line,) = (line for line in self.lines if line.startswith("pranet-eval: "))
        return line


Evaluate = Callable[..., Ran]
Report = dict[str, dict[str, Any]]


@pytest.fixture
def pranet_eval(
    segmenter: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Evaluate:
    """Runs the command with these arguments in this process.

    fake: with the fake network, whose probability is how red a pixel is.
    """
    monkeypatch.setenv("PRANET_STREAM_CACHE", str(tmp_path / "cache"))

    def run(*arguments: str | Path, fake: bool = True) -> Ran:
        with monkeypatch.context() as patch:
            if fake:
                patch.setattr(evaluate, "load_segmenter", lambda *_, **__: segmenter)
            patch.setattr(sys, "argv", ["pranet-eval", *map(str, arguments)])
            with pytest.raises(SystemExit) as caught:
                evaluate.main()
        code = caught.value.code
        assert code is None or isinstance(code, int)
        said = capsys.readouterr()
        return Ran(code or 0, (said.out + said.err).splitlines())

    return run


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Writes a small untrained network whose probabilities reach from 0 to 1 in one picture."""
    folder = tmp_path_factory.mktemp("checkpoint")

    def make(**changes: Any) -> Path:
        config = ModelConfig(
            "tiny",
            "mobilenetv3_small_050",
            channels=8,
            stages=(StageConfig(8), StageConfig(8), StageConfig(8)),
            input_size=64,
        )
        torch.manual_seed(7)
        model = pranet.build_model(config, **changes)
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.8, 1.6)
                torch.nn.init.normal_(module.bias, 0, 0.3)
        path = folder / f"tiny_{len(list(folder.iterdir()))}.safetensors"
        pranet.save_model(model, path)
        return path

    return make


def box(top: int, left: int, height_px: int, width_px: int) -> Mask:
    mask = np.zeros((SIZE_PX, SIZE_PX), np.bool_)
    mask[top : top + height_px, left : left + width_px] = True
    return mask


def add_picture(
    folder: Path,
    name: str,
    answer: NDArray[Any],
    truth: NDArray[Any] | None,
    *,
    blue: int = 80,
    certainty: tuple[int, int] = (0, 255),
) -> None:
    """A picture that the fake network answers so, and its mask.

    certainty: red levels, 0…255, outside and inside the answer.
    """
    (folder / "images").mkdir(parents=True, exist_ok=True)
    outside, inside = certainty
    red = np.where(answer, inside, outside).astype(np.uint8)
    image = np.stack([np.full_like(red, blue), np.full_like(red, 40), red], axis=2)
    cv2.imwrite(str(folder / "images" / f"{name}.png"), image)
    if truth is not None:
        (folder / "masks").mkdir(exist_ok=True)
        cv2.imwrite(str(folder / "masks" / f"{name}.png"), 255 * truth.astype(np.uint8))


@pytest.fixture
def two_folders(tmp_path: Path) -> list[Path]:
    """One folder that is answered right; one with a half that is found and one that is not."""
    right, half = tmp_path / "all right", tmp_path / "set" / "half"
    for name in ("a", "b", "c"):
        add_picture(right, name, box(8, 8, 10, 10), box(8, 8, 10, 10))
    add_picture(half, "a", box(8, 8, 5, 10), box(8, 8, 10, 10))
    add_picture(half, "b", box(0, 0, 0, 0), box(8, 8, 10, 10))
    return [right, half]


def data(*folders: Path) -> list[str]:
    return [part for folder in folders for part in ("--data", str(folder))]


def refuse_constant(text: str) -> NoReturn:
    raise AssertionError(f"{text} is no JSON")


def read_json(path: Path) -> Report:
    content: Report = json.loads(path.read_text(), parse_constant=refuse_constant)
    return content


def read_table(path: Path) -> dict[str, dict[str, str]]:
    """Row → column → cell of a Markdown table."""
    lines = [line.strip("|").split("|") for line in path.read_text().splitlines()]
    (_, *columns), rule, *rows = ([cell.strip() for cell in line] for line in lines)
    assert rule == ["---"] + ["--:"] * len(columns)
    return {name: dict(zip(columns, cells, strict=True)) for name, *cells in rows}


class TestReport:
    def test_it_is_keyed_by_folder_with_means_in_percent_and_distances_in_px(
        self,
        two_folders: list[Path],
        tmp_path: Path,
        pranet_eval: Evaluate,
        sod_metrics: ModuleType,
    ) -> None:
        path = tmp_path / "new" / "report.json"

        ran = pranet_eval(*data(*two_folders), "--report", path)

        assert ran.code == 0
        right, half = read_json(path).values()
        assert list(read_json(path)) == ["all right", "half"]
        assert (right["images"], half["images"]) == (3, 2)
        for metric in ("Dice", "IoU", "wFm", "S-m", "boundaryF", "lesion_sensitivity"):
            assert right[metric] == pytest.approx(100, abs=0.01), metric
        assert right["HD95"] == 0
        assert right["MAE"] == pytest.approx(0, abs=0.01)
        assert half["Dice"] == pytest.approx(100 * (2 / 3 + 0) / 2)
        assert half["IoU"] == pytest.approx(100 * (1 / 2 + 0) / 2)
        assert half["MAE"] == pytest.approx(100 * (50 + 100) / (2 * 32**2))
        assert half["HD95"] == pytest.approx((5 + 32 * 2**0.5) / 2)
        assert half["lesion_sensitivity"] == 50
        assert half["lesion_precision"] == 100
        assert half["mDice_interval"][0] < half["mDice"] < half["mDice_interval"][1] < 100
        assert right["false_area"] is None
        assert right["minmax"] is False
        assert right["engine"]["checkpoint_sha256"] == "0" * 64

    def test_table_shows_the_same_in_markdown_and_on_the_screen(
        self, two_folders: list[Path], tmp_path: Path, pranet_eval: Evaluate
    ) -> None:
        path, table = tmp_path / "report.json", tmp_path / "new" / "table.md"

        ran = pranet_eval(*data(*two_folders), "--report", path, "--markdown", table)

        rows = read_table(table)
        assert list(rows) == ["all right", "half"]
        for name, scores in read_json(path).items():
            assert rows[name].pop("images") == str(scores["images"])
            for column, cell in rows[name].items():
                assert cell == f"{scores[column.replace(' ', '_')]:.2f}"
        # What is defined nowhere has no column.
        assert {"mDice", "lesion sensitivity"} <= rows["half"].keys()
        assert "false area" not in rows["half"]
        (shown,) = (line for line in ran.lines if "Dice" in line and "mDice" not in line)
        assert [cell.strip() for cell in shown.strip("│").split("│")] == ["Dice", "100.00", "33.33"]

    def test_folder_without_masks_reports_what_is_found_in_it(
        self, two_folders: list[Path], tmp_path: Path, pranet_eval: Evaluate
    ) -> None:
        path, table, folder = tmp_path / "report.json", tmp_path / "table.md", tmp_path / "free"
        add_picture(folder, "a", box(0, 0, 16, 16), None)
        add_picture(folder, "b", box(0, 0, 0, 0), None)

        pranet_eval(*data(folder, *two_folders), "--report", path, "--markdown", table)

        scores = read_json(path)["free"]
        assert scores["false_area"] == pytest.approx(100 * (1 / 4 + 0) / 2)
        assert scores["lesion_sensitivity"] is None
        assert scores["lesion_precision"] == 0
        assert scores["Dice"] == 50
        rows = read_table(table)
        assert rows["free"]["false area"] == "12.50"
        assert rows["free"]["lesion sensitivity"] == rows["half"]["false area"] == "–"

    def test_names_with_brackets_are_shown_as_they_are(
        self, tmp_path: Path, pranet_eval: Evaluate
    ) -> None:
        folder, sheets = tmp_path / "x [b]", tmp_path / "[" / "x]"
        add_picture(folder, "a", box(8, 8, 10, 10), box(8, 8, 10, 10))

        ran = pranet_eval(*data(folder), "--worst", "1", "--sheets", sheets)

        assert ran.code == 0
        assert any("metric" in line and "x [b]" in line for line in ran.lines)
        assert any(f"{sheets}/worst_x [b].png" in line for line in ran.lines)

    def test_stretch_turns_a_faint_answer_into_a_certain_one(
        self, tmp_path: Path, pranet_eval: Evaluate
    ) -> None:
        folder, path = tmp_path / "faint", tmp_path / "report.json"
        add_picture(folder, "a", box(8, 8, 10, 10), box(8, 8, 10, 10), certainty=(50, 100))

        pranet_eval(*data(folder), "--report", path)
        plain = read_json(path)["faint"]
        pranet_eval(*data(folder), "--report", path, "--minmax")
        wide = read_json(path)["faint"]

        assert (plain["minmax"], wide["minmax"]) == (False, True)
        assert (plain["Dice"], wide["Dice"]) == (0, 100)
        assert wide["mDice"] > 99 > plain["mDice"]

    def test_without_pysodmetrics_its_metrics_are_left_out_and_the_advice_is_given(
        self,
        two_folders: list[Path],
        tmp_path: Path,
        pranet_eval: Evaluate,
        sod_metrics: ModuleType,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        path = tmp_path / "report.json"
        before = pranet_eval(*data(*two_folders), "--report", path)
        complete = read_json(path)
        monkeypatch.setitem(sys.modules, "py_sod_metrics", None)

        ran = pranet_eval(*data(*two_folders), "--report", path)

        assert ran.code == 0
        assert any(ADVICE in line for line in ran.lines)
        assert not any(ADVICE in line for line in before.lines)
        assert read_json(path) == {
            name: {key: value for key, value in scores.items() if key not in STRUCTURE}
            for name, scores in complete.items()
        }
        assert complete["half"].keys() > STRUCTURE


def outline(mask: Mask, scale: int) -> Mask:
    """The outermost pixels of a mask that is made larger so many times."""
    large = np.pad(np.kron(mask, np.ones((scale, scale), np.bool_)), 1)
    core = large[:-2, 1:-1] & large[2:, 1:-1] & large[1:-1, :-2] & large[1:-1, 2:]
    return np.asarray(large[1:-1, 1:-1] & ~core)


def read_tiles(path: Path) -> list[NDArray[np.uint8]]:
    """The tiles of a sheet, RGB, row by row, empty places left out."""
    sheet = np.asarray(cv2.imread(str(path), cv2.IMREAD_COLOR_RGB), np.uint8)
    side_px = sheet.shape[1] // 4
    tiles = [
        sheet[top : top + side_px, left : left + side_px]
        for top in range(0, sheet.shape[0], side_px)
        for left in range(0, sheet.shape[1], side_px)
    ]
    return [tile for tile in tiles if tile.any()]


class TestSheets:
    def test_worst_images_come_in_their_order_with_truth_in_green_and_answer_in_yellow(
        self, tmp_path: Path, pranet_eval: Evaluate
    ) -> None:
        folder, sheets = tmp_path / "set", tmp_path / "new" / "sheets"
        truth = box(2, 2, 8, 8)
        answers = {
            name: box(12, 6, 2 * index, 10) | box(2, 2, 8, width_px)
            for index, (name, width_px) in enumerate(
                {"a": 8, "b": 2, "c": 7, "d": 0, "e": 4, "f": 6, "g": 5}.items()
            )
        }
        for index, (name, answer) in enumerate(answers.items()):
            add_picture(folder, name, answer, truth, blue=100 + 20 * index)

        pranet_eval(*data(folder), "--worst", "5", "--sheets", sheets)

        overlap = {
            name: 2 * (answer & truth).sum() / (answer.sum() + truth.sum())
            for name, answer in answers.items()
        }
        order = sorted(overlap, key=overlap.__getitem__)[:5]
        assert order != sorted(order)
        tiles = read_tiles(sheets / "worst_set.png")
        names = [sorted(answers)[(int(tile[2, 2, 2]) - 100) // 20] for tile in tiles]
        assert names == order
        for name, tile in zip(names, tiles, strict=True):
            scale = len(tile) // SIZE_PX
            found = outline(answers[name], scale)
            np.testing.assert_array_equal((tile == YELLOW).all(axis=2), found)
            # The answer is drawn over the truth.
            np.testing.assert_array_equal(
                (tile == GREEN).all(axis=2), outline(truth, scale) & ~found
            )

    @pytest.mark.parametrize(
        ("certainty", "options"),
        [((125, 130), []), ((50, 100), ["--minmax"])],
        ids=["at half", "stretched"],
    )
    def test_sheet_shows_the_answer_that_was_scored_and_its_holes(
        self,
        certainty: tuple[int, int],
        options: list[str],
        tmp_path: Path,
        pranet_eval: Evaluate,
    ) -> None:
        folder = tmp_path / "set"
        answer = box(2, 2, 12, 12) & ~box(5, 6, 4, 5)
        add_picture(folder, "a", answer, box(2, 18, 8, 8), certainty=certainty)

        pranet_eval(*data(folder), "--worst", "9", *options, "--sheets", tmp_path)

        (tile,) = read_tiles(tmp_path / "worst_set.png")
        np.testing.assert_array_equal(
            (tile == YELLOW).all(axis=2), outline(answer, len(tile) // SIZE_PX)
        )

    def test_each_folder_has_its_own(
        self, two_folders: list[Path], tmp_path: Path, pranet_eval: Evaluate
    ) -> None:
        pranet_eval(*data(*two_folders), "--worst", "1", "--sheets", tmp_path)

        right, half = (read_tiles(tmp_path / f"worst_{folder.name}.png") for folder in two_folders)
        # All right: yellow lies upon green. The worst of the other: nothing is found.
        assert (half[0] == GREEN).all(axis=2).any()
        assert not (half[0] == YELLOW).all(axis=2).any()
        assert (right[0] == YELLOW).all(axis=2).any()
        assert not (right[0] == GREEN).all(axis=2).any()

    def test_there_is_none_unless_it_is_asked_for(
        self,
        two_folders: list[Path],
        tmp_path: Path,
        pranet_eval: Evaluate,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)

        pranet_eval(*data(*two_folders))

        assert not list(tmp_path.glob("**/worst*"))


class TestRealNetwork:
    def test_engines_agree(
        self, tmp_path: Path, make_checkpoint: Callable[..., Path], pranet_eval: Evaluate
    ) -> None:
        folder, model = tmp_path / "set", make_checkpoint()
        rows, columns = np.mgrid[:70, :90]
        for index, name in enumerate("abc"):
            disc = np.hypot(columns - 30 - 10 * index, rows - 35) < 20
            add_picture(folder, name, disc, disc)
        results: Report = {}
        for backend in ("eager", "openvino"):
            path = tmp_path / f"{backend}.json"
            ran = pranet_eval(
                *data(folder), "--model", model, "--backend", backend, "--precision", "fp32",
                "--report", path, fake=False,
            )  # fmt: skip
            assert ran.code == 0
            results[backend] = read_json(path)["set"]
            engine = results[backend].pop("engine")
            assert results[backend].pop("versions")["openvino"]
            assert (engine["backend"], engine["precision"]) == (backend, "fp32")

        eager, openvino = results.values()
        assert all(0 < eager[metric] < 100 for metric in ("mDice", "Dice", "HD95", "MAE"))
        assert eager.pop("mDice_interval") == pytest.approx(openvino.pop("mDice_interval"), abs=0.1)
        assert eager == pytest.approx(openvino, abs=0.1, nan_ok=True)

    def test_several_classes_each_have_their_scores(
        self, tmp_path: Path, make_checkpoint: Callable[..., Path], pranet_eval: Evaluate
    ) -> None:
        folder, path, table = tmp_path / "set", tmp_path / "report.json", tmp_path / "table.md"
        model = make_checkpoint(num_classes=4)
        rng = np.random.default_rng(1)
        for name in ("a", "b"):
            add_picture(folder, name, rng.random((40, 40)) < 0.5, np.zeros((40, 40)))
            labels = rng.integers(0, 2, (40, 40), dtype=np.uint8)
            cv2.imwrite(str(folder / "masks" / f"{name}.png"), labels)

        ran = pranet_eval(
            *data(folder), "--model", model, "--report", path, "--markdown", table, fake=False
        )

        assert ran.code == 0
        scores = read_json(path)["set"]
        engine = scores.pop("engine")
        assert scores.pop("versions")
        assert engine["checkpoint_sha256"] == pranet.checkpoint.read_info(model).sha256
        assert scores.pop("images") == 2
        expected = score_network(pranet.load_model(model), find_pairs(folder))
        assert scores == pytest.approx(
            {name: None if np.isnan(value) else value for name, value in expected.items()}
        )
        row = read_table(table)["set"]
        assert row.keys() == {"images", *expected}
        assert row["mDice"] == f"{expected['mDice']:.2f}"
        assert row["Dice/1"] == f"{expected['Dice/1']:.2f}"

    @pytest.mark.parametrize(
        "option",
        [["--minmax"], ["--worst", "1"], ["--backend", "openvino"], ["--precision", "bf16"]],
        ids=" ".join,
    )
    def test_several_classes_are_refused_where_they_make_no_sense(
        self,
        option: list[str],
        two_folders: list[Path],
        make_checkpoint: Callable[..., Path],
        pranet_eval: Evaluate,
    ) -> None:
        model = make_checkpoint(num_classes=3, stages=(), final=("r4",))

        ran = pranet_eval(*data(*two_folders), "--model", model, *option, fake=False)

        assert "several classes are scored by the eager backend" in ran.complaint

    def test_it_works_in_any_folder(
        self, two_folders: list[Path], tmp_path: Path, make_checkpoint: Callable[..., Path]
    ) -> None:
        here = tmp_path / "set"
        arguments = ["--data", "half", "--model", os.path.relpath(make_checkpoint(), here)]
        arguments += ["--backend", "eager", "--report", "report.json", "--worst", "1"]

        done = subprocess.run(
            [sys.executable, "-m", "demos.evaluate", *arguments],
            cwd=here,
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 0, done.stderr
        assert read_json(here / "report.json")["half"]["images"] == 2
        assert len(read_tiles(here / "worst_half.png")) == 1


class TestBadInput:
    def test_folder_of_a_name_that_is_taken(self, tmp_path: Path, pranet_eval: Evaluate) -> None:
        for part in ("first", "second"):
            add_picture(tmp_path / part / "set", "a", box(1, 1, 9, 9), box(1, 1, 9, 9))

        ran = pranet_eval(*data(tmp_path / "first" / "set", tmp_path / "second" / "set"))

        assert f"{tmp_path}/second/set: another folder of this name" in ran.complaint

    def test_folder_that_is_not_there(self, two_folders: list[Path], pranet_eval: Evaluate) -> None:
        missing = two_folders[0] / "missing"

        ran = pranet_eval(*data(two_folders[0], missing))

        assert f"{missing}: no images found" in ran.complaint

    def test_checkpoint_that_is_not_there(
        self, two_folders: list[Path], pranet_eval: Evaluate
    ) -> None:
        ran = pranet_eval(*data(*two_folders), "--model", "missing", fake=False)

        assert ran.complaint.startswith("pranet-eval: no checkpoint 'missing'")

    @pytest.mark.parametrize("classes", ["three", None, 0, []])
    def test_checkpoint_of_a_hostile_number_of_classes(
        self,
        classes: object,
        two_folders: list[Path],
        tmp_path: Path,
        make_checkpoint: Callable[..., Path],
        pranet_eval: Evaluate,
    ) -> None:
        good, bad = make_checkpoint(stages=(), final=("r4",)), tmp_path / "bad.safetensors"
        content = good.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        config = json.loads(header["__metadata__"]["config"]) | {"num_classes": classes}
        header["__metadata__"]["config"] = json.dumps(config)
        text = json.dumps(header).encode()
        bad.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])

        ran = pranet_eval(*data(*two_folders), "--model", bad, fake=False)

        assert f"{bad}: its configuration is not understood" in ran.complaint

    @pytest.mark.parametrize("damaged", ["images/b.png", "masks/b.png"])
    def test_broken_image(
        self, damaged: str, two_folders: list[Path], pranet_eval: Evaluate
    ) -> None:
        path = two_folders[0] / damaged
        path.write_bytes(b"no image")

        ran = pranet_eval(*data(*two_folders))

        assert f"{path}: cannot be read as an image" in ran.complaint

    def test_images_of_which_one_has_no_mask(
        self, two_folders: list[Path], pranet_eval: Evaluate
    ) -> None:
        (two_folders[1] / "masks" / "b.png").unlink()

        ran = pranet_eval(*data(*two_folders))

        assert f"{two_folders[1]}: 1 images have no mask, e.g. b.png" in ran.complaint

    @pytest.mark.parametrize("option", ["--report", "--markdown"])
    @pytest.mark.parametrize(
        ("place", "reason"),
        [
            ("set", "is a folder; name a file in it"),
            ("all right/images/a.png/report", "a folder is needed, but a file is there"),
            (f"{300 * 'x'}", "cannot be written"),
        ],
        ids=["a folder", "in a file", "too long"],
    )
    def test_report_that_cannot_be_written(
        self,
        option: str,
        place: str,
        reason: str,
        two_folders: list[Path],
        tmp_path: Path,
        pranet_eval: Evaluate,
    ) -> None:
        ran = pranet_eval(*data(*two_folders), option, tmp_path / place)

        assert reason in ran.complaint

    @pytest.mark.skipif(not FULL_DEVICE.exists(), reason="no /dev/full here")
    @pytest.mark.parametrize("option", ["--report", "--markdown"])
    def test_report_for_which_no_space_is_left(
        self, option: str, two_folders: list[Path], pranet_eval: Evaluate
    ) -> None:
        ran = pranet_eval(*data(*two_folders), option, FULL_DEVICE)

        assert f"{FULL_DEVICE}: cannot be written (no space left" in ran.complaint

    def test_sheet_that_cannot_be_written(
        self, two_folders: list[Path], tmp_path: Path, pranet_eval: Evaluate
    ) -> None:
        sheets = tmp_path / "sheets"
        sheets.write_text("a file")

        ran = pranet_eval(*data(*two_folders), "--worst", "1", "--sheets", sheets)

        assert f"{sheets}: a folder is needed, but a file is there" in ran.complaint
