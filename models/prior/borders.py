"""From nodes to clean selections on faces: borders at creases, no stray pieces or small holes, clicks obeyed."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from models.prior.nodes import CREASE_DECAY, Patches
from utils.geometry.graphs import symmetric
from utils.selection import obey

SMOOTHING = 0.6  # length over which values are evened out where there is no crease, in node spacings
CLIP = 4.0  # logits beyond this say nothing more about where the border is
HOLE = 0.03  # a hole of at most this share of the selection's area, without a negative click, is closed


class Borders:
    """Values on the nodes of `patches`, brought to its fine faces.

    x minimises sum_f a_f (x_f - p_f)^2 + s^2 sum_fg c_fg (x_f - x_g)^2, with areas a, conductances c that vanish at
    concave creases, and p the interpolated probability (a random walker with priors): the level 1/2 moves to a crease
    where one is near. The matrix does not depend on the clicks and is factorised once.
    """

    def __init__(self, patches: Patches, smoothing: float = SMOOTHING) -> None:
        fine, self.patches = patches.fine, patches
        conductance = np.minimum(fine.border / np.maximum(fine.length, 1e-6), 20.0)
        weight = conductance * (np.exp(-np.maximum(fine.turn, 0.0) / CREASE_DECAY) + 0.005)
        adjacency = symmetric(fine.pairs, np.maximum(weight, 1e-9), len(fine))
        laplacian = sp.diags(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency
        matrix = sp.csc_matrix(sp.diags(fine.area) + (smoothing * fine.spacing(len(patches.graph))) ** 2 * laplacian)
        self._solve = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve

    def on_faces(self, logits: np.ndarray) -> np.ndarray:
        """Node logits (K, N) -> probabilities (K, E) on the fine faces; order between rows is kept."""
        values = self.patches.interpolation @ np.clip(logits, -CLIP, CLIP).T
        probability = 1 / (1 + np.exp(-values))
        return np.clip(self._solve(self.patches.fine.area[:, None] * probability).T, 0.0, 1.0)

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Node values (N,) evened out over the fine faces (E,) in the same way; linear in the values."""
        return self._solve(self.patches.fine.area * (self.patches.interpolation @ values))

    def tidy(self, probability: np.ndarray, included: np.ndarray, excluded: np.ndarray) -> np.ndarray:
        """(E,) with clicked faces obeyed, pieces without an included face taken out and small holes closed."""
        result = obey(probability.copy(), included, excluded)
        pairs, area = self.patches.fine.pairs, self.patches.fine.area
        selected = result > 0.5
        piece = pieces(selected, pairs)
        stray = selected & ~np.isin(piece, piece[included])
        result[stray] = np.minimum(result[stray], 0.49)
        selected &= ~stray
        piece = pieces(selected, pairs)
        small = np.bincount(piece, area)[piece] < HOLE * area[selected].sum()
        hole = ~selected & small & ~np.isin(piece, piece[excluded])
        result[hole] = np.maximum(result[hole], 0.51)
        return result


def pieces(selected: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """(N,) connected piece of a selection (N,) bool, or of the rest, that each element is in; pairs (P, 2) adjacent."""
    joined = pairs[selected[pairs[:, 0]] == selected[pairs[:, 1]]]
    ones, size = np.ones(len(joined), dtype=bool), len(selected)
    graph = sp.csr_matrix((ones, (joined[:, 0], joined[:, 1])), shape=(size, size))
    return connected_components(graph, directed=False)[1]
