"""One image in, its foreground probability out: plain PyTorch, for training and evaluation."""

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from pranet.model import PraNet


def normalise(image: Tensor, model: PraNet) -> Tensor:
    """RGB uint8 (B, 3, H, W) → what the network expects, channels last."""
    mean, std = (
        torch.tensor(values, device=image.device)[:, None, None]
        for values in (model.config.mean, model.config.std)
    )
    return ((image / 255 - mean) / std).contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def predict(model: PraNet, image: NDArray[np.uint8], device: str = "cpu") -> NDArray[np.float32]:
    """Foreground probability of one RGB image (H, W, 3), (H, W) at the image's own size.

    A plain sigmoid: the published test script stretches each map to 0…1, which would turn the
    faint noise of a picture without any polyp into a certain one.
    """
    height, width = image.shape[:2]
    size_px = model.config.input_size
    small = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
    pixels = torch.from_numpy(np.asarray(small)).permute(2, 0, 1)[None].to(device)
    logits = model(normalise(pixels, model))[0, 0].float().cpu().numpy()
    full = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(np.asarray(full, np.float32)).sigmoid().numpy()
