"""From probabilities to a hard selection, and how well one selection agrees with another."""

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


def obey(probability: np.ndarray, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
    """Put clicked places on their side of 1/2, in place: probability (..., N); positives (P,), negatives (Q,) ids."""
    probability[..., positives] = np.maximum(probability[..., positives], 0.51)
    probability[..., negatives] = np.minimum(probability[..., negatives], 0.49)
    return probability


def iou(first: np.ndarray, second: np.ndarray, weights: np.ndarray | None = None) -> float:
    """Intersection over union of two bool arrays of one shape, by `weights` such as face areas; 0 if both are empty."""
    both, either = first & second, first | second
    if weights is None:
        intersection, union = float(both.sum()), float(either.sum())
    else:
        intersection, union = float(weights[both].sum()), float(weights[either].sum())
    return intersection / union if union else 0.0


def pairwise_iou(first: np.ndarray, second: np.ndarray, area: np.ndarray) -> np.ndarray:
    """(A, B) area-weighted IoU of selections (A, N) and (B, N) bool; 0 for two empty ones."""
    one, other = first.astype(np.float32), second.astype(np.float32)
    both = (one * area) @ other.T
    either = (one @ area)[:, None] + (other @ area)[None] - both
    return both / np.maximum(either, 1e-9)
