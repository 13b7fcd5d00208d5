"""Texture coordinates of a mesh file, which `utils.geometry.mesh` does not read, for files that are written from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.geometry.mesh import Mesh
from utils.geometry.obj import read_obj


@dataclass(frozen=True, eq=False)
class Textures:
    """Texture coordinates (and an OBJ's normals and materials) as the file has them.

    coordinates    (T, 2) float64
    corners        one list for each polygon of the file: the coordinate of each of its corners, -1 for none
    lines          the file's own texts of the coordinates, which keep their digits; empty unless it is an OBJ
    normal_lines, normal_corners   likewise for normals
    materials      the material of each polygon, "" for none; libraries: files of materials
    """

    coordinates: np.ndarray
    corners: list[list[int]]
    lines: list[str] = field(default_factory=list)
    normal_lines: list[str] = field(default_factory=list)
    normal_corners: list[list[int]] = field(default_factory=list)
    materials: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)

    def of_triangles(self, mesh: Mesh) -> np.ndarray:
        """(F, 3) int64, the coordinate of each triangle's corners, -1 for none."""
        result = np.full((mesh.num_faces, 3), -1, dtype=np.int64)
        fan = 0
        for face, (polygon, opens) in enumerate(zip(mesh.face_polygon.tolist(), mesh.opens_polygon.tolist())):
            fan = 1 if opens else fan + 1
            ids = self.corners[polygon]
            result[face] = ids[0], ids[fan], ids[fan + 1]
        return result


def read_textures(mesh: Mesh) -> Textures | None:
    """The texture coordinates in the file of `mesh`, None where it has none or is not there any more."""
    if mesh.path is None or not mesh.path.is_file():
        return None
    try:
        found = _read_obj(mesh.path) if mesh.path.suffix.lower() == ".obj" else _read_with_trimesh(mesh.path, mesh)
    except Exception:  # the mesh itself was readable; its decoration may be of any kind, and is optional
        return None
    fits = found is not None and len(found.corners) >= mesh.num_polygons
    return found if fits else None


def _read_obj(path: Path) -> Textures | None:
    found = read_obj(path)
    if not found.coordinates and not found.normals:
        return None
    values = [[float(value) for value in line.split()[:2]] for line in found.coordinates]
    return Textures(
        np.array(values).reshape(len(values), 2),
        found.attributes(1, len(values)),
        found.coordinates,
        found.normals,
        found.attributes(2, len(found.normals)),
        found.materials,
        found.libraries,
    )


def _read_with_trimesh(path: Path, mesh: Mesh) -> Textures | None:
    import trimesh

    if path.suffix.lower() not in (".glb", ".ply"):
        return None
    loaded = trimesh.load(path, process=False, maintain_order=True)
    if isinstance(loaded, trimesh.Scene):
        loaded = loaded.to_mesh()
    coordinates = getattr(getattr(loaded, "visual", None), "uv", None)
    if coordinates is None or len(coordinates) != mesh.num_vertices:
        return None
    return Textures(np.asarray(coordinates, dtype=np.float64), mesh.faces.tolist())
