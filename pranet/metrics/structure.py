"""The three structural metrics of the published tables, by `pysodmetrics`."""

import numpy as np
from numpy.typing import NDArray

#: How to add the library. Its own list of requirements would replace `opencv-python` by an older
#: build that cannot open windows; what it really needs is the extra ``eval``.
ADVICE = "pip install scipy scikit-image scikit-learn && pip install --no-deps pysodmetrics==1.6.0"


def is_available() -> bool:
    """Whether `pysodmetrics` is installed, and what it needs."""
    try:
        import py_sod_metrics  # noqa: F401
    except ImportError:
        return False
    return True


def structure_scores(
    probability: NDArray[np.float32], inside: NDArray[np.bool_]
) -> dict[str, float]:
    """Weighted F-measure, S-measure and mean E-measure of one image, 0…1 (mEm a hair above).

    Args:
        probability: (H, W), 0…1, taken as it is: the library's min-max stretch is off.
        inside: (H, W), the true mask.

    Returns:
        ``wFm`` (Margolin 2014; NaN where the true mask is empty, for it is not defined there),
        ``S-m`` (Fan 2017) and ``mEm`` (Fan 2018, the mean over all thresholds).

    Raises:
        ImportError: see `is_available`.
    """
    from py_sod_metrics import Emeasure, Smeasure, WeightedFmeasure

    weighted_f, structure, enhanced = WeightedFmeasure(), Smeasure(), Emeasure()
    for metric in (weighted_f, structure, enhanced):
        metric.step(probability, inside, normalize=False)
    return {
        "wFm": float(weighted_f.get_results()["wfm"]) if inside.any() else float("nan"),
        "S-m": float(structure.get_results()["sm"]),
        "mEm": float(enhanced.get_results()["em"]["curve"].mean()),
    }
