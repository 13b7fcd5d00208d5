"""What a session leaves behind: parts as GLB and OBJ, a coloured PLY, face labels, and a picture.

Everything is in the file's own coordinates and is written whole or not at all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from utils.errors import UserError
from utils.files import atomic_path, save_npz
from utils.geometry.mesh import Mesh
from utils.geometry.textures import Textures, read_textures
from utils.output.export import BASE_COLOR, SELECTION_COLOR, Color, save_colored_mesh
from utils.rendering.cameras import Cameras
from utils.session.session import Session
from utils.session.state import unique_name

REST, SELECTED = "rest", "selected"
DELETED = -1  # label of a deleted polygon in `.seg` and `.npz`


@dataclass(frozen=True, eq=False)
class Labelling:
    """Which part each triangle belongs to.

    labels  (F,) int32: 0 the rest, 1 ... N the parts, `DELETED` deleted
    names, colors  of the rest and the N parts
    """

    labels: np.ndarray
    names: list[str]
    colors: list[Color]

    @classmethod
    def of(cls, session: Session) -> Labelling:
        """The parts in their order, then what is selected but not kept yet."""
        state, taken = session.state, {REST}
        labels = np.zeros(session.mesh.num_faces, dtype=np.int32)
        names, colors = [REST], [BASE_COLOR]
        for number, part in enumerate(state.parts, start=1):
            labels[state.labels == part.id] = number
            names.append(unique_name(part.name, taken))
            colors.append(part.color)
            taken.add(names[-1])
        selected = session.selection.faces
        if selected.any():
            labels[selected] = len(names)
            names.append(unique_name(SELECTED, taken))
            colors.append(SELECTION_COLOR)
        labels[~session.shape.alive] = DELETED
        return cls(labels, names, colors)

    def present(self) -> list[tuple[int, str, Color]]:
        """Number, name and colour of what has triangles, the parts first, the rest last."""
        there = [number for number in range(1, len(self.names)) if (self.labels == number).any()]
        return [
            (number, self.names[number], self.colors[number])
            for number in [*there, *([0] if (self.labels == 0).any() else [])]
        ]

    def polygons(self, mesh: Mesh) -> np.ndarray:
        """(N,) int32, the label of each polygon of the file."""
        result = np.zeros(int(mesh.face_polygon.max()) + 1, dtype=np.int32)
        result[mesh.face_polygon] = self.labels
        return result

    def vertex_colors(self, mesh: Mesh) -> np.ndarray:
        """(V, 3) float32: each vertex in the colour of most of its triangles."""
        count = len(self.names)
        votes = np.zeros((mesh.num_vertices, count), dtype=np.int32)
        there = self.labels >= 0
        for column in range(3):
            np.add.at(votes, (mesh.faces[there, column], self.labels[there]), 1)
        return np.asarray(self.colors, dtype=np.float32)[votes.argmax(axis=1)]


def save_glb(path: str | Path, session: Session) -> None:
    """One node for each part and one for the rest, named and coloured, with the file's texture coordinates.

    glTF keeps coordinates as float32, so parts are stored around the mesh's centre and moved back by a matrix.
    """
    import trimesh

    mesh, labelling, shape = session.mesh, Labelling.of(session), session.shape
    textures = read_textures(mesh)
    corners = textures.of_triangles(mesh) if textures is not None and len(textures.coordinates) else None
    back = np.eye(4)
    back[:3, 3] = mesh.center
    scene = trimesh.Scene()
    for number, name, color in labelling.present():
        chosen = labelling.labels == number
        coordinates = None
        if corners is None:
            used, faces = np.unique(mesh.faces[chosen], return_inverse=True)
        else:  # a vertex with several texture coordinates becomes several
            pairs, faces = np.unique(
                np.stack([mesh.faces[chosen].ravel(), corners[chosen].ravel()], axis=1), axis=0, return_inverse=True
            )
            used = pairs[:, 0]
            coordinates = np.where(pairs[:, 1, None] >= 0, textures.coordinates[pairs[:, 1]], 0.0)
        piece = trimesh.Trimesh(shape.vertices[used] - mesh.center, faces.reshape(-1, 3), process=False)
        material = trimesh.visual.material.PBRMaterial(
            name=name, baseColorFactor=[*color, 1.0], metallicFactor=0.0, roughnessFactor=0.7, doubleSided=True
        )
        piece.visual = trimesh.visual.TextureVisuals(uv=coordinates, material=material)
        scene.add_geometry(piece, node_name=name, geom_name=name, transform=back)
    content = scene.export(file_type="glb")
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def save_obj(path: str | Path, session: Session) -> None:
    """One group for each part and one for the rest: all vertices in the file's order and with every digit, polygons as
    they were, with their texture coordinates, normals and materials where the file had them.

    Normals are left out once the shape was edited.
    """
    mesh, labelling, shape = session.mesh, Labelling.of(session), session.shape
    textures = read_textures(mesh)
    if textures is not None and not textures.lines and len(textures.coordinates):
        textures = Textures(
            textures.coordinates, textures.corners, [f"{u!r} {v!r}" for u, v in textures.coordinates.tolist()]
        )
    normals = textures is not None and bool(textures.normal_lines) and np.array_equal(shape.vertices, mesh.vertices)
    polygon_labels, polygons = labelling.polygons(mesh), _polygons(mesh)
    with atomic_path(path) as temporary, open(temporary, "w", encoding="utf-8") as file:
        for library in textures.libraries if textures else []:
            file.write(f"mtllib {_relative(mesh, library, Path(path))}\n")
        file.write("".join(f"v {x!r} {y!r} {z!r}\n" for x, y, z in shape.vertices.tolist()))
        file.write("".join(f"vt {line}\n" for line in (textures.lines if textures else [])))
        file.write("".join(f"vn {line}\n" for line in (textures.normal_lines if normals else [])))
        for number, name, _ in labelling.present():
            file.write(f"g {name.replace(' ', '_')}\n")
            material = ""
            for polygon in np.flatnonzero(polygon_labels == number).tolist():
                if not polygons[polygon]:
                    continue
                wanted = textures.materials[polygon] if textures and textures.materials else ""
                if wanted != material:
                    file.write(f"usemtl {wanted}\n")
                    material = wanted
                file.write(_face_line(polygons[polygon], polygon, textures, normals))


def save_ply(path: str | Path, session: Session) -> None:
    """The whole shape in the colours of its parts; deleted faces are left out, vertices keep their ids."""
    mesh, shape = session.mesh, session.shape
    left = Mesh(shape.vertices, mesh.faces[shape.alive])
    save_colored_mesh(path, left, Labelling.of(session).vertex_colors(mesh))


def save_seg(path: str | Path, session: Session) -> None:
    """The part of each polygon of the file, one number a line (Princeton's `.seg`): 0 the rest, -1 deleted."""
    lines = "\n".join(map(str, Labelling.of(session).polygons(session.mesh).tolist()))
    with atomic_path(path) as temporary:
        temporary.write_text(lines + "\n")


def save_labels_npz(path: str | Path, session: Session) -> None:
    """`face_labels` (N,) of the file's polygons, `names` of the labels 0, 1, ..., `probability` (V,) of the current
    clicks, `selected` (N,) bool."""
    mesh, labelling, selection = session.mesh, Labelling.of(session), session.selection
    probability = (
        np.zeros(mesh.num_vertices, dtype=np.float32) if selection.probability is None else selection.probability
    )
    selected = np.zeros(int(mesh.face_polygon.max()) + 1, dtype=bool)
    selected[mesh.face_polygon[selection.faces]] = True
    save_npz(
        path,
        face_labels=labelling.polygons(mesh),
        names=np.array(labelling.names),
        probability=probability,
        selected=selected,
    )


def save_picture(path: str | Path, session: Session, cameras: Cameras) -> None:
    """What one camera sees of the shown faces, in the colours of the parts, on white."""
    from PIL import Image

    from utils.output.painter import MeshPainter
    from utils.rendering.rasterize import Rasterizer

    mesh, shape, shown = session.mesh, session.shape, session.shown
    if not shown.any():
        raise UserError("there is nothing to see: everything is hidden")
    labelling = Labelling.of(session)
    # In the original's frame, where the camera stands, also when the shape was edited.
    seen = _FixedFrame((shape.vertices - mesh.center) / mesh.scale, mesh.faces[shown])
    colors = labelling.vertex_colors(mesh)
    image = MeshPainter(Rasterizer(seen, "embree")).images(cameras, colors)[0]
    with atomic_path(path) as temporary:
        Image.fromarray(np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)).save(temporary)


class _FixedFrame(Mesh):
    """A mesh that is in its normalised frame already."""

    @property
    def center(self) -> np.ndarray:
        return np.zeros(3)

    @property
    def scale(self) -> float:
        return 1.0

    @property
    def normalized(self) -> np.ndarray:
        return self.vertices.astype(np.float32)


def _polygons(mesh: Mesh) -> list[list[int]]:
    """The file's polygons as lists of 0-based corners; empty for one of fewer than three."""
    polygons: list[list[int]] = [[] for _ in range(int(mesh.face_polygon.max()) + 1)]
    first = np.diff(mesh.face_polygon, prepend=-1) != 0
    for corners, polygon, starts in zip(mesh.faces.tolist(), mesh.face_polygon.tolist(), first.tolist()):
        polygons[polygon].extend(corners if starts else corners[2:])
    return polygons


def _face_line(corners: list[int], polygon: int, textures: Textures | None, normals: bool) -> str:
    if textures is None:
        return "f " + " ".join(str(corner + 1) for corner in corners) + "\n"
    coordinate = textures.corners[polygon]
    normal = textures.normal_corners[polygon] if normals else [-1] * len(corners)
    tokens = []
    for vertex, texture, direction in zip(corners, coordinate, normal):
        token = str(vertex + 1)
        if texture >= 0 or direction >= 0:
            token += "/" + (str(texture + 1) if texture >= 0 else "")
        if direction >= 0:
            token += f"/{direction + 1}"
        tokens.append(token)
    return "f " + " ".join(tokens) + "\n"


def _relative(mesh: Mesh, library: str, path: Path) -> str:
    """The place of a material library as seen from the written file."""
    return os.path.relpath((Path(mesh.path).parent / library).resolve(), path.parent.resolve())
