"""Interlaced pictures: told from whole ones, and made whole."""

from collections.abc import Callable, Sequence
from itertools import chain

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from streamer.planes import planes
from streamer.sources.deinterlace import CombDetector, Deinterlacer, Scan, Whole

Pixels = NDArray[np.uint8]
#: Position along a path, in pictures, at a time in pictures.
Path = Callable[[float], float]

WIDTH, HEIGHT = 320, 240


@pytest.fixture(scope="module")
def tissue() -> NDArray[np.float32]:
    """A large smooth pattern to look at through a moving window."""
    rng = np.random.default_rng(0)
    pattern = cv2.GaussianBlur(rng.uniform(0, 255, (800, 1200)).astype(np.float32), (0, 0), 3)
    return np.asarray((pattern - pattern.mean()) * 6 + 128, np.float32)


def steady(at: float) -> float:
    return at


class Camera:
    """Films a pattern that moves by `across` and `down` px per picture."""

    def __init__(
        self,
        tissue: NDArray[np.float32],
        *,
        across: float = 4,
        down: float = 1,
        blur: float = 0,
        noise: float = 0,
        path: Path = steady,
    ) -> None:
        self._tissue, self._path = tissue, path
        self._across, self._down, self._blur, self._noise = across, down, blur, noise
        self._rng = np.random.default_rng(1)

    def moment(self, at: float) -> NDArray[np.float32]:
        along = self._path(at)
        across, down = -200.0 - self._across * along, -100.0 - self._down * along
        shift = np.array([[1, 0, across], [0, 1, down]])
        seen = cv2.warpAffine(self._tissue, shift, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        return np.asarray(
            cv2.GaussianBlur(seen, (0, 0), self._blur) if self._blur else seen, np.float32
        )

    def woven_film(self, number: int) -> Pixels:
        """Four pictures of a film in five of video: three stay whole, two are woven (2:3)."""
        film, phase = divmod(number, 5)
        first, second = ((0, 0), (1, 1), (1, 2), (2, 3), (3, 3))[phase]
        picture = self.moment(4 * film + first).copy()
        picture[1::2] = self.moment(4 * film + second)[1::2]
        return np.asarray(picture.clip(0, 255), np.uint8)

    def luma(self, number: int, scan: Scan) -> Pixels:
        picture = self.moment(number).copy()
        if scan == Scan.TOP_FIRST:
            picture[1::2] = self.moment(number + 0.5)[1::2]
        elif scan == Scan.BOTTOM_FIRST:
            picture[::2] = self.moment(number + 0.5)[::2]
        if self._noise:
            picture += self._rng.normal(0, self._noise, picture.shape)
        return np.asarray(picture.clip(0, 255), np.uint8)


def verdicts(camera: Camera, scan: Scan, count: int = 30) -> list[Scan | None]:
    detector = CombDetector()
    found = []
    for number in range(count):
        detector.look(camera.luma(number, scan))
        found.append(detector.verdict)
    return found


class TestCombDetector:
    @pytest.mark.parametrize("scan", list(Scan))
    @pytest.mark.parametrize(
        "film",
        [
            {},
            {"across": 1, "down": 0},
            {"across": 0, "down": 3},
            {"noise": 10},
            {"blur": 2, "noise": 6},
            {"blur": 6, "across": 8},
            {"path": lambda at: 8 * np.sin(at / 3)},
        ],
        ids=["plain", "slow", "upright", "noisy", "soft", "defocused", "to and fro"],
    )
    def test_motion_tells(
        self, tissue: NDArray[np.float32], scan: Scan, film: dict[str, object]
    ) -> None:
        found = verdicts(Camera(tissue, **film), scan)  # type: ignore[arg-type]

        assert found[-1] == scan
        assert set(found) <= {None, scan}

    @pytest.mark.parametrize(
        "path",
        [
            lambda at: 3.0 * (int(at) // 6),
            lambda at: 2.0 * (int(at) // 2),
            lambda at: 3.0 * int(0.4 * at),
            lambda at: 5 * np.sin(1.7 * int(at) ** 1.3),
            lambda at: 40.0 * (int(at) >= 15),
        ],
        ids=["jerks", "half rate", "film rate", "shaken", "cut"],
    )
    @pytest.mark.parametrize("noise", [0, 8])
    def test_whole_pictures_are_never_called_interlaced(
        self, tissue: NDArray[np.float32], path: Path, noise: float
    ) -> None:
        found = verdicts(Camera(tissue, path=path, noise=noise, blur=1), Scan.PROGRESSIVE, 60)

        assert set(found) <= {None, Scan.PROGRESSIVE}

    @pytest.mark.parametrize(
        "path",
        [steady, lambda at: at + 0.6 * np.sin(2.1 * at), lambda at: 12 * np.sin(at / 7)],
        ids=["steady", "unsteady", "to and fro"],
    )
    def test_film_that_was_woven_stays_interlaced(
        self, tissue: NDArray[np.float32], path: Path
    ) -> None:
        camera, detector = Camera(tissue, path=path), CombDetector()
        found = []
        for number in range(100):
            detector.look(camera.woven_film(number))
            found.append(detector.verdict)

        assert found[-1] == Scan.TOP_FIRST
        assert set(found) == {None, Scan.TOP_FIRST}

    @pytest.mark.parametrize("noise", [0, 15])
    def test_rest_tells_nothing(self, tissue: NDArray[np.float32], noise: float) -> None:
        found = verdicts(Camera(tissue, across=0, down=0, noise=noise), Scan.TOP_FIRST)

        assert set(found) == {None}

    def test_depth_of_samples_makes_no_difference(self, tissue: NDArray[np.float32]) -> None:
        camera, eight, ten = Camera(tissue), CombDetector(), CombDetector()
        for number in range(20):
            luma = camera.luma(number, Scan.BOTTOM_FIRST)
            eight.look(luma)
            ten.look(luma.astype(np.uint16) << 2, bits=10)

        assert eight.verdict == ten.verdict == Scan.BOTTOM_FIRST

    def test_change_of_size_begins_anew(self, tissue: NDArray[np.float32]) -> None:
        camera, detector = Camera(tissue), CombDetector()
        for number in range(35):
            luma = camera.luma(number, Scan.TOP_FIRST)
            detector.look(luma if number < 15 else luma[:100, :200])

        assert detector.verdict == Scan.TOP_FIRST

    def test_pictures_too_small_to_tell(self) -> None:
        detector = CombDetector()
        for _ in range(20):
            detector.look(np.zeros((4, 4), np.uint8))

        assert detector.verdict is None


def as_picture(luma: Pixels, pixel_format: str = "yuv420p") -> av.VideoFrame:
    picture = av.VideoFrame(luma.shape[1], luma.shape[0], pixel_format)
    picture.colorspace, picture.color_range = 1, 1
    first, *others = planes(picture)
    first.pixels[..., 0] = luma.astype(np.uint16) << (picture.format.components[0].bits - 8)
    for plane in others:
        plane.pixels[:] = 128 << (picture.format.components[0].bits - 8)
    return picture


def luma_of(picture: av.VideoFrame) -> NDArray[np.float64]:
    levels = planes(picture)[0].pixels[..., 0] / (1 << (picture.format.components[0].bits - 8))
    return np.asarray(levels, np.float64)


def run(
    deinterlacer: Deinterlacer[int], pictures: Sequence[av.VideoFrame], *, flagged: bool = False
) -> list[list[Whole[int]]]:
    return [
        deinterlacer.feed(picture, number, flagged=flagged)
        for number, picture in enumerate(pictures)
    ]


def filmed(
    tissue: NDArray[np.float32], scan: Scan, count: int = 24, pixel_format: str = "yuv420p"
) -> list[av.VideoFrame]:
    camera = Camera(tissue, blur=2)
    return [as_picture(camera.luma(number, scan), pixel_format) for number in range(count)]


class TestDeinterlacer:
    def test_whole_pictures_pass_untouched(self, tissue: NDArray[np.float32]) -> None:
        pictures = filmed(tissue, Scan.PROGRESSIVE)
        found = run(Deinterlacer("auto"), pictures)

        assert [[whole.picture for whole in wholes] for wholes in found] == [[p] for p in pictures]

    def test_no_means_no(self, tissue: NDArray[np.float32]) -> None:
        pictures = filmed(tissue, Scan.TOP_FIRST)
        found = run(Deinterlacer("no"), pictures, flagged=True)

        assert [wholes[0].picture for wholes in found] == pictures

    @pytest.mark.parametrize("scan", [Scan.TOP_FIRST, Scan.BOTTOM_FIRST])
    def test_bob_shows_each_field_at_its_time(
        self, tissue: NDArray[np.float32], scan: Scan
    ) -> None:
        deinterlacer: Deinterlacer[int] = Deinterlacer("auto", "bob")
        found = run(deinterlacer, filmed(tissue, scan))
        camera = Camera(tissue, blur=2)

        assert deinterlacer.active
        assert deinterlacer.pictures_per_frame == 2
        # No more than one frame behind.
        assert [(one.tag, one.second) for one in found[-1]] == [(22, False), (22, True)]
        for whole in found[-1]:
            away = [
                np.abs(luma_of(whole.picture) - camera.moment(at))[8:-8, 8:-8].mean()
                for at in (21.5, 22, 22.5, 23)
            ]
            assert int(np.argmin(away)) == (2 if whole.second else 1)
            assert min(away) < 0.25 * sorted(away)[1]

    @pytest.mark.parametrize(
        "pixel_format", ["yuv420p", "yuv422p", "nv12", "yuv422p10le", "yuvj420p", "gray"]
    )
    @pytest.mark.parametrize("method", ["bob", "blend"])
    def test_formats_keep_their_levels_and_tags(self, pixel_format: str, method: str) -> None:
        pictures = [as_picture(np.full((48, 64), 90, np.uint8), pixel_format) for _ in range(3)]
        found = list(chain(*run(Deinterlacer("yes", method), pictures)))

        assert len(found) == (4 if method == "bob" else 3)
        for whole in found:
            assert np.abs(luma_of(whole.picture) - 90).max() == 0
            assert whole.picture.colorspace == 1
            assert whole.picture.color_range == 1
            assert whole.picture.format.name.replace("yuv420p", "nv12") == (
                pixel_format.replace("yuv420p", "nv12")
            )

    @pytest.mark.parametrize("scan", [Scan.TOP_FIRST, Scan.BOTTOM_FIRST])
    def test_blend_mixes_neighbouring_lines_without_delay(
        self, tissue: NDArray[np.float32], scan: Scan
    ) -> None:
        deinterlacer: Deinterlacer[int] = Deinterlacer("yes", "blend")
        pictures = filmed(tissue, scan, 3)
        found = run(deinterlacer, pictures)

        assert [[whole.tag for whole in wholes] for wholes in found] == [[0], [1], [2]]
        assert deinterlacer.pictures_per_frame == 1
        before, after = luma_of(pictures[1]), luma_of(found[1][0].picture)
        expected = (before[:-2] + 2 * before[1:-1] + before[2:]) / 4
        assert np.abs(after[1:-1] - expected).max() <= 0.5
        assert np.abs(after[0] - (3 * before[0] + before[1]) / 4).max() <= 0.5

    def test_flag_is_enough(self, tissue: NDArray[np.float32]) -> None:
        found = run(Deinterlacer("auto"), filmed(tissue, Scan.PROGRESSIVE, 4), flagged=True)

        assert [len(wholes) for wholes in found] == [0, 2, 2, 2]

    def test_one_picture_without_a_flag_changes_nothing(self, tissue: NDArray[np.float32]) -> None:
        deinterlacer: Deinterlacer[int] = Deinterlacer("auto")
        for number, picture in enumerate(filmed(tissue, Scan.PROGRESSIVE, 6)):
            deinterlacer.feed(picture, number, flagged=number != 3)
            assert deinterlacer.active

    def test_change_is_told_once(
        self, tissue: NDArray[np.float32], caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        pictures = filmed(tissue, Scan.TOP_FIRST, 30) + filmed(tissue, Scan.PROGRESSIVE, 30)
        run(Deinterlacer("auto", "blend"), pictures)

        told = [record.getMessage() for record in caplog.records]
        assert len(told) == 2
        assert "interlaced, top field first" in told[0]
        assert "not interlaced any more" in told[1]

    def test_change_half_way_loses_no_picture(self, tissue: NDArray[np.float32]) -> None:
        deinterlacer: Deinterlacer[int] = Deinterlacer("auto")
        pictures = filmed(tissue, Scan.TOP_FIRST, 20) + filmed(tissue, Scan.PROGRESSIVE, 30)
        small = [as_picture(np.full((48, 64), 90, np.uint8)) for _ in range(4)]
        found = list(chain(*run(deinterlacer, pictures + small)))

        assert not deinterlacer.active
        assert sorted({whole.tag for whole in found}) == list(range(54))
        order = [(whole.tag, whole.second) for whole in found]
        assert order == sorted(order)
        assert sum(whole.second for whole in found) > 10

    def test_change_of_size_while_deinterlacing(self, tissue: NDArray[np.float32]) -> None:
        small = [as_picture(np.full((48, 64), 90, np.uint8)) for _ in range(3)]
        pictures = filmed(tissue, Scan.TOP_FIRST, 3) + small
        found = list(chain(*run(Deinterlacer("yes"), pictures)))

        assert [whole.tag for whole in found] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
        assert [whole.picture.width for whole in found] == [WIDTH] * 6 + [64] * 4

    def test_rgb_is_never_interlaced(self) -> None:
        picture = av.VideoFrame(64, 48, "rgb24")
        (whole,) = Deinterlacer[str]("yes").feed(picture, "tag", flagged=True)

        assert whole.picture is picture
