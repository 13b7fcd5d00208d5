"""The local edits of Fig. 11: a selection is deleted, kept, shortened, or pushed out along its normals."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import connected_components

from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh


def without(mesh: Mesh, selected: np.ndarray) -> Mesh:
    """The mesh without the selected faces (F,) bool, and without vertices that are left over."""
    faces = mesh.faces[~selected]
    used, renumbered = np.unique(faces, return_inverse=True)
    return Mesh(mesh.vertices[used], renumbered.reshape(-1, 3))


def only(mesh: Mesh, selected: np.ndarray) -> Mesh:
    """The selected faces (F,) bool alone."""
    return without(mesh, ~selected)


def shortened(mesh: Mesh, graph: FaceGraph, selected: np.ndarray, factor: float) -> Mesh:
    """The selected region (F,) bool pressed together along its longest way to `factor` of its length.

    What lies beyond one end is moved along rigidly: of the two ends that at which the smaller rest of the mesh hangs.
    """
    inside = np.zeros(mesh.num_vertices, dtype=bool)
    inside[mesh.faces[selected]] = True
    points = mesh.vertices[inside]
    axis = np.linalg.svd(points - points.mean(0), full_matrices=False)[2][0]
    along = mesh.vertices @ axis
    start, end = along[inside].min(), along[inside].max()
    areas, middle = mesh.face_areas, (start + end) / 2
    beyond = ~selected & (along[mesh.faces].mean(axis=1) > middle)
    if areas[beyond].sum() > 0.5 * areas[~selected].sum():
        axis, along, start, end = -axis, -along, -end, -start
    step = (1 - factor) * (end - start)
    shift = np.where(inside, (1 - factor) * np.clip(along - start, 0, None), 0.0)
    for component in _components(graph, ~selected):
        corners = np.unique(mesh.faces[component])
        if np.average(along[corners]) > (start + end) / 2:
            shift[np.setdiff1d(corners, np.flatnonzero(inside))] = step
    return Mesh(mesh.vertices - shift[:, None] * axis, mesh.faces)


def extruded(mesh: Mesh, weight: np.ndarray, amount: float) -> Mesh:
    """Vertices pushed out along their normals by `amount` (in the normalised frame, radius 1) times weight (V,)."""
    normals = mesh.vertex_normals.astype(np.float64) * mesh.winding
    return Mesh(mesh.vertices + amount * mesh.scale * np.asarray(weight)[:, None] * normals, mesh.faces)


def contiguity(mesh: Mesh, graph: FaceGraph, selected: np.ndarray) -> float:
    """Share of a selection's area that is one connected piece; 0 for nothing."""
    pieces = [float(mesh.face_areas[piece].sum()) for piece in _components(graph, selected)]
    return max(pieces, default=0.0) / max(sum(pieces), 1e-12)


def _components(graph: FaceGraph, region: np.ndarray) -> list[np.ndarray]:
    """The faces of each connected piece of a region (F,) bool."""
    pairs = graph.pairs[region[graph.pairs].all(axis=1)]
    matrix = sp.coo_matrix((np.ones(len(pairs)), pairs.T), (len(region), len(region)))
    label = np.where(region, connected_components(matrix, directed=False)[1], -1)
    return [np.flatnonzero(label == value) for value in np.unique(label[region])]
