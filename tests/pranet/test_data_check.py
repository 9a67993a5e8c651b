"""What the check of a data set finds."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from pranet.data import Pair
from pranet.data_check import Report, check
from pranet.errors import DataError

Write = Callable[..., Pair]


def picture(seed: int) -> NDArray[np.uint8]:
    """A smooth random scene, unlike that of any other seed."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(coarse, (96, 80), interpolation=cv2.INTER_CUBIC), np.uint8)


def disc() -> NDArray[np.uint8]:
    mask = np.zeros((80, 96), np.uint8)
    cv2.circle(mask, (40, 40), 20, 255, -1)
    return mask


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes an image and its mask."""

    def make(
        name: str,
        image: NDArray[np.uint8],
        mask: NDArray[np.uint8] | None = None,
        suffix: str = ".png",
    ) -> Pair:
        pair = Pair(tmp_path / f"{name}.png", tmp_path / f"{name}_mask{suffix}")
        cv2.imwrite(str(pair.image), image)
        cv2.imwrite(str(pair.mask), disc() if mask is None else mask)
        return pair

    return make


def test_sound_data_gives_nothing_to_say(write: Write) -> None:
    pairs = [write(str(seed), picture(seed)) for seed in range(6)]
    bare = [Pair(write("bare", picture(9)).image, None)]

    report = check(pairs[:4], pairs[4:], bare)

    assert report == Report((4, 2, 1))
    assert str(report).splitlines() == [
        "data: 4 pairs to train on, 2 held out, 1 without polyp",
        "  nothing is wrong",
    ]
    report.refuse_errors()


def test_what_stops_the_training_is_counted_and_named_in_one_line(
    write: Write, tmp_path: Path
) -> None:
    small = write("small", picture(1), disc()[:40])
    text = write("text", picture(2))
    text.image.write_text("no image")
    lost = write("lost", picture(3))
    assert lost.mask is not None
    lost.mask.unlink()

    report = check(
        [small, text, lost, write("sound", picture(4))],
        images_without_mask=[tmp_path / "a.png", tmp_path / "b.png"],
        masks_without_image=[tmp_path / "c.png"],
    )

    assert report.images_without_mask == ["a.png", "b.png"]
    assert report.masks_without_image == ["c.png"]
    assert report.mismatched == ["small_mask.png (96x40, image 96x80)"]
    assert ["text.png" in line for line in report.unreadable] == [True, False]
    assert ["lost_mask.png" in line for line in report.unreadable] == [False, True]
    with pytest.raises(DataError) as refused:
        report.refuse_errors()
    assert str(refused.value).startswith(
        "2 images without mask, e.g. a.png, b.png; 1 masks without image, e.g. c.png; "
        "2 unreadable files, e.g. "
    )
    assert "\n" not in str(refused.value)
    assert str(report).count("  error: ") == 4


def test_masks_of_other_levels_are_named_with_the_share_of_their_pixels(write: Write) -> None:
    gray = disc()
    gray[:20] = 128

    report = check([write("gray", picture(1), gray), write("jpeg", picture(2), suffix=".jpg")])

    assert report.unclear_masks == ["gray_mask.png (25.0 % of its pixels)"]
    assert report.errors == []
    assert "warning: 1 masks with other levels than 0 and 255" in str(report)


def test_empty_masks_are_named(write: Write) -> None:
    pairs = [write("empty", picture(1), np.zeros((80, 96), np.uint8)), write("full", picture(2))]

    report = check(pairs)

    assert report.empty_masks == ["empty_mask.png"]
    assert report.errors == []


def test_copies_are_told_from_pictures_that_are_nearly_the_same(write: Write) -> None:
    image = picture(1)
    brighter = np.asarray(image.astype(int) * 9 // 10, np.uint8)
    pairs = [write("first", image), write("copy", image), write("darker", brighter)]

    report = check([*pairs, write("other", picture(2))])

    assert report.copies == ["first.png and copy.png"]
    assert report.alike == ["first.png and darker.png", "copy.png and darker.png"]
    assert (report.leaked_copies, report.leaked_alike, report.errors) == ([], [], [])


@pytest.mark.parametrize("part", ["training", "empty"])
def test_pictures_both_trained_on_and_held_out_are_named(part: str, write: Write) -> None:
    image = picture(1)
    smoothed = np.asarray(cv2.GaussianBlur(image, (0, 0), 1), np.uint8)
    trained = [write("copy", image), write("alike", smoothed)]
    held_out = [write("seen", image), write("new", picture(2))]

    report = check([], held_out, trained) if part == "empty" else check(trained, held_out)

    assert report.leaked_copies == ["copy.png and seen.png"]
    assert report.leaked_alike == ["alike.png and seen.png"]
    assert "warning: 1 images both trained on and held out" in str(report)


def test_label_maps_are_held_to_their_number_of_classes(
    tmp_path: Path, make_label_pairs: Callable[..., list[Pair]]
) -> None:
    pairs = make_label_pairs(tmp_path / "data", 2)

    assert check(pairs[:1], num_classes=3) == Report((1, 0, 0))
    report = check(pairs, num_classes=2)
    assert len(report.unreadable) == 2
    assert "holds the label 2, the greatest is 1" in report.unreadable[0]
