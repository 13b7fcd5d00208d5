"""From probabilities to a hard selection."""

from __future__ import annotations

import numpy as np

CALIBRATED_THRESHOLD = 0.5  # of segmenters that keep the clicked vertices on their side of it


def otsu_threshold(probability: np.ndarray) -> float:
    """The value that best splits the probabilities (V,) into low and high, as in the paper's appendix A.

    Where all are alike there is nothing to split, and the answer is 0.5.
    """
    from skimage.filters import threshold_otsu

    probability = np.asarray(probability, dtype=np.float64)
    if np.ptp(probability) < 1e-6:
        return 0.5
    return float(threshold_otsu(probability))
