"""Fast Point Feature Histograms: the hand-made descriptor that iSeg3D is compared with.

R. B. Rusu, N. Blodow, M. Beetz: Fast Point Feature Histograms (FPFH) for 3D Registration, ICRA 2009.
"""

from __future__ import annotations

import numpy as np
from scipy.spatial import KDTree

from utils.errors import UserError
from utils.geometry.graphs import symmetric

BINS = 11
ANGLES = 3
TINY = 1e-9  # below this (lengths in radii, sines, cosines) only rounding is left
BLOCK = 1 << 18  # pairs handled at a time


def fpfh(points: np.ndarray, normals: np.ndarray, radius: float, block: int = BLOCK) -> np.ndarray:
    """(N, 33) float64 histograms of points (N, 3) with normals (N, 3) of any length, of neighbours within `radius`.

    For a point p and a neighbour q at the unit direction d = (q - p) / |q - p|, the source of the pair is the one whose
    normal is closer to the line between them (p when they are equally close; q then takes p's place and d turns round).
    With u the source's normal, n the other normal, v = d x u / |d x u| and w = u x v:

        columns  0-10  theta = atan2(w . n, u . n)  over [-pi, pi]
        columns 11-21  alpha = v . n                over [-1, 1]
        columns 22-32  phi   = u . d                over [-1, 1]

    Each pair adds 100 / (number of neighbours of p) to p's simplified histogram (SPFH). The FPFH of p is the sum of its
    neighbours' SPFHs, each x 1 / distance; then each of the three histograms is scaled to the sum 100.

    These are the conventions of the Point Cloud Library, but for its division by the squared distance. Like PCL, and
    unlike the paper, this leaves p's own SPFH out of the sum, so that scaling points and radius changes nothing. With
    Open3D's square and own SPFH after scaling, Open3D 0.20 gives the same numbers to 1e-12 (1,500 points without ties).

    Defined where others are not: coincident points are no neighbours of each other; a pair that has no frame (a zero
    normal, or d parallel to u) adds nothing; a histogram that nothing was added to, as an isolated point's, is 0; an
    angle of -pi counts as pi. Takes memory in proportion to the number of pairs, `block` of them at a time besides.
    """
    points, normals = _checked(points, normals, radius)
    pairs = np.asarray(KDTree(points).query_pairs(1.0, output_type="ndarray"))
    distance = np.linalg.norm(points[pairs[:, 1]] - points[pairs[:, 0]], axis=1)
    pairs, distance = pairs[distance > TINY], distance[distance > TINY]
    weights = symmetric(pairs, 1 / distance, len(points))
    simplified = _spfh(points, normals, np.concatenate([pairs, pairs[:, ::-1]]), block)
    histograms = (weights @ simplified).reshape(len(points), ANGLES, BINS)
    totals = histograms.sum(axis=2, keepdims=True)
    scaled = np.divide(100 * histograms, totals, out=np.zeros_like(histograms), where=totals > 0)
    return scaled.reshape(len(points), ANGLES * BINS)


def _checked(points: np.ndarray, normals: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray]:
    """The points in units of the radius about their mean, and unit normals (0 where they have no length)."""
    points, normals = np.asarray(points, dtype=np.float64), np.asarray(normals, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 3 or len(points) == 0:
        raise UserError(f"points must be an array (N, 3) with N > 0, not {points.shape}")
    if normals.shape != points.shape:
        raise UserError(f"{len(points)} points need normals of shape {points.shape}, not {normals.shape}")
    if not (np.isfinite(points).all() and np.isfinite(normals).all()):
        raise UserError("points or normals have a NaN or infinite value; remove those points first")
    if not (np.isfinite(radius) and radius > 0):
        raise UserError(f"the radius must be a positive number, not {radius}")
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    return (points - points.mean(axis=0)) / radius, normals / np.where(length > 0, length, 1.0)


def _spfh(points: np.ndarray, normals: np.ndarray, pairs: np.ndarray, block: int) -> np.ndarray:
    """(N, 33) simplified histograms from the pairs (P, 2) int64 of a point and its neighbour."""
    low, span = np.array([-np.pi, -1.0, -1.0]), np.array([2 * np.pi, 2.0, 2.0])
    counts = np.zeros(len(points) * ANGLES * BINS)
    for start in range(0, len(pairs), block):
        p, q = pairs[start : start + block].T
        angles, valid = _pair_angles(points[p], normals[p], points[q], normals[q])
        bins = np.clip(np.floor(BINS * (angles[valid] - low) / span).astype(np.int64), 0, BINS - 1)
        columns = (p[valid, None] * ANGLES + np.arange(ANGLES)) * BINS + bins
        counts += np.bincount(columns.ravel(), minlength=len(counts))
    neighbours = np.bincount(pairs[:, 0], minlength=len(points))
    return counts.reshape(len(points), ANGLES * BINS) * (100 / np.maximum(neighbours, 1))[:, None]


def _pair_angles(
    p: np.ndarray, p_normal: np.ndarray, q: np.ndarray, q_normal: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """(P, 3) theta, alpha, phi of distinct points p, q (P, 3) with normals, and (P,) bool, where they are defined."""
    direction = q - p
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    p_cosine, q_cosine = _dot(p_normal, direction), _dot(q_normal, direction)
    swap = np.abs(q_cosine) > np.abs(p_cosine) + TINY
    u = np.where(swap[:, None], q_normal, p_normal)
    other = np.where(swap[:, None], p_normal, q_normal)
    v = np.cross(np.where(swap[:, None], -direction, direction), u)
    sine = np.linalg.norm(v, axis=1)
    valid = (sine > TINY) & other.any(axis=1)  # a zero u has no sine
    v /= np.where(valid, sine, 1.0)[:, None]
    height = _dot(np.cross(u, v), other)
    theta = np.arctan2(np.where(np.abs(height) < TINY, 0.0, height), _dot(u, other))
    return np.stack([theta, _dot(v, other), np.where(swap, -q_cosine, p_cosine)], axis=1), valid


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.einsum("ij,ij->i", first, second)
