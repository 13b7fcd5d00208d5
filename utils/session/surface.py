"""Operations on sets of triangles: grow, shrink, fill holes, keep the largest component, and the brush."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components, dijkstra
from scipy.spatial import KDTree

from utils.geometry.face_graph import FaceGraph
from utils.geometry.graphs import symmetric
from utils.geometry.mesh import Mesh
from utils.geometry.soft_borders import Certain, Drawn, Zone, memberships

HOLE_SHARE = 0.1  # an unselected island of up to this share of the selection's area is a hole
DEEP = 0.4  # of the largest distance from the border, from which a face is well inside
BRUSH_TURN = 0.0  # cosine: the brush stays on faces that look the same way as the one under it


class Surface:
    """Sets of triangles of one mesh, (F,) bool each. Polygons of the file are never divided.

    Vertices at the same place (texture seams, triangle soup) count as one, so that sets grow over seams.
    """

    def __init__(self, mesh: Mesh) -> None:
        self.mesh = mesh

    @cached_property
    def _corners(self) -> np.ndarray:
        """(F, 3) ids of the triangles' corners, equal for vertices at the same place."""
        return self.mesh.place[self.mesh.faces]

    @cached_property
    def _pairs(self) -> np.ndarray:
        """(E, 2) triangles that share an edge."""
        return FaceGraph(self.mesh).pairs

    @cached_property
    def _centroid_tree(self) -> KDTree:
        return KDTree(self.mesh.face_centroids)

    @cached_property
    def _has_polygons(self) -> bool:
        return self.mesh.num_polygons != self.mesh.num_faces

    def prepare(self) -> None:
        """Compute what the first use would wait for."""
        _ = self._corners, self._pairs, self._centroid_tree

    def borders(self, labels: np.ndarray, certain: Certain | None = None) -> Drawn | None:
        """Where borders between labels (F,) run across triangles; None where there are none."""
        if certain is None and (labels == labels[0]).all():
            return None
        zone = Zone.around(self.mesh, self._corners, labels, certain)
        return None if zone is None else zone.draw()

    def memberships(self, labels: np.ndarray, count: int, certain: Certain | None = None) -> np.ndarray:
        """(V, count) how much each vertex belongs to each of the labels (F,): the same borders, for `cut_smooth`."""
        return memberships(self.mesh, self._corners, labels, count, certain)

    def of_vertices(self, selected: np.ndarray) -> np.ndarray:
        """(F,) bool: the triangles of polygons that have more than half of their corners among `selected` (V,) bool."""
        return self.mesh.selected_polygons(selected)[self.mesh.face_polygon]

    def whole_polygons(self, faces: np.ndarray) -> np.ndarray:
        """With all the triangles of every polygon that one triangle of `faces` belongs to."""
        if not self._has_polygons:
            return faces
        touched = np.zeros(self.mesh.num_polygons, dtype=bool)
        touched[self.mesh.face_polygon[faces]] = True
        return touched[self.mesh.face_polygon]

    def grow(self, faces: np.ndarray) -> np.ndarray:
        """With the ring of triangles that touch `faces`."""
        used = np.zeros(int(self._corners.max()) + 1, dtype=bool)
        used[self._corners[faces].ravel()] = True
        return self.whole_polygons(np.any(used[self._corners], axis=1))

    def shrink(self, faces: np.ndarray) -> np.ndarray:
        """Without the triangles that touch others."""
        return ~self.grow(~faces)

    def components(self, faces: np.ndarray) -> np.ndarray:
        """(F,) int32: which connected piece of `faces` a triangle belongs to, numbered from 0; -1 outside."""
        inside = self._pairs[faces[self._pairs].all(axis=1)]
        graph = sp.coo_matrix((np.ones(len(inside), dtype=bool), tuple(inside.T)), shape=(len(faces),) * 2)
        _, label = connected_components(graph, directed=False)
        result = np.full(len(faces), -1, dtype=np.int32)
        result[faces] = np.unique(label[faces], return_inverse=True)[1].ravel()
        return result

    def largest(self, faces: np.ndarray) -> np.ndarray:
        """Only the connected piece of the largest area."""
        label = self.components(faces)
        if not faces.any():
            return faces
        area = np.bincount(label[faces], weights=self.mesh.face_areas[faces])
        return self.whole_polygons(np.equal(label, area.argmax()))

    def fill(self, faces: np.ndarray) -> np.ndarray:
        """With its holes: unselected islands that are surrounded by it and at most `HOLE_SHARE` of its area."""
        if not faces.any() or faces.all():
            return faces
        areas, label = self.mesh.face_areas, self.components(~faces)
        area = np.bincount(label[~faces], weights=areas[~faces])
        borders = np.zeros(len(area), dtype=bool)  # an island of another component of the mesh is no hole
        crossing = self._pairs[faces[self._pairs[:, 0]] != faces[self._pairs[:, 1]]]
        borders[label[crossing[~faces[crossing]]]] = True
        hole = borders & (area <= HOLE_SHARE * areas[faces].sum())
        hole[area.argmax()] = False  # what is left over is not a hole in what is small
        return self.whole_polygons(faces | (hole[label] & ~faces))

    def innermost(self, faces: np.ndarray) -> int:
        """A vertex in the middle of some faces (F,) bool: well inside, and near their centre of mass."""
        inside = self._pairs[faces[self._pairs].all(axis=1)]
        crossing = self._pairs[faces[self._pairs[:, 0]] != faces[self._pairs[:, 1]]]
        border, depth = np.unique(crossing[faces[crossing]]), faces.astype(np.float64)
        if len(border):
            length = np.maximum(np.linalg.norm(np.diff(self.mesh.face_centroids[inside], axis=1)[:, 0], axis=1), 1e-9)
            found = dijkstra(symmetric(inside, length, len(faces)), indices=border, min_only=True)
            depth = np.where(faces & np.isfinite(found), found + 1e-9, 0.0)
        deep = np.flatnonzero(depth >= DEEP * depth.max())
        center = np.average(self.mesh.face_centroids[faces], weights=self.mesh.face_areas[faces] + 1e-12, axis=0)
        away = np.linalg.norm(self.mesh.face_centroids[deep] - center, axis=1)
        return int(self.mesh.faces[deep[int(away.argmin())], 0])

    def nearest(self, sources: np.ndarray, reachable: np.ndarray) -> np.ndarray:
        """(F,) int64, for each triangle of `reachable` the nearest one of `sources` along the surface; -1 for none."""
        inside = self._pairs[reachable[self._pairs].all(axis=1)]
        length = np.linalg.norm(self.mesh.face_centroids[inside[:, 0]] - self.mesh.face_centroids[inside[:, 1]], axis=1)
        graph = symmetric(inside, np.maximum(length, 1e-9), len(reachable))
        result = np.full(len(reachable), -1, dtype=np.int64)
        if sources.any():
            _, _, found = dijkstra(graph, indices=np.flatnonzero(sources), min_only=True, return_predecessors=True)
            result = np.where((found >= 0) & reachable, found, -1)
        return result

    def brush(self, face: int, point: np.ndarray, radius: float) -> np.ndarray:
        """The triangles within `radius` of `point` (3,), normalised units, that look the same way as `face`."""
        near = np.asarray(
            self._centroid_tree.query_ball_point(np.asarray(point, dtype=np.float64), radius), dtype=np.int64
        )
        chosen = np.zeros(self.mesh.num_faces, dtype=bool)
        normals = self.mesh.face_normals
        chosen[near[normals[near] @ normals[face] > BRUSH_TURN]] = True
        chosen[face] = True
        return self.whole_polygons(chosen)
