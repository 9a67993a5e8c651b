"""Frames of the sample clip as a network's input, read by OpenCV: PyAV may be missing."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor

SAMPLE = Path(__file__).parents[1] / "samples" / "colonoscopy.mp4"


def sample_frames(config: Any, count: int) -> Tensor:
    """`count` frames from all over the clip, normalised (count, 3, size, size) float32."""
    video = cv2.VideoCapture(str(SAMPLE))
    total = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    wanted = set(np.linspace(0, total - 1, count).round().astype(int).tolist())
    side = config.input_size
    images = []
    for index in range(total):
        found, picture = video.read()
        if found and index in wanted:
            small = cv2.resize(picture, (side, side), interpolation=cv2.INTER_AREA)
            images.append(cv2.cvtColor(small, cv2.COLOR_BGR2RGB))
    video.release()
    rgb = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (config.mean, config.std))
    return (rgb - mean) / std
