"""From nodes to clean selections on faces: borders drawn to concave creases, no stray pieces, no small holes, clicks obeyed."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu

from models.prior.nodes import CREASE_DECAY, Patches, symmetric

SMOOTHING = 0.6  # length over which values are evened out where there is no crease, in node spacings
CLIP = 4.0  # logits beyond this say nothing more about where the border is
HOLE = 0.03  # a hole of at most this share of the selection's area, without a negative click, is closed


class Borders:
    """Values on the nodes of `patches`, brought to its fine faces.

    x minimises sum_f a_f (x_f - p_f)^2 + s^2 sum_fg c_fg (x_f - x_g)^2, with areas a, conductances c that vanish at concave creases,
    and p the interpolated probability (a random walker with priors): the level 1/2 moves to a crease where one is near. The matrix does not
    depend on the clicks and is factorised once.
    """

    def __init__(self, patches: Patches, smoothing: float = SMOOTHING) -> None:
        self.patches = patches
        size = len(patches.node)
        self.areas = patches.areas
        spacing = np.sqrt(self.areas.sum() / len(patches.graph))
        concave = np.maximum(patches.face_turn, 0.0)
        conductance = patches.face_border / np.maximum(patches.face_length, 1e-6)
        weight = np.minimum(conductance, 20.0) * (np.exp(-concave / CREASE_DECAY) + 0.005)
        self.adjacency = symmetric(patches.face_pairs, np.maximum(weight, 1e-9), size)
        laplacian = sp.diags(np.asarray(self.adjacency.sum(axis=1)).ravel()) - self.adjacency
        matrix = sp.csc_matrix(sp.diags(self.areas) + (smoothing * spacing) ** 2 * laplacian)
        self._solve = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve

    def on_faces(self, logits: np.ndarray) -> np.ndarray:
        """Node logits (K, N) -> probabilities (K, E) on the fine faces; order between rows is kept."""
        values = self.patches.interpolation @ np.clip(logits, -CLIP, CLIP).T
        probability = 1 / (1 + np.exp(-values))
        return np.clip(self._solve(self.areas[:, None] * probability).T, 0.0, 1.0)

    def tidy(self, probability: np.ndarray, included: np.ndarray, excluded: np.ndarray) -> np.ndarray:
        """(E,) with clicked faces on their side of 1/2, pieces without an included face taken out and small holes closed."""
        result = probability.copy()
        result[included] = np.maximum(result[included], 0.51)
        result[excluded] = np.minimum(result[excluded], 0.49)
        selected = result > 0.5
        piece = self._pieces(selected)
        stray = selected & ~np.isin(piece, piece[included])
        result[stray] = np.minimum(result[stray], 0.49)
        selected &= ~stray
        piece = self._pieces(selected)
        areas = np.bincount(piece, self.areas)
        hole = ~selected & (areas[piece] < HOLE * self.areas[selected].sum()) & ~np.isin(piece, piece[excluded])
        result[hole] = np.maximum(result[hole], 0.51)
        return result

    def _pieces(self, selected: np.ndarray) -> np.ndarray:
        """(E,) connected pieces of the selection and of the rest."""
        pairs = self.patches.face_pairs
        joined = pairs[selected[pairs[:, 0]] == selected[pairs[:, 1]]]
        size = len(selected)
        graph = sp.csr_matrix((np.ones(len(joined), dtype=bool), (joined[:, 0], joined[:, 1])), shape=(size, size))
        return connected_components(graph, directed=False)[1]
