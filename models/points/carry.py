"""Between a mesh and points sampled on it: where a click lies, and what selected points mean for vertices and faces."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.spatial import KDTree

from models.points.clouds import MeshCloud, face_components
from utils.geometry.mesh import Mesh

NORMAL_WEIGHT = 0.15  # of a normal beside a position in units of the mesh's radius: the two sides of a plate are apart
NEIGHBORS = 4


class Carrier:
    """Carries clicks to points, and values of points to vertices and faces, of meshes of any size.

    What is near is found among points of the same connected component and on the same side of thin walls. A component
    without a point takes the nearest of another.

    vertex_near, vertex_weight  (V, k) points of the cloud, the nearest first, and weights that sum to 1
    of_faces                    the same (F, k) of the faces' middles, made when a face is first asked about
    """

    def __init__(self, mesh: Mesh, cloud: MeshCloud) -> None:
        self._size, self._mesh = min(NEIGHBORS, len(cloud.positions)), mesh
        vertices, component = mesh.normalized.astype(np.float64), face_components(mesh)
        lone = ~np.isin(component, component[cloud.faces])
        if lone.any():
            component, middles = component.copy(), vertices[mesh.faces[lone]].mean(axis=1)
            component[lone] = component[cloud.faces][KDTree(cloud.positions).query(middles)[1]]
        self._component = component
        self._tree = KDTree(_place(cloud.positions, cloud.normals, component[cloud.faces]))
        of_vertex = np.zeros(mesh.num_vertices, dtype=np.int64)
        of_vertex[mesh.faces.ravel()] = np.repeat(component, 3)
        normals = mesh.vertex_normals.astype(np.float64) * mesh.winding
        self.vertex_near, self.vertex_weight = self._nearest(_place(vertices, normals, of_vertex))

    @cached_property
    def of_faces(self) -> tuple[np.ndarray, np.ndarray]:
        mesh = self._mesh
        middles = mesh.face_centroids
        normals = mesh.face_normals.astype(np.float64) * mesh.winding
        return self._nearest(_place(middles, normals, self._component))

    def _nearest(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away, near = (a.reshape(len(places), self._size) for a in self._tree.query(places, k=self._size))
        weight = 1 / (away + 1e-3) ** 2 * (away < away[:, :1] + 2.0)  # none of another component
        return near, weight / weight.sum(axis=1, keepdims=True)

    def point_of_vertex(self, vertices: np.ndarray) -> np.ndarray:
        """(C,) points nearest to vertices (C,)."""
        return self.vertex_near[vertices, 0]

    def point_of_face(self, faces: np.ndarray) -> np.ndarray:
        """(C,) points nearest to the middles of faces (C,)."""
        return self.of_faces[0][faces, 0]

    def on_vertices(self, values: np.ndarray) -> np.ndarray:
        """(V,) float32 from values (N,) of the points."""
        return _averages(values, self.vertex_near, self.vertex_weight)

    def on_faces(self, values: np.ndarray) -> np.ndarray:
        """(F,) float32 from values (N,) of the points."""
        return _averages(values, *self.of_faces)


def _place(points: np.ndarray, normals: np.ndarray, component: np.ndarray) -> np.ndarray:
    """(n, 7) where things lie for the search: far apart if of different components."""
    return np.concatenate([points, NORMAL_WEIGHT * normals, 4.0 * component[:, None]], axis=1)


def _averages(values: np.ndarray, near: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (np.asarray(values, dtype=np.float64)[near] * weight).sum(axis=1).astype(np.float32)
