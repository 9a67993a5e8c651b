"""Which masks are put on which pictures, and what stays untouched."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any, cast

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer import familiar
from streamer.color import ColorDescription
from streamer.familiar import HOLD_S, STEP_S, bundled
from streamer.frame import Frame, Segmentation, View
from streamer.live.compositor import Compositor, Mask, Seen
from streamer.live.signal import Look
from streamer.live.state import State
from streamer.overlay import Overlay, Style
from streamer.planes import DRAWABLE, copy_picture

MakeFrame = Callable[..., Frame]
MakePicture = Callable[..., av.VideoFrame]
ReadPlanes = Callable[[av.VideoFrame], list[NDArray[np.int64]]]
SoftDisc = Callable[..., Segmentation]
Luma = NDArray[np.uint8]

MS = 10**6
MAX_AGE_MS = 120
LIMITED_601 = ColorDescription("bt601", full_range=False, guessed=False)
LUMA = np.zeros((4, 4), np.uint8)
SCENE = Look(flat=False, repeated=False)


def no_motion(segmentation: Segmentation, then: Luma, now: Luma) -> Segmentation | None:
    return segmentation


def scene_cut(segmentation: Segmentation, then: Luma, now: Luma) -> Segmentation | None:
    return None


def never(segmentation: Segmentation, then: Luma, now: Luma) -> Segmentation | None:
    raise AssertionError("there is nothing to move")


def make(
    *,
    style: Style | None = None,
    move: Callable[[Segmentation, Luma, Luma], Segmentation | None] = no_motion,
    always_copy: bool = False,
    view: View | None = None,
) -> Compositor:
    style = style or Style(badge=False)
    return Compositor(
        Overlay(style, LIMITED_601),
        view=view or View(0, 0, 64, 48),
        max_age_ns=MAX_AGE_MS * MS,
        small_luma=lambda picture, view: LUMA,
        move=move,
        badge=style.badge,
        always_copy=always_copy,
    )


def seen_at(frame: Frame, captured_ms: float, session: int = 0, look: Look = SCENE) -> Seen:
    captured_ns = round(captured_ms * MS)
    frame = replace(frame, captured_ns=captured_ns)
    whole = View(0, 0, frame.picture.width, frame.picture.height)
    return Seen(frame, session, whole, LUMA, look, captured_ns)


@given(
    age_ms=st.one_of(st.integers(-300, 500), st.sampled_from([0, 119.9, 120, 120.000001, 121])),
    session=st.integers(0, 1),
    flat=st.booleans(),
    empty=st.booleans(),
    cut=st.booleans(),
)
def test_no_mask_that_is_stale_or_of_another_scene(
    age_ms: float,
    session: int,
    flat: bool,
    empty: bool,
    cut: bool,
    make_frame: MakeFrame,
    soft_disc: SoftDisc,
) -> None:
    frame = make_frame()
    segmentation = soft_disc(64, radius=0 if empty else 20)
    if empty:
        segmentation = replace(segmentation, probability=segmentation.probability * 0)
    mask = Mask(0, segmentation, seen_at(frame, 1000))
    shown = seen_at(frame, 1000 + age_ms, session, Look(flat=flat, repeated=False))

    fitted = make(move=scene_cut if cut else no_motion).fit(mask, shown)

    fits = 0 <= age_ms <= MAX_AGE_MS and session == 0 and not flat and (empty or not cut)
    assert (fitted is not None) == fits


@pytest.mark.parametrize(("after_ms", "in_time"), [(0, True), (120, True), (120.001, False)])
def test_a_mask_is_in_time_by_when_its_picture_is_handed_on(
    make_frame: MakeFrame, soft_disc: SoftDisc, after_ms: float, in_time: bool
) -> None:
    mask = Mask(0, soft_disc(64), seen_at(make_frame(), 1000))

    assert make().is_in_time(mask, round((1000 + after_ms) * MS)) == in_time


def test_without_a_mask_nothing_fits(make_frame: MakeFrame) -> None:
    assert make().fit(None, seen_at(make_frame(), 0)) is None


def test_the_mask_is_moved_from_its_own_picture_to_the_one_shown(
    make_frame: MakeFrame, soft_disc: SoftDisc
) -> None:
    calls = []

    def move(segmentation: Segmentation, then: Luma, now: Luma) -> Segmentation | None:
        calls.append((int(then[0, 0]), int(now[0, 0])))
        return replace(segmentation, threshold=0.7)

    then = replace(seen_at(make_frame(), 0), luma=LUMA + np.uint8(3))
    now = replace(seen_at(make_frame(), 40), luma=LUMA + np.uint8(8))
    fitted = make(move=move).fit(Mask(0, soft_disc(64), then), now)

    assert calls == [(3, 8)]
    assert fitted is not None
    assert fitted.threshold == 0.7


def test_a_mask_of_another_part_of_the_picture_is_not_drawn(
    make_frame: MakeFrame, soft_disc: SoftDisc
) -> None:
    whole = seen_at(make_frame(), 0)
    part = replace(seen_at(make_frame(), 40), view=View(8, 8, 40, 32))

    assert make(move=never).fit(Mask(0, soft_disc(64), whole), part) is None


def test_the_analysed_part_is_marked_at_its_corners(make_frame: MakeFrame) -> None:
    frame = make_frame()
    before = frame.picture.to_ndarray().copy()
    view = View(8, 8, 40, 32)
    compositor = make()
    compositor.view = view
    composed = compositor.draw(compositor.look(frame, 0, 0), None, None, State.RUNNING, "engine")

    luma = composed.picture.to_ndarray()[: frame.picture.height]
    rows, columns = np.nonzero(luma != before[: frame.picture.height])
    assert (columns.min(), rows.min()) == (view.x, view.y)
    assert (columns.max() + 1, rows.max() + 1) == (view.x + view.width, view.y + view.height)
    assert composed.view == view
    np.testing.assert_array_equal(frame.picture.to_ndarray(), before)


def test_an_empty_mask_is_not_moved(make_frame: MakeFrame) -> None:
    empty = Segmentation(np.full((32, 32), 0.49, np.float32), View(0, 0, 64, 48), 0.5)
    mask = Mask(0, empty, seen_at(make_frame(), 0))

    assert make(move=never).fit(mask, seen_at(make_frame(), 40)) is empty


def test_a_look_takes_the_view_for_moving_and_the_whole_for_the_signal(
    make_frame: MakeFrame,
) -> None:
    views = []

    def small_luma(picture: av.VideoFrame, view: View) -> Luma:
        views.append(view)
        return LUMA

    compositor = make(view=View(8, 8, 16, 16))
    compositor._small_luma = small_luma
    looks = [compositor.look(make_frame(seed), 5, 77) for seed in (0, 0, 1)]

    assert views == [View(8, 8, 16, 16)] * 3
    assert [seen.look.repeated for seen in looks] == [False, True, False]
    assert not any(seen.look.flat for seen in looks)
    assert (looks[0].session, looks[0].taken_ns) == (5, 77)


def test_strange_pictures_are_told_of_those_that_follow(
    make_frame: MakeFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The closer look comes after a picture was shown."""
    strange = bundled().mean + 1e6
    monkeypatch.setattr(familiar, "features_of", lambda *_: strange)
    compositor = make()
    seen = []
    for index in range(20):
        seen.append(compositor.look(make_frame(index), 0, 0))
        compositor.look_closer(seen[-1])

    told_s = [each.frame.time_s for each in seen if each.out_of_view]
    assert told_s[-1] == seen[-1].frame.time_s
    # From the picture after the one that was looked at when it had lasted for so long.
    assert HOLD_S < told_s[0] <= HOLD_S + STEP_S + 0.08


@pytest.mark.parametrize("pixel_format", sorted(DRAWABLE))
def test_a_copy_is_equal_and_independent(
    make_picture: MakePicture, read_planes: ReadPlanes, pixel_format: str
) -> None:
    picture = make_picture(pixel_format, 70, 50)
    picture.pts, picture.time_base = 123, Fraction(1, 90000)
    picture.colorspace, picture.color_range = 5, 1
    picture.color_primaries, picture.color_trc = 6, 7

    copied = copy_picture(picture)

    before = read_planes(picture)
    assert all(map(np.array_equal, before, read_planes(copied)))
    for name in (
        *("pts", "time_base", "colorspace", "color_range", "color_primaries", "color_trc"),
        *("width", "height"),
    ):
        assert getattr(copied, name) == getattr(picture, name), name
    assert copied.format.name == picture.format.name
    np.frombuffer(memoryview(cast(Any, copied.planes[0])), np.uint8)[:] = 7
    assert all(map(np.array_equal, before, read_planes(picture)))


@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv444p", "yuv422p10le", "gray"])
@pytest.mark.parametrize("badge", [False, True])
def test_only_marker_pixels_change_and_only_in_the_copy(
    make_frame: MakeFrame,
    make_picture: MakePicture,
    read_planes: ReadPlanes,
    soft_disc: SoftDisc,
    pixel_format: str,
    badge: bool,
) -> None:
    picture = make_picture(pixel_format, 320, 240)
    before = read_planes(picture)
    frame = make_frame(picture=picture)
    disc = soft_disc(240, x=160, radius=50, view=View(40, 0, 240, 240))
    mask = Mask(0, disc, seen_at(frame, 0))
    seen = seen_at(frame, 40)
    compositor = make(style=Style(badge=badge))

    composed = compositor.draw(seen, mask, compositor.fit(mask, seen), State.RUNNING, "engine")

    assert composed.frame is seen.frame
    assert composed.frame.picture is picture
    assert all(map(np.array_equal, before, read_planes(picture)))
    assert composed.picture is not picture
    rows, columns = np.mgrid[:240, :320]
    from_rim = np.abs(np.hypot(rows - 120, columns - 200) - 50)
    for old, new in zip(before, read_planes(composed.picture), strict=True):
        down, across = 240 // old.shape[0], 320 // old.shape[1]
        far = from_rim[::down, ::across] > 6
        if badge:
            far[: 60 // down, : 300 // across] = False
        changed = (old != new).any(axis=2)
        assert changed.any()
        assert not changed[far].any()
    assert [region.box[2] for region in composed.objects] == [pytest.approx(100, abs=3)]
    assert composed.mask_age_ms == 40
    assert composed.state == "RUNNING"


@pytest.mark.parametrize("always_copy", [False, True])
@pytest.mark.parametrize("empty_mask", [False, True])
def test_with_nothing_to_draw_the_picture_is_handed_on_as_it_is(
    make_frame: MakeFrame, read_planes: ReadPlanes, always_copy: bool, empty_mask: bool
) -> None:
    seen = seen_at(make_frame(), 40)
    empty = Segmentation(np.zeros((8, 8), np.float32), View(0, 0, 64, 48), 0.5)
    mask = Mask(0, empty, seen_at(make_frame(), 0)) if empty_mask else None
    compositor = make(always_copy=always_copy)

    composed = compositor.draw(seen, mask, compositor.fit(mask, seen), State.RUNNING, "engine")

    assert (composed.picture is seen.frame.picture) == (not always_copy)
    assert all(
        map(np.array_equal, read_planes(composed.picture), read_planes(make_frame().picture))
    )
    assert composed.objects == []
    assert composed.mask_age_ms == (40 if empty_mask else None)
    assert (composed.segmentation is not None) == empty_mask


@pytest.mark.parametrize(
    ("state", "status"),
    [(State.RUNNING, "RUNNING | engine"), (State.DEGRADED, "DEGRADED"), (State.FROZEN, "FROZEN")],
)
def test_the_badge_says_the_state(make_frame: MakeFrame, state: State, status: str) -> None:
    said = []

    class Spy:
        def draw(
            self, picture: av.VideoFrame, fitted: object, text: str, *, view: object
        ) -> av.VideoFrame:
            said.append(text)
            return picture

    compositor = make(style=Style())
    compositor._overlay = cast(Overlay, Spy())
    composed = compositor.draw(seen_at(make_frame(), 0), None, None, state, "engine")

    assert said == [status]
    assert composed.state == str(state)
