"""Frames of the sample clip as a network's input, read by OpenCV: PyAV may be missing."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

SAMPLE = Path(__file__).parents[1] / "samples" / "colonoscopy.mp4"


def sample_rgb(count: int, side_px: int) -> NDArray[np.uint8]:
    """`count` frames from all over the clip, RGB (count, side_px, side_px, 3)."""
    video = cv2.VideoCapture(str(SAMPLE))
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = set(np.linspace(0, total - 1, count).round().astype(int).tolist())
    images = []
    for index in range(total):
        found, picture = video.read()
        if found and index in wanted:
            small = cv2.resize(picture, (side_px, side_px), interpolation=cv2.INTER_AREA)
            images.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    video.release()
    return np.stack(images).astype(np.uint8)


def sample_frames(config: Any, count: int) -> Tensor:
    """The same, normalised (count, 3, size, size) float32."""
    images = sample_rgb(count, config.input_size)
    rgb = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (config.mean, config.std))
    return (rgb - mean) / std
