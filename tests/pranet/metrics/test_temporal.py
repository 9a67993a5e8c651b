"""How steady masks are: moved, flickering and lagging ones whose figures are known."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pranet.metrics.temporal import (
    Lag,
    consistency,
    flicker,
    label_changes,
    lags,
    overlaps,
    toggles,
)

HEIGHT_PX, WIDTH_PX = 60, 80
SEEN = np.ones((HEIGHT_PX, WIDTH_PX), np.bool_)

Mask = NDArray[np.bool_]


def box(left: float, top: float, width_px: int = 20, height_px: int = 20) -> Mask:
    mask = np.zeros((HEIGHT_PX, WIDTH_PX), np.bool_)
    x, y = round(left), round(top)
    mask[max(y, 0) : max(y + height_px, 0), max(x, 0) : max(x + width_px, 0)] = True
    return mask


def film(*frames: Mask) -> NDArray[np.bool_]:
    return np.stack(frames)


def empty() -> Mask:
    return np.zeros((HEIGHT_PX, WIDTH_PX), np.bool_)


def full() -> Mask:
    return ~empty()


def shift(right_px: float, down_px: float, *, scale: float = 1) -> NDArray[np.float32]:
    """The flow of a picture in which all moves so, as it is for a picture of another size."""
    size = (round(HEIGHT_PX * scale), round(WIDTH_PX * scale), 2)
    # Where it was: the other way.
    return np.full(size, (-right_px * scale, -down_px * scale), np.float32)


def iou(first: Mask, second: Mask) -> float:
    return float((first & second).sum() / (first | second).sum())


class TestOverlaps:
    def test_each_frame_has_its_own(self) -> None:
        truth = film(box(10, 10), box(10, 10), box(10, 10), empty(), empty(), full())
        predicted = film(box(10, 10), box(20, 10), empty(), empty(), box(1, 1), full())

        dice, found = overlaps(predicted, truth)

        assert dice.tolist() == pytest.approx([1, 0.5, 0, 1, 0, 1])
        assert found.tolist() == pytest.approx([1, 1 / 3, 0, 1, 0, 1])


class TestConsistency:
    @pytest.mark.parametrize("scale", [1, 0.5, 0.25])
    def test_mask_that_goes_with_the_flow_is_consistent(self, scale: float) -> None:
        masks = film(box(10, 20), box(16, 16), box(22, 12))

        followed = consistency(masks, [shift(6, -4, scale=scale)] * 2)

        assert followed.tolist() == pytest.approx([1, 1])

    def test_mask_that_moves_by_itself_or_stays_behind_is_not(self) -> None:
        first, second = box(10, 20), box(16, 16)
        still = shift(0, 0)

        assert consistency(film(first, second), [still])[0] == pytest.approx(iou(first, second))
        assert consistency(film(first, first), [shift(6, -4)])[0] == pytest.approx(
            iou(first, second)
        )
        # The flow says where it was, and not where it goes.
        assert consistency(film(first, second), [shift(-6, 4)])[0] == pytest.approx(
            iou(box(4, 24), second)
        )

    def test_part_of_a_px_of_motion_is_followed(self) -> None:
        masks = film(box(10, 20), box(10, 20))

        one_px = iou(box(10, 20), box(11, 20))
        assert consistency(masks, [shift(0.4, 0)])[0] == pytest.approx(1)
        assert consistency(masks, [shift(0.6, 0)])[0] == pytest.approx(one_px)

    def test_what_comes_in_over_the_edge_is_not_compared(self) -> None:
        # All moves 8 px to the right, and what was not seen before is part of the mask.
        longer, new = film(box(0, 20, 10), box(0, 20, 18)), film(empty(), box(0, 20, 8))

        assert consistency(longer, [shift(8, 0)])[0] == pytest.approx(1)
        assert np.isnan(consistency(new, [shift(8, 0)])[0])

    def test_empty_pairs_and_other_scenes_are_left_out_but_no_mask_that_vanishes(
        self,
    ) -> None:
        masks = film(empty(), empty(), box(10, 10), box(10, 10), empty())
        still = shift(0, 0)

        values = consistency(masks, [still, still, None, still])

        assert np.isnan(values[[0, 2]]).all()
        assert values[[1, 3]].tolist() == [0, 0]

    def test_full_masks_are_consistent_whatever_moves(self) -> None:
        assert consistency(film(full(), full()), [shift(9, 7)]).tolist() == [1]

    def test_one_frame_has_no_steps(self) -> None:
        assert consistency(film(full()), []).shape == (0,)


class TestFlicker:
    def test_label_changes_are_shares_of_the_picture(self) -> None:
        masks = film(empty(), box(0, 0, 40, 30), box(40, 0, 40, 30), full())

        assert label_changes(masks).tolist() == pytest.approx([1 / 4, 1 / 2, 3 / 4])

    def test_what_changes_in_the_truth_as_well_is_no_flicker(self) -> None:
        truth = film(box(0, 0, 40, 30), box(2, 0, 40, 30), box(2, 0, 40, 30))
        predicted = film(box(4, 0, 40, 30), box(6, 0, 40, 30), box(6, 0, 40, 20))

        # The third frame has 10 rows of 40 px less in it.
        assert flicker(predicted, truth).tolist() == pytest.approx(
            [0, 400 / (HEIGHT_PX * WIDTH_PX)]
        )

    def test_masks_that_change_less_than_the_truth_do_not_make_up_for_others(self) -> None:
        truth = film(box(0, 0), box(30, 0), box(0, 0))
        predicted = film(box(0, 0), box(0, 0), empty())

        assert flicker(predicted, truth).tolist() == [0, 0]

    @pytest.mark.parametrize("mask", [empty(), full()], ids=["empty", "full"])
    def test_masks_that_stay_do_not_flicker(self, mask: Mask) -> None:
        masks = film(mask, mask, mask)

        assert label_changes(masks).tolist() == [0, 0]
        assert flicker(masks, film(empty(), full(), empty())).tolist() == [0, 0]
        assert toggles(masks) == 0


@given(arrays(np.bool_, (7, 3, 4)), arrays(np.bool_, (7, 3, 4)))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_flicker_is_never_negative_and_never_more_than_what_changes(
    predicted: NDArray[np.bool_], truth: NDArray[np.bool_]
) -> None:
    excess = flicker(predicted, truth)

    assert (excess >= 0).all()
    assert (excess <= label_changes(predicted)).all()


@given(st.lists(st.booleans(), min_size=1, max_size=12))
@settings(max_examples=60, deadline=None, derandomize=True)
def test_toggles_are_what_switches_on_or_off(shown: list[bool]) -> None:
    masks = film(*(box(index, 5) if on else empty() for index, on in enumerate(shown)))

    expected = sum(a != b for a, b in pairwise(shown))

    assert toggles(masks) == expected


Place = tuple[int, int]


def moving(
    step: Place, behind: Place = (0, 0), start: Place = (20, 15)
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Predicted and true masks of 4 frames that move so; how far the first are behind, in px."""
    places = [(start[0] + step[0] * index, start[1] + step[1] * index) for index in range(4)]
    truth = film(*(box(*place) for place in places))
    predicted = film(*(box(x - behind[0], y - behind[1]) for x, y in places))
    return predicted, truth


def lags_of(predicted: NDArray[np.bool_], truth: NDArray[np.bool_], seen: Mask = SEEN) -> list[Lag]:
    return lags(predicted, truth, overlaps(predicted, truth)[1], seen)


class TestLags:
    @pytest.mark.parametrize(
        ("step", "behind", "expected"),
        [
            pytest.param((3, 0), (3, 0), 3, id="behind"),
            pytest.param((-3, 0), (-3, 0), 3, id="behind, to the left"),
            pytest.param((0, 2), (0, 4), 4, id="behind, downwards"),
            pytest.param((3, 0), (-2, 0), -2, id="ahead"),
            pytest.param((3, 0), (0, 3), 0, id="beside"),
            pytest.param((3, 4), (5, 0), 3, id="partly behind"),
            pytest.param((3, 0), (0, 0), 0, id="in place"),
        ],
    )
    def test_it_is_how_far_the_mask_is_behind_on_its_way(
        self, step: Place, behind: Place, expected: float
    ) -> None:
        found = lags_of(*moving(step, behind))

        # The first frame has none before it.
        assert len(found) == 3
        for one in found:
            assert one.speed_px == pytest.approx(np.hypot(*step))
            assert one.lag_px == pytest.approx(expected)

    def test_mask_that_is_one_frame_late_lags_by_its_speed(self) -> None:
        _, truth = moving((4, 0))

        late = lags_of(np.concatenate([truth[:1], truth[:-1]]), truth)

        assert [one.lag_px for one in late] == pytest.approx([4, 4, 4])

    def test_polyp_that_hardly_moves_has_none(self) -> None:
        wide = film(*(box(20, 15, 20, 20) for _ in range(3)))
        wide[1, 15:24, 40] = True  # the centroid moves by a quarter of a px

        assert lags_of(wide, wide) == []
        wide[1, 15:35, 40] = True  # and now by half a px, and back
        assert [one.speed_px for one in lags_of(wide, wide)] == pytest.approx([0.5, 0.5])

    def test_mask_that_does_not_match_has_none(self) -> None:
        predicted, truth = moving((3, 0), (6, 0))
        assert len(lags_of(predicted, truth)) == 3  # IoU 14 / 26

        predicted, truth = moving((3, 0), (7, 0))
        assert lags_of(predicted, truth) == []  # IoU 13 / 27

    def test_polyp_that_jumps_is_another_one(self) -> None:
        truth = film(box(5, 10), box(50, 10), box(53, 10))

        assert [one.speed_px for one in lags_of(truth, truth)] == pytest.approx([3])

    @pytest.mark.parametrize(
        ("start", "expected"),
        [((2, 15), 3), ((1, 15), 2), ((20, 2), 3), ((20, 1), 0), ((49, 15), 3), ((50, 15), 2)],
    )
    def test_polyp_must_be_clear_of_the_edge_before_and_after(
        self, start: Place, expected: int
    ) -> None:
        assert len(lags_of(*moving((3, 0), start=start))) == expected

    def test_edge_of_what_is_seen_is_one_as_well(self) -> None:
        masks = moving((3, 0))
        # The polyp ends at column 48 at last.
        seen, too_little = SEEN.copy(), SEEN.copy()
        seen[:, 51:] = False
        too_little[:, 50:] = False

        assert len(lags_of(*masks, seen=seen)) == 3
        assert len(lags_of(*masks, seen=too_little)) == 2

    @pytest.mark.parametrize("mask", [empty(), full()], ids=["empty", "full"])
    def test_empty_and_full_masks_have_none(self, mask: Mask) -> None:
        masks = film(mask, mask, mask)

        assert lags_of(masks, masks) == []
        assert lags_of(masks, moving((3, 0))[1][:3]) == []
