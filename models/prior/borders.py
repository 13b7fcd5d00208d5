"""From nodes to clean selections on faces: borders at creases, flat pieces whole, no crumbs or holes, clicks obeyed."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.linalg import splu

from models.prior.flat import FlatPieces
from models.prior.grains import MOST_ELEMENTS, Elements, FaceBand, Grains, at_places
from models.prior.nodes import Patches
from utils.geometry.graphs import Regions, symmetric
from utils.selection import obey

SMOOTHING = 0.6  # length over which values are evened out where there is no crease, in node spacings
CLIP = 4.0  # logits beyond this say nothing more about where the border is
HOLE = 0.03  # a hole of at most this share of the selection's area, without a negative click, is closed


class Borders:
    """Values on the nodes of `patches`, brought to its fine faces.

    x minimises sum_f a_f (x_f - p_f)^2 + s^2 sum_fg c_fg (x_f - x_g)^2, with areas a, conductances c that vanish at
    concave creases, and p the interpolated probability (a random walker with priors): the level 1/2 moves to a crease
    where one is near. The matrix does not depend on the clicks and is factorised once. On a large mesh x is that of
    grains of faces, and of the faces themselves along borders (`models.prior.grains`).
    """

    def __init__(self, patches: Patches, smoothing: float = SMOOTHING, most: int = MOST_ELEMENTS) -> None:
        """most: fine faces from which on borders are drawn on grains first."""
        fine, self.patches = patches.fine, patches
        reach = (smoothing * fine.spacing(len(patches.graph))) ** 2
        self.grains = Grains.of(patches) if len(fine) > most else None
        self.elements = self.grains.elements if self.grains else Elements.of_faces(fine)
        self._band = FaceBand(patches, self.grains, reach) if self.grains else None
        area = self.elements.area
        adjacency = symmetric(self.elements.pairs, self.elements.conductance, len(area))
        laplacian = sp.diags(np.asarray(adjacency.sum(axis=1)).ravel()) - adjacency
        matrix = sp.csc_matrix(sp.diags(area) + reach * laplacian)
        self._solve = splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve

    @cached_property
    def _interpolation(self) -> sp.csr_matrix:
        """(E, N) at the elements."""
        grains = self.grains
        return at_places(self.patches, grains.centroid, grains.node) if grains else self.patches.interpolation

    @cached_property
    def _regions(self) -> Regions:
        return Regions(self.grains.node if self.grains else self.patches.node, self.elements.pairs)

    @cached_property
    def _flat(self) -> FlatPieces:
        return FlatPieces.of(self.patches.fine)

    def drawn(self, logits: np.ndarray, included: np.ndarray, excluded: np.ndarray) -> np.ndarray:
        """Node logits (K, N) -> tidied probabilities (K, E) on the fine faces, flat pieces whole, and clicks obeyed."""
        if self._band is None or self.grains is None:
            rows = [self._flat.whole(row, included, excluded) for row in self.on_elements(logits)]
            return np.stack([self.tidy(row, included, excluded) for row in rows])
        of_face, rows = self.grains.of_face, []
        for coarse, wanted in zip(self.on_elements(logits), np.clip(logits, -CLIP, CLIP)):
            tidied = self.tidy(coarse, of_face[included], of_face[excluded])
            faces = self._band.beside(tidied > 0.5)
            faces = faces[(tidied == coarse)[of_face[faces]]]  # what was tidied away stays so
            places = at_places(self.patches, self.patches.fine.centroid[faces], self.patches.node[faces])
            row = self._flat.whole(self._band(tidied, _probability(places @ wanted), faces), included, excluded)
            rows.append(obey(np.clip(row, 0.0, 1.0), included, excluded))
        return np.stack(rows)

    def on_elements(self, logits: np.ndarray) -> np.ndarray:
        """Node logits (K, N) -> probabilities (K, E) on the elements; order between rows is kept."""
        probability = _probability(self._interpolation @ np.clip(logits, -CLIP, CLIP).T)
        return np.clip(self._solve(self.elements.area[:, None] * probability).T, 0.0, 1.0)

    def spread(self, values: np.ndarray, level: float = 0.0) -> np.ndarray:
        """Node values (N,) evened out over the fine faces (E,) in the same way; on a large mesh most closely around
        the level."""
        coarse = self._solve(self.elements.area * (self._interpolation @ values))
        if self._band is None:
            return coarse
        faces = self._band.beside(coarse > level)
        places = at_places(self.patches, self.patches.fine.centroid[faces], self.patches.node[faces])
        return self._band(coarse, places @ values, faces)

    def tidy(self, probability: np.ndarray, included: np.ndarray, excluded: np.ndarray) -> np.ndarray:
        """(E,) with clicked elements obeyed, pieces without an included one taken out and small holes closed."""
        result = obey(probability.copy(), included, excluded)
        area, selected = self.elements.area, result > 0.5
        piece = self._regions.pieces(selected)
        stray = selected & ~np.isin(piece, piece[included])
        result[stray] = np.minimum(result[stray], 0.49)
        selected &= ~stray
        piece = self._regions.pieces(selected)
        small = np.bincount(piece, area)[piece] < HOLE * area[selected].sum()
        hole = ~selected & small & ~np.isin(piece, piece[excluded])
        result[hole] = np.maximum(result[hole], 0.51)
        return result


def _probability(logits: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-logits))
