"""A network asked about labelled pictures, so that its probabilities can be judged."""

from collections.abc import Sequence

import cv2
import numpy as np
import torch

from calibration.probability import Answers, answers_of_objects
from pranet.data import Pair
from pranet.model import PraNet
from pranet.predict import normalise, resized

#: Every so many-th pixel is taken: neighbours say the same. Odd, for all columns of an even width.
PIXEL_STEP = 5


@torch.inference_mode()
def ask(model: PraNet, pairs: Sequence[Pair]) -> tuple[Answers, Answers]:
    """What a network says of pictures: of their pixels, and of the objects that it finds.

    At the network's own size, where the engine finds objects too. In PyTorch, whose logits are
    exact: a sigmoid in half precision can say nothing between 0.9995 and 1.

    Args:
        pairs: with masks.

    Raises:
        DataError: one cannot be read.
    """
    size = (model.config.input_size,) * 2
    pixels: list[Answers] = []
    objects: list[Answers] = []
    for pair in pairs:
        image, mask = pair.read()
        inside = np.asarray(cv2.resize(mask, size, interpolation=cv2.INTER_AREA)) > 127
        logits = model(normalise(resized(image, model), model))[0, 0]
        pixels.append(
            Answers(
                logits.numpy().ravel()[::PIXEL_STEP].astype(np.float64),
                inside.ravel()[::PIXEL_STEP],
            )
        )
        objects.append(answers_of_objects(logits.sigmoid().numpy(), inside))
    return joined(pixels), joined(objects)


def joined(parts: Sequence[Answers]) -> Answers:
    """All of several, one after the other."""
    return Answers(
        np.concatenate([part.logits for part in parts]),
        np.concatenate([part.outcomes for part in parts]),
    )
