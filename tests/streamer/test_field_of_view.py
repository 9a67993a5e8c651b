"""The field of view as a shape: its pixels, its box, what it is called."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.field_of_view import FieldOfView, evenly_spaced, whole_picture
from streamer.frame import View


def circle(radius: float, x: float = 80.0, y: float = 60.0) -> FieldOfView:
    angles = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    points = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
    return FieldOfView(points, 160, 120)


def octagon(half: float, cut: float) -> FieldOfView:
    corner = np.array([(half, half - cut), (half - cut, half)])
    points = np.concatenate([corner * sign for sign in ((1, 1), (-1, 1), (-1, -1), (1, -1))])
    hull = cv2.convexHull((points + np.array([80, 60])).astype(np.float32))[:, 0]
    return FieldOfView(hull.astype(np.float64), 160, 120)


@given(st.lists(st.tuples(st.floats(0, 39), st.floats(0, 29)), min_size=3, max_size=12))
def test_a_pixel_is_inside_where_its_centre_is(points: list[tuple[float, float]]) -> None:
    hull = cv2.convexHull(np.array(points, np.float32))
    if cv2.contourArea(hull) < 1:
        return
    mask = FieldOfView(hull[:, 0].astype(np.float64), 40, 30).mask()

    for y, x in np.ndindex(30, 40):
        away = cv2.pointPolygonTest(hull, (float(x), float(y)), measureDist=True)
        if abs(away) > 1e-3:
            assert (mask[y, x] == 255) == (away > 0)


def test_the_box_holds_all_pixels_and_no_more() -> None:
    view = circle(40.3)

    assert view.box == View(*cv2.boundingRect(view.mask()))


def test_the_box_ends_at_the_picture() -> None:
    assert whole_picture(160, 120).box == View(0, 0, 160, 120)
    assert circle(90).box == View(0, 0, 160, 120)


@pytest.mark.parametrize(
    ("view", "kind"),
    [
        (circle(50), "circle-like"),
        (octagon(50, 20), "octagon-like"),
        (octagon(50, 10), "octagon-like"),
        (octagon(50, 0.5), "rectangle"),
        (whole_picture(160, 120), "fills the picture"),
    ],
)
def test_kind(view: FieldOfView, kind: str) -> None:
    assert view.kind == kind
    assert view.fills_picture == (kind == "fills the picture")


def test_a_circle_cut_off_above_and_below_is_round() -> None:
    cut = circle(55).outline.clip((0, 15), (160, 105))

    assert FieldOfView(cut, 160, 120).kind == "circle-like"


def test_two_agree_if_they_overlap_by_nine_tenths() -> None:
    assert circle(50).agrees_with(circle(48))
    assert not circle(50).agrees_with(circle(46))
    assert not circle(50).agrees_with(circle(50, x=90))


def test_what_is_joined_holds_both() -> None:
    one, other = circle(40), circle(40, x=84)
    joined = one.joined_with(other).mask() > 0

    assert joined[(one.mask() > 0) | (other.mask() > 0)].all()
    assert one.joined_with(other).box == View(40, 20, 85, 81)


def test_points_along_a_line_are_evenly_spaced() -> None:
    points = evenly_spaced(np.array([(0.0, 0.0), (8, 0), (8, 4), (0, 4)]), 24)

    np.testing.assert_allclose(np.hypot(*np.diff(points, axis=0).T), 1)
