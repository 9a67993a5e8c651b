"""Scores of whole clips, and how those of many clips are put together."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pranet.metrics import boundary_f
from pranet.metrics.detection import Appearance, Event
from pranet.metrics.temporal import Lag
from pranet.sequence import (
    Judged,
    SequenceScore,
    Truth,
    pool,
    row,
    score_sequence,
    spread,
    steadiness,
)

SIZE_PX = 60
STILL = np.zeros((SIZE_PX // 2, SIZE_PX // 2, 2), np.float32)
RATE = 10

Masks = NDArray[np.bool_]


def film(*lefts: int | None, side_px: int = 20) -> Masks:
    """A square that is so far from the left in each frame, or not there."""
    masks = np.zeros((len(lefts), SIZE_PX, SIZE_PX), np.bool_)
    for mask, left in zip(masks, lefts, strict=True):
        if left is not None:
            mask[20 : 20 + side_px, left : left + side_px] = True
    return masks


def truth_of(masks: Masks) -> Truth:
    return Truth(masks, np.ones((SIZE_PX, SIZE_PX), np.bool_))


def score(predicted: Masks, truth: Masks | None, name: str = "clip") -> SequenceScore:
    times_s = np.arange(len(predicted)) / RATE
    flows = [STILL] * (len(predicted) - 1)
    return score_sequence(
        name, predicted, times_s, flows, None if truth is None else truth_of(truth)
    )


class TestScoreSequence:
    def test_figures_of_a_clip_whose_answers_are_known(self) -> None:
        truth = film(10, 10, 10, 10, 10, None, None, None, None, None)
        predicted = film(None, 20, 10, 10, 10, None, None, 40, 40, None)

        found = score(predicted, truth)

        values, judged = found.values, found.judged
        assert judged is not None
        assert (found.frames, found.duration_s) == (10, pytest.approx(1))
        assert values["Dice"] == pytest.approx(10 * (0 + 0.5 + 3 + 3 + 0))
        assert values["Dice_with_polyp"] == pytest.approx(20 * (0 + 0.5 + 3))
        assert values["Dice_without_polyp"] == pytest.approx(60)
        assert values["IoU_with_polyp"] == pytest.approx(20 * (0 + 1 / 3 + 3))
        assert values["boundaryF_without_polyp"] == pytest.approx(60)
        # Of the steps that show anything: on, back by half, two that stay, off, on, one stays, off.
        assert values["consistency"] == pytest.approx(100 * (0 + 1 / 3 + 1 + 1 + 0 + 0 + 1 + 0) / 8)
        px = 400 / SIZE_PX**2
        assert values["label_changes"] == pytest.approx(1000 * px * (1 + 1 + 1 + 1 + 1) / 9)
        assert values["flicker"] == pytest.approx(1000 * px * (1 + 1 + 0 + 1 + 1) / 9)
        assert (found.toggles, judged.toggles) == (4, 1)
        assert judged.free_s == pytest.approx(0.5)
        assert judged.events == judged.free_events
        assert [event.duration_s for event in judged.events] == [0.2]
        assert [one.found_after_ms for one in judged.appearances] == [100]
        assert judged.lags == []

    def test_false_events_may_go_on_where_a_polyp_comes_into_view(self) -> None:
        truth = film(None, None, None, 10, 10, 10)
        predicted = film(None, 40, 40, 40, 40, None)

        judged = score(predicted, truth).judged

        assert judged is not None
        assert [event.frames for event in judged.events] == [4]
        assert [event.frames for event in judged.free_events] == [2]

    def test_without_a_truth_only_steadiness_is_scored(self) -> None:
        found = score(film(None, 10, 10, 12), None)

        assert found.judged is None
        assert found.values.keys() == {"consistency", "label_changes"}
        assert found.values["consistency"] == pytest.approx(100 * (0 + 1 + 18 / 22) / 3)
        assert found.toggles == 1

    def test_steadiness_of_the_truth_is_that_of_masks_alone(self) -> None:
        masks = film(None, 10, 10, 12)

        values = steadiness(masks, [STILL] * 3)

        assert list(values.values()) == list(score(masks, None).values.values())
        assert all(name.endswith("_of_truth") for name in values)

    @pytest.mark.parametrize("answer", ["empty", "full", "right"])
    @pytest.mark.parametrize("there", ["empty", "full", "some"])
    def test_nothing_that_is_defined_is_not_a_number(self, answer: str, there: str) -> None:
        truth = {
            "empty": film(*[None] * 8),
            "full": film(*[0] * 8, side_px=SIZE_PX) | True,
            "some": film(None, None, 3, 5, 7, 9, 11, 13),
        }[there]
        predicted = {"empty": truth & False, "full": truth | True, "right": truth}[answer]

        found = score(predicted, truth)

        undefined = {name for name, value in found.values.items() if math.isnan(value)}
        missing = {"empty": "_with_polyp", "full": "_without_polyp"}.get(there, "nothing")
        expected = {name for name in found.values if name.endswith(missing)}
        assert undefined == expected | ({"consistency"} if not predicted.any() else set())
        if answer == "right":
            assert found.values["Dice"] == found.values["boundaryF"] == 100
            assert found.values["flicker"] == 0
            assert pool([found])["false_events_per_minute"] == 0

    def test_one_frame_is_a_clip(self) -> None:
        found = score(film(10), film(10))

        assert found.values["Dice"] == 100
        assert math.isnan(found.values["flicker"])
        assert math.isnan(pool([found])["toggles_per_minute"])

    def test_boundary_is_scored_as_in_the_whole_picture(self) -> None:
        rng = np.random.default_rng(3)
        for _ in range(30):
            predicted, truth = np.zeros((2, 1, SIZE_PX, SIZE_PX), np.bool_)
            for mask in (predicted, truth):
                left, top, right, bottom = rng.integers(0, SIZE_PX, 4)
                mask[
                    0, min(top, bottom) : max(top, bottom), min(left, right) : max(left, right)
                ] = 1

            found = score(predicted, truth).values["boundaryF"]

            assert found == pytest.approx(100 * boundary_f(predicted[0], truth[0]))


def judged_score(duration_s: float, **changes: Any) -> SequenceScore:
    parts: dict[str, Any] = {
        "toggles": 0, "free_s": 0.0, "events": [], "free_events": [], "appearances": [], "lags": []
    }  # fmt: skip
    return SequenceScore("clip", 1, duration_s, {}, 6, Judged(**parts | changes))


def event(duration_s: float) -> Event:
    return Event(0, duration_s, 1, 1)


class TestPool:
    def test_rates_are_over_the_time_of_all_clips(self) -> None:
        scores = [
            judged_score(
                10, free_s=6, events=[event(0.1), event(0.6), event(2)], free_events=[event(0.1)],
                toggles=2,
            ),
            judged_score(50),
            # Without a truth: only its own toggles count.
            SequenceScore("clip", 1, 60, {}, 3, None),
        ]  # fmt: skip

        figures = pool(scores)

        assert figures["toggles_per_minute"] == pytest.approx((6 + 6 + 3) / 2)
        assert figures["toggles_per_minute_of_truth"] == pytest.approx(2)
        assert figures["false_events_per_minute"] == pytest.approx(3)
        for name in ("under_0.5_s", "0.5_to_1_s", "over_1_s"):
            assert figures[f"false_events_per_minute_{name}"] == pytest.approx(1)
        assert figures["false_events_per_polyp_free_minute"] == pytest.approx(10)

    def test_recalls_and_first_detections_are_over_all_appearances(self) -> None:
        times_ms = [0, 0, 400, 600, 1800, None]
        scores = [
            judged_score(10, appearances=[Appearance(0, 5, time_ms) for time_ms in times_ms[:1]]),
            judged_score(10, appearances=[Appearance(0, 5, time_ms) for time_ms in times_ms[1:]]),
        ]

        figures = pool(scores)

        assert figures["appearances"] == 6
        assert figures["found_within_0.5_s"] == pytest.approx(100 * 3 / 6)
        assert figures["found_within_1_s"] == pytest.approx(100 * 4 / 6)
        assert figures["found_within_2_s"] == figures["found"] == pytest.approx(100 * 5 / 6)
        assert figures["first_detection_ms_p50"] == 400
        assert figures["first_detection_ms_p75"] == 600

    def test_lags_are_medians_by_speed(self) -> None:
        found = [Lag(0.5, 1), Lag(1.9, 3), Lag(2, 5), Lag(8, -2), Lag(30, -4), Lag(20, 9)]

        figures = pool([judged_score(1, lags=found[:3]), judged_score(1, lags=found[3:])])

        assert figures["lag_px_at_0.5_to_2"] == 2
        assert figures["lag_px_at_2_to_4"] == 5
        assert math.isnan(figures["lag_px_at_4_to_8"])
        assert figures["lag_px_at_over_8"] == -2
        assert [figures[f"lag_frames_at_{name}"] for name in ("4_to_8", "over_8")] == [0, 3]

    def test_what_is_not_there_is_not_defined(self) -> None:
        figures = pool([SequenceScore("clip", 1, 60, {}, 3, None)])

        assert figures["toggles_per_minute"] == 3
        assert figures["appearances"] == 0
        for name in ("false_events_per_minute", "found", "first_detection_ms_p50"):
            assert math.isnan(figures[name])


class TestSpread:
    def test_mean_deviation_and_median_are_over_the_clips_that_have_a_figure(self) -> None:
        rows = [{"a": 1.0, "b": 7.0}, {"a": 3.0, "b": math.nan}, {"a": 8.0}, {"c": math.nan}]

        figures = spread(rows)

        assert figures.keys() == {"a", "b"}
        assert figures["a"] == {
            "mean": 4, "sd": pytest.approx(13**0.5), "median": 3, "sequences": 3
        }  # fmt: skip
        assert (figures["b"]["mean"], figures["b"]["sequences"]) == (7, 1)
        assert math.isnan(figures["b"]["sd"])

    def test_row_holds_the_means_and_the_counts_of_its_clip(self) -> None:
        found = score(film(10, 12, 14, 16, 18, 20), film(10, 12, 14, 16, 18, 20))

        figures = row(found)

        assert figures["Dice"] == 100
        assert figures["found"] == 100
        assert figures["lag_px_at_2_to_4"] == pytest.approx(0)
        assert (figures["frames"], figures["duration_s"]) == (6, 0.6)
