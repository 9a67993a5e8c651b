"""The whole chain: what it must never do, and what it is for."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer.frame import Segmentation, View
from streamer.objects import find_objects, full_size_mask
from streamer.temporal import PRESETS, DetectionLog, Stabiliser, Temporal

Luma = NDArray[np.uint8]
Probability = NDArray[np.float32]
Tissue = Callable[..., Luma]
Disc = Callable[..., Probability]

SIZE_PX = 96
VIEW = View(0, 0, SIZE_PX, SIZE_PX)
BALANCED = PRESETS["balanced"]
STEADYING = [name for name in PRESETS if name != "off"]


def run(
    maps: Iterable[Probability],
    luma: Luma,
    *,
    temporal: Temporal = BALANCED,
    rate: float = 30,
    stabiliser: Stabiliser | None = None,
    start_s: float = 0.0,
) -> list[Segmentation]:
    """Maps of a picture that stands still, through the chain."""
    stabiliser = stabiliser or Stabiliser(temporal, VIEW)
    return [
        stabiliser.steady(probability, luma, start_s + index / rate)
        for index, probability in enumerate(maps)
    ]


def area(segmentation: Segmentation) -> int:
    """What counts, in px."""
    return int(np.count_nonzero(full_size_mask(segmentation, SIZE_PX, SIZE_PX)))


def any_map(seed: int, kind: str) -> Probability:
    rng = np.random.default_rng(seed)
    if kind in ("0", "1"):
        return np.full((SIZE_PX, SIZE_PX), float(kind), np.float32)
    small = rng.random((12, 12), np.float32)
    return np.kron(small, np.ones((8, 8), np.float32)) ** 2


maps = st.lists(
    st.builds(any_map, st.integers(0, 99), st.sampled_from(["0", "1", "noise", "noise"])),
    min_size=1,
    max_size=12,
)


@given(maps=maps, preset=st.sampled_from(STEADYING), keep=st.integers(1, 12))
def test_what_comes_later_changes_nothing_before(
    maps: list[Probability], preset: str, keep: int, tissue: Tissue
) -> None:
    temporal = PRESETS[preset]
    whole = run(maps, tissue(), temporal=temporal)
    cut = run(maps[:keep], tissue(), temporal=temporal)

    for one, other in zip(whole, cut, strict=False):
        np.testing.assert_array_equal(one.probability, other.probability)


@given(maps=maps, preset=st.sampled_from(STEADYING), shift=st.floats(-6, 6))
def test_every_map_is_sound_and_agrees_with_its_objects(
    maps: list[Probability], preset: str, shift: float, tissue: Tissue
) -> None:
    stabiliser = Stabiliser(PRESETS[preset], VIEW)
    before = [each.copy() for each in maps]
    for index, probability in enumerate(maps):
        found = stabiliser.steady(probability, tissue(shift * index), index / 30)

        assert np.isfinite(found.probability).all()
        assert 0 <= found.probability.min() <= found.probability.max() <= 1
        assert found.tracks is not None
        inside = found.probability >= found.threshold
        np.testing.assert_array_equal(found.tracks.labels > 0, inside)
        assert set(np.unique(found.tracks.labels)) - {0} <= set(range(1, len(found.tracks.all) + 1))
        objects = find_objects(found)
        assert {each.id for each in objects} <= {track.id for track in found.tracks.all}
    for now, then in zip(maps, before, strict=True):
        np.testing.assert_array_equal(now, then)


@given(maps=maps, preset=st.sampled_from(list(PRESETS)), shift=st.floats(-6, 6))
def test_motion_found_ahead_makes_no_difference(
    maps: list[Probability], preset: str, shift: float, tissue: Tissue
) -> None:
    one, other = (Stabiliser(PRESETS[preset], VIEW) for _ in range(2))
    before: Luma | None = None
    for index, probability in enumerate(maps):
        luma = tissue(shift * index)
        motion = one.find_motion_ahead(before, luma)
        before = luma
        ahead = one.steady(probability, luma, index / 30, motion)
        here = other.steady(probability, luma, index / 30)

        np.testing.assert_array_equal(ahead.probability, here.probability)


def test_motion_is_not_looked_for_where_nothing_moves(
    tissue: Tissue, nothing: Probability, disc: Disc
) -> None:
    stabiliser = Stabiliser(BALANCED, VIEW)
    for index in range(3):
        stabiliser.steady(nothing, tissue(), index / 30)
    assert stabiliser.find_motion_ahead(tissue(), tissue()) is None

    for index in range(3, 6):
        stabiliser.steady(disc(), tissue(), index / 30)
    assert stabiliser.find_motion_ahead(tissue(), tissue()) is not None
    assert stabiliser.find_motion_ahead(None, tissue()) is None


@given(maps=maps, preset=st.sampled_from(STEADYING))
def test_silence_stays_silent(maps: list[Probability], preset: str, tissue: Tissue) -> None:
    temporal = PRESETS[preset]
    silence = [np.zeros((SIZE_PX, SIZE_PX), np.float32)] * 30
    found = run([*maps, *silence], tissue(), temporal=temporal)

    silent_ms = [1e3 * (index + 1) / 30 for index in range(30)]
    for passed_ms, segmentation in zip(silent_ms, found[len(maps) :], strict=True):
        if passed_ms > temporal.hold_ms + 0.5:
            assert not (segmentation.probability >= 0.5).any()


def test_silence_from_the_start_shows_nothing(tissue: Tissue, nothing: Probability) -> None:
    found = run([nothing] * 20, tissue())

    assert all(segmentation.probability.max() < 0.5 for segmentation in found)
    assert all(find_objects(segmentation) == [] for segmentation in found)


@pytest.mark.parametrize("preset", STEADYING)
def test_on_a_still_video_the_steady_mask_is_the_networks(
    preset: str, tissue: Tissue, disc: Disc
) -> None:
    probability = disc(radius=20)
    found = run([probability] * 30, tissue(), temporal=PRESETS[preset])

    for segmentation in found[20:]:
        np.testing.assert_array_equal(segmentation.probability >= 0.5, probability >= 0.5)
        assert [each.id for each in find_objects(segmentation)] == [1]
        assert area(segmentation) == np.count_nonzero(probability >= 0.5)


@pytest.mark.parametrize("preset", STEADYING)
@pytest.mark.parametrize("on_ms", [0, 40, 70, 120, 200, 400, 1000])
def test_the_frame_rate_changes_no_event_by_more_than_a_frame(
    preset: str, on_ms: int, tissue: Tissue, disc: Disc, nothing: Probability
) -> None:
    def events(rate: int) -> list[tuple[float, float]]:
        stabiliser, log = Stabiliser(PRESETS[preset], VIEW), DetectionLog()
        for index in range(2 * rate):
            time_s = index / rate
            shown = 0.2 <= time_s < 0.2 + on_ms / 1e3
            found = stabiliser.steady(disc() if shown else nothing, tissue(), time_s)
            log.add(time_s, find_objects(found))
        return [(event.start_s, event.end_s or 0) for event in log.finish()]

    slow, fast = events(30), events(60)

    if abs(on_ms - PRESETS[preset].confirm_ms) > 34:
        assert len(slow) == len(fast)
    for one, other in zip(slow, fast, strict=False):
        np.testing.assert_allclose(one, other, atol=1 / 30 + 1e-6)


def test_a_blink_of_the_network_is_not_seen(
    tissue: Tissue, disc: Disc, nothing: Probability
) -> None:
    maps = [disc()] * 12 + [nothing] * 4 + [disc()] * 10
    found = run(maps, tissue())

    areas = [area(segmentation) for segmentation in found[8:]]
    assert min(areas) > 0.9 * max(areas)
    assert {each.id for segmentation in found for each in find_objects(segmentation)} == {1}


def test_a_held_object_moves_along_with_the_picture(
    tissue: Tissue, disc: Disc, nothing: Probability
) -> None:
    stabiliser = Stabiliser(BALANCED, VIEW)
    step = 2.0  # px of the small image a frame, of 160; the map has 96
    for index in range(14):
        x = 30 + index * step * SIZE_PX / 160
        probability = disc(x=x, level=1.0) if index < 10 else nothing
        found = stabiliser.steady(probability, tissue(step * index), index / 30)
    columns = np.nonzero(full_size_mask(found, SIZE_PX, SIZE_PX))[1]

    assert columns.mean() == pytest.approx(30 + 13 * step * SIZE_PX / 160, abs=1.0)


def test_a_flash_is_never_confirmed(tissue: Tissue, disc: Disc, nothing: Probability) -> None:
    found = run([nothing] * 5 + [disc()] * 2 + [nothing] * 10, tissue())

    assert all(area(segmentation) == 0 for segmentation in found)
    tentative = [each for segmentation in found for each in find_objects(segmentation)]
    assert tentative
    assert not any(each.confirmed for each in tentative)


def test_what_lasts_is_confirmed_in_time(tissue: Tissue, disc: Disc) -> None:
    found = run([disc()] * 10, tissue())

    sure = run([disc(level=1.0, softness=0.5)] * 10, tissue())
    first, first_sure = (
        next(index for index, each in enumerate(each) if area(each)) for each in (found, sure)
    )
    assert first_sure == 0
    assert 0 < first <= round(30 * 0.2)


def test_the_boundary_flickers_less(tissue: Tissue, disc: Disc) -> None:
    rng = np.random.default_rng(2)

    def noisy() -> Probability:
        noise = rng.normal(0, 0.12, (SIZE_PX, SIZE_PX)).astype(np.float32)
        return np.asarray((disc(softness=12) + noise).clip(0, 1), np.float32)

    def flicker(temporal: Temporal) -> float:
        masks = [each.probability >= 0.5 for each in run(noise, tissue(), temporal=temporal)]
        return float(np.mean([(a ^ b).sum() for a, b in itertools.pairwise(masks[9:])]))

    noise = [noisy() for _ in range(30)]

    assert flicker(BALANCED) < 0.4 * flicker(PRESETS["off"])


def test_a_cut_ends_what_was_held(tissue: Tissue, disc: Disc, nothing: Probability) -> None:
    stabiliser = Stabiliser(BALANCED, VIEW)
    run([disc()] * 10, tissue(), stabiliser=stabiliser)
    other = np.flipud(tissue(100.0)).copy()
    found = stabiliser.steady(nothing, other, 10 / 30)

    assert area(found) == 0
    assert found.tracks is not None
    assert found.tracks.all == ()


@pytest.mark.parametrize("time_s", [0.1, 10 / 30 + 0.6], ids=["back", "gap"])
def test_a_gap_and_a_step_back_in_time_begin_anew(
    time_s: float, tissue: Tissue, disc: Disc
) -> None:
    stabiliser = Stabiliser(BALANCED, VIEW)
    (*_, last) = run([disc()] * 10, tissue(), stabiliser=stabiliser)
    found = stabiliser.steady(disc(), tissue(), time_s)

    assert [each.id for each in find_objects(last)] == [1]
    assert [(each.id, each.confirmed) for each in find_objects(found)] == [(2, False)]


def test_reset_begins_anew_but_no_id_comes_twice(tissue: Tissue, disc: Disc) -> None:
    stabiliser = Stabiliser(BALANCED, VIEW)
    run([disc()] * 5, tissue(), stabiliser=stabiliser)
    stabiliser.reset()
    fresh = run([disc()] * 5, tissue(), start_s=0.2, stabiliser=stabiliser)
    alone = run([disc()] * 5, tissue(), start_s=0.2)

    for one, other in zip(fresh, alone, strict=True):
        np.testing.assert_array_equal(one.probability, other.probability)
    assert [each.id for each in find_objects(fresh[-1])] == [2]


def test_another_view_begins_anew_with_maps_of_its_own(tissue: Tissue, disc: Disc) -> None:
    stabiliser, other = Stabiliser(BALANCED, VIEW), View(8, 4, 80, 60)
    run([disc()] * 5, tissue(), stabiliser=stabiliser)
    stabiliser.reset(other)
    fresh = run([disc()] * 5, tissue(), start_s=0.2, stabiliser=stabiliser)
    alone = run([disc()] * 5, tissue(), start_s=0.2)

    for one, expected in zip(fresh, alone, strict=True):
        assert one.view == other
        np.testing.assert_array_equal(one.probability, expected.probability)


def test_off_hands_the_map_on_as_it_is(tissue: Tissue, disc: Disc) -> None:
    probability = disc()
    found = run([probability], tissue(), temporal=PRESETS["off"])[0]

    assert found.probability is probability
    assert found.tracks is None


@pytest.mark.parametrize(
    "change",
    [
        {"smoothing_ms": 0.0},
        {"jump_ms": 0.0},
        {"motion": False},
        {"keep": 0.0},
        {"start": 0.0},
        {"tidy": False},
        {"confirm_ms": 0.0},
        {"hold_ms": 0.0},
    ],
    ids=lambda change: next(iter(change)),
)
def test_each_step_can_be_left_out(
    change: dict[str, object], tissue: Tissue, disc: Disc, nothing: Probability
) -> None:
    temporal = replace(BALANCED, **change)  # type: ignore[arg-type]
    maps = [disc()] * 12 + [nothing] * 3 + [disc(radius=4)] + [disc()] * 4
    found = run(maps, tissue(), temporal=temporal)

    assert area(found[-1]) > 0
    held = area(found[13]) > 0
    assert held == (temporal.hold_ms > 0)
    assert (area(found[0]) > 0) == (temporal.confirm_ms == 0)


def test_holes_are_filled_and_lone_specks_dropped(tissue: Tissue, disc: Disc) -> None:
    probability = disc(radius=20)
    probability[44:52, 44:52] = 0.02  # a highlight inside
    probability[5, 5:7] = 0.95  # a speck far away
    found = run([probability] * 10, tissue())[-1]
    mask = full_size_mask(found, SIZE_PX, SIZE_PX)

    assert mask[48, 48] == 255
    assert mask[5, 5] == 0
    kept = run([probability] * 10, tissue(), temporal=replace(BALANCED, tidy=False))[-1]
    mask = full_size_mask(kept, SIZE_PX, SIZE_PX)
    assert (mask[48, 48], mask[5, 5]) == (0, 255)


@pytest.mark.parametrize("threshold", [0.01, 0.3, 0.5, 0.8, 0.99])
def test_any_threshold_will_do(threshold: float, tissue: Tissue, disc: Disc) -> None:
    stabiliser = Stabiliser(BALANCED, VIEW, threshold)
    for index in range(12):
        found = stabiliser.steady(disc(level=1.0), tissue(), index / 30)

    assert area(found) == np.count_nonzero(disc(level=1.0) >= np.float32(threshold))
