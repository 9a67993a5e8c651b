"""The measurement of what moving masks gains, on made-up pictures that move by known steps."""

import sys
from collections.abc import Callable

import av
import cv2
import numpy as np
import pytest

from demos.benchmarks import mask_motion, motion_clips
from demos.benchmarks.motion_clips import MAP_PX, RIM_PX, SIZE_PX, Clip
from streamer.frame import View
from streamer.motion import small_luma

STEP_PX = 24


def shifting(shots: int = 2, count: int = 6) -> Clip:
    """Tissue with a polyp that move to the right together, other tissue in each shot."""
    width, height = SIZE_PX
    fine = (motion_clips.FINER * MAP_PX,) * 2
    inner = np.zeros(fine, bool)
    inner[RIM_PX:-RIM_PX, RIM_PX:-RIM_PX] = True
    clip = Clip({"160x90": []}, [], [], [], inner)
    for shot in range(shots):
        noise = np.random.default_rng(shot).integers(0, 256, (90, 400), dtype=np.uint8)
        large = cv2.resize(cv2.GaussianBlur(noise, (0, 0), 2), None, fx=8, fy=8)
        for index in range(count):
            left = 800 - STEP_PX * index
            luma = np.asarray(large[:height, left : left + width], np.uint8)
            mask = np.zeros((height, width), np.uint8)
            cv2.circle(mask, (400 + STEP_PX * index, 360), 150, 255, -1)
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(luma), format="gray")
            clip.luma["160x90"].append(np.asarray(cv2.resize(luma, (160, 90)), np.uint8))
            clip.chosen.append(small_luma(picture, View(0, 0, width, height)))
            small = cv2.resize(mask, (MAP_PX, MAP_PX), interpolation=cv2.INTER_AREA)
            clip.truth.append(np.asarray(small, np.float32) / 255)
            clip.shot.append(shot)
    return clip


def test_what_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    still: dict[mask_motion.Method, Callable[..., object]] = {
        ("still", "160x90"): lambda then, now: np.zeros((*now.shape, 2), np.float32)
    }
    for name, value in {
        "METHODS": still,
        "sample_clip": lambda whole=False: shifting(),
        "made_up_clip": lambda seed: shifting(),
        "cost_table": lambda rounds: [],
    }.items():
        monkeypatch.setattr(mask_motion, name, value)
    monkeypatch.setattr(sys, "argv", ["mask_motion", "--step", "1"])
    mask_motion.main()

    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in capsys.readouterr().out.splitlines()
        if line.startswith("| ")
    ]
    firsts = {
        name: [float(row[2].split()[0]) for row in rows if row[0] == name]
        for name in ("nothing", "still", mask_motion.CHOSEN[0])
    }
    # Three kinds of clips; what moves is as far off as it moves.
    assert all(len(found) == 3 for found in firsts.values())
    assert firsts["nothing"] == firsts["still"]
    assert firsts["nothing"][0] > 2
    assert all(found < 0.5 for found in firsts[mask_motion.CHOSEN[0]])
    # Nothing that is drawn is left at a cut.
    assert next(row for row in rows if row[0] == "different shots")[2] == "100.0%"
