"""Between a mesh and points sampled on it: where a click lies, and what selected points mean for vertices and faces."""

from __future__ import annotations

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
    face_near, face_weight      (F, k) the same, of the faces' middles
    """

    def __init__(self, mesh: Mesh, cloud: MeshCloud) -> None:
        self._size = min(NEIGHBORS, len(cloud.positions))
        faces, vertices = mesh.faces, mesh.normalized.astype(np.float64)
        middles = vertices[faces].mean(axis=1)
        component = face_components(mesh)
        lone = ~np.isin(component, component[cloud.faces])
        if lone.any():
            component = component.copy()
            component[lone] = component[cloud.faces][KDTree(cloud.positions).query(middles[lone])[1]]
        self._tree = KDTree(_place(cloud.positions, cloud.normals, component[cloud.faces]))
        normals = mesh.face_normals.astype(np.float64) * mesh.winding
        self.face_near, self.face_weight = self._nearest(_place(middles, normals, component))
        of_vertex = np.zeros(mesh.num_vertices, dtype=np.int64)
        of_vertex[faces.ravel()] = np.repeat(component, 3)
        normals = mesh.vertex_normals.astype(np.float64) * mesh.winding
        self.vertex_near, self.vertex_weight = self._nearest(_place(vertices, normals, of_vertex))

    def _nearest(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        away, near = (a.reshape(len(places), self._size) for a in self._tree.query(places, k=self._size))
        weight = 1 / (away + 1e-3) ** 2 * (away < away[:, :1] + 2.0)  # none of another component
        return near, weight / weight.sum(axis=1, keepdims=True)

    def point_of_vertex(self, vertices: np.ndarray) -> np.ndarray:
        """(C,) points nearest to vertices (C,)."""
        return self.vertex_near[vertices, 0]

    def point_of_face(self, faces: np.ndarray) -> np.ndarray:
        """(C,) points nearest to the middles of faces (C,)."""
        return self.face_near[faces, 0]

    def on_vertices(self, values: np.ndarray) -> np.ndarray:
        """(V,) float32 from values (N,) of the points."""
        return _averages(values, self.vertex_near, self.vertex_weight)

    def on_faces(self, values: np.ndarray) -> np.ndarray:
        """(F,) float32 from values (N,) of the points."""
        return _averages(values, self.face_near, self.face_weight)


def _place(points: np.ndarray, normals: np.ndarray, component: np.ndarray) -> np.ndarray:
    """(n, 7) where things lie for the search: far apart if of different components."""
    return np.concatenate([points, NORMAL_WEIGHT * normals, 4.0 * component[:, None]], axis=1)


def _averages(values: np.ndarray, near: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return (np.asarray(values, dtype=np.float64)[near] * weight).sum(axis=1).astype(np.float32)
