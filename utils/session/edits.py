"""Changes of the shape itself (paper Fig. 11): delete, keep only, shrink, extrude.

Faces and vertices keep their ids, so that clicks, parts and the decoder's features stay valid: deleting hides faces,
shrinking and extruding move vertices.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from utils.errors import UserError
from utils.geometry.graphs import symmetric
from utils.geometry.mesh import SIDES, Mesh, area_normals
from utils.session.state import EDITS, ShapeEdit

HELD_RINGS = 3  # over so many rings of vertices from its border a moved part blends into the rest
MAX_EXTRUSION = 1.0  # normalised units: half the object


@dataclass(frozen=True, eq=False)
class EditedShape:
    """A mesh after edits.

    vertices  (V, 3) float64, the file's coordinates
    alive     (F,) bool, the triangles that are left
    """

    vertices: np.ndarray
    alive: np.ndarray

    def mesh(self, original: Mesh) -> Mesh:
        """As a mesh with all of the original's faces; `alive` says which to use."""
        return Mesh(self.vertices, original.faces, original.path, original.face_polygon, original.num_polygons)

    def places(self, original: Mesh) -> np.ndarray:
        """(V, 3) float32, the vertices in the original's normalised frame."""
        if np.array_equal(self.vertices, original.vertices):
            return original.normalized
        return ((self.vertices - original.center) / original.scale).astype(np.float32)


def check_edit(edit: ShapeEdit) -> ShapeEdit:
    """The edit, if it can be done; UserError if not."""
    if edit.kind not in EDITS:
        raise UserError(f"unknown edit '{edit.kind}'; use one of {', '.join(EDITS)}")
    if not math.isfinite(edit.amount):
        raise UserError("the amount of an edit must be a number")
    if edit.kind == "shrink" and not 0 < edit.amount <= 1:
        raise UserError("shrinking leaves a size between 0 and 1")
    if edit.kind == "extrude" and not 0 < abs(edit.amount) <= MAX_EXTRUSION:
        raise UserError(f"extrude by up to {MAX_EXTRUSION:g}; the object has radius 1")
    return edit


def apply_edits(mesh: Mesh, edits: tuple[ShapeEdit, ...]) -> EditedShape:
    """The mesh after `edits`, in order."""
    shape = EditedShape(mesh.vertices.copy(), np.ones(mesh.num_faces, dtype=bool))
    for edit in edits:
        shape = _apply(mesh, shape, check_edit(edit))
    return shape


def _apply(mesh: Mesh, shape: EditedShape, edit: ShapeEdit) -> EditedShape:
    chosen = edit.faces.mask & shape.alive
    if edit.kind == "delete":
        return EditedShape(shape.vertices, shape.alive & ~chosen)
    if edit.kind == "keep":
        return EditedShape(shape.vertices, chosen)
    weight, anchor = _attachment(mesh, shape, chosen)
    moved = shape.vertices.copy()
    inside = weight > 0
    if edit.kind == "shrink":
        moved[inside] += (weight[inside] * (1 - edit.amount))[:, None] * (anchor - moved[inside])
    else:
        moved[inside] += (edit.amount * mesh.scale * weight[inside])[:, None] * _normals(mesh, shape)[inside]
    return EditedShape(moved, shape.alive)


def _attachment(mesh: Mesh, shape: EditedShape, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far each vertex takes part in a move of the faces `chosen` (V,), and the point that stays (3,).

    0 where the part meets the rest, rising over `HELD_RINGS` rings (or what there is of them) to 1; the point is the
    middle of that border, or of the part where it is attached nowhere.
    """
    # Vertices at the same place move together, or the surface would tear at texture seams.
    welded = mesh.place
    count = int(welded.max()) + 1
    own, other = np.zeros(count, dtype=bool), np.zeros(count, dtype=bool)
    own[welded[mesh.faces[chosen]].ravel()] = True
    other[welded[mesh.faces[shape.alive & ~chosen]].ravel()] = True
    border = own & other
    sides = welded[mesh.faces[chosen]][:, SIDES].reshape(-1, 2)
    graph = symmetric(sides, np.ones(len(sides), dtype=bool), count)
    ring, reached = np.where(border, 0, HELD_RINGS), border
    for number in range(1, HELD_RINGS):
        nearer, reached = reached, reached | (graph @ reached)
        ring[reached & ~nearer] = number
    deepest = int(ring[own].max()) if own.any() else 0
    # A part of a few large triangles may have no vertex of its own: then its border moves too.
    step = ring / deepest if deepest else np.ones(count)
    weight = np.where(own, step * step * (3 - 2 * step), 0.0)
    place = np.zeros((count, 3))
    place[welded] = shape.vertices
    held = border if border.any() else own
    anchor = place[held].mean(axis=0) if held.any() else np.zeros(3)
    return weight[welded], anchor


def _normals(mesh: Mesh, shape: EditedShape) -> np.ndarray:
    """(V, 3) outward unit normals of the edited shape, equal for vertices at the same place."""
    welded = mesh.place
    faces = mesh.faces[shape.alive]
    cross = area_normals(shape.vertices, faces) * mesh.winding
    total = np.zeros((int(welded.max()) + 1, 3))
    for column in range(3):
        np.add.at(total, welded[faces[:, column]], cross)
    norm = np.linalg.norm(total, axis=1, keepdims=True)
    return np.divide(total, norm, out=np.zeros_like(total), where=norm > 0)[welded]
