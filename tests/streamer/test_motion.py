"""How the picture moved, and what moves along with it."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.frame import Segmentation, Track, Tracks, View
from streamer.motion import find_motion, find_places, move, small_luma, warp, warp_labels

Luma = NDArray[np.uint8]

VIEW = View(0, 0, 640, 360)


def tissue(shift_px: float = 0.0, seed: int = 5) -> Luma:
    rng = np.random.default_rng(seed)
    noise = rng.integers(0, 256, (90, 400), dtype=np.uint8)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3).astype(np.float32)
    smooth = 60 + 160 * (smooth - smooth.min()) / (smooth.max() - smooth.min())
    matrix = np.array([[1, 0, shift_px - 120], [0, 1, 0]], np.float32)
    return np.asarray(cv2.warpAffine(smooth, matrix, (160, 90)), np.uint8)


def square(x: int) -> Segmentation:
    probability = np.zeros((176, 176), np.float32)
    probability[60:100, x : x + 40] = 0.9
    labels = (probability > 0.5).astype(np.uint8)
    tracks = Tracks(labels, (Track(7, 0.0, 100.0, 0.9, True),))
    return Segmentation(probability, VIEW, 0.5, tracks)


def test_a_mask_and_its_labels_move_along() -> None:
    moved = move(square(60), tissue(0), tissue(5))

    assert moved is not None
    columns = np.nonzero(moved.probability >= 0.5)[1]
    assert columns.mean() == pytest.approx(60 + 19.5 + 5 * 176 / 160, abs=0.7)
    assert moved.tracks is not None
    assert moved.tracks.all == square(60).tracks.all  # type: ignore[union-attr]
    apart = (moved.tracks.labels > 0) ^ (moved.probability >= 0.5)
    assert np.count_nonzero(apart) < 60  # along its rim


@pytest.mark.parametrize("x", [0, 60, 130, 136])
@pytest.mark.parametrize("shift_px", [-6, 5])
def test_moving_the_window_of_the_mask_is_moving_all_of_it(x: int, shift_px: int) -> None:
    before, then, now = square(x), tissue(0), tissue(shift_px)
    moved, motion = move(before, then, now), find_motion(then, now)

    assert moved is not None
    assert motion is not None
    assert motion.flow is not None
    assert before.tracks is not None
    assert moved.tracks is not None
    places = find_places(motion.flow, before.probability.shape)
    whole = warp(before.probability, places)
    # What is inside, and the neighbours that the boundary is told by.
    near = cv2.dilate((whole >= 0.5).view(np.uint8), np.ones((3, 3), np.uint8)) > 0
    np.testing.assert_array_equal(moved.probability[near], whole[near])
    assert (moved.probability[~near] < 0.5).all()
    np.testing.assert_array_equal(moved.tracks.labels, warp_labels(before.tracks.labels, places))


def test_without_tracks_only_the_map_moves() -> None:
    moved = move(replace(square(60), tracks=None), tissue(0), tissue(5))

    assert moved is not None
    assert moved.tracks is None


def test_a_still_picture_moves_nothing() -> None:
    before = square(60)

    assert move(before, tissue(), tissue()) is before


def test_another_scene_has_no_motion() -> None:
    other = np.flipud(tissue(seed=9)).copy()

    assert find_motion(tissue(), other) is None
    assert move(square(60), tissue(), other) is None


def test_of_two_pictures_in_a_row_what_was_hidden_is_told() -> None:
    then, now = tissue(0), tissue(4)
    # Something that was not there before, as an instrument that comes in.
    now[30:60, 60:90] = np.random.default_rng(3).integers(40, 250, (30, 30), dtype=np.uint8)
    one_way = find_motion(then, now)
    both = find_motion(then, now, in_a_row=True)

    assert one_way is not None
    assert both is not None
    hidden = np.s_[34:56, 64:86]
    assert (both.known[hidden] == 0).mean() > 0.6
    assert (both.known[5:25, 20:140] > 0).mean() > 0.9
    assert (one_way.known[hidden] == 0).mean() < 0.2


def test_the_black_around_the_view_is_not_known() -> None:
    then, now = tissue(0), tissue(3)
    for luma in (then, now):
        luma[:, :30] = 16
    motion = find_motion(then, now)

    assert motion is not None
    assert not motion.known[:, :30].any()
    assert motion.flow is not None
    assert not motion.flow[:, :30].any()


def test_maps_follow_places_and_labels_are_not_mixed() -> None:
    flow = np.zeros((9, 16, 2), np.float32)
    flow[..., 0] = -1  # everything was one px of the small image to the left, two of the map
    places = find_places(flow, (18, 32))
    values = np.tile(np.arange(32, dtype=np.float32), (18, 1))
    labels = np.where(values < 16, 3, 200).astype(np.uint8)

    np.testing.assert_allclose(warp(values, places)[:, 2:], values[:, :-2], atol=1e-4)
    assert set(np.unique(warp_labels(labels, places))) == {3, 200}


def test_small_luma_has_the_same_area_for_every_shape(make_picture: object) -> None:
    for width, height in ((640, 360), (64, 480), (720, 576)):
        picture = make_picture("yuv420p", width, height)  # type: ignore[operator]
        luma = small_luma(picture, View(0, 0, width, height))
        assert luma.dtype == np.uint8
        assert luma.size == pytest.approx(160 * 90, rel=0.05)
