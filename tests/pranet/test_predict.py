"""One image through a network: normalisation, size, plain probabilities."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor, nn

from pranet.model import ModelConfig, PraNet
from pranet.predict import at_full_size, normalise, predict, predict_logits


class Fixed(nn.Module):
    """Stands for a network: gives the same logits for every image."""

    def __init__(self, config: ModelConfig, logits: Tensor) -> None:
        super().__init__()
        self.config = config
        self.logits = logits

    def forward(self, image: Tensor) -> Tensor:
        assert image.shape[-2:] == (self.config.input_size,) * 2
        return self.logits.expand(1, 1, *image.shape[-2:])


def test_pixels_are_normalised_by_the_configuration_of_the_network(
    make_model: Callable[..., PraNet],
) -> None:
    model = make_model(mean=(0.5, 0.4, 0.3), std=(0.25, 0.5, 1.0))
    image = torch.tensor([0, 255, 51], dtype=torch.uint8)[None, :, None, None].expand(1, 3, 2, 2)

    pixels = normalise(image, model)

    torch.testing.assert_close(pixels[0, :, 1, 0], torch.tensor([-2.0, 1.2, -0.1]))
    assert pixels.is_contiguous(memory_format=torch.channels_last)


def test_probability_has_the_size_of_the_image_and_equals_the_network_s(
    make_model: Callable[..., PraNet],
) -> None:
    model = make_model(input_size=96)
    image = np.random.default_rng(2).integers(0, 256, (70, 130, 3), dtype=np.uint8)

    probability = predict(model, image)

    small = cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA)
    with torch.inference_mode():
        logits = model(normalise(torch.from_numpy(small).permute(2, 0, 1)[None], model))
    expected = torch.sigmoid(
        torch.nn.functional.interpolate(logits, (70, 130), mode="bilinear", align_corners=False)
    )
    assert probability.shape == (70, 130)
    assert probability.dtype == np.float32
    np.testing.assert_allclose(probability, expected[0, 0].numpy(), atol=1e-4)


def test_logits_are_those_of_every_class_at_the_size_of_the_image(
    make_model: Callable[..., PraNet],
) -> None:
    model = make_model(num_classes=3)
    image = np.random.default_rng(2).integers(0, 256, (64, 64, 3), dtype=np.uint8)

    logits = predict_logits(model, image)
    larger = predict_logits(model, image.repeat(3, axis=0).repeat(2, axis=1))

    pixels = torch.from_numpy(image).permute(2, 0, 1)[None]
    with torch.inference_mode():
        expected = model(normalise(pixels, model))
    np.testing.assert_allclose(logits, expected[0].numpy(), atol=1e-5)
    expected = torch.nn.functional.interpolate(expected, (192, 128), mode="bilinear")
    np.testing.assert_allclose(larger, expected[0].numpy(), atol=1e-4)
    assert larger.dtype == np.float32


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("logit", "expected"), [(-200.0, 0.0), (-3.0, 0.04743), (0.0, 0.5), (200.0, 1.0)]
)
def test_probability_of_an_even_map_is_its_sigmoid_and_is_not_stretched(
    logit: float, expected: float, tiny_config: ModelConfig
) -> None:
    image = np.zeros((40, 50, 3), np.uint8)

    probability = predict(Fixed(tiny_config, torch.tensor(logit)), image)  # type: ignore[arg-type]

    assert np.unique(probability) == pytest.approx([expected], abs=1e-4)


def test_map_of_an_engine_at_full_size_is_what_the_network_itself_says_there(
    make_model: Callable[..., PraNet],
) -> None:
    model = make_model()
    image = np.random.default_rng(3).integers(0, 256, (90, 130, 3), dtype=np.uint8)
    small = cv2.resize(image, (64, 64), interpolation=cv2.INTER_AREA)

    full = at_full_size(predict(model, np.asarray(small, np.uint8)), 130, 90)

    np.testing.assert_allclose(full, predict(model, image), atol=1e-5)


def test_certain_map_stays_finite_and_certain_at_full_size() -> None:
    certain = np.array([[0, 1], [0, 1]], np.float32)

    full = at_full_size(certain, 8, 8)

    assert np.isfinite(full).all()
    assert full[:, 0].max() < 1e-8
    # Exactly 1: the highest of the 256 thresholds asks for it.
    assert full[:, -1].min() == 1
