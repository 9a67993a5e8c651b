"""Connected objects, their sub-pixel outline, and the mask that agrees with both."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer.confidence import Calibration, Scaling
from streamer.frame import Segmentation, Track, Tracks, View
from streamer.objects import find_objects, find_outline, full_size_mask

SoftDisc = Callable[..., Segmentation]
Points = NDArray[np.float64]

HD = View(0, 0, 1920, 1080)


def blobs(
    *boxes: tuple[int, int, int, int], view: View, size_px: int = 352, level: float = 0.9
) -> Segmentation:
    """A map of 0.1 with rectangles (x, y, width, height) of a higher level."""
    probability = np.full((size_px, size_px), 0.1, np.float32)
    for x, y, width, height in boxes:
        probability[y : y + height, x : x + width] = level
    return Segmentation(probability, view, 0.5)


def shoelace(ring: Points) -> float:
    """Signed area of a closed ring."""
    x, y = (ring - ring[0]).T
    return float((x * np.roll(y, -1) - y * np.roll(x, -1)).sum() / 2)


def area_of(regions: list[list[Points]]) -> float:
    """Outer rings less their holes, which run the other way round."""
    return abs(sum(shoelace(ring) for rings in regions for ring in rings))


def sample(segmentation: Segmentation, points: Points) -> NDArray[np.float64]:
    """The bilinearly up-scaled map at points of the picture, by its definition."""
    probability, view = segmentation.probability.astype(np.float64), segmentation.view
    height, width = probability.shape
    x = ((points[:, 0] - view.x + 0.5) * width / view.width - 0.5).clip(0, width - 1)
    y = ((points[:, 1] - view.y + 0.5) * height / view.height - 0.5).clip(0, height - 1)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    right, bottom = np.minimum(left + 1, width - 1), np.minimum(top + 1, height - 1)
    u, v = x - left, y - top
    upper = (1 - u) * probability[top, left] + u * probability[top, right]
    lower = (1 - u) * probability[bottom, left] + u * probability[bottom, right]
    return np.asarray((1 - v) * upper + v * lower)


class TestObjects:
    def test_box_area_and_mean_are_scaled_to_the_picture(self) -> None:
        view = View(0, 0, 1056, 704)  # 3 px across and 2 px down for each px of the map
        (found,) = find_objects(blobs((20, 30, 40, 50), view=view))

        assert found.box == (60, 60, 120, 100)
        assert found.area_px == 40 * 50 * 6
        assert found.mean_probability == pytest.approx(0.9, abs=1e-4)

    def test_uneven_scale_rounds_the_box(self) -> None:
        (found,) = find_objects(blobs((100, 100, 7, 9), view=HD))

        left, right = 100 * 1920 / 352, 107 * 1920 / 352
        top, bottom = 100 * 1080 / 352, 109 * 1080 / 352
        x, y, width, height = found.box
        np.testing.assert_allclose(
            (x, y, x + width, y + height), (left, top, right, bottom), atol=0.5
        )
        assert found.area_px == round(63 * 1920 * 1080 / 352**2)

    def test_mean_is_over_the_object_only(self) -> None:
        segmentation = blobs((10, 10, 4, 4), (50, 50, 6, 6), view=HD, level=0.6)
        segmentation.probability[50:56, 50:53] = 1.0
        large, small = find_objects(segmentation)

        assert large.mean_probability == pytest.approx(0.8, abs=1e-4)
        assert small.mean_probability == pytest.approx(0.6, abs=1e-4)

    def test_confidence_is_the_scaled_mean(self) -> None:
        segmentation = blobs((10, 10, 4, 4), (50, 50, 6, 6), view=HD, level=0.6)
        segmentation.probability[50:56, 50:53] = 1.0
        scaling = Scaling(2.0, -1.0)
        found = find_objects(segmentation, Calibration(Scaling(0.2), scaling))

        assert [each.confidence for each in found] == [
            pytest.approx(scaling(each.mean_probability), abs=1e-4) for each in found
        ]
        assert [each.certainty for each in found] == [each.confidence for each in found]
        unknown = find_objects(segmentation)
        assert [each.confidence for each in unknown] == [None, None]
        assert [each.certainty for each in unknown] == [each.mean_probability for each in found]

    def test_largest_comes_first(self) -> None:
        boxes = [(5, 5, 10, 10), (40, 5, 30, 20), (5, 60, 3, 3), (100, 100, 20, 20)]
        found = find_objects(blobs(*boxes, view=View(0, 0, 352, 352)))

        assert [region.area_px for region in found] == [600, 400, 100, 9]
        assert [region.box for region in found] == [boxes[1], boxes[3], boxes[0], boxes[2]]

    def test_touching_corners_join(self) -> None:
        found = find_objects(blobs((10, 10, 5, 5), (15, 15, 5, 5), view=View(0, 0, 352, 352)))

        assert [region.box for region in found] == [(10, 10, 10, 10)]

    def test_nothing_found(self) -> None:
        assert find_objects(blobs(view=HD)) == []

    def test_threshold_itself_is_inside(self) -> None:
        segmentation = Segmentation(np.full((8, 8), 0.5, np.float32), View(0, 0, 8, 8), 0.5)

        assert [region.area_px for region in find_objects(segmentation)] == [64]

    def test_view_moves_the_objects(self) -> None:
        view = View(400, 100, 704, 352)
        (found,) = find_objects(blobs((10, 20, 30, 40), view=view))

        assert found.box == (420, 120, 60, 40)

    def test_objects_stay_in_the_view(self) -> None:
        view = View(13, 7, 500, 300)
        (found,) = find_objects(blobs((0, 0, 352, 352), view=view))

        assert found.box == (13, 7, 500, 300)
        assert found.area_px == 150_000


class TestOutline:
    @pytest.mark.parametrize("regions", [False, True])
    def test_nothing_found(self, regions: bool) -> None:
        outline = find_outline(blobs(view=HD), regions=regions)

        assert outline.lines == []
        assert outline.regions == []

    def test_regions_only_if_asked(self, soft_disc: SoftDisc) -> None:
        assert find_outline(soft_disc(), regions=False).regions == []
        assert len(find_outline(soft_disc(), regions=True).regions) == 1

    @pytest.mark.parametrize("threshold", [0.2, 0.5, 0.85])
    def test_points_lie_on_the_threshold_of_the_up_scaled_map(
        self, soft_disc: SoftDisc, threshold: float
    ) -> None:
        segmentation = soft_disc(view=HD, threshold=threshold, x=150.3, y=201.8)
        (line,) = find_outline(segmentation, regions=False).lines

        np.testing.assert_allclose(sample(segmentation, line), threshold, atol=1e-5)

    @pytest.mark.parametrize(
        ("x", "y", "radius"), [(176, 176, 80), (120.25, 200.5, 40), (90.1, 260.7, 15)]
    )
    @pytest.mark.parametrize("view", [HD, View(317, 41, 1200, 1000)], ids=str)
    def test_a_disc_becomes_a_true_ellipse(
        self, soft_disc: SoftDisc, view: View, x: float, y: float, radius: float
    ) -> None:
        segmentation = soft_disc(x=x, y=y, radius=radius, view=view)
        (line,) = find_outline(segmentation, regions=False).lines
        across, down = view.width / 352, view.height / 352
        # A pixel's centre has whole coordinates, so the picture's edge lies at -0.5.
        centre = np.array((view.x + x * across, view.y + y * down)) - 0.5
        from_centre = (line - centre) / (across, down)
        away_px = (np.hypot(*from_centre.T) - radius) * max(across, down)

        assert np.abs(away_px).max() < 0.5
        assert abs(away_px.mean()) < 0.1
        np.testing.assert_array_equal(line[0], line[-1])

    @pytest.mark.parametrize("view", [HD, View(0, 0, 352, 352), View(101, 57, 641, 333)], ids=str)
    def test_no_half_pixel_shift(self, soft_disc: SoftDisc, view: View) -> None:
        """What is in the middle of the map is in the middle of the view, to a hundredth px."""
        (line,) = find_outline(soft_disc(view=view), regions=False).lines
        middle = (line.min(axis=0) + line.max(axis=0)) / 2
        expected = (view.x + (view.width - 1) / 2, view.y + (view.height - 1) / 2)

        np.testing.assert_allclose(middle, expected, atol=0.01)

    def test_hole_is_a_ring_of_its_region(self, soft_disc: SoftDisc) -> None:
        outer, inner = soft_disc(radius=100, softness=10), soft_disc(radius=40, softness=10)
        ring = Segmentation(outer.probability - inner.probability, HD, 0.5)
        outline = find_outline(ring, regions=True)
        ((rim, hole),) = outline.regions

        assert len(outline.lines) == 2
        assert abs(shoelace(rim)) > abs(shoelace(hole)) > 0
        expected = np.pi * (100**2 - 40**2) * 1920 * 1080 / 352**2
        assert area_of(outline.regions) == pytest.approx(expected, rel=0.005)

    def test_two_regions(self) -> None:
        outline = find_outline(blobs((10, 10, 9, 9), (90, 90, 30, 9), view=HD), regions=True)

        assert len(outline.lines) == len(outline.regions) == 2
        assert all(len(rings) == 1 for rings in outline.regions)

    def test_one_px_of_the_map(self) -> None:
        segmentation = blobs((100, 200, 1, 1), view=View(0, 0, 1056, 704))
        outline = find_outline(segmentation, regions=True)
        (line,) = outline.lines

        # A diamond that reaches half-way from the pixel's centre to its neighbours'.
        np.testing.assert_allclose(line.min(axis=0), (100.0 * 3 - 0.5, 200.0 * 2 - 0.5))
        np.testing.assert_allclose(line.max(axis=0), (101.0 * 3 - 0.5, 201.0 * 2 - 0.5))
        assert area_of(outline.regions) == pytest.approx(3 * 2 / 2)

    @pytest.mark.parametrize("corner", [(0, 0), (351, 0), (0, 351), (351, 351)])
    def test_one_px_in_a_corner(self, corner: tuple[int, int]) -> None:
        outline = find_outline(blobs((*corner, 1, 1), view=HD), regions=True)

        assert len(outline.lines) == len(outline.regions) == 1

    def test_region_at_the_border_is_open_there_and_filled_up_to_it(self) -> None:
        view = View(30, 20, 704, 528)
        segmentation = blobs((0, 100, 50, 60), view=view)
        outline = find_outline(segmentation, regions=True)
        (line,) = outline.lines
        ((ring,),) = outline.regions

        # The view begins half a px left of the centre of its first column.
        assert line[0, 0] == line[-1, 0] == view.x - 0.5
        assert abs(line[0, 1] - line[-1, 1]) == pytest.approx(60 * 528 / 352, abs=1)
        assert ring[:, 0].min() == view.x - 0.5
        assert line[:, 0].max() == pytest.approx(view.x + 50 * 2 - 0.5, abs=0.01)

    @pytest.mark.parametrize("size_px", [352, 2, 1])
    def test_whole_map_inside_has_no_line_and_fills_the_view(self, size_px: int) -> None:
        view = View(10, 20, 640, 480)
        whole = Segmentation(np.ones((size_px, size_px), np.float32), view, 0.5)
        outline = find_outline(whole, regions=True)
        ((ring,),) = outline.regions

        assert outline.lines == []
        np.testing.assert_allclose(ring.min(axis=0), (9.5, 19.5))
        np.testing.assert_allclose(ring.max(axis=0), (649.5, 499.5))
        assert area_of(outline.regions) == pytest.approx(640 * 480)

    def test_what_is_found_exactly_at_the_threshold_is_outlined(self) -> None:
        segmentation = blobs((100, 100, 20, 20), view=View(0, 0, 352, 352), level=0.5)
        outline = find_outline(segmentation, regions=True)

        assert len(find_objects(segmentation)) == len(outline.lines) == 1
        assert area_of(outline.regions) == pytest.approx(19 * 19, rel=0.01)


class TestMask:
    @pytest.mark.parametrize("view", [HD, View(317, 41, 1200, 1000)], ids=str)
    def test_agrees_with_the_outline(self, soft_disc: SoftDisc, view: View) -> None:
        disc, hole = soft_disc(radius=90).probability, soft_disc(radius=30).probability
        # A third lies in the corner, so that its region is closed along the border.
        corner = soft_disc(x=345, y=5, radius=70).probability
        segmentation = Segmentation(np.maximum(disc - hole, corner), view, 0.5)
        mask = full_size_mask(segmentation, 1920, 1080)
        outline = find_outline(segmentation, regions=True)

        assert len(outline.regions) == 2
        assert area_of(outline.regions) == pytest.approx((mask > 0).sum(), rel=1e-3)

        # Every pixel more than a pixel off the boundary is on the side where the outline has it.
        drawn = np.zeros_like(mask)
        rings = [np.rint(ring * 256).astype(int) for rings in outline.regions for ring in rings]
        cv2.fillPoly(drawn, rings, (255,), shift=8)
        edges = np.zeros_like(mask)
        cv2.polylines(edges, rings, True, (255,), 3, shift=8)
        np.testing.assert_array_equal(drawn[edges == 0], mask[edges == 0])

    def test_is_0_or_255_and_0_outside_the_view(self) -> None:
        view = View(100, 50, 300, 200)
        mask = full_size_mask(blobs((0, 0, 352, 352), view=view), 640, 480)
        expected = np.zeros((480, 640), np.uint8)
        expected[50:250, 100:400] = 255

        assert mask.dtype == np.uint8
        np.testing.assert_array_equal(mask, expected)

    def test_empty(self) -> None:
        mask = full_size_mask(blobs(view=View(3, 3, 20, 20)), 33, 35)

        assert mask.shape == (35, 33)
        assert not mask.any()


views = st.builds(View, *[st.integers(0, 9)] * 2, *[st.integers(1, 40)] * 2)


@given(st.integers(1, 9), st.binary(min_size=1, max_size=81), views, st.integers(1, 254))
@example(7, bytes(49), View(0, 0, 40, 40), 128)
@example(7, b"\xff" * 49, View(9, 9, 40, 40), 128)
@example(3, bytes([0, 0, 0, 0, 128, 0, 0, 0, 0]), View(1, 2, 5, 3), 128)
def test_any_map_has_finite_shapes_inside_its_view(
    width: int, content: bytes, view: View, level: int
) -> None:
    """Maps and thresholds in 255ths, so that some values are exactly at the threshold."""
    content += bytes(-len(content) % width)
    probability = np.frombuffer(content, np.uint8).reshape(-1, width).astype(np.float32)
    probability /= 255
    threshold = level / 255
    segmentation = Segmentation(probability, view, threshold)
    outline = find_outline(segmentation, regions=True)
    objects = find_objects(segmentation)
    mask = full_size_mask(segmentation, 49, 49)
    rings = [ring for rings in outline.regions for ring in rings]

    assert bool(objects) == bool(outline.regions) == bool((probability >= threshold).any())
    assert mask.any() <= bool(objects)
    for points in outline.lines + rings:
        assert np.isfinite(points).all()
        assert (points >= np.array((view.x, view.y)) - 0.5 - 1e-9).all()
        assert (points <= np.array((view.x + view.width, view.y + view.height)) - 0.5 + 1e-9).all()
    for region in objects:
        x, y, width, height = region.box
        assert threshold - 1e-4 <= region.mean_probability <= 1
        assert view.x <= x <= x + width <= view.x + view.width
        assert view.y <= y <= y + height <= view.y + view.height
    assert 0 <= area_of(outline.regions) <= view.width * view.height + 1e-6
    assert set(np.unique(mask)) <= {0, 255}
    outside = mask.copy()
    outside[view.y : view.y + view.height, view.x : view.x + view.width] = 0
    assert not outside.any()


class TestTracks:
    """Objects that are followed: who they are, and whether they count yet."""

    def followed(self) -> Segmentation:
        """A confirmed object on the left and a tentative one on the right."""
        view = View(10, 20, 704, 352)
        alone = blobs((40, 50, 60, 60), (200, 50, 40, 40), view=view)
        labels = np.zeros((352, 352), np.uint8)
        labels[50:110, 40:100] = 2
        labels[50:90, 200:240] = 1
        tracks = (Track(9, 1.0, 33.3333, 0.61239, False), Track(4, 0.0, 500.0, 0.77777, True))
        return Segmentation(alone.probability, view, 0.5, Tracks(labels, tracks))

    def test_objects_know_who_they_are(self) -> None:
        large, small = find_objects(self.followed())

        assert (large.id, large.age_ms, large.confirmed) == (4, 500.0, True)
        assert (small.id, small.age_ms, small.confirmed) == (9, 33.3, False)
        # What the network said, and not the steady map.
        assert (large.mean_probability, small.mean_probability) == (0.7778, 0.6124)

    def test_each_is_who_most_of_it_is(self) -> None:
        segmentation = self.followed()
        assert segmentation.tracks is not None
        segmentation.tracks.labels[50:110, 40:60] = 1
        large, _ = find_objects(segmentation)

        assert large.id == 4

    def test_what_no_label_covers_is_nobody(self) -> None:
        segmentation = self.followed()
        assert segmentation.tracks is not None
        segmentation.tracks.labels[:] = 0

        assert [each.id for each in find_objects(segmentation)] == [None, None]

    def test_the_mask_holds_what_counts(self) -> None:
        mask = full_size_mask(self.followed(), 720, 400)

        assert mask[20 + 80, 10 + 2 * 70] == 255
        assert mask[20 + 70, 10 + 2 * 220] == 0

    def test_the_outline_keeps_the_tentative_apart(self) -> None:
        outline = find_outline(self.followed(), regions=True)

        (line,), (thin,) = outline.lines, outline.tentative
        assert line[:, 0].max() < 10 + 2 * 110 < thin[:, 0].min()
        assert len(outline.regions) == 1
        assert outline.regions[0][0][:, 0].max() < 10 + 2 * 110
