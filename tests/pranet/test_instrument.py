import numpy as np
import pytest

from pranet.instrument import lay_instrument

GROUND = (150, 90, 70)


def picture(height: int = 120, width: int = 160) -> np.ndarray:
    return np.full((height, width, 3), GROUND, np.uint8)


def nothing(height: int = 120, width: int = 160) -> np.ndarray:
    return np.zeros((height, width), np.uint8)


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("seed", range(12))
def test_it_reaches_in_from_an_edge_and_covers_a_part(seed: int) -> None:
    laid, mask = lay_instrument(picture(), nothing(), rng(seed))

    # Its shadow darkens the ground, but keeps its hue: what has another one is the rod.
    hue = laid[..., 0].astype(float) * GROUND[2] - laid[..., 2].astype(float) * GROUND[0]
    rod = np.abs(hue) > 1500
    edges = np.concatenate((rod[0], rod[-1], rod[:, 0], rod[:, -1]))
    assert 0.003 < rod.mean() < 0.4
    assert edges.any()
    assert not mask.any()


def test_the_same_seed_lays_the_same_one() -> None:
    first, second, other = (lay_instrument(picture(), nothing(), rng(s))[0] for s in (1, 1, 2))

    assert np.array_equal(first, second)
    assert not np.array_equal(first, other)


def test_what_it_hides_is_no_polyp_and_the_rest_stays_one() -> None:
    labels = nothing()
    labels[:, :80], labels[:, 80:] = 1, 2

    laid, mask = lay_instrument(picture(), labels, rng(3))

    hidden = mask != labels
    assert 0.003 < hidden.mean() < 0.4
    assert not mask[hidden].any()
    assert np.abs(laid[hidden].astype(int) - GROUND).sum(axis=1).mean() > 30
    # The inputs are the data set's own.
    assert (labels > 0).all()


def test_polyp_that_would_be_hidden_stays_in_view() -> None:
    laid, _ = lay_instrument(picture(), nothing(), rng(4))
    difference = np.abs(laid.astype(int) - GROUND).sum(axis=2)
    y, x = np.unravel_index(difference.argmax(), difference.shape)
    polyp = nothing()
    polyp[y, x] = 255

    same, mask = lay_instrument(picture(), polyp, rng(4))

    assert np.array_equal(same, picture())
    assert np.array_equal(mask, polyp)


def test_dark_margin_stays_dark() -> None:
    framed = picture()
    framed[:, :60] = 0

    for seed in range(12):
        laid, _ = lay_instrument(framed, nothing(), rng(seed))
        assert not laid[:, :50].any()


def test_wholly_dark_picture_is_left_alone() -> None:
    dark = np.zeros((40, 60, 3), np.uint8)

    laid, _ = lay_instrument(dark, nothing(40, 60), rng(0))

    assert not laid.any()
