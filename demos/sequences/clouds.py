"""Smooth noise that can be laid side by side without a seam."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def periodic_clouds(rng: np.random.Generator, size_px: int, patch_px: float) -> Floats:
    """Noise (size_px, size_px) of mean 0 and deviation 1.

    patch_px: deviation of the Gaussian that makes it smooth.
    """
    row = np.fft.fftfreq(size_px)[:, None]
    column = np.fft.rfftfreq(size_px)[None]
    smooth = np.exp(-2 * (np.pi * patch_px) ** 2 * (row**2 + column**2))
    spectrum = np.fft.rfft2(rng.standard_normal((size_px, size_px))) * smooth
    spectrum[0, 0] = 0
    noise = np.fft.irfft2(spectrum, (size_px, size_px))
    return np.asarray(noise / noise.std(), np.float32)
