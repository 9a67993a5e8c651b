"""Markers on the picture, and above all: every pixel outside them keeps its exact value."""

from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.frame import PictureType
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from streamer.color import ColorDescription, rgb_to_yuv
from streamer.corners import corner_bars
from streamer.errors import StreamError
from streamer.frame import Segmentation, Track, Tracks, View
from streamer.overlay import Overlay, Style, _simplify, parse_color
from streamer.planes import DRAWABLE

FORMATS = sorted(DRAWABLE)
LIMITED_601 = ColorDescription("bt601", full_range=False, guessed=False)
BARE = Style(badge=False)

Content = list[NDArray[np.int64]]
Area = NDArray[np.bool_]
MakePicture = Callable[..., av.VideoFrame]
ReadPlanes = Callable[[av.VideoFrame], Content]
SoftDisc = Callable[..., Segmentation]


def up_scaled_inside(segmentation: Segmentation, width: int, height: int) -> Area:
    """Where the bilinearly up-scaled map is inside, by its definition, for a whole picture."""
    probability, view = segmentation.probability, segmentation.view
    weights = []
    for count, size in zip(probability.shape, (view.height, view.width), strict=True):
        place = ((np.arange(size) + 0.5) * count / size - 0.5).clip(0, count - 1)
        apart = np.abs(place[:, None] - np.arange(count))
        weights.append((1 - apart).clip(0))
    inside = np.zeros((height, width), bool)
    inside[view.y : view.y + view.height, view.x : view.x + view.width] = (
        weights[0] @ probability @ weights[1].T >= segmentation.threshold
    )
    return inside


def grown(area: Area, radius_px: int) -> Area:
    side = 2 * radius_px + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return np.asarray(cv2.dilate(area.astype(np.uint8), kernel)) > 0


def boundary_of(segmentation: Segmentation, width: int, height: int) -> Area:
    """Pixels beside the threshold's line; the view's own edge is no such line."""
    inside, view = up_scaled_inside(segmentation, width, height), segmentation.view
    part = inside[view.y : view.y + view.height, view.x : view.x + view.width]
    cross = np.ones((3, 3), np.uint8)
    edge = np.zeros_like(inside)
    edge[view.y : view.y + view.height, view.x : view.x + view.width] = (
        cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_GRADIENT, cross) > 0
    )
    return edge


def sampled(area: Area, like: NDArray[np.int64]) -> Area:
    """Samples of a plane that lie on any pixel of the area."""
    rows, columns = like.shape[:2]
    down, across = -(-area.shape[0] // rows), -(-area.shape[1] // columns)
    padded = np.zeros((rows * down, columns * across), bool)
    padded[: area.shape[0], : area.shape[1]] = area
    return np.asarray(padded.reshape(rows, down, columns, across).any(axis=(1, 3)))


def assert_only_changed(before: Content, after: Content, allowed: Area) -> None:
    for old, new in zip(before, after, strict=True):
        outside = ~sampled(allowed, old)
        np.testing.assert_array_equal(new[outside], old[outside])


def changed_luma(before: Content, after: Content) -> Area:
    return np.asarray((before[0] != after[0])[..., 0])


@pytest.fixture
def draw(
    make_picture: MakePicture, read_planes: ReadPlanes
) -> Callable[..., tuple[Content, Content]]:
    """Draws upon noise and returns the planes before and after."""

    def run(
        segmentation: Segmentation | None,
        style: Style,
        pixel_format: str = "yuv420p",
        size: tuple[int, int] = (160, 120),
        *,
        color: ColorDescription = LIMITED_601,
        codes: tuple[int, ...] | None = None,
        status: str = "RUNNING | openvino bf16",
    ) -> tuple[Content, Content]:
        picture = make_picture(pixel_format, *size, codes=codes)
        before = read_planes(picture)
        drawn = Overlay(style, color).draw(picture, segmentation, status)
        return before, read_planes(drawn)

    return run


Draw = Callable[..., tuple[Content, Content]]


@pytest.mark.parametrize("view", [View(32, 8, 96, 81), View(0, 0, 161, 89), View(144, 72, 17, 18)])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_corners_of_the_analysed_part_and_nothing_else(
    pixel_format: str, view: View, make_picture: MakePicture, read_planes: ReadPlanes
) -> None:
    picture = make_picture(pixel_format, 161, 91)
    before = read_planes(picture)
    after = read_planes(Overlay(BARE, LIMITED_601).draw(picture, None, "", view=view))
    allowed = np.zeros((91, 161), bool)
    for left, top, right, bottom in corner_bars(view, 91):
        allowed[top:bottom, left:right] = True

    assert_only_changed(before, after, allowed)
    assert changed_luma(before, after)[allowed].mean() > 0.9


@pytest.mark.parametrize("size", [(320, 240), (161, 91), (64, 48), (33, 17)])
@pytest.mark.parametrize(
    "style", [BARE, Style(badge=False, fill_opacity=0.4), Style(line_width_px=5, fill_opacity=1)]
)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_pixels_outside_the_markers_keep_their_value(
    pixel_format: str, style: Style, size: tuple[int, int], soft_disc: SoftDisc, draw: Draw
) -> None:
    width, height = size
    view = View(width // 8, height // 8, width * 3 // 4, height * 3 // 4)
    segmentation = soft_disc(48, x=28.3, y=25.1, radius=14, softness=9, view=view)
    before, after = draw(segmentation, style, pixel_format, size)

    edge = boundary_of(segmentation, width, height)
    allowed = grown(edge, (style.line_width_px or 1) + 2)
    if style.fill_opacity:
        allowed |= grown(up_scaled_inside(segmentation, width, height), 2)
    if style.badge:
        badge = np.argwhere(changed_luma(*draw(None, style, pixel_format, size)))
        (top, left), (bottom, right) = badge.min(axis=0), badge.max(axis=0)
        allowed[top : bottom + 2, left : right + 2] = True
    assert_only_changed(before, after, allowed)
    assert changed_luma(before, after)[edge].mean() > 0.7


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("size", [(1280, 720), (641, 361), (64, 48), (16, 16)])
def test_badge_stays_in_its_corner(pixel_format: str, size: tuple[int, int], draw: Draw) -> None:
    width, height = size
    before, after = draw(None, Style(), pixel_format, size)
    box = np.zeros((height, width), bool)
    # At HD a twelfth of the height by a quarter of the width; more where it would be illegible.
    box[: max(32, height // 12), : max(160, width // 4)] = True

    assert_only_changed(before, after, box)
    assert changed_luma(before, after).any()


def test_badge_is_light_text_on_a_darker_plate(draw: Draw) -> None:
    before, after = draw(None, Style(), "yuv444p", (640, 360), codes=(150, 90, 200))
    changed = changed_luma(before, after)
    luma = after[0][changed]

    assert luma.max() > 225
    assert np.median(luma) < 100
    # Text and plate are gray, so what they cover loses colour.
    assert np.abs(after[1][changed] - 128).max() < abs(90 - 128)
    assert np.abs(after[2][changed] - 128).max() < abs(200 - 128)


def test_badge_shows_the_status(draw: Draw) -> None:
    _, running = draw(None, Style(), status="RUNNING")
    _, again = draw(None, Style(), status="RUNNING")
    _, degraded = draw(None, Style(), status="DEGRADED")

    np.testing.assert_array_equal(running[0], again[0])
    assert (running[0] != degraded[0]).any()


@pytest.mark.parametrize("color", [(0, 255, 0), (255, 0, 255), (64, 128, 255)])
@pytest.mark.parametrize("matrix", ["bt601", "bt709"])
@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "nv12", "yuv422p", "yuv420p10le", "gray"])
def test_middle_of_the_line_has_the_asked_color(
    pixel_format: str,
    full_range: bool,
    matrix: str,
    color: tuple[int, int, int],
    soft_disc: SoftDisc,
    draw: Draw,
) -> None:
    description = ColorDescription(matrix, full_range, guessed=False)
    style = Style(color, line_width_px=8, badge=False)
    segmentation = soft_disc(60, radius=20, softness=10, view=View(0, 0, 240, 240))
    _, after = draw(segmentation, style, pixel_format, (240, 240), color=description)
    bits = 10 if "10le" in pixel_format else 8
    code = rgb_to_yuv(color, description, bits)
    angle = np.linspace(0, 2 * np.pi, 90, endpoint=False)
    for plane, expected in zip(after, (code[:1], code[1:], code[2:]), strict=False):
        rows, columns, parts = plane.shape
        x = (120 + 80 * np.cos(angle)) * columns / 240 - 0.5
        y = (120 + 80 * np.sin(angle)) * rows / 240 - 0.5
        found = plane[np.rint(y).astype(int), np.rint(x).astype(int)]

        np.testing.assert_allclose(
            found, np.broadcast_to(expected[:parts], found.shape), atol=2 << (bits - 8)
        )


@pytest.mark.parametrize("pixel_format", FORMATS)
@pytest.mark.parametrize("opacity", [0.25, 0.5, 1.0])
def test_fill_mixes_as_stated(
    pixel_format: str, opacity: float, soft_disc: SoftDisc, draw: Draw
) -> None:
    bits = 10 if "10le" in pixel_format else 8
    scale = 1 << (bits - 8)
    old = (180 * scale, 60 * scale, 200 * scale)[: 1 if pixel_format == "gray" else 3]
    segmentation = soft_disc(60, radius=20, view=View(0, 0, 160, 120))
    style = Style((255, 255, 0), fill_opacity=opacity, badge=False)
    _, after = draw(segmentation, style, pixel_format, codes=old)
    code = rgb_to_yuv((255, 255, 0), LIMITED_601, bits)
    middle = np.concatenate([plane[plane.shape[0] // 2, plane.shape[1] // 2] for plane in after])

    expected = [a + opacity * (b - a) for a, b in zip(old, code, strict=False)]
    np.testing.assert_allclose(middle, expected, atol=1.2 * scale)


def test_fill_leaves_holes_and_the_outside(soft_disc: SoftDisc, draw: Draw) -> None:
    view = View(0, 0, 160, 120)
    ring = soft_disc(80, radius=30, softness=6).probability
    ring = ring - soft_disc(80, radius=12, softness=6).probability
    style = Style(fill_opacity=0.5, badge=False)
    before, after = draw(Segmentation(ring, view, 0.5), style)
    changed = changed_luma(before, after)

    assert not changed[60, 80]
    assert not changed[2, 2]
    assert changed[60, 40]


def test_fill_reaches_the_border(draw: Draw) -> None:
    whole = Segmentation(np.ones((32, 32), np.float32), View(0, 0, 160, 120), 0.5)
    before, after = draw(whole, Style(fill_opacity=1, badge=False), codes=(30, 30, 30))

    for old, new in zip(before, after, strict=True):
        assert (new != old).all()
        assert len(np.unique(new)) == 1


@pytest.mark.parametrize("pixel_format", ["gray", "yuv420p", "yuv420p10le"])
@pytest.mark.parametrize("width_px", [2, 3, 4, 6, 15])
def test_line_is_as_wide_as_asked(pixel_format: str, width_px: int, draw: Draw) -> None:
    half = np.zeros((40, 40), np.float32)
    half[:, 20:] = 1
    segmentation = Segmentation(half, View(0, 0, 160, 120), 0.5)
    style = Style((255, 255, 255), width_px, badge=False)
    bits = 10 if "10le" in pixel_format else 8
    black, white = (rgb_to_yuv((level,) * 3, LIMITED_601, bits) for level in (0, 255))
    codes = black[:1] if pixel_format == "gray" else black
    _, after = draw(segmentation, style, pixel_format, codes=codes)
    coverage = (after[0][60, :, 0] - black[0]) / (white[0] - black[0])

    # Up to a pixel more, and a soft edge on either side.
    assert width_px <= (coverage > 0.95).sum() <= width_px + 1
    assert (coverage > 0).sum() <= width_px + 4
    assert np.average(np.arange(160), weights=coverage) == pytest.approx(79.5, abs=0.3)


def test_what_is_tentative_is_drawn_thin_and_not_filled(draw: Draw) -> None:
    half = np.zeros((40, 40), np.float32)
    half[:, 20:] = 1
    labels = (half > 0).astype(np.uint8)

    def changed(*, confirmed: bool) -> NDArray[np.bool_]:
        tracks = Tracks(labels, (Track(1, 0.0, 0.0, 1.0, confirmed),))
        segmentation = Segmentation(half, View(0, 0, 160, 120), 0.5, tracks)
        style = Style((255, 255, 255), 10, fill_opacity=0.5, badge=False)
        return changed_luma(*draw(segmentation, style, codes=(30, 128, 128)))

    full, thin = changed(confirmed=True), changed(confirmed=False)

    assert full[60, 140]
    assert not thin[60, 140]
    assert 4 <= thin[60].sum() <= 8  # 4 px, up to a pixel more, and a soft edge on either side


@given(
    # At most 375 px from the middle of a canvas that is 900 px high.
    radius_px=st.floats(2, 250),
    bend=st.floats(0, 0.5),
    turn=st.floats(0.3, 6.3),
    closed=st.booleans(),
)
def test_a_line_with_fewer_points_is_the_same_line(
    radius_px: float, bend: float, turn: float, closed: bool
) -> None:
    angles = np.linspace(0, 2 * np.pi if closed else turn, 400)
    reach = radius_px * (1 + bend * np.sin(3 * angles))
    line = np.stack([500 + reach * np.cos(angles), 400 + reach * np.sin(angles)], axis=1)
    if closed:
        line[-1] = line[0]
    simple = _simplify(line)

    assert len(simple) < len(line) / 2
    np.testing.assert_allclose(
        simple[[0, -1]], simple[[0, 0]] if closed else line[[0, -1]], atol=1e-3
    )
    canvas = np.full((900, 1000), 255, np.uint8)
    cv2.polylines(canvas, [np.rint(simple * 16).astype(np.int32)], False, (0,), 1, shift=4)
    apart = cv2.distanceTransform(canvas, cv2.DIST_L2, 5)
    # A quarter of a pixel, and what whole pixels add.
    rows, columns = np.rint(line[:, 1]).astype(int), np.rint(line[:, 0]).astype(int)
    assert apart[rows.clip(0, 899), columns.clip(0, 999)].max() <= 1.5


@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_line_lies_on_the_threshold_in_every_plane(
    pixel_format: str, axis: int, draw: Draw
) -> None:
    half = np.zeros((40, 40), np.float32)
    half[:, 20:] = 1
    segmentation = Segmentation(half if axis else half.T, View(0, 0, 120, 120), 0.5)
    bits = 10 if "10le" in pixel_format else 8
    codes = rgb_to_yuv((40, 40, 40), LIMITED_601, bits)[: 1 if pixel_format == "gray" else 3]
    style = Style((0, 255, 0), line_width_px=4, badge=False)
    before, after = draw(segmentation, style, pixel_format, (120, 120), codes=codes)
    for old, new in zip(before, after, strict=True):
        change = np.abs(new - old).sum(axis=(1 - axis, 2))
        step = 120 / len(change)
        middle = (np.average(np.arange(len(change)), weights=change) + 0.5) * step - 0.5

        # Between the 60th and the 61st pixel, whatever the step of the samples; OpenCV's long lines
        # are a sixth of a sample off.
        assert middle == pytest.approx(59.5, abs=0.2 * step)


@pytest.mark.parametrize(("height", "width_px"), [(120, 1), (480, 2), (1080, 4)])
def test_line_width_follows_the_height(
    height: int, width_px: int, soft_disc: SoftDisc, draw: Draw
) -> None:
    segmentation = soft_disc(60, radius=20, view=View(0, 0, 160, height))
    _, automatic = draw(segmentation, BARE, size=(160, height))
    _, asked = draw(segmentation, Style(line_width_px=width_px, badge=False), size=(160, height))

    for found, expected in zip(automatic, asked, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p10le", "nv12"])
def test_marker_is_drawn_in_the_right_place_of_a_view(
    pixel_format: str, soft_disc: SoftDisc, draw: Draw
) -> None:
    view = View(101, 43, 90, 120)
    segmentation = soft_disc(60, radius=15, softness=8, view=view)
    before, after = draw(segmentation, BARE, pixel_format, (240, 180))
    for old, new in zip(before, after, strict=True):
        rows, columns = np.nonzero((old != new).any(axis=2))
        down, across = 180 / old.shape[0], 240 / old.shape[1]
        middle = (
            (columns.min() + columns.max() + 1) / 2 * across,
            (rows.min() + rows.max() + 1) / 2 * down,
        )
        extent = (np.ptp(columns) * across, np.ptp(rows) * down)

        np.testing.assert_allclose(middle, (view.x + 45, view.y + 60), atol=max(across, 1.01))
        np.testing.assert_allclose(extent, (2 * 22.5, 2 * 30), atol=4 * max(across, down))


@pytest.mark.parametrize("found", [None, "nothing"])
@pytest.mark.parametrize("style", [BARE, Style(fill_opacity=0.5, badge=False)])
def test_nothing_to_draw_leaves_the_picture_itself(
    found: str | None, style: Style, make_picture: MakePicture, read_planes: ReadPlanes
) -> None:
    empty = Segmentation(np.full((8, 8), 0.2, np.float32), View(0, 0, 64, 48), 0.5)
    picture = make_picture()
    before, address = read_planes(picture), picture.planes[0].buffer_ptr
    drawn = Overlay(style, LIMITED_601).draw(picture, empty if found else None, "RUNNING")

    assert drawn is picture
    assert drawn.planes[0].buffer_ptr == address
    assert_only_changed(before, read_planes(drawn), np.zeros((48, 64), bool))


@pytest.mark.parametrize("b_frames", [0, 2])
def test_drawing_does_not_reach_the_decoders_reference_frames(
    b_frames: int,
    tmp_path: Path,
    soft_disc: SoftDisc,
    write_clip: Callable[..., Path],
    read_planes: ReadPlanes,
) -> None:
    clip = write_clip(tmp_path / "clip.mp4", b_frames=b_frames)
    segmentation = soft_disc(60, radius=20, view=View(0, 0, 160, 96))
    style = Style(line_width_px=4, fill_opacity=1, badge=False)
    overlay = Overlay(style, LIMITED_601)
    allowed = grown(up_scaled_inside(segmentation, 160, 96), 4 + 2)
    with av.open(str(clip)) as container:
        plain = [read_planes(picture) for picture in container.decode(video=0)]
    with av.open(str(clip)) as container:
        types = []
        for picture, expected in zip(container.decode(video=0), plain, strict=True):
            types.append(picture.pict_type)
            # What has been drawn upon a frame must not be there on the next one.
            assert_only_changed(expected, read_planes(picture), np.zeros_like(allowed))
            drawn = read_planes(overlay.draw(picture, segmentation, ""))
            assert_only_changed(expected, drawn, allowed)
            assert changed_luma(expected, drawn)[48, 80]

    assert types.count(PictureType.P) > 2


def test_same_input_same_picture(soft_disc: SoftDisc, draw: Draw) -> None:
    segmentation = soft_disc(60, radius=20, view=View(0, 0, 160, 120))
    _, first = draw(segmentation, Style(fill_opacity=0.3))
    _, second = draw(segmentation, Style(fill_opacity=0.3))

    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("green", (0, 255, 0)),
        ("Yellow", (255, 255, 0)),
        ("#102aFF", (16, 42, 255)),
        ("#000000", (0, 0, 0)),
    ],
)
def test_color_is_a_name_or_hexadecimal(text: str, expected: tuple[int, int, int]) -> None:
    assert parse_color(text) == expected


@pytest.mark.parametrize(
    "text", ["", "greenish", "#12345", "#1234567", "#gg0000", "00ff00", "#00ff00\n"]
)
def test_other_colors_are_refused_with_the_names_known(text: str) -> None:
    with pytest.raises(StreamError, match="#rrggbb or one of green, yellow"):
        parse_color(text)


@given(
    st.sampled_from(FORMATS),
    st.integers(1, 8),
    st.binary(min_size=1, max_size=64),
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(1, 30), st.integers(1, 30)),
    st.integers(0, 7),
    st.sampled_from([0.0, 0.5, 1.0]),
)
def test_any_map_is_drawn_inside_its_view_only(
    make_picture: MakePicture,
    read_planes: ReadPlanes,
    pixel_format: str,
    columns: int,
    content: bytes,
    box: tuple[int, int, int, int],
    width_px: int,
    opacity: float,
) -> None:
    content += bytes(-len(content) % columns)
    probability = np.frombuffer(content, np.uint8).reshape(-1, columns).astype(np.float32)
    probability /= 255
    view = View(*box)
    picture = make_picture(pixel_format, 51, 53)
    before = read_planes(picture)
    overlay = Overlay(Style((255, 0, 0), width_px, opacity, badge=False), LIMITED_601)
    after = read_planes(overlay.draw(picture, Segmentation(probability, view, 0.5), ""))
    allowed = np.zeros((53, 51), bool)
    allowed[view.y : view.y + view.height, view.x : view.x + view.width] = True

    assert_only_changed(before, after, grown(allowed, (width_px or 1) + 2))
