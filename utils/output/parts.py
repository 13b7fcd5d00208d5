"""A mesh divided into named parts, as GLB, as OBJ and as face labels.

Everything is in the file's own coordinates and order, and is either written whole or not at all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.files import atomic_path
from utils.geometry.mesh import Mesh
from utils.geometry.textures import Textures
from utils.options import Color
from utils.output.colors import BASE_COLOR, SELECTION_COLOR

REST, SELECTED = "rest", "selected"
DELETED = -1  # label of what is written nowhere


@dataclass(frozen=True, eq=False)
class Labelling:
    """Which part each triangle belongs to; all triangles of a polygon belong to the same.

    labels  (F,) int32: 0 the rest, 1 ... N the parts, `DELETED` deleted
    names, colors  of the rest and the N parts
    """

    labels: np.ndarray
    names: list[str]
    colors: list[Color]

    @classmethod
    def of_selection(cls, mesh: Mesh, selected: np.ndarray) -> Labelling:
        """The part "selected", of the polygons that have most of their corners among `selected` (V,) bool."""
        inside = mesh.selected_polygons(selected)[mesh.face_polygon]
        return cls(inside.astype(np.int32), [REST, SELECTED], [BASE_COLOR, SELECTION_COLOR])

    def present(self) -> list[tuple[int, str, Color]]:
        """Number, name and colour of what has triangles, the parts first, the rest last."""
        there = [number for number in (*range(1, len(self.names)), 0) if (self.labels == number).any()]
        return [(number, self.names[number], self.colors[number]) for number in there]

    def polygons(self, mesh: Mesh) -> np.ndarray:
        """(N,) int32, the label of each polygon of the file."""
        result = np.zeros(mesh.num_polygons, dtype=np.int32)
        result[mesh.face_polygon] = self.labels
        return result

    def vertex_colors(self, mesh: Mesh) -> np.ndarray:
        """(V, 3) float32: each vertex in the colour of most of its triangles."""
        votes = np.zeros((mesh.num_vertices, len(self.names)), dtype=np.int32)
        there = self.labels >= 0
        for column in range(3):
            np.add.at(votes, (mesh.faces[there, column], self.labels[there]), 1)
        return np.asarray(self.colors, dtype=np.float32)[votes.argmax(axis=1)]


def save_seg(path: str | Path, mesh: Mesh, labelling: Labelling) -> None:
    """Write the part of each polygon of the file, one number a line (Princeton's `.seg`)."""
    lines = "\n".join(map(str, labelling.polygons(mesh).tolist()))
    with atomic_path(path) as temporary:
        temporary.write_text(lines + "\n")


def save_glb(
    path: str | Path,
    mesh: Mesh,
    labelling: Labelling,
    vertices: np.ndarray | None = None,
    textures: Textures | None = None,
) -> None:
    """Write a node for each part that has triangles, named and coloured.

    glTF keeps coordinates as float32, so each part is stored around the mesh's centre and moved back by its node's
    matrix: small shapes far from the origin stay exact. vertices (V, 3): in place of the mesh's own; textures: of the
    mesh's file, whose coordinates are kept. Where the file has several nodes or groups, a part is a node with a child
    "part/group" for each that it touches.
    """
    import trimesh
    from trimesh.visual import TextureVisuals
    from trimesh.visual.material import PBRMaterial

    vertices = mesh.vertices if vertices is None else vertices
    corners = textures.of_triangles(mesh) if textures is not None and len(textures.coordinates) else None
    back = np.eye(4)
    back[:3, 3] = mesh.center
    scene = trimesh.Scene()
    for number, name, color in labelling.present():
        pieces = _pieces(mesh, labelling.labels == number, textures)
        material = PBRMaterial(
            name=name, baseColorFactor=[*color, 1.0], metallicFactor=0.0, roughnessFactor=0.7, doubleSided=True
        )
        if len(pieces) > 1:
            scene.graph.update(name, scene.graph.base_frame)
        for group, chosen in pieces.items():
            used, faces, coordinates = _indexed(mesh, chosen, textures, corners)
            part = trimesh.Trimesh(vertices[used] - mesh.center, faces, process=False)
            part.visual = TextureVisuals(uv=coordinates, material=material)
            node, above = (name, None) if len(pieces) == 1 else (f"{name}/{group or 'unnamed'}", name)
            scene.add_geometry(part, node_name=node, geom_name=node, parent_node_name=above, transform=back)
    with atomic_path(path) as temporary:
        scene.export(temporary, file_type="glb")


def _pieces(mesh: Mesh, chosen: np.ndarray, textures: Textures | None) -> dict[str, np.ndarray]:
    """The triangles (F,) bool of a part by the file's own groups."""
    if textures is None or not textures.groups:
        return {"": chosen}
    names, number = np.unique(textures.groups, return_inverse=True)
    of_face = number[mesh.face_polygon]
    return {str(names[each]): chosen & (of_face == each) for each in np.unique(of_face[chosen])}


def _indexed(
    mesh: Mesh, chosen: np.ndarray, textures: Textures | None, corners: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The vertices that the chosen triangles use, the triangles (N, 3) in them, and coordinates of the vertices.

    corners  (F, 3) as `Textures.of_triangles`; a vertex with several coordinates becomes several
    """
    if textures is None or corners is None:
        used, faces = np.unique(mesh.faces[chosen], return_inverse=True)
        return used, faces.reshape(-1, 3), None
    pairs = np.stack([mesh.faces[chosen].ravel(), corners[chosen].ravel()], axis=1)
    pairs, faces = np.unique(pairs, axis=0, return_inverse=True)
    coordinates = np.where(pairs[:, 1, None] >= 0, textures.coordinates[pairs[:, 1]], 0.0)
    return pairs[:, 0], faces.reshape(-1, 3), coordinates


def save_obj(
    path: str | Path,
    mesh: Mesh,
    labelling: Labelling,
    vertices: np.ndarray | None = None,
    textures: Textures | None = None,
) -> None:
    """Write a group for each part that has triangles: all vertices in the file's order and with every digit, polygons
    as they were. A part's group is followed by the file's own, where that has several.

    vertices (V, 3): in place of the mesh's own; textures: of the mesh's file, whose coordinates, normals, materials and
    colours are kept. Normals are left out where the vertices have moved.
    """
    moved = vertices is not None and not np.array_equal(vertices, mesh.vertices)
    textures = textures or Textures(np.zeros((0, 2)), [])
    if not textures.lines:
        textures = replace(textures, lines=[f"{u!r} {v!r}" for u, v in textures.coordinates.tolist()])
    if moved or not textures.normal_lines:
        textures = replace(textures, normal_lines=[], normal_corners=[])
    numbers, polygons = labelling.polygons(mesh), mesh.polygons()
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for library in textures.libraries:
            file.write(f"mtllib {_relative(mesh, library, Path(path))}\n")
        rows = np.asarray(vertices if vertices is not None else mesh.vertices)
        if textures.colors is not None:
            rows = np.concatenate([rows, textures.colors], axis=1)
        file.writelines(f"v {' '.join(map(repr, row))}\n" for row in rows.tolist())
        file.writelines(f"vt {line}\n" for line in textures.lines)
        file.writelines(f"vn {line}\n" for line in textures.normal_lines)
        for number, name, _ in labelling.present():
            group = None
            material = ""
            for polygon in np.flatnonzero(numbers == number).tolist():
                if not polygons[polygon]:
                    continue
                inside = textures.groups[polygon] if textures.groups else ""
                if inside != group:
                    file.write(f"g {name.replace(' ', '_')} {inside}".rstrip() + "\n")
                    group = inside
                wanted = textures.materials[polygon] if textures.materials else ""
                if wanted != material:
                    file.write(f"usemtl {wanted}\n")
                    material = wanted
                file.write(f"f {_corners(polygons[polygon], polygon, textures)}\n")


def _corners(vertices: list[int], polygon: int, textures: Textures) -> str:
    """The corners of a face: vertex, vertex/coordinate, vertex//normal or vertex/coordinate/normal."""
    none = [-1] * len(vertices)
    coordinates = textures.corners[polygon] if textures.corners else none
    normals = textures.normal_corners[polygon] if textures.normal_corners else none
    tokens = []
    for vertex, coordinate, normal in zip(vertices, coordinates, normals):
        token = [str(ids + 1) if ids >= 0 else "" for ids in (vertex, coordinate, normal)]
        tokens.append("/".join(token).rstrip("/"))
    return " ".join(tokens)


def _relative(mesh: Mesh, library: str, path: Path) -> str:
    """The place of a material library as seen from the written file."""
    assert mesh.path is not None  # it names the library
    return os.path.relpath((mesh.path.parent / library).resolve(), path.parent.resolve())
