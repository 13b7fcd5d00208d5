"""A large mesh by fewer vertices, for what does not change from one vertex to the next."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import scipy.sparse as sp
import torch
from torch import Tensor

from utils.geometry.graphs import distinct_pairs, pieces, symmetric
from utils.geometry.mesh import Mesh
from utils.geometry.sampling import close_together

WIDTH = 0.3  # of the window in which values are carried, in distances of neighbours
AROUND = 0.01  # what a neighbour counts at least whose normal points elsewhere


@dataclass(frozen=True, eq=False)
class CoarseMesh(Mesh):
    """N vertices that stand for the V of another mesh, in its normalised frame.

    Those join that share a cell of a grid and hang together in it, so that the two sides of a thin wall stay apart.
    Normals, areas, edges and faces are those of the other mesh, joined (most faces degenerate); see `CoarseMesh.of`.

    full       the other mesh
    of_vertex  (V,) int64, which of the N stands for each of its vertices
    own        (N,) int64, the vertex of the other mesh that each of the N lies at: the one nearest to the mean
    """

    full: Mesh = field(kw_only=True)
    of_vertex: np.ndarray = field(kw_only=True)
    own: np.ndarray = field(kw_only=True)

    @classmethod
    def of(cls, full: Mesh, most: int) -> CoarseMesh:
        """About `most` vertices, at most twice as many, for those of `full`."""
        points = full.normalized.astype(np.float64)
        of_vertex = _together(full, most)
        size = int(of_vertex.max()) + 1
        mean = np.stack([np.bincount(of_vertex, axis, size) for axis in points.T], axis=1)
        mean /= np.bincount(of_vertex, minlength=size)[:, None]
        away = np.linalg.norm(points - mean[of_vertex], axis=1)
        order = np.lexsort((away, of_vertex))
        own = order[np.searchsorted(of_vertex[order], np.arange(size))]
        return cls(full.vertices[own], of_vertex[full.faces], full.path, full=full, of_vertex=of_vertex, own=own)

    @cached_property
    def referenced(self) -> np.ndarray:
        return self._sums(self.full.referenced) > 0

    @cached_property
    def normalized(self) -> np.ndarray:
        return self.full.normalized[self.own]

    @cached_property
    def winding(self) -> float:
        return self.full.winding

    @cached_property
    def vertex_areas(self) -> np.ndarray:
        return self._sums(self.full.vertex_areas)

    @cached_property
    def vertex_normals(self) -> np.ndarray:
        weighted = self.full.vertex_normals * self.full.vertex_areas[:, None]
        total = np.stack([self._sums(axis) for axis in weighted.T], axis=1)
        norm = np.linalg.norm(total, axis=1, keepdims=True)
        return np.divide(total, norm, out=np.zeros_like(total), where=norm > 0).astype(np.float32)

    @cached_property
    def edges(self) -> np.ndarray:
        pairs = self.of_vertex[self.full.edges]
        return distinct_pairs(pairs[pairs[:, 0] != pairs[:, 1]], self.num_vertices)

    def means(self, values: Tensor) -> Tensor:
        """(N, D) over those that each of the N stands for, from values (V, D) of the other mesh."""
        place = torch.from_numpy(self.of_vertex).to(values.device)
        total = values.new_zeros(self.num_vertices, values.shape[1]).index_add_(0, place, values)
        return total / place.bincount(minlength=self.num_vertices)[:, None]

    def carried(self, values: np.ndarray) -> np.ndarray:
        """(V,) float32 on the other mesh from values (N,): means of those near by on the surface that face alike."""
        return (self._carrying @ values.astype(np.float32)).astype(np.float32)

    @cached_property
    def _carrying(self) -> sp.csr_matrix:
        """(V, N), rows summing to 1: over the one that stands for a vertex and its neighbours."""
        full, size = self.full, self.num_vertices
        own = sp.csr_matrix((np.ones(full.num_vertices, np.int32), self.of_vertex, np.arange(full.num_vertices + 1)))
        near = symmetric(self.edges, np.ones(len(self.edges), np.int32), size) + sp.identity(size, "int32", "csr")
        pattern = sp.csr_matrix(own @ near)
        vertex, other = np.repeat(np.arange(full.num_vertices), np.diff(pattern.indptr)), pattern.indices
        away = np.linalg.norm(full.normalized[vertex] - self.normalized[other], axis=1)
        ends = self.normalized[self.edges]
        typical = float(np.median(np.linalg.norm(ends[:, 0] - ends[:, 1], axis=1))) if len(ends) else 1.0
        alike = np.einsum("ij,ij->i", full.vertex_normals[vertex], self.vertex_normals[other]).clip(0) ** 2
        weight = np.exp(-0.5 * (away / max(WIDTH * typical, 1e-9)) ** 2) * (AROUND + alike)
        weight += 1e-6 * (other == self.of_vertex[vertex])  # one that is far from all keeps its own
        total = np.bincount(vertex, weight, full.num_vertices)
        return sp.csr_matrix(((weight / total[vertex]).astype(np.float32), other, pattern.indptr), pattern.shape)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """(N,) of values (V,) of the other mesh."""
        return np.bincount(self.of_vertex, values, self.num_vertices)


def _together(mesh: Mesh, most: int) -> np.ndarray:
    """(V,) int64, vertices with the same number share a cell and hang together there; of crumbs, only the cell."""
    cell = close_together(mesh.normalized, most)
    piece = pieces(cell, mesh.edges)
    return cell if piece.max() >= 2 * most else piece.astype(np.int64)
