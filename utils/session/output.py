"""What a session leaves behind: parts as GLB and OBJ, a coloured PLY, face labels, and a picture.

Everything is in the file's own coordinates and is written whole or not at all.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from utils.errors import UserError
from utils.files import atomic_path, save_npz
from utils.geometry.cutting import cap_parts, cut_smooth
from utils.geometry.mesh import Mesh
from utils.geometry.textures import Textures, read_textures
from utils.output import parts
from utils.output.colors import BASE_COLOR, SELECTION_COLOR
from utils.output.export import save_colored_mesh
from utils.output.parts import DELETED, REST, SELECTED, Labelling
from utils.session.session import Session
from utils.session.state import NO_PART, unique_name

if TYPE_CHECKING:  # imported where it is used: it takes seconds
    from utils.rendering.cameras import Cameras


def labelling(session: Session) -> Labelling:
    """The parts in their order, then what is selected but not kept yet."""
    labels = np.zeros(session.mesh.num_faces, dtype=np.int32)
    names, colors = [REST], [BASE_COLOR]
    found = [(part.name, part.color, session.state.labels == part.id) for part in session.state.parts]
    if session.selection.faces.any():
        found.append((SELECTED, SELECTION_COLOR, session.selection.faces))
    for name, color, faces in found:
        labels[faces] = len(names)
        names.append(unique_name(name, set(names)))
        colors.append(color)
    labels[~session.shape.alive] = DELETED
    return Labelling(labels, names, colors)


def save_glb(path: str | Path, session: Session, cut: str = "faces", close: str = "open") -> list[Path]:
    """One node for each part and one for the rest, with the file's materials, images and coordinates; see `shaped`."""
    mesh, named, textures = shaped(session, cut, close)
    return parts.save_glb(path, mesh, named, textures=textures)


def save_obj(path: str | Path, session: Session, cut: str = "faces", close: str = "open") -> list[Path]:
    """One group for each part and one for the rest, with the file's texture coordinates, normals and materials.

    Normals are left out once the shape was edited or cut; see `shaped`.
    """
    mesh, named, textures = shaped(session, cut, close)
    return parts.save_obj(path, mesh, named, textures=textures)


def shaped(session: Session, cut: str, close: str) -> tuple[Mesh, Labelling, Textures | None]:
    """The shape after the edits, its parts, and what decorates it.

    cut    "faces": parts end along the triangles; "smooth": across them, as the page draws their borders
    close  "caps": the holes that parts leave in each other are closed; "open": they are not
    """
    named, mesh = labelling(session), session.shape.mesh(session.mesh) if session.state.edits else session.mesh
    textures = read_textures(session.mesh)
    if textures is not None and session.state.edits:
        textures = replace(textures, normal_lines=[], normal_corners=[])
    if cut == "faces" and close == "open":
        return mesh, named, textures
    from utils.output.partition import cut_textures, with_plain_polygons  # it draws: that takes a second to import

    gone = len(named.names)
    labels = np.where(named.labels == DELETED, gone, named.labels).astype(np.int64)
    if cut == "smooth":
        found = cut_smooth(mesh, labels, _memberships(session, named), labels == gone)
        textures, mesh, labels = cut_textures(mesh, found, textures), found.mesh, found.labels
    if close == "caps":
        closed, labels = cap_parts(mesh, labels)
        textures, mesh = textures and with_plain_polygons(textures, closed, mesh), closed
    labels = np.where(labels == gone, DELETED, labels).astype(np.int32)
    return mesh, Labelling(labels, named.names, named.colors), textures


def _memberships(session: Session, named: Labelling) -> np.ndarray:
    """(V, P) how much each vertex belongs to each part, and to what is deleted as the last one."""
    label = len(named.names) - 1 if named.names[-1] == SELECTED else 0
    certain = session.selection.certain(label, named.labels, session.state.labels != NO_PART) if label else None
    return session.surface.memberships(named.labels.astype(np.int64), len(named.names) + 1, certain)


def save_ply(path: str | Path, session: Session) -> None:
    """The whole shape in the colours of its parts; deleted faces are left out, vertices keep their ids."""
    mesh, shape = session.mesh, session.shape
    left = Mesh(shape.vertices, mesh.faces[shape.alive])
    save_colored_mesh(path, left, labelling(session).vertex_colors(mesh))


def save_seg(path: str | Path, session: Session) -> None:
    """The part of each polygon of the file: 0 the rest, `DELETED` deleted."""
    parts.save_seg(path, session.mesh, labelling(session))


def save_labels_npz(path: str | Path, session: Session) -> None:
    """`face_labels` (N,) of the file's polygons, `names` of the labels 0, 1, ..., `probability` (V,) of the current
    clicks, `selected` (N,) bool."""
    mesh, named, selection = session.mesh, labelling(session), session.selection
    selected = np.zeros(mesh.num_polygons, dtype=bool)
    selected[mesh.face_polygon[selection.faces]] = True
    zero = np.zeros(mesh.num_vertices, dtype=np.float32)
    save_npz(
        path,
        face_labels=named.polygons(mesh),
        names=np.array(named.names),
        probability=zero if selection.probability is None else selection.probability,
        selected=selected,
    )


def save_picture(path: str | Path, session: Session, cameras: Cameras) -> None:
    """What one camera sees of the shown faces, in the colours of the parts, on white."""
    from PIL import Image

    from utils.output.painter import MeshPainter
    from utils.rendering.rasterize import Rasterizer

    mesh, shown = session.mesh, session.shown
    if not shown.any():
        raise UserError("there is nothing to see: everything is hidden")
    # In the original's frame, where the camera stands, also when the shape was edited.
    seen = _FixedFrame(session.shape.places(mesh), mesh.faces[shown])
    image = MeshPainter(Rasterizer(seen, "embree")).images(cameras, labelling(session).vertex_colors(mesh))[0]
    with atomic_path(path) as temporary:
        Image.fromarray(np.clip(np.rint(255 * image), 0, 255).astype(np.uint8)).save(temporary)


class _FixedFrame(Mesh):
    """A mesh that is in its normalised frame already."""

    @cached_property
    def center(self) -> np.ndarray:
        return np.zeros(3)

    @cached_property
    def scale(self) -> float:
        return 1.0

    @cached_property
    def normalized(self) -> np.ndarray:
        return self.vertices.astype(np.float32)
