"""Texture coordinates of a mesh file, which `utils.geometry.mesh` does not read, for files that are written from it."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from utils.geometry.mesh import Mesh


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
        for face, polygon in enumerate(mesh.face_polygon.tolist()):
            fan = fan + 1 if face and mesh.face_polygon[face - 1] == polygon else 1
            ids = self.corners[polygon]
            result[face] = ids[0], ids[fan], ids[fan + 1]
        return result


def read_textures(mesh: Mesh) -> Textures | None:
    """The texture coordinates in the file of `mesh`, None where it has none or is not there any more."""
    if mesh.path is None or not Path(mesh.path).is_file():
        return None
    try:
        found = _read_obj(mesh.path) if mesh.path.suffix.lower() == ".obj" else _read_with_trimesh(mesh)
    except Exception:  # the mesh itself was readable; its decoration may be of any kind, and is optional
        return None
    fits = found is not None and len(found.corners) >= int(mesh.face_polygon.max()) + 1
    return found if fits else None


def _read_obj(path: Path) -> Textures | None:
    lines, normal_lines, corners, normal_corners, materials, libraries = [], [], [], [], [], []
    material, vertices = "", 0
    text = path.read_bytes().decode("utf-8", errors="replace").replace("\\\r\n", " ").replace("\\\n", " ")
    for line in text.splitlines():
        kind, _, rest = line.strip().partition(" ")
        if kind == "vt":
            lines.append(rest.split("#")[0].strip())
        elif kind == "vn":
            normal_lines.append(rest.split("#")[0].strip())
        elif kind == "usemtl":
            material = rest.strip()
        elif kind == "mtllib":
            libraries.append(rest.strip())
        elif kind == "f":
            tokens = [token.split("/") for token in rest.split("#")[0].split()]
            corners.append([_index(token, 1, len(lines)) for token in tokens])
            normal_corners.append([_index(token, 2, len(normal_lines)) for token in tokens])
            materials.append(material)
    if not lines and not normal_lines:
        return None
    coordinates = np.array([[float(value) for value in line.split()[:2]] for line in lines]).reshape(len(lines), 2)
    return Textures(coordinates, corners, lines, normal_lines, normal_corners, materials, libraries)


def _index(token: list[str], place: int, count: int) -> int:
    if len(token) <= place or not token[place]:
        return -1
    index = int(token[place])
    index = index - 1 if index > 0 else count + index
    return index if 0 <= index < count else -1


def _read_with_trimesh(mesh: Mesh) -> Textures | None:
    import trimesh

    if mesh.path.suffix.lower() not in (".glb", ".ply"):
        return None
    loaded = trimesh.load(mesh.path, process=False, maintain_order=True)
    if isinstance(loaded, trimesh.Scene):
        loaded = loaded.to_mesh()
    coordinates = getattr(loaded.visual, "uv", None)
    if coordinates is None or len(coordinates) != mesh.num_vertices:
        return None
    return Textures(np.asarray(coordinates, dtype=np.float64), mesh.faces.tolist())
