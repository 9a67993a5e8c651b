"""Redaction: what is burnt in beside the view must not get anywhere, and the view must stay."""

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from threading import Thread
from typing import Any

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.audio import AudioPacket
from streamer.color import ColorDescription, rgb_to_yuv
from streamer.corners import corner_bars
from streamer.field_of_view import FieldOfView
from streamer.frame import Frame, View
from streamer.overlay import Overlay, Style
from streamer.planes import DRAWABLE, copy_picture
from streamer.redact import RedactingSink, Redactor
from streamer.sinks import Composed, RawSink, VideoSink
from streamer.view_finder import find_field_of_view

LIMITED = ColorDescription("bt709", full_range=False, guessed=False)
FULL = ColorDescription("bt601", full_range=True, guessed=False)
SIZE = (480, 270)
SECOND_NS = 1_000_000_000

EVERYWHERE = np.full(SIZE[::-1], 255, np.uint8)

Mask = NDArray[np.uint8]
ReadPlanes = Callable[[av.VideoFrame], list[NDArray[np.int64]]]


def drawn(shape: str, size: tuple[int, int] = SIZE) -> Mask:
    """A view of a processor's kind right of the middle, 255 inside."""
    width, height = size
    mask = np.zeros((height, width), np.uint8)
    x, y, half = round(0.6 * width), height // 2, round(0.47 * height)
    if shape == "circle":
        cv2.circle(mask, (x, y), half, 255, cv2.FILLED)
    elif shape == "rectangle":
        cv2.rectangle(mask, (x - half, y - half), (x + half, y + half), 255, cv2.FILLED)
    elif shape == "cut off":
        # Wider than the picture is high, as zoomed views are.
        cv2.circle(mask, (x, y), round(0.6 * height), 255, cv2.FILLED)
    else:
        cut = round(0.4 * half)
        corner = np.array([(half, half - cut), (half - cut, half)])
        points = np.concatenate([corner * sign for sign in ((1, 1), (-1, 1), (-1, -1), (1, -1))])
        cv2.fillPoly(mask, [cv2.convexHull((points + np.array([x, y])).astype(np.int32))], 255)
    return mask


def written(mask: Mask, *, gap_px: int = 4) -> Mask:
    """Names, dates and a logo in the margin of a view, some of them close to it; 255 = ink."""
    height, width = mask.shape
    ink = np.zeros_like(mask)
    scale = height / 500
    for number, text in enumerate(("DOE, JANE", "1950-01-31", "ID 4711", "2026-11-24 10:31:07")):
        place = (4, round((0.15 + 0.1 * number) * height))
        cv2.putText(ink, text, place, cv2.FONT_HERSHEY_SIMPLEX, scale, 255, 1 + height // 300)
    cv2.circle(ink, (round(0.06 * width), round(0.85 * height)), round(0.05 * height), 255, -1)
    cv2.putText(ink, "CV-190", (width - 60, height - 6), cv2.FONT_HERSHEY_DUPLEX, scale, 255, 2)
    # A line right beside the view, at its height.
    for row in range(round(0.6 * height), round(0.65 * height)):
        edge = int(np.flatnonzero(mask[row])[0]) if mask[row].any() else width
        ink[row, max(0, edge - 70) : max(0, edge - gap_px)] = 255
    # Even the closest leaves a gap of two pixels.
    ink[cv2.dilate(mask, np.ones((5, 5), np.uint8)) > 0] = 0
    return ink


def luma_of(
    mask: Mask, index: int, *, ink: Mask | None = None, ground: int = 16, noise: float = 1.5
) -> Mask:
    """One picture: tissue that moves in the view, and what is written beside it."""
    rows, columns = np.mgrid[: mask.shape[0], : mask.shape[1]]
    tissue = 110 + 50 * np.sin(columns / 23 + index / 2) * np.cos(rows / 17 - index / 3)
    # The dark way ahead, which the view always has somewhere.
    away = np.hypot(columns - mask.shape[1] * (0.55 + 0.004 * index), rows - 0.4 * mask.shape[0])
    tissue *= np.clip(away / (0.2 * mask.shape[0]), 0.15, 1)
    luma = np.where(mask > 0, tissue, ground)
    if ink is not None:
        luma[ink > 0] = 235
    rng = np.random.default_rng(index)
    return np.clip(luma + rng.normal(0, noise, luma.shape), 0, 255).astype(np.uint8)


def picture_of(luma: Mask, pixel_format: str = "yuv420p") -> av.VideoFrame:
    """A picture with that luma and colourful noise."""
    height, width = luma.shape
    rng = np.random.default_rng(1)
    codes = np.stack([luma, *rng.integers(40, 100, (2, height, width))], axis=2).astype(np.uint8)
    whole = av.VideoFrame.from_ndarray(np.ascontiguousarray(codes.transpose(2, 0, 1)), "yuv444p")
    return whole.reformat(format=pixel_format)


def film(mask: Mask, count: int = 8, **how: Any) -> list[av.VideoFrame]:
    return [picture_of(luma_of(mask, index, **how)) for index in range(count)]


def found_in(pictures: list[av.VideoFrame]) -> FieldOfView:
    view = find_field_of_view(pictures)
    assert view is not None
    return view


def overlap(found: FieldOfView, mask: Mask) -> float:
    inside = found.mask() > 0
    assert inside.shape == mask.shape
    return float((inside & (mask > 0)).sum() / (inside | (mask > 0)).sum())


class TestFinding:
    @pytest.mark.parametrize("size", [SIZE, (1280, 720), (353, 287)])
    @pytest.mark.parametrize("shape", ["octagon", "circle", "rectangle", "cut off"])
    def test_view_without_what_is_written_beside_it(
        self, shape: str, size: tuple[int, int]
    ) -> None:
        mask = drawn(shape, size)
        ink = written(mask)
        found = found_in(film(mask, 6, ink=ink))

        assert overlap(found, mask) >= 0.97
        assert not (found.mask() > 0)[ink > 0].any()
        assert not found.fills_picture

    @pytest.mark.parametrize("ground", [0, 16, 40, 60])
    @pytest.mark.parametrize("noise", [0.0, 4.0])
    def test_ground_need_not_be_black(self, ground: int, noise: float) -> None:
        mask = drawn("octagon")
        ink = written(mask)
        found = found_in(film(mask, ink=ink, ground=ground, noise=noise))

        assert overlap(found, mask) >= 0.95
        assert not (found.mask() > 0)[ink > 0].any()

    def test_ten_bits(self) -> None:
        mask = drawn("circle")
        pictures = [each.reformat(format="yuv420p10le") for each in film(mask, ink=written(mask))]

        assert overlap(found_in(pictures), mask) >= 0.97

    def test_frame_around_everything_is_not_the_view(self) -> None:
        mask = drawn("circle")
        ink = written(mask)
        cv2.rectangle(ink, (2, 2), (SIZE[0] - 3, SIZE[1] - 3), 255, 2)

        assert overlap(found_in(film(mask, ink=ink)), mask) >= 0.95

    def test_bright_border_around_everything_is_not_the_view(self) -> None:
        mask = drawn("octagon")
        ink = np.full_like(mask, 255)
        ink[12:-12, 12:-12] = 0
        ink[cv2.dilate(mask, np.ones((9, 9), np.uint8)) > 0] = 0

        assert overlap(found_in(film(mask, ink=ink)), mask) >= 0.95

    def test_picture_without_margin(self) -> None:
        found = found_in(film(EVERYWHERE))

        assert found.fills_picture
        assert found.mask().all()

    def test_small_picture_beside_the_view_is_margin(self) -> None:
        mask = drawn("octagon")
        both = mask.copy()
        both[8:75, 8:98] = 255

        assert overlap(found_in(film(both)), mask) >= 0.97

    @pytest.mark.parametrize("what", ["nothing", "black", "menu", "one picture", "panel", "text"])
    def test_where_there_is_none(self, what: str) -> None:
        mask = drawn("circle")
        dark = np.zeros_like(mask)
        panel = written(mask)
        panel[75:195, :225] = 255  # touches the view
        make: dict[str, Callable[[], list[av.VideoFrame]]] = {
            "nothing": list,
            "black": lambda: film(dark),
            "menu": lambda: film(mask, 1, ink=written(mask)) * 8,
            "one picture": lambda: film(mask, 1),
            "panel": lambda: film(mask, ink=panel),
            "text": lambda: film(dark, ink=written(mask)),
        }

        assert find_field_of_view(make[what]()) is None


@pytest.fixture
def compose(make_frame: Callable[..., Frame]) -> Callable[..., Composed]:
    """A frame that was captured at a time, and a copy of its picture as the one to show."""

    def make(
        picture: av.VideoFrame, time_s: float, color: ColorDescription = LIMITED, state: str = ""
    ) -> Composed:
        frame = make_frame(round(time_s * 1000), picture=picture)
        frame = replace(frame, captured_ns=round(time_s * SECOND_NS), color=color)
        return Composed(frame, copy_picture(picture), None, [], state or "RUNNING", None)

    return make


def run(
    redactor: Redactor,
    compose: Callable[..., Composed],
    pictures: list[av.VideoFrame],
    *,
    start_s: float = 0,
    seconds: float = 2.5,
    **how: Any,
) -> list[tuple[Composed, Composed]]:
    """What becomes of pictures that come ten times a second, over and over."""
    done = []
    for number in range(round(10 * seconds)):
        composed = compose(pictures[number % len(pictures)], start_s + number / 10, **how)
        done.append((composed, redactor.redact(composed)))
    return done


def assert_blank(
    picture: av.VideoFrame, read_planes: ReadPlanes, color: ColorDescription, where: Any = ...
) -> None:
    black = rgb_to_yuv((0, 0, 0), color, picture.format.components[0].bits)
    codes = [np.array(black[:1])] if picture.format.name == "gray" else None
    planes = read_planes(picture)
    codes = codes or ([np.array(black[:1]), *np.array(black[1:]).reshape(len(planes) - 1, -1)])
    for plane, code in zip(planes, codes, strict=True):
        wanted = np.broadcast_to(code, plane.shape)
        if where is ...:
            np.testing.assert_array_equal(plane, wanted)
        elif plane.shape[:2] == where.shape:
            np.testing.assert_array_equal(plane[where], wanted[where])


class TestRedactor:
    def test_all_is_blank_until_the_view_is_known(
        self, compose: Callable[..., Composed], read_planes: ReadPlanes
    ) -> None:
        mask = drawn("octagon")
        redactor = Redactor()
        done = run(redactor, compose, film(mask, ink=written(mask)))
        known = [after.frame.picture.to_ndarray().max() > 128 for _, after in done]

        # Two stretches of a second must agree.
        assert 20 <= known.index(True) <= 23
        assert all(known[known.index(True) :])
        for _, after in done[: known.index(True)]:
            assert_blank(after.picture, read_planes, LIMITED)
            assert_blank(after.frame.picture, read_planes, LIMITED)

    def test_nothing_else_changes(self, compose: Callable[..., Composed]) -> None:
        mask = drawn("octagon")
        for before, after in run(Redactor(), compose, film(mask)):
            assert after.frame.pts == before.frame.pts
            assert replace(after.frame, picture=before.frame.picture) == before.frame
            assert (after.objects, after.state) == (before.objects, before.state)

    @pytest.mark.parametrize("color", [LIMITED, FULL], ids=str)
    @pytest.mark.parametrize("pixel_format", sorted(DRAWABLE))
    def test_margin_is_black_and_the_view_as_it_was(
        self,
        pixel_format: str,
        color: ColorDescription,
        compose: Callable[..., Composed],
        read_planes: ReadPlanes,
    ) -> None:
        mask = drawn("octagon", (161, 121))
        lumas = [luma_of(mask, index, ink=written(mask)) for index in range(8)]
        pictures = [picture_of(luma, pixel_format) for luma in lumas]
        redactor = Redactor()
        before, after = run(redactor, compose, pictures, color=color)[-1]
        assert redactor.view is not None
        # Less a px at its rim.
        inside = cv2.erode(redactor.view.mask(), np.ones((3, 3), np.uint8)) > 0

        for old, new in (
            (before.frame.picture, after.frame.picture),
            (before.picture, after.picture),
        ):
            assert new.format.name == pixel_format
            old_luma, *old_chroma = read_planes(old)
            new_luma, *new_chroma = read_planes(new)
            np.testing.assert_array_equal(new_luma[inside], old_luma[inside])
            black = rgb_to_yuv((0, 0, 0), color, new.format.components[0].bits)
            assert set(new_luma[~inside].ravel()) == {black[0]}
            for old_plane, new_plane in zip(old_chroma, new_chroma, strict=True):
                down = -(-inside.shape[0] // new_plane.shape[0])
                across = -(-inside.shape[1] // new_plane.shape[1])
                for y, x in np.ndindex(*new_plane.shape[:2]):
                    cell = inside[y * down : (y + 1) * down, x * across : (x + 1) * across]
                    # A sample that lies partly outside carries what is there: it is blank too.
                    wanted = old_plane[y, x] if cell.all() else black[1]
                    assert (new_plane[y, x] == wanted).all()

    def test_pictures_that_others_hold_are_not_touched(
        self, compose: Callable[..., Composed]
    ) -> None:
        pictures = film(drawn("circle"), ink=written(drawn("circle")))
        before = [picture.to_ndarray().copy() for picture in pictures]
        for composed, redacted in run(Redactor(), compose, pictures):
            assert redacted.picture is not composed.picture
            assert redacted.frame.picture is not composed.frame.picture

        for picture, content in zip(pictures, before, strict=True):
            np.testing.assert_array_equal(picture.to_ndarray(), content)

    def test_view_that_fills_the_picture_is_said_once(
        self, compose: Callable[..., Composed], caplog: pytest.LogCaptureFixture
    ) -> None:
        done = run(Redactor(), compose, film(EVERYWHERE), seconds=8)

        assert [line.getMessage() for line in caplog.records if "fill" in line.getMessage()] == [
            "field of view: it seems to fill the picture, so nothing is blanked"
        ]
        assert done[-1][0] is done[-1][1]

    def test_margin_that_comes_later_is_found(
        self, compose: Callable[..., Composed], read_planes: ReadPlanes
    ) -> None:
        mask = drawn("octagon")
        ink = written(mask)
        redactor = Redactor()
        run(redactor, compose, film(EVERYWHERE), seconds=3)
        done = run(redactor, compose, film(mask, ink=ink), start_s=3, seconds=4)

        assert redactor.view is not None
        assert overlap(redactor.view, mask) >= 0.97
        assert_blank(done[-1][1].picture, read_planes, LIMITED, ink > 0)

    def test_known_view_stays_when_it_gets_dark(self, compose: Callable[..., Composed]) -> None:
        redactor = Redactor()
        run(redactor, compose, film(drawn("octagon")))
        view = redactor.view
        run(redactor, compose, film(drawn("rectangle")), start_s=5, seconds=4)

        assert view is not None
        assert redactor.view is view

    def test_stretches_that_disagree_stay_blank_and_that_is_said(
        self,
        compose: Callable[..., Composed],
        read_planes: ReadPlanes,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        left = drawn("circle")
        films = film(left), film(np.ascontiguousarray(left[:, ::-1]))
        redactor = Redactor()
        for second in range(14):
            done = run(
                redactor,
                compose,
                films[second % 2],
                start_s=1.1 * second,
                seconds=1.1,
            )
            assert_blank(done[-1][1].picture, read_planes, LIMITED)

        warnings = [line.getMessage() for line in caplog.records]
        assert warnings == ["field of view: not found yet, the whole picture stays blank"]

    def test_slow_and_late_pictures(self, compose: Callable[..., Composed]) -> None:
        """Few pictures a second take longer; a sink that is behind does not disturb."""
        mask = drawn("octagon")
        pictures = film(mask, 20)
        redactor = Redactor()
        for number, picture in enumerate(pictures):
            redactor.redact(compose(picture, number))
            redactor.redact(compose(pictures[0], number - 3))
            assert (redactor.view is None) == (number < 9)

    def test_badge_is_drawn_again_over_black(
        self, compose: Callable[..., Composed], caplog: pytest.LogCaptureFixture
    ) -> None:
        """The plate of the badge lets through what is below it."""
        mask = drawn("octagon")
        overlay = Overlay(Style(), LIMITED)
        shown = []
        for ink in (written(mask), np.where(mask > 0, 0, 255).astype(np.uint8) // 255 * 40):
            redactor = Redactor(overlay)
            run(redactor, compose, film(mask, ink=written(mask)))
            picture = picture_of(luma_of(mask, 3, ink=ink))
            composed = compose(picture, 99, state="FROZEN")
            marked = overlay.draw(composed.picture, None, "FROZEN")
            after = redactor.redact(replace(composed, picture=marked))
            shown.append(after.picture.to_ndarray())
            assert after.frame.picture.to_ndarray()[:40, :80].max() == 16

        np.testing.assert_array_equal(shown[0], shown[1])
        assert shown[0][:40, :80].max() > 200

    def test_corner_markers_are_drawn_again(self, compose: Callable[..., Composed]) -> None:
        overlay, view = Overlay(Style(badge=False), LIMITED), View(140, 8, 300, 254)
        redactor = Redactor(overlay)
        mask = drawn("octagon")
        run(redactor, compose, film(mask))
        composed = replace(compose(picture_of(luma_of(mask, 3)), 99), view=view)
        luma = redactor.redact(composed).picture.to_ndarray()[: SIZE[1]]

        green = rgb_to_yuv(Style().color, LIMITED, 8)[0]
        for left, top, right, bottom in corner_bars(view, SIZE[1]):
            assert (luma[top:bottom, left:right] == green).all()

    def test_sinks_of_several_threads_get_the_same_copies(
        self, compose: Callable[..., Composed]
    ) -> None:
        redactor = Redactor()
        frames = [compose(picture, n / 10) for n, picture in enumerate(film(drawn("circle"), 30))]
        got: list[list[Composed]] = [[], [], []]
        threads = [
            Thread(target=lambda into=into: into.extend(map(redactor.redact, frames)))
            for into in got
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)

        assert [len(each) for each in got] == [30, 30, 30]
        one = redactor.redact(frames[-1])
        assert redactor.redact(frames[-1]) is one
        assert redactor.view is not None


class Kept:
    """A sink that keeps what it gets."""

    def __init__(self) -> None:
        self.frames: list[Composed] = []
        self.packets: list[AudioPacket] = []
        self.closed = 0

    def write(self, composed: Composed) -> None:
        self.frames.append(composed)

    def write_audio(self, packet: AudioPacket) -> None:
        self.packets.append(packet)

    def close(self) -> None:
        self.closed += 1


class TestSink:
    def test_only_redacted_pictures_get_through(self, compose: Callable[..., Composed]) -> None:
        mask = drawn("octagon")
        kept, redactor = Kept(), Redactor()
        sink = RedactingSink(kept, redactor)
        frames = [compose(each, n / 10) for n, each in enumerate(film(mask, 30, ink=written(mask)))]
        for composed in frames:
            sink.write(composed)
        packet: Any = av.Packet(b"sound")
        sink.write_audio(packet)
        sink.close()

        assert [each.frame.index for each in kept.frames] == [each.frame.index for each in frames]
        given = {id(each.picture) for each in frames} | {id(each.frame.picture) for each in frames}
        for composed in kept.frames:
            assert not given & {id(composed.picture), id(composed.frame.picture)}
        assert (kept.packets, kept.closed) == ([packet], 1)

    @pytest.mark.parametrize("kind", [VideoSink, RawSink])
    def test_recording(
        self,
        kind: type[VideoSink],
        tmp_path: Path,
        compose: Callable[..., Composed],
        make_info: Callable[..., Any],
    ) -> None:
        mask = drawn("octagon")
        ink = written(mask)
        path = tmp_path / "recorded.mp4"
        info = make_info(
            width=SIZE[0], height=SIZE[1], live=True, color=LIMITED, time_base=Fraction(1, 1000)
        )
        sink = RedactingSink(kind(path, info, quality=10), Redactor())
        pictures = film(mask, 25, ink=ink)
        for number, picture in enumerate(pictures):
            composed = compose(picture, number / 10)
            composed = replace(composed, frame=replace(composed.frame, pts=100 * number))
            sink.write(composed)
        sink.close()
        with av.open(str(path)) as container:
            lumas = [each.to_ndarray()[: SIZE[1]] for each in container.decode(video=0)]

        assert len(lumas) == 25
        # Nothing of the letters is left, in no picture; what the encoder adds is far from them.
        assert max(int(luma[ink > 0].max()) for luma in lumas) < 40
        inside = cv2.erode(mask, np.ones((9, 9), np.uint8)) > 0
        away = lumas[-1].astype(int) - pictures[-1].to_ndarray()[: SIZE[1]]
        assert np.abs(away[inside]).mean() < 3
