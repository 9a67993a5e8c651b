"""One image in, logits or probability out: plain PyTorch, for training and evaluation."""

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


#: Logit of what a float32 sigmoid calls certain.
CERTAIN_LOGIT = 20.0


def at_full_size(
    probability: NDArray[np.float32], width_px: int, height_px: int
) -> NDArray[np.float32]:
    """A probability map (h, w) brought to (height_px, width_px) by way of its logits.

    The published evaluation resizes logits; between a certain and an uncertain pixel they put the
    boundary elsewhere than probabilities would.
    """
    with np.errstate(divide="ignore"):
        logits = np.log(probability) - np.log1p(-probability)
    logits = logits.clip(-CERTAIN_LOGIT, CERTAIN_LOGIT)
    full = cv2.resize(logits, (width_px, height_px), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(np.asarray(full, np.float32)).sigmoid().numpy()


def resized(image: NDArray[np.uint8], model: PraNet) -> Tensor:
    """RGB (H, W, 3) → (1, 3, S, S) uint8, S the model's input size."""
    size_px = model.config.input_size
    small = cv2.resize(image, (size_px, size_px), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(np.asarray(small)).permute(2, 0, 1)[None]


@torch.inference_mode()
def predict_logits(
    model: PraNet, image: NDArray[np.uint8], device: str = "cpu"
) -> NDArray[np.float32]:
    """Logits of one RGB image (H, W, 3): (C, H, W) at the image's own size."""
    pixels = resized(image, model).to(device)
    logits = model(normalise(pixels, model))[0].float().cpu().numpy()
    size = (image.shape[1], image.shape[0])
    return np.stack([cv2.resize(plane, size, interpolation=cv2.INTER_LINEAR) for plane in logits])


def predict(model: PraNet, image: NDArray[np.uint8], device: str = "cpu") -> NDArray[np.float32]:
    """Foreground probability of one RGB image (H, W, 3), (H, W) at the image's own size.

    A plain sigmoid: the published test script stretches each map to 0…1, which would turn the
    faint noise of a picture without any polyp into a certain one.
    """
    return torch.from_numpy(predict_logits(model, image, device)[0]).sigmoid().numpy()
