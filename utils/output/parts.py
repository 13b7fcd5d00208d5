"""A mesh divided into named parts, as GLB, as OBJ and as face labels.

Everything is in the file's own coordinates and order, and is either written whole or not at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from utils.files import atomic_path
from utils.geometry.materials import Materials, kind_of
from utils.geometry.mesh import Mesh
from utils.geometry.textures import Textures
from utils.options import Color
from utils.output.colors import BASE_COLOR, SELECTION_COLOR
from utils.output.glb import GlbWriter

REST, SELECTED = "rest", "selected"
DELETED = -1  # label of what is written nowhere
TINT = 0.65  # of what a part's colour covers of the file's, as in the page
TOGETHER = 4096  # lines that are written at once
NOTHING = Textures(np.zeros((0, 2)), [])


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
) -> list[Path]:
    """Write a node for each part that has triangles, named and coloured; what the file's surface is made of stays,
    images too, and is tinted.

    glTF keeps coordinates as float32, so each part is stored around the mesh's centre and moved back by its node's
    matrix: small shapes far from the origin stay exact. vertices (V, 3): in place of the mesh's own; textures: of the
    mesh's file, whose coordinates are kept. Where the file has several nodes or groups, a part is a node with a child
    "part/group" for each that it touches.
    """
    vertices = mesh.vertices if vertices is None else vertices
    textures = textures or NOTHING
    made, writer = textures.made, GlbWriter(textures.made)
    corners = textures.of_triangles(mesh) if len(textures.coordinates) else None
    groups, of_group = _by_face(textures.groups, mesh)
    names, of_name = _by_face(textures.materials if made.entries else [], mesh)
    for number, name, color in labelling.present():
        part = labelling.labels == number
        pieces = np.unique(of_group[part]).tolist()
        above = writer.node(name, []) if len(pieces) > 1 else None
        looks: dict[int, int] = {}
        for group in pieces:
            piece, primitives = part & (of_group == group), []
            for look in np.unique(of_name[piece]).tolist():
                if look not in looks:
                    looks[look] = writer.material(_look(made.entries.get(names[look]), number, name, color))
                used, faces, coordinates = _indexed(mesh, piece & (of_name == look), textures, corners)
                primitives.append(writer.primitive(vertices[used] - mesh.center, faces, coordinates, looks[look]))
            node = name if above is None else f"{name}/{groups[group] or 'unnamed'}"
            writer.node(node, primitives, mesh.center, above)
    writer.save(path)
    return [Path(path)]


def _look(entry: dict | None, number: int, name: str, color: Color) -> dict:
    """What a part is made of, in glTF: what the file says, tinted but for the rest, or else the part's colour."""
    if entry is None:
        pbr = {"baseColorFactor": [*color, 1.0], "metallicFactor": 0.0, "roughnessFactor": 0.7}
        return {"name": name, "pbrMetallicRoughness": pbr, "doubleSided": True}
    if number == 0:
        return entry
    pbr = entry.get("pbrMetallicRoughness", {})
    *own, opacity = pbr.get("baseColorFactor", (1.0, 1.0, 1.0, 1.0))
    tinted = [a + TINT * (b - a) for a, b in zip(own, color)]
    pbr = {**pbr, "baseColorFactor": [*tinted, opacity]}
    return {**entry, "name": f"{name}/{entry['name']}", "pbrMetallicRoughness": pbr}


def _by_face(names: list[str], mesh: Mesh) -> tuple[list[str], np.ndarray]:
    """The different names of the polygons, and (F,) the number of that of each triangle; one where there are none."""
    if not names:
        return [""], np.zeros(mesh.num_faces, dtype=np.int64)
    known, number = np.unique(names, return_inverse=True)
    return known.tolist(), number[mesh.face_polygon]


def _indexed(
    mesh: Mesh, chosen: np.ndarray, textures: Textures, corners: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """The vertices that the chosen triangles use, the triangles (N, 3) in them, and coordinates of the vertices.

    corners  (F, 3) as `Textures.of_triangles`; a vertex with several coordinates becomes several
    """
    if corners is None:
        faces = mesh.faces[chosen]
        place = np.zeros(mesh.num_vertices, dtype=np.int64)
        place[faces.ravel()] = 1
        used = np.flatnonzero(place)
        place[used] = np.arange(len(used))
        return used, place[faces], None
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
) -> list[Path]:
    """Write a group for each part that has triangles: all vertices in the file's order and with every digit, polygons
    as they were. A part's group is followed by the file's own, where that has several.

    vertices (V, 3): in place of the mesh's own; textures: of the mesh's file, whose coordinates, normals, materials and
    colours are kept. Normals are left out where the vertices have moved. Where the file is no OBJ with materials of its
    own, they are written beside, with their images, or else one for each part. Returns all files, the OBJ first.
    """
    moved = vertices is not None and not np.array_equal(vertices, mesh.vertices)
    textures = textures or NOTHING
    if not textures.lines:
        textures = replace(textures, lines=[f"{u!r} {v!r}" for u, v in textures.coordinates.tolist()])
    if moved or not textures.normal_lines:
        textures = replace(textures, normal_lines=[], normal_corners=[])
    path, libraries = Path(path), textures.libraries
    written = [path]
    if libraries:
        libraries = [_relative(mesh, library, path) for library in libraries]
    elif textures.made.entries or not any(textures.materials):
        parts = {_word(name): _look(None, 0, name, color) for _, name, color in labelling.present()}
        words = [_word(name) if name else "" for name in textures.materials] if textures.made.entries else []
        written += _save_mtl(path.with_name(f"{_word(path.stem)}.mtl"), textures.made if words else Materials(parts))
        textures, libraries = replace(textures, materials=words), [written[1].name]
    rows = np.asarray(vertices if vertices is not None else mesh.vertices)
    if textures.colors is not None:
        rows = np.concatenate([rows, textures.colors], axis=1)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        file.writelines(f"mtllib {library}\n" for library in libraries)
        file.writelines(_lines("v", "%r", rows))
        file.writelines(f"vt {line}\n" for line in textures.lines)
        file.writelines(f"vn {line}\n" for line in textures.normal_lines)
        file.writelines(_obj_faces(mesh, labelling, textures))
    return written


def _lines(word: str, kind: str, rows: np.ndarray) -> Iterator[str]:
    """Rows (N, K) as lines that begin with a word, many at once."""
    line = " ".join([word, *[kind] * rows.shape[1]]) + "\n"
    for start in range(0, len(rows), TOGETHER):
        some = rows[start : start + TOGETHER]
        yield line * len(some) % tuple(some.ravel().tolist())


def _obj_faces(mesh: Mesh, labelling: Labelling, textures: Textures) -> Iterator[str]:
    """The lines of groups, materials and faces; a material is that of the file, or else of the part."""
    alike = None if textures.corners or textures.normal_corners else mesh.polygons_alike()
    numbers = labelling.polygons(mesh)
    if alike is not None and not textures.groups and not textures.materials:
        for number, name, _ in labelling.present():
            yield f"g {_word(name)}\nusemtl {_word(name)}\n"
            yield from _lines("f", "%d", alike[numbers == number] + 1)
        return
    polygons, material = mesh.polygons(), ""
    for number, name, _ in labelling.present():
        group = None
        for polygon in np.flatnonzero(numbers == number).tolist():
            if not polygons[polygon]:
                continue
            inside = textures.groups[polygon] if textures.groups else ""
            if inside != group:
                yield " ".join(f"g {_word(name)} {inside}".split()) + "\n"
                group = inside
            wanted = textures.materials[polygon] if textures.materials else _word(name)
            if wanted != material:
                yield f"usemtl {wanted}".rstrip() + "\n"
                material = wanted
            yield f"f {_corners(polygons[polygon], polygon, textures)}\n"


def _save_mtl(path: Path, made: Materials) -> list[Path]:
    """Write materials for an OBJ and, beside, the images that they show; returns all files, the materials first."""
    written, lines = [path], []
    for name in made.entries:
        red, green, blue = made.color(name).tolist()
        lines += [f"newmtl {_word(name)}", f"Kd {red:.6g} {green:.6g} {blue:.6g}"]
        number = made.image(name)
        if number is not None:
            image = path.with_name(f"{path.stem}_{number}.{kind_of(made.images[number])}")
            lines.append(f"map_Kd {image.name}")
            if image not in written:
                written.append(image)
                with atomic_path(image) as temporary:
                    temporary.write_bytes(made.images[number])
    with atomic_path(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return written


def _word(name: str) -> str:
    """A name as one word, since readers of OBJ end names at spaces."""
    return "_".join(name.split()) or "_"


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
