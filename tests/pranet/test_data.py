"""Image-mask pairs: what is found, what is read, what is refused, how it is split."""

import struct
import zlib
from collections import Counter
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pranet.data import Pair, find_pairs, list_folder, load_sequences, names_sha256, split
from pranet.errors import DataError


def touch(folder: Path, *names: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).touch()


def pairs_named(*stems: str) -> list[Pair]:
    return [Pair(Path("images") / f"{stem}.png", None) for stem in stems]


def png_that_claims(width_px: int, height_px: int) -> bytes:
    """A few bytes that say they are an image of this size."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(bytes(100))),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        for kind, body in chunks
    )


def test_pairs_are_matched_by_stem_and_sorted_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "images", "b.JPG", "a.png", "notes.txt")
    touch(tmp_path / "masks", "a.tif", "b.png", "unused.png")

    pairs = find_pairs(tmp_path)

    assert pairs == [
        Pair(tmp_path / "images" / "a.png", tmp_path / "masks" / "a.tif"),
        Pair(tmp_path / "images" / "b.JPG", tmp_path / "masks" / "b.png"),
    ]


def test_folder_without_masks_shows_no_polyps(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a.png")

    assert find_pairs(tmp_path) == [Pair(tmp_path / "images" / "a.png", None)]


def test_folder_with_only_some_masks_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a.png", "b.png", "c.png")
    touch(tmp_path / "masks", "b.png")

    with pytest.raises(DataError, match=r"2 images have no mask, e\.g\. a\.png"):
        find_pairs(tmp_path)


def test_what_has_no_partner_is_listed(tmp_path: Path) -> None:
    touch(tmp_path / "images", "a.png", "b.png", "c.png")
    touch(tmp_path / "masks", "b.png", "d.png", ".hidden")

    found = list_folder(tmp_path)

    assert [pair.image.name for pair in found.pairs] == ["b.png"]
    assert [path.name for path in found.images_without_mask] == ["a.png", "c.png"]
    assert [path.name for path in found.masks_without_image] == ["d.png"]


@pytest.mark.parametrize("name", ["", "images/notes.txt"])
def test_folder_without_images_is_refused(name: str, tmp_path: Path) -> None:
    if name:
        touch((tmp_path / name).parent, Path(name).name)

    with pytest.raises(DataError, match="no images found in"):
        find_pairs(tmp_path)


def test_image_is_read_as_rgb_and_mask_as_two_values(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "image.png", tmp_path / "mask.png")
    cv2.imwrite(str(pair.image), np.full((1, 4, 3), (30, 20, 10), np.uint8))
    cv2.imwrite(str(pair.mask), np.array([[0, 127, 128, 255]], np.uint8))

    image, mask = pair.read()

    assert image.tolist() == [[[10, 20, 30]] * 4]
    assert mask.tolist() == [[0, 0, 255, 255]]
    assert image.dtype == mask.dtype == np.uint8


def test_gray_image_and_colour_mask_are_read_alike(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "image.png", tmp_path / "mask.png")
    cv2.imwrite(str(pair.image), np.full((2, 3), 70, np.uint8))
    cv2.imwrite(str(pair.mask), np.full((2, 3, 3), 255, np.uint8))

    image, mask = pair.read()

    assert image.tolist() == [[[70, 70, 70]] * 3] * 2
    assert mask.tolist() == [[255] * 3] * 2


def test_image_without_mask_is_read_with_an_empty_one(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "image.png", None)
    cv2.imwrite(str(pair.image), np.full((5, 7, 3), 90, np.uint8))

    image, mask = pair.read()

    assert image.shape == (5, 7, 3)
    assert mask.tolist() == [[0] * 7] * 5


def test_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "image.png", tmp_path / "mask.png")
    cv2.imwrite(str(pair.image), np.zeros((5, 7, 3), np.uint8))
    cv2.imwrite(str(pair.mask), np.zeros((7, 5), np.uint8))

    with pytest.raises(DataError, match=r"mask\.png: mask is 5x7, its image 7x5"):
        pair.read()


@pytest.mark.parametrize(
    "content",
    [None, b"", b"no image", png_that_claims(10**5, 10**5), png_that_claims(0, 0)],
    ids=["missing", "empty", "text", "enormous", "of no size"],
)
@pytest.mark.parametrize("damaged", ["image.png", "mask.png"])
def test_file_that_is_no_image_is_refused_by_name(
    damaged: str, content: bytes | None, tmp_path: Path
) -> None:
    pair = Pair(tmp_path / "image.png", tmp_path / "mask.png")
    for path in (tmp_path / "image.png", tmp_path / "mask.png"):
        cv2.imwrite(str(path), np.zeros((4, 4), np.uint8))
    if content is None:
        (tmp_path / damaged).unlink()
    else:
        (tmp_path / damaged).write_bytes(content)

    with pytest.raises(DataError, match=damaged):
        pair.read()


def test_labels_are_read_as_they_are(tmp_path: Path) -> None:
    pair = Pair(tmp_path / "image.png", tmp_path / "mask.png")
    assert pair.mask is not None
    cv2.imwrite(str(pair.image), np.zeros((1, 4, 3), np.uint8))
    cv2.imwrite(str(pair.mask), np.array([[0, 1, 2, 200]], np.uint8))

    labels = pair.read_labels(201)

    assert labels.tolist() == [[0, 1, 2, 200]]
    assert labels.dtype == np.uint8
    assert Pair(pair.image, None).read_labels(3).tolist() == [[0] * 4]
    with pytest.raises(DataError, match=r"mask\.png: holds the label 200, the greatest is 199"):
        pair.read_labels(200)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (np.zeros((2, 2, 3), np.uint8), "must be plain gray, without a palette"),
        (np.zeros((2, 2), np.uint16), "8 bits per channel are needed, not uint16"),
    ],
)
def test_labels_in_colours_or_of_many_bits_are_refused(
    content: np.ndarray, complaint: str, tmp_path: Path
) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), content)

    with pytest.raises(DataError, match=complaint):
        Pair(tmp_path / "image.png", tmp_path / "mask.png").read_labels(3)


def test_names_stand_for_the_images_of_each_part_wherever_they_lie() -> None:
    moved = [Pair(Path("elsewhere") / "images" / "a.png", None)]
    fingerprint = names_sha256(pairs_named("a"), pairs_named("b"))

    assert names_sha256(moved, pairs_named("b")) == fingerprint
    others = [
        names_sha256(pairs_named("b"), pairs_named("a")),
        names_sha256(pairs_named("a", "b"), []),
        names_sha256([], pairs_named("a", "b")),
        names_sha256(pairs_named("a"), pairs_named("c")),
    ]
    assert fingerprint not in others
    assert len(set(others)) == 4


def test_sequences_are_read_as_frame_ranges(tmp_path: Path) -> None:
    path = tmp_path / "sequences.json"
    path.write_text('{"1": [1, 25], "late": [26, 50]}')

    assert load_sequences(path) == {"1": (1, 25), "late": (26, 50)}


@pytest.mark.parametrize("text", [None, "", "[1, 2]", '{"1": 5}', '{"1": [1]}', '{"1": ["a", 2]}'])
def test_file_that_is_no_list_of_sequences_is_refused(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "sequences.json"
    if text is not None:
        path.write_text(text)

    with pytest.raises(DataError, match=r"sequences\.json: not a list of frame sequences"):
        load_sequences(path)


STEMS = st.one_of(
    st.integers(0, 60).map(str), st.sampled_from(["polyp_1", "polyp_2", "sequence 1", "x7", "²"])
)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    stems=st.lists(STEMS, max_size=40),
    cuts=st.lists(st.integers(0, 60), max_size=6, unique=True).map(sorted),
    share=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_split_covers_all_cuts_no_sequence_and_is_the_same_every_time(
    stems: list[str], cuts: list[int], share: float, seed: int
) -> None:
    pairs = pairs_named(*stems)
    sequences = {str(first): (first, after - 1) for first, after in pairwise(cuts)}

    train, held_out = split(pairs, sequences, share=share, seed=seed)

    assert Counter(train + held_out) == Counter(pairs)
    assert not set(train) & set(held_out)
    for first, last in sequences.values():
        frames = set(pairs_named(*(str(number) for number in range(first, last + 1))))
        assert not (frames & set(train) and frames & set(held_out))
    assert split(pairs, sequences, share=share, seed=seed) == (train, held_out)


def test_split_takes_the_same_share_of_sequences_and_of_single_images() -> None:
    single = pairs_named(*(f"polyp_{number}" for number in range(20)))
    frames = pairs_named(*(str(number) for number in range(1, 101)))
    sequences = {str(start): (start, start + 9) for start in range(1, 101, 10)}

    _, held_out = split(single + frames, sequences, share=0.2, seed=1)

    assert len(set(held_out) & set(single)) == 4
    assert len(set(held_out) & set(frames)) == 20


def test_split_depends_on_the_seed() -> None:
    pairs = pairs_named(*(f"polyp_{number}" for number in range(40)))

    held_out = [split(pairs, {}, share=0.5, seed=seed)[1] for seed in (1, 2)]

    assert held_out[0] != held_out[1]
