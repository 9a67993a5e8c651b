"""One picture: read within limits, seen once, drawn at any threshold."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from fake_network import Red
from numpy.typing import NDArray

from demos.app.choices import Choices, Engine
from demos.app.routes import UPLOADS
from demos.app.still import Still, StillOrder, describe, draw_boundary, draw_heat
from pranet.errors import PranetError
from streamer.confidence import Calibration, Scaling

Picture = NDArray[np.uint8]


def scene(width: int = 160, height: int = 120) -> Picture:
    """A disc on gray, BGR; the nearer to its middle, the redder."""
    rows, columns = np.mgrid[:height, :width]
    away = np.hypot(columns - width / 2, rows - height / 2)
    picture = np.full((height, width, 3), 60, np.uint8)
    picture[..., 2] = (255 - 4 * away).clip(60, 255)
    return picture


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Still]:
    def run(content: bytes, *, network: Red | None = None, max_pixels: int = 10**6) -> Still:
        (tmp_path / UPLOADS["picture"]).write_bytes(content)
        order = StillOrder(tmp_path, Engine(), max_pixels)
        return order.run(network or Red(), lambda news: None, lambda: False)

    return run


def packed(picture: Picture, ending: str = ".png") -> bytes:
    return bytes(cv2.imencode(ending, picture)[1])


def opened(jpeg: bytes) -> NDArray[np.int64]:
    return np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.int64)


@pytest.mark.parametrize("ending", [".png", ".jpg", ".webp", ".bmp", ".tiff"])
def test_pictures_of_all_kinds(ending: str, read: Callable[..., Still]) -> None:
    still = read(packed(scene(), ending))

    assert still.size == (160, 120)
    assert still.probability.shape == (32, 32)
    assert still.probability[16, 16] > 0.9
    assert still.probability[0, 0] < 0.4


def test_a_large_picture_is_shown_smaller(read: Callable[..., Still]) -> None:
    assert read(packed(scene(3200, 200)), max_pixels=10**6).size == (1600, 100)


@pytest.mark.parametrize(
    "content",
    [
        b"no picture",
        b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
        packed(scene())[:200],
    ],
)
def test_what_is_no_picture_is_refused(content: bytes, read: Callable[..., Still]) -> None:
    with pytest.raises(PranetError, match="not a picture"):
        read(content)


def test_a_bomb_is_refused(read: Callable[..., Still]) -> None:
    small = packed(np.zeros((4000, 4000, 3), np.uint8))

    assert len(small) < 100_000
    with pytest.raises(PranetError, match="4000x4000"):
        read(small, max_pixels=10**6)


class TestThreshold:
    @pytest.fixture
    def still(self, read: Callable[..., Still]) -> Still:
        return read(packed(scene()))

    def test_the_network_runs_once(self, read: Callable[..., Still]) -> None:
        network = Red()
        still = read(packed(scene()), network=network)
        for threshold in (0.3, 0.5, 0.7):
            draw_boundary(still, threshold, Choices())

        assert network.frames == 1

    @pytest.mark.parametrize("color", ["#00ff00", "#0000ff"])
    def test_the_boundary_lies_where_the_threshold_is(self, still: Still, color: str) -> None:
        def radius_px(threshold: float) -> float:
            drawn = opened(draw_boundary(still, threshold, Choices(color=color, line_width_px=2)))
            plain = opened(draw_boundary(still, 0.99, Choices()))
            channel = 1 if color == "#00ff00" else 0
            marked = drawn[..., channel] - plain[..., channel] > 60
            rows, columns = np.nonzero(marked)
            return float(np.hypot(columns - 80, rows - 60).mean())

        # By the slope of the scene: 4 levels per px.
        assert radius_px(0.6) == pytest.approx((255 - 0.6 * 255) / 4, abs=2)
        assert radius_px(0.8) == pytest.approx((255 - 0.8 * 255) / 4, abs=2)

    def test_it_is_told_in_words(self, still: Still) -> None:
        assert describe(still, 0.6).startswith("One region at 0.60: ")
        assert describe(Still(still.planes, still.probability * 0.5), 0.6).startswith(
            "Nothing reaches 0.60; the highest probability is 0.4"
        )


def test_a_calibration_softens_the_heat_and_is_told(read: Callable[..., Still]) -> None:
    still = read(packed(scene()))
    probability = np.full((32, 32), 0.02, np.float32)
    probability[8:24, 8:24] = 0.98
    plain = Still(still.planes, probability)
    known = replace(plain, calibration=Calibration(Scaling(0.5), Scaling(1.0, -2.0)))

    np.testing.assert_array_equal(plain.heat, probability)
    # Half the logit is the root of the odds.
    assert known.heat[16, 16] == pytest.approx(7 / 8, abs=1e-3)
    assert known.heat[0, 0] == pytest.approx(1 / 8, abs=1e-3)
    assert "confidence" not in describe(plain, 0.5)
    assert describe(known, 0.5).endswith("mean probability 0.98, confidence 0.87.")


def test_the_heat_map_leaves_what_is_unlikely_as_it_is(read: Callable[..., Still]) -> None:
    picture = scene()
    still = read(packed(picture))
    probability = np.zeros((32, 32), np.float32)
    probability[:, 16:] = 1
    heat = opened(draw_heat(Still(still.planes, probability)))

    # JPEG and the way over YUV cost a few levels.
    assert np.abs(heat[:, :60] - picture[:, :60]).mean() < 6
    assert np.abs(heat[:, 100:] - picture[:, 100:]).mean() > 40
