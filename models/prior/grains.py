"""Large meshes in two steps: borders are drawn on grains of neighbouring faces, then on the faces along them alone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from models.prior.fine_faces import FineFaces
from models.prior.nodes import CREASE_DECAY, Patches, grow, interpolation
from utils.geometry.graphs import symmetric

GRAINS = 32_000
MOST_ELEMENTS = 60_000  # from so many fine faces on they are joined to grains
RINGS = 3  # of grains beside a border whose faces are asked about
CELLS = 1024  # along each axis, in the order of which seeds are spread
STEPS = 60  # of conjugate gradients, at most ...
CLOSE = 1e-3  # ... until the residual has fallen to this share


@dataclass(frozen=True, eq=False)
class Elements:
    """What borders run between: E pieces of surface, area (E,), adjacent `pairs` (P, 2), `conductance` (P,)."""

    area: np.ndarray
    pairs: np.ndarray
    conductance: np.ndarray

    @classmethod
    def of_faces(cls, fine: FineFaces) -> Elements:
        return cls(fine.area, fine.pairs, np.maximum(_flow(fine.border, fine.length) * _passage(fine.turn), 1e-9))


@dataclass(frozen=True, eq=False)
class Grains:
    """The E fine faces of a mesh joined to G grains, which stop at creases as nodes do.

    of_face   (E,) int64 grain of each face
    centroid  (G, 3); node: (G,) int64, that of most of its area
    elements  the grains
    """

    of_face: np.ndarray
    centroid: np.ndarray
    node: np.ndarray
    elements: Elements

    @classmethod
    def of(cls, patches: Patches, count: int = GRAINS) -> Grains:
        fine = patches.fine
        of_face = grow(fine, _spread_seeds(fine, count))
        size = int(of_face.max()) + 1
        area = np.bincount(of_face, fine.area, size)
        sums = [np.bincount(of_face, fine.area * column, size) for column in fine.centroid.T]
        centroid = np.stack(sums, axis=1) / area[:, None]
        ends = of_face[fine.pairs]
        cross = ends[:, 0] != ends[:, 1]
        code, place = np.unique(ends[cross].min(axis=1) * np.int64(size) + ends[cross].max(axis=1), return_inverse=True)
        pairs = np.stack([code // size, code % size], axis=1)
        border = np.bincount(place, fine.border[cross])
        passage = np.bincount(place, (fine.border * _passage(fine.turn))[cross]) / np.maximum(border, 1e-12)
        distance = np.linalg.norm(centroid[pairs[:, 0]] - centroid[pairs[:, 1]], axis=1)
        conductance = np.maximum(_flow(border, distance) * passage, 1e-9)
        node = _largest(of_face, patches.node, fine.area, size)
        return cls(of_face, centroid, node, Elements(area, pairs, conductance))


def _flow(border: np.ndarray, length: np.ndarray) -> np.ndarray:
    return np.minimum(border / np.maximum(length, 1e-6), 20.0)


def _passage(turn: np.ndarray) -> np.ndarray:
    """The share that passes a crease, concave positive."""
    return np.exp(-np.maximum(turn, 0.0) / CREASE_DECAY) + 0.005


def _spread_seeds(fine: FineFaces, count: int) -> np.ndarray:
    """(count,) faces, one for each equal share of the area in the order of a curve that fills space."""
    low, high = fine.centroid.min(axis=0), fine.centroid.max(axis=0)
    cell = ((fine.centroid - low) / max((high - low).max(), 1e-12) * (CELLS - 1)).astype(np.int64)
    code = np.zeros(len(fine), dtype=np.int64)
    for bit in range(CELLS.bit_length() - 1):
        for axis in range(3):
            code |= ((cell[:, axis] >> bit) & 1) << (3 * bit + axis)
    order = np.argsort(code, kind="stable")
    reached = np.cumsum(fine.area[order])
    return np.unique(order[np.searchsorted(reached, (np.arange(count) + 0.5) / count * reached[-1])])


def _largest(of_face: np.ndarray, node: np.ndarray, area: np.ndarray, size: int) -> np.ndarray:
    """(G,) the node that holds most of each grain."""
    count = int(node.max()) + 1
    code, place = np.unique(of_face * np.int64(count) + node, return_inverse=True)
    share = np.bincount(place, area)
    order = np.argsort(share)  # the largest is written last
    result = np.zeros(size, dtype=np.int64)
    result[code[order] // count] = code[order] % count
    return result


class FaceBand:
    """Brings values of grains to the faces: as they are, but for the faces along borders, where they are solved for.

    The equation is that of `models.prior.borders`, between faces whose values outside of the band are the grains'.
    """

    def __init__(self, patches: Patches, grains: Grains, reach: float) -> None:
        """reach: length over which values are evened out, squared."""
        self.patches, self.grains = patches, grains
        elements, size = Elements.of_faces(patches.fine), len(patches.fine)
        self._flow = symmetric(patches.fine.pairs, reach * elements.conductance, size)
        self._own = patches.fine.area + np.asarray(self._flow.sum(axis=1)).ravel()
        both = np.concatenate([grains.elements.pairs, grains.elements.pairs[:, ::-1]]).T
        ones, count = np.ones(both.shape[1], dtype=bool), len(grains.node)
        self._near = sp.csr_matrix((ones, both), shape=(count, count))

    def beside(self, selected: np.ndarray) -> np.ndarray:
        """(M,) ascending faces of the grains beside the border of a selection (G,) bool."""
        ends = selected[self.grains.elements.pairs]
        band = np.zeros(len(selected), dtype=bool)
        band[self.grains.elements.pairs[ends[:, 0] != ends[:, 1]]] = True
        for _ in range(RINGS - 1):
            band |= self._near @ band
        return np.flatnonzero(band[self.grains.of_face])

    def __call__(self, values: np.ndarray, wanted: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """(E,) from values (G,) of the grains and what is wanted (M,) of the faces (M,) of the band."""
        result = values[self.grains.of_face]
        if len(faces):
            result[faces] = self._solve(result, wanted, faces)
        return result

    def _solve(self, around: np.ndarray, wanted: np.ndarray, faces: np.ndarray) -> np.ndarray:
        """(M,) by conjugate gradients, from the values around (E,)."""
        flow, own = self._flow[faces], self._own[faces]
        spread = np.zeros(len(around))
        found, right = around[faces], self.patches.fine.area[faces] * wanted
        residual = right + flow @ around - own * found
        scaled = residual / own
        way, power = scaled.copy(), float(residual @ scaled)
        least = CLOSE**2 * float(right @ (right / own))
        for _ in range(STEPS):
            if power <= least:
                break
            spread[faces] = way
            change = own * way - flow @ spread
            step = power / float(way @ change)
            found += step * way
            residual -= step * change
            scaled = residual / own
            before, power = power, float(residual @ scaled)
            way = scaled + power / before * way
        return found


def at_places(patches: Patches, centroid: np.ndarray, node: np.ndarray) -> sp.csr_matrix:
    """(M, N) weights of the nodes at places (M, 3) in nodes (M,)."""
    return interpolation(patches.graph, patches.fine.spacing(len(patches.graph)), centroid, node)
