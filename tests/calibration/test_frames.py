"""Pictures to calibrate with."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from calibration.frames import choose_diverse, read_pictures
from pranet.data import Pair
from pranet.errors import DataError, PranetError

SIZE_PX = 32
Film = Callable[..., Path]


def flat(level: int) -> NDArray[np.uint8]:
    return np.full((SIZE_PX, SIZE_PX, 3), level, np.uint8)


class TestChoice:
    def test_each_scene_is_chosen_before_any_comes_twice(self) -> None:
        scenes = (20, 120, 220)
        pictures = [flat(level + shade) for level in scenes for shade in range(5)]
        chosen = [pictures[place][0, 0, 0] // 100 for place in choose_diverse(pictures, 3)]
        assert sorted(chosen) == [0, 1, 2]

    def test_the_first_is_an_ordinary_one(self) -> None:
        pictures = [flat(level) for level in (0, 100, 113, 130, 255)]
        assert choose_diverse(pictures, 1) == [2]

    @pytest.mark.parametrize("count", [1, 4, 9])
    def test_as_many_as_are_asked_for_and_there(self, count: int) -> None:
        rng = np.random.default_rng(0)
        pictures = [rng.integers(0, 256, (SIZE_PX, SIZE_PX, 3), dtype=np.uint8) for _ in range(6)]
        chosen = choose_diverse(pictures, count)
        assert len(chosen) == len(set(chosen)) == min(count, 6)
        assert chosen == choose_diverse(pictures, count)


class TestReading:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "images").mkdir()
        for number, level in enumerate((40, 80)):
            cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), flat(level).repeat(2, axis=1))
        return tmp_path

    def test_a_folder_or_its_images(self, folder: Path) -> None:
        for path in (folder, folder / "images"):
            pictures = read_pictures(path, 16)
            assert [picture.shape for picture in pictures] == [(16, 16, 3)] * 2
            assert [picture[0, 0, 0] for picture in pictures] == [40, 80]

    def test_only_some_of_it(self, folder: Path) -> None:
        (picture,) = read_pictures(folder, 16, [Pair(folder / "images" / "1.png", None)])
        assert picture[0, 0, 0] == 80

    def test_a_video(self, film: Film, tmp_path: Path) -> None:
        pictures = read_pictures(film(tmp_path / "clip.mp4", count=7), SIZE_PX)
        assert [picture.shape for picture in pictures] == [(SIZE_PX, SIZE_PX, 3)] * 7

    def test_nothing_there(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="holds no images"):
            read_pictures(tmp_path, 16)
        with pytest.raises(PranetError, match="no such file"):
            read_pictures(tmp_path / "none.mp4", 16)
