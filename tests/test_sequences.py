"""Sequences with exact masks, made of made-up tissue."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import groupby, islice, pairwise
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange, Colorspace
from numpy.typing import NDArray

from demos import make_sequences as command
from demos.sequences import floating, tool
from demos.sequences.camera import COURSES, lead
from demos.sequences.field import FieldOfView
from demos.sequences.footage import Footage
from demos.sequences.plan import Plan, Shot, Spell, plan_sequences
from demos.sequences.stills import Ground, prepare
from pranet.data import Pair, find_pairs
from pranet.errors import DataError
from streamer.errors import OutputError
from streamer.sources.tissue import make_stills

RATE = Fraction(10)
SIZE_PX = (128, 96)
#: The green channel is the mask.
GROUND, POLYP = (150, 0, 60), (150, 255, 60)
#: Frames of `discs` that show both shots.
FADING = {29, 30, 31}


def save(folder: Path, name: str, image: NDArray[np.uint8], mask: NDArray[np.uint8]) -> None:
    for part, pixels in (("images", image[..., ::-1]), ("masks", mask)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / part / f"{name}.png"), np.ascontiguousarray(pixels))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with six stills of made-up tissue, four of them with a polyp."""
    folder = tmp_path_factory.mktemp("stills")
    for number, still in enumerate(make_stills(count=6, width=240, height=180)):
        save(folder, f"still{number}", still.image, still.mask)
    return folder


def plans(data: Path, count: int = 16, seconds: float = 12.0, seed: int = 0) -> list[Plan]:
    return list(
        plan_sequences(
            find_pairs(data),
            count=count,
            seconds=seconds,
            seed=seed,
            rate=RATE,
            size_px=SIZE_PX,
        )
    )


def disc_ground(x: int = 130, y: int = 80, radius: int = 30) -> Ground:
    rows, columns = np.mgrid[:180, :240]
    disc = (columns - x) ** 2 + (rows - y) ** 2 <= radius**2
    image = np.where(disc[..., None], POLYP, GROUND).astype(np.uint8)
    return Ground(image, np.where(disc, 255, 0).astype(np.uint8), np.ones(disc.shape, np.bool_))


def discs(seed: int = 0, **changes: object) -> Plan:
    """Two shots of 3 s with a cross-fade, and nothing else unless it is asked for."""
    nowhere = Pair(Path("none/images/none.png"), Path("none/masks/none.png"))
    plan = Plan(
        name="discs",
        seed=(seed, 0),
        width=SIZE_PX[0],
        height=SIZE_PX[1],
        rate=RATE,
        frames=60,
        shots=(
            Shot(nowhere, False, "stays", 0.0, 3.0, False),
            Shot(nowhere, False, "comes and goes", 3.0, 6.0, True),
        ),
        interlaced=False,
        encoding={"preset": "ultrafast", "threads": "1"},
        jolts_s=(1.0, 4.0),
        focus_s=(0.5, 3.5),
        exposure_s=(2.0,),
        instruments=(),
        bubbles=(),
        liquids=(),
        opaque_liquids=(),
    )
    return replace(plan, **changes)  # type: ignore[arg-type]


def disc_footage(plan: Plan, optics: bool = False) -> Footage:
    return Footage(plan, [disc_ground(), disc_ground(120, 90, 22)], optics=optics)


@pytest.fixture
def painted_black(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever hides tissue is black, so that the green channel stays the mask."""

    def black(across: NDArray[np.float32], *_: object) -> NDArray[np.float32]:
        return np.zeros((*across.shape, 3), np.float32)

    monkeypatch.setattr(tool, "painted", black)
    monkeypatch.setattr(floating, "_OPAQUE", ((0, 0, 0),))


class TestMask:
    @pytest.mark.parametrize("seed", range(3))
    def test_is_exactly_what_the_picture_shows(self, seed: int) -> None:
        footage = disc_footage(discs(seed))
        areas = []
        for index in set(range(0, 60, 2)) - FADING:
            image, mask = footage.render(index)
            assert np.array_equal(image[..., 1] > 127, mask == 255)
            areas.append(np.count_nonzero(mask))
        assert max(areas) > 200
        assert len(set(areas)) > 10

    @pytest.mark.usefixtures("painted_black")
    @pytest.mark.parametrize("kind", ["instruments", "opaque_liquids"])
    def test_loses_exactly_what_is_hidden(self, kind: str) -> None:
        hiding = disc_footage(discs(2, **{kind: (Spell(0.2, 5.8),)}))
        free = disc_footage(discs(2))
        hidden_px = 0
        for index in set(range(5, 50, 5)) - FADING:
            image, mask = hiding.render(index)
            _, whole = free.render(index)
            assert not (mask & ~whole).any()
            hidden_px += np.count_nonzero(whole & ~mask)
            assert np.array_equal(image[..., 1] > 127, mask == 255)
        assert hidden_px > 100

    def test_does_not_depend_on_light_blur_and_what_is_transparent(self) -> None:
        spells = (Spell(0.0, 6.0),)
        with_optics = disc_footage(discs(bubbles=spells, liquids=spells), optics=True)
        without = disc_footage(discs())
        for index in range(0, 60, 7):
            assert np.array_equal(with_optics.render(index)[1], without.render(index)[1])

    def test_nothing_lies_outside_the_view(self) -> None:
        footage = disc_footage(discs(instruments=(Spell(0, 6),)), optics=True)
        outside = footage.field.framed(footage.field.inside) == 0
        assert 0.02 < outside.mean() < 0.5
        image, mask = footage.render(20)
        assert not image[outside].any()
        assert not mask[outside].any()
        assert image[~outside].any()


class TestInterlaced:
    def test_weaves_two_moments(self) -> None:
        footage = disc_footage(discs(3, interlaced=True))
        moving = 0
        for index in range(0, 20, 4):
            image, mask = footage.render(index)
            first, first_mask = footage.moment(2 * index)
            second, _ = footage.moment(2 * index + 1)
            assert np.array_equal(image[::2], first[::2])
            assert np.array_equal(image[1::2], second[1::2])
            assert np.array_equal(mask, first_mask)
            moving += not np.array_equal(first[1::2], second[1::2])
        assert moving > 2

    def test_second_moment_is_half_a_frame_later(self) -> None:
        plan = discs(3)
        twice = disc_footage(replace(plan, rate=2 * RATE))
        assert np.array_equal(disc_footage(plan).moment(7)[0], twice.render(7)[0])


class TestCamera:
    def test_speeds_are_those_of_a_colonoscope(self) -> None:
        ground = disc_ground()
        speeds = []
        for seed in range(12):
            rng = np.random.default_rng(seed)
            field = FieldOfView(352, 280, rng)
            hand = lead(ground, field, COURSES["stays"], 0.0, 4.0, [], rng)
            poses = [hand.pose(frame / 30) for frame in range(120)]
            for before, after in pairwise(poses):
                shift = np.hypot(after.x - before.x, after.y - before.y)
                speeds.append(shift * field.height / before.height)
        # In px per frame at 30 Hz.
        assert 0.3 < np.median(speeds) < 4
        assert 2 < np.quantile(speeds, 0.9) < 9

    def test_windows_keep_to_usable_tissue(self) -> None:
        ground = disc_ground()
        ground.usable[:, :60] = False
        for seed in range(5):
            rng = np.random.default_rng(seed)
            field = FieldOfView(*SIZE_PX, rng)
            hand = lead(ground, field, COURSES["stays"], 0.0, 3.0, [], rng)
            for time_s in np.linspace(0, 3, 20):
                pose = hand.pose(float(time_s))
                left = pose.x - pose.height / 2 * field.width / field.height
                assert left > 60 - 0.12 * pose.height

    def test_polyp_enters_and_leaves(self) -> None:
        def areas(course: str) -> list[int]:
            shot = replace(discs().shots[0], course=course)
            footage = Footage(discs(5, shots=(shot,)), [disc_ground(150, 90, 16)], optics=False)
            return [np.count_nonzero(footage.render(index)[1]) for index in (0, 28)]

        before, after = areas("enters")
        assert before < 0.5 * after
        before, after = areas("leaves")
        assert after < 0.5 * before


class TestStills:
    def test_border_and_printed_box_are_not_filmed(self, tmp_path: Path) -> None:
        still = make_stills(count=1, width=240, height=180)[0]
        image = still.image.copy()
        rows, columns = np.mgrid[:180, :240]
        image[columns + rows < 40] = 0
        image[130:, :60] = (20, 160, 60)
        save(tmp_path, "still", image, still.mask)

        ground = prepare(find_pairs(tmp_path)[0])

        assert ground is not None
        seen = ground.image.astype(int)
        assert (seen[..., 1] <= seen[..., 0] + 15).all()
        assert seen.max(axis=2).min() > 28
        assert 0.02 < 1 - ground.usable.mean() < 0.3

    def test_polyp_free_part_lies_and_holds_no_polyp(self, data: Path) -> None:
        found = [prepare(pair, polyp_free=True) for pair in find_pairs(data)]
        parts = [part for part in found if part is not None]
        assert len(parts) >= 2
        for part in parts:
            assert not part.mask.any()
            assert part.mask.shape[0] <= part.mask.shape[1]

    def test_dark_still_is_left_out(self, tmp_path: Path) -> None:
        save(tmp_path, "dark", np.zeros((90, 90, 3), np.uint8), np.zeros((90, 90), np.uint8))
        with pytest.raises(DataError, match="no still shows a polyp"):
            plans(tmp_path)


class TestPlan:
    def test_same_for_the_same_seed_and_not_for_another(self, data: Path) -> None:
        assert plans(data) == plans(data)
        assert plans(data) != plans(data, seed=1)

    def test_set_can_be_continued(self, data: Path) -> None:
        assert plans(data, count=5) == plans(data, count=11)[:5]

    def test_shots_fill_the_time(self, data: Path) -> None:
        for plan in plans(data):
            shots = plan.shots
            assert shots[0].start_s == 0
            assert shots[-1].end_s == 12
            assert [shot.end_s for shot in shots[:-1]] == [shot.start_s for shot in shots[1:]]
            assert plan.frames == 120

    def test_polyp_free_stretches(self, data: Path) -> None:
        longest_s, wholly = [], 0
        for plan in plans(data, count=48):
            stretches = [
                sum(shot.end_s - shot.start_s for shot in run)
                for free, run in groupby(plan.shots, lambda shot: shot.polyp_free)
                if free
            ]
            longest_s.append(max(stretches, default=0.0))
            wholly += all(shot.polyp_free for shot in plan.shots)
        assert 0.6 < np.mean(np.array(longest_s) >= 4) < 0.75
        assert 2 <= wholly <= 5

    def test_every_kind_of_thing_comes_up(self, data: Path) -> None:
        found = plans(data, count=48)
        assert sum(plan.interlaced for plan in found) == 6
        assert {"crf", "b"} == {key for plan in found for key in plan.encoding} - {
            "preset",
            "threads",
        }
        cuts = [shot.fades_in for plan in found for shot in plan.shots[1:]]
        assert 0.25 < np.mean(cuts) < 0.55
        for kind in ("jolts_s", "focus_s", "exposure_s", "instruments", "bubbles", "liquids"):
            assert 0.2 < np.mean([bool(getattr(plan, kind)) for plan in found]) < 1.01

    def test_stills_are_dealt_like_cards(self, data: Path) -> None:
        shown = (
            shot.still.image.name
            for plan in plans(data)
            for shot in plan.shots
            if not shot.polyp_free
        )
        first, second = list(islice(shown, 4)), list(islice(shown, 4))
        assert len(set(first)) == 4
        assert first == second


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two short sequences."""
    folder = tmp_path_factory.mktemp("made")
    run(data, folder)
    return folder


def run(data: Path, folder: Path, **options: object) -> None:
    arguments = {"count": 2, "seconds": 1.5, "rate": 10, "size": "128x96"} | options
    command.make_sequences([data], folder, **arguments)  # type: ignore[arg-type]


def frames(path: Path) -> Iterator[av.VideoFrame]:
    with av.open(str(path)) as container:
        yield from container.decode(video=0)


class TestFiles:
    def test_video_and_masks_belong_together(self, made: Path) -> None:
        for number in range(2):
            name = f"sequence_{number:03d}"
            pictures = list(frames(made / f"{name}.mp4"))
            masks = list(frames(made / f"{name}_masks.mkv"))
            assert len(pictures) == len(masks) == 15
            times_s = [picture.time for picture in pictures]
            assert times_s == pytest.approx([index / 10 for index in range(15)])
            # Matroska keeps milliseconds.
            assert [mask.time for mask in masks] == pytest.approx(times_s, abs=0.0006)
            assert pictures[0].format.name == "yuv420p"
            assert pictures[0].colorspace == Colorspace.ITU709
            assert pictures[0].color_range == ColorRange.MPEG
            values = {value for mask in masks for value in np.unique(mask.to_ndarray()).tolist()}
            assert values <= {0, 255}
            assert (pictures[0].width, pictures[0].height) == (128, 96)

    def test_polyp_free_shots_have_empty_masks(self, made: Path) -> None:
        empty, full = 0, 0
        for description in made.glob("*.json"):
            plan = json.loads(description.read_text())
            masks = frames(description.with_name(f"{plan['name']}_masks.mkv"))
            for index, mask in enumerate(masks):
                shot = next(s for s in plan["shots"] if index / 10 < s["end_s"])
                polyp = bool(mask.to_ndarray().any())
                assert not (shot["polyp_free"] and polyp)
                empty += shot["polyp_free"]
                full += polyp
        assert empty > 0
        assert full > 0

    def test_same_with_two_processes(self, data: Path, made: Path, tmp_path: Path) -> None:
        run(data, tmp_path, jobs=2)
        for path in made.iterdir():
            assert (tmp_path / path.name).read_bytes() == path.read_bytes(), path.name

    def test_goes_on_where_it_stopped(
        self, data: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for path in made.glob("sequence_000*"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
        drawn: list[str] = []
        real: Callable[[Plan, Path], float] = command.make
        monkeypatch.setattr(
            command, "make", lambda plan, output: drawn.append(plan.name) or real(plan, output)
        )
        run(data, tmp_path)
        assert drawn == ["sequence_001"]
        assert {path.name for path in tmp_path.iterdir()} == {path.name for path in made.iterdir()}

    def test_other_settings_do_not_mix(self, data: Path, made: Path) -> None:
        with pytest.raises(OutputError, match="other settings"):
            run(data, made, seed=1)


class TestBadInput:
    @pytest.fixture
    def refuse(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Callable[..., str]:
        """Runs the command, expects exit code 2, and gives the one line that it says."""

        def call(*arguments: str | Path) -> str:
            monkeypatch.setattr("sys.argv", ["make_sequences", *map(str, arguments)])
            with pytest.raises(SystemExit) as caught:
                command.main()
            assert caught.value.code == 2
            (line,) = capsys.readouterr().err.splitlines()
            return str(line)

        return call

    def test_missing_folder(self, refuse: Callable[..., str], tmp_path: Path) -> None:
        line = refuse("--data", tmp_path / "none", "--output", tmp_path / "out")
        assert "no images found" in line

    def test_no_masks(self, refuse: Callable[..., str], tmp_path: Path) -> None:
        save(tmp_path, "still", *(np.zeros(shape, np.uint8) for shape in ((90, 90, 3), (90, 90))))
        (tmp_path / "masks" / "still.png").unlink()
        assert "no masks found" in refuse("--data", tmp_path, "--output", tmp_path / "out")

    def test_mask_of_another_size(self, refuse: Callable[..., str], tmp_path: Path) -> None:
        save(tmp_path, "still", *(np.zeros(shape, np.uint8) for shape in ((90, 90, 3), (80, 90))))
        line = refuse("--data", tmp_path, "--output", tmp_path / "out")
        assert "mask is 90x80, its image 90x90" in line

    @pytest.mark.parametrize("size", ["640", "641x512", "32x32", "0x0"])
    def test_size(self, refuse: Callable[..., str], data: Path, tmp_path: Path, size: str) -> None:
        line = refuse("--data", data, "--output", tmp_path / "out", "--size", size)
        assert "two even numbers" in line

    def test_output_is_a_file(self, refuse: Callable[..., str], data: Path, tmp_path: Path) -> None:
        (tmp_path / "out").write_bytes(b"")
        line = refuse("--data", data, "--output", tmp_path / "out")
        assert "a folder is needed" in line
