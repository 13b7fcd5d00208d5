"""Between a mesh and the points sampled on it: where a click lies, and what a selection of points means for vertices and faces."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from models.iseg3d.clouds import Cloud, face_components
from utils.geometry.mesh import Mesh

NORMAL_WEIGHT = 0.15  # of a normal beside a position in units of the mesh's radius: the two sides of a plate are apart
NEIGHBORS = 4


class Carrier:
    """Carries clicks to points, and values of points to vertices and faces, of meshes of any size.

    What is near is found among points of the same connected component and on the same side of thin walls. A component without
    a point takes the nearest of another.
    """

    def __init__(self, mesh: Mesh, cloud: Cloud) -> None:
        self.mesh, self.cloud = mesh, cloud
        faces, vertices = mesh.faces, mesh.normalized.astype(np.float64)
        middles = vertices[faces].mean(axis=1)
        component = face_components(mesh)
        sampled = np.zeros(int(component.max()) + 1, dtype=bool)
        sampled[component[cloud.faces]] = True
        if not sampled.all():
            lone = ~sampled[component]
            component = component.copy()
            component[lone] = component[cloud.faces][cKDTree(cloud.positions).query(middles[lone])[1]]
        self._tree = cKDTree(self._place(cloud.positions, cloud.normals, component[cloud.faces]))
        normals = mesh.face_normals.astype(np.float64) * mesh.winding
        self.face_near, self.face_weight = self._nearest(middles, normals, component)
        of_vertex = np.zeros(mesh.num_vertices, dtype=np.int64)
        of_vertex[faces.ravel()] = np.repeat(component, 3)
        normals = mesh.vertex_normals.astype(np.float64) * mesh.winding
        self.vertex_near, self.vertex_weight = self._nearest(vertices, normals, of_vertex)

    def _place(self, points: np.ndarray, normals: np.ndarray, component: np.ndarray) -> np.ndarray:
        return np.concatenate([points, NORMAL_WEIGHT * normals, 4.0 * component[:, None]], axis=1)

    def _nearest(self, points: np.ndarray, normals: np.ndarray, component: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(n, k) points of the cloud and (n, k) weights that sum to 1."""
        size = min(NEIGHBORS, len(self.cloud.positions))
        away, near = (
            a.reshape(len(points), size) for a in self._tree.query(self._place(points, normals, component), k=size)
        )
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
        return (
            (np.asarray(values, dtype=np.float64)[self.vertex_near] * self.vertex_weight).sum(axis=1).astype(np.float32)
        )

    def on_faces(self, values: np.ndarray) -> np.ndarray:
        """(F,) float32 from values (N,) of the points."""
        return (np.asarray(values, dtype=np.float64)[self.face_near] * self.face_weight).sum(axis=1).astype(np.float32)
