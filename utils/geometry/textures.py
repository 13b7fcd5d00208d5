"""What decorates a mesh file beside its surface, for files written from it: texture coordinates, colours, names."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.geometry.materials import Materials, read_libraries
from utils.geometry.mesh import READERS, UNREADABLE, Mesh
from utils.geometry.obj import ObjText, surface_of, text_of
from utils.geometry.obj_arrays import read_arrays
from utils.geometry.surface import FileSurface

DECORATION = (b"vt", b"vn", b"usemtl", b"mtllib")  # words without which an OBJ is read faster


@dataclass(frozen=True, eq=False)
class Textures:
    """Texture coordinates, names and colours (and an OBJ's normals and materials) as the file has them.

    coordinates    (T, 2) float64
    corners        one list for each polygon of the file: the coordinate of each of its corners, -1 for none; empty
                   where there are no coordinates
    lines          the file's own texts of the coordinates, which keep their digits; empty unless it is an OBJ
    normal_lines, normal_corners   likewise for normals
    materials      the material of each polygon, "" for none; libraries: an OBJ's files of materials
    made           the materials themselves, as far as they could be read
    groups         the group or node of each polygon, "" for none; empty where the file names no more than one
    colors         (V, 3) float64 RGB from 0 to 1 of the vertices, None for none
    """

    coordinates: np.ndarray
    corners: list[list[int]]
    lines: list[str] = field(default_factory=list)
    normal_lines: list[str] = field(default_factory=list)
    normal_corners: list[list[int]] = field(default_factory=list)
    materials: list[str] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)
    groups: list[str] = field(default_factory=list)
    colors: np.ndarray | None = None
    made: Materials = field(default_factory=Materials)

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
    """What decorates the file of `mesh`; None where nothing does, or the file is not there or another one by now."""
    if mesh.path is None or not mesh.path.is_file():
        return None
    suffix = mesh.path.suffix.lower()
    try:
        surface, text = _read(mesh.path, suffix)
    except (UserError, *UNREADABLE):  # it was readable when the mesh was loaded
        return None
    if len(surface.vertices) != mesh.num_vertices or surface.num_polygons != mesh.num_polygons:
        return None
    found = _of_vertices(surface, mesh) if text is None else _of_obj(text, mesh.path)
    groups = []
    if surface.piece is not None and len(np.unique(surface.piece)) > 1:
        groups = [surface.names[piece] if piece >= 0 else "" for piece in surface.piece.tolist()]
    found = replace(found, groups=groups, colors=surface.colors)
    empty = not len(found.coordinates) and not found.normal_lines and not any(found.materials)
    return None if empty and not groups and surface.colors is None else found


def _read(path: Path, suffix: str) -> tuple[FileSurface, ObjText | None]:
    """The surface, and the words of an OBJ that says more than that."""
    if suffix != ".obj":
        return READERS[suffix](path), None
    data = path.read_bytes()
    plain = None if any(word in data for word in DECORATION) else read_arrays(data)
    if plain is not None:
        return plain, None
    text = text_of(data)
    return surface_of(text), text


def _of_obj(found: ObjText, path: Path) -> Textures:
    values = [[float(value) for value in line.split()[:2]] for line in found.coordinates]
    return Textures(
        np.array([(*value, 0.0)[:2] for value in values]).reshape(len(values), 2),
        found.attributes(1, len(values)),
        found.coordinates,
        found.normals,
        found.attributes(2, len(found.normals)),
        found.materials,
        found.libraries,
        made=read_libraries(path, found.libraries),
    )


def _of_vertices(surface: FileSurface, mesh: Mesh) -> Textures:
    """Where coordinates belong to vertices, and not to corners."""
    names = [*surface.made.entries, ""]
    rest: dict = {"made": surface.made, "materials": [names[k] for k in surface.material] if names[1:] else []}
    if surface.coordinates is None:
        return Textures(np.zeros((0, 2)), [], **rest)
    return Textures(surface.coordinates, mesh.polygons(), **rest)
