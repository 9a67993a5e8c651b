"""`pranet-calibrate view`: what the view of a source is, in words and as a settings line."""

from pathlib import Path

import cv2
import pytest
from typer.testing import CliRunner

from calibration.command import app
from calibration.view import look_at
from streamer.errors import SourceError
from streamer.settings import load_settings

SAMPLE = Path(__file__).parents[2] / "demos/samples/colonoscopy.mp4"


def test_the_sample(tmp_path: Path) -> None:
    picture = tmp_path / "view.png"
    outcome = CliRunner().invoke(
        app, ["view", str(SAMPLE), "--seconds", "2", "--picture", str(picture)]
    )

    assert outcome.exit_code == 0
    assert "octagon-like" in outcome.output
    (line,) = (line for line in outcome.output.splitlines() if line.startswith("view = "))
    settings = tmp_path / "settings.toml"
    settings.write_text(f'[sources.it]\nurl = "it.mp4"\n{line}\n')
    view = load_settings(settings).sources["it"].view
    # The scene generator's octagon, to a px or two.
    assert tuple(getattr(view, side) for side in ("x", "y", "width", "height")) == pytest.approx(
        (324, 11, 782, 698), abs=3
    )
    drawn = cv2.imread(str(picture))
    assert drawn is not None
    assert drawn.shape == (720, 1280, 3)


def test_nothing_is_said_that_is_not_sure(tmp_path: Path) -> None:
    for number in range(12):
        cv2.imwrite(str(tmp_path / f"{number:02d}.png"), cv2.UMat(90, 160, cv2.CV_8UC3).get() * 0)

    assert look_at(str(tmp_path), 5).field is None


def test_a_source_that_is_not_there() -> None:
    with pytest.raises(SourceError, match="no such file"):
        look_at("no-such-clip.mp4", 5)
