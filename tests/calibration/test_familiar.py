"""What the training pictures look like, fitted."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from calibration import familiar
from calibration.familiar import MARGIN, UNLIKE_SHARE, features_of_image, fit
from pranet.errors import DataError
from streamer.familiar import NAMES, Familiar


def test_few_of_the_pictures_that_it_was_fitted_on_are_unlike() -> None:
    rng = np.random.default_rng(0)
    points = rng.normal(0, 1, (1000, len(NAMES))) @ rng.normal(0, 1, (len(NAMES),) * 2)
    found = fit(points, points[::4] - 50)
    distances = np.array([found.distance(point) for point in points])
    assert np.mean(MARGIN * distances > 1) == pytest.approx(UNLIKE_SHARE, abs=0.001)
    # The scale of a feature does not matter.
    other = fit(points * 7, points[::4] * 7 - 350)
    assert other.distance(points[3] * 7) == pytest.approx(distances[3], abs=0.01)


def test_what_is_nearly_as_soft_as_the_blurred_ones_is_unlike() -> None:
    points = np.random.default_rng(0).normal(0, 1, (1000, len(NAMES)))
    place = NAMES.index("luma, log fine gradient")
    found = fit(points, points[::4] - 20)
    sharp, soft = points[:, place].min(), points[::4, place].max() - 20

    assert np.isfinite(found.least).sum() == 1
    assert found.least[place] == pytest.approx(soft + (sharp - soft) / 3, abs=0.5)
    softer = found.mean.copy()
    softer[place] = found.least[place] - 0.01
    assert found.distance(softer) > 1


def test_too_few() -> None:
    few = np.random.default_rng(0).normal(0, 1, (99, len(NAMES)))
    with pytest.raises(DataError, match="99 pictures are too few"):
        fit(few, few)


def test_command(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "images").mkdir()
    for number in range(130):
        small = rng.integers(30, 220, (4, 5, 3), np.uint8)
        image = cv2.resize(small, (50, 40), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), image)
    output = tmp_path / "out" / "familiar.json"
    familiar.run([tmp_path], output)

    stored = json.loads(output.read_text())
    assert stored["pictures"] == 130 - round(0.08 * 130)
    assert stored["features"] == list(NAMES)
    found = Familiar.from_dict(stored)
    assert found.distance(features_of_image(np.full((40, 50, 3), 255, np.uint8))) > 1
