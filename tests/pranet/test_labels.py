"""Label maps under resampling."""

from functools import partial

import cv2
import numpy as np
import pytest

from pranet.labels import cover_of, resample

HALVED = partial(cv2.resize, dsize=(20, 20), interpolation=cv2.INTER_AREA)


def test_classes_keep_their_values_and_places_and_none_is_made_up_between_them() -> None:
    labels = np.zeros((40, 40), np.uint8)
    labels[:, :20] = 1
    labels[:20, 20:] = 7
    expected = labels[::2, ::2]

    assert np.array_equal(resample(labels, HALVED), expected)


def test_there_is_no_seam_of_nothing_where_three_classes_meet() -> None:
    labels = np.full((41, 41), 1, np.uint8)
    labels[:, 13:] = 2
    labels[20:, 6:30] = 3

    assert (resample(labels, HALVED) > 0).all()


@pytest.mark.parametrize("value", [1, 255])
def test_mask_of_one_class_is_the_cover_over_half(value: int) -> None:
    rng = np.random.default_rng(1)
    mask = np.where(rng.random((40, 40)) < 0.5, value, 0).astype(np.uint8)
    cover = HALVED(cover_of(mask))

    result = resample(mask, HALVED)

    assert np.array_equal(result > 0, cover > 127)
    assert set(np.unique(result)) == {0, value}


def test_empty_map_stays_empty() -> None:
    result = resample(np.zeros((40, 40), np.uint8), HALVED)

    assert result.shape == (20, 20)
    assert result.dtype == np.uint8
    assert not result.any()
