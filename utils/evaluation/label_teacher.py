"""Teachers for evaluation only, which answer with parts that people marked: they tell optimiser and teacher apart.

They embed as another teacher does. What they say never depends on the clicks that a test asks.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from utils.errors import UserError
from utils.evaluation.psb import LabelledShape, load_shape, shape_id
from utils.files import digest
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.rendering.cameras import Cameras
from utils.rendering.rasterize import Rasterizer
from utils.supervision.prompts import seeded
from utils.teacher import Teacher, TeacherMasks

PERFECT, PEOPLE = LABEL_TEACHERS = "perfect", "people"
SURE = 10.0  # logit of what is inside


class LabelTeacher(Teacher):
    """In every view, the part that somebody marked under the positive clicks, without what negative clicks take away.

    kind "perfect": always the wanted segmentation. "people": in each view that of another annotator, drawn anew, so
    inconsistent between views as a 2D model is. Where one part holds clicks of both signs, the smallest piece by
    which any annotator separates them, else what is nearer to the positive one along the surface.

    shape: with its annotators; base: embeds. It is prompted through `in_view`. UserError for "people" if there is but
    one.
    """

    def __init__(self, kind: str, shape: LabelledShape, base: Teacher, annotator: int | None = None) -> None:
        self.kind, self.base, self.mesh = kind, base, shape.mesh
        self.reference = shape.choose(annotator)
        self.segmentations = shape.segmentations
        self.others = np.delete(np.arange(len(self.segmentations)), self.reference)
        if kind == PEOPLE and len(self.others) == 0:
            raise UserError(f"--SAM people needs other people's segmentations; {shape.shape_id} has only one")
        self.name = f"{kind}-{digest(self.segmentations, self.reference)[:8]}"
        self.image_size, self.embedding_shape = base.image_size, base.embedding_shape

    @classmethod
    def of(cls, kind: str, mesh: Mesh, base: Teacher, annotator: int | None = None) -> LabelTeacher:
        """For a mesh that was read from a folder of labelled meshes."""
        if mesh.path is None:
            raise UserError(f"--SAM {kind} needs a labelled mesh that lies in a file")
        folder = mesh.path.parent.parent if mesh.path.parent.name == "off" else mesh.path.parent
        return cls(kind, load_shape(folder, shape_id(mesh.path.stem), ""), base, annotator)

    def embed(self, images: Tensor) -> Tensor:
        return self.base.embed(images)

    def segment(self, *_: object) -> TeacherMasks:  # pyright: ignore[reportIncompatibleMethodOverride]
        raise ValueError("ask `in_view`: people's parts are known of views, not of images")

    def in_view(self, camera: Cameras) -> Teacher:
        annotator = self.reference
        if self.kind == PEOPLE:
            drawn = torch.randint(len(self.others), (1,), generator=seeded(PEOPLE, digest(camera.world_to_camera)))
            annotator = int(self.others[int(drawn)])
        return _LabelledView(self, annotator, self.rasterizer(camera).face_ids[0].cpu().numpy())

    @cached_property
    def rasterizer(self) -> Rasterizer:
        return Rasterizer(self.mesh, "embree")

    @cached_property
    def graph(self) -> FaceGraph:
        return FaceGraph(self.mesh)

    def wanted(self, faces: np.ndarray, positive: np.ndarray, annotator: int) -> np.ndarray:
        """(F,) bool, what one annotator means by clicks on faces (C,)."""
        labels = self.segmentations[annotator]
        included, excluded = faces[positive], faces[~positive]
        wanted = np.isin(labels, labels[included])
        wanted &= ~np.isin(labels, np.setdiff1d(labels[excluded], labels[included]))
        for out in excluded[np.isin(labels[excluded], labels[included])]:
            part, inside = labels == labels[out], included[labels[included] == labels[out]]
            wanted &= ~part | self._without(part, inside, int(out))
        return wanted

    def _without(self, part: np.ndarray, inside: np.ndarray, out: int) -> np.ndarray:
        """(F,) bool: the piece of `part` that holds the faces `inside` and not the face `out`."""
        pieces = [part & np.isin(labels, labels[inside]) for labels in self.segmentations]
        pieces = [piece for piece in pieces if not piece[out]]
        if pieces:
            return min(pieces, key=lambda piece: float(self.mesh.face_areas[piece].sum()))
        matrix = self.graph.matrix()
        near = dijkstra(matrix, indices=inside, min_only=True)
        return part & (near < dijkstra(matrix, indices=out))


class _LabelledView(Teacher):
    """`LabelTeacher` in one view: face_ids (H, W), -1 on the background, of the mesh as its masks are."""

    def __init__(self, teacher: LabelTeacher, annotator: int, face_ids: np.ndarray) -> None:
        self.teacher, self.annotator, self.face_ids = teacher, annotator, face_ids
        self.name, self.image_size, self.embedding_shape = teacher.name, teacher.image_size, teacher.embedding_shape
        # a click on a silhouette means the nearest pixel of the mesh
        nearest = distance_transform_edt(face_ids < 0, return_distances=False, return_indices=True)
        self.row, self.column = np.asarray(nearest)

    def embed(self, images: Tensor) -> Tensor:
        return self.teacher.embed(images)

    def segment(
        self,
        embedding: Tensor,
        points: Tensor,
        labels: Tensor,
        image_size: tuple[int, int],
        previous: Tensor | None = None,
    ) -> TeacherMasks:
        if tuple(image_size) != self.face_ids.shape:
            raise ValueError(f"a view of {self.face_ids.shape} pixels prompted as one of {tuple(image_size)}")
        column, row = points.floor().long().numpy().transpose(2, 0, 1)
        faces = self.face_ids[self.row[row, column], self.column[row, column]]
        logits = np.empty((len(points), 1, *self.face_ids.shape), dtype=np.float32)
        for prompt, (clicked, signs) in enumerate(zip(faces, labels.numpy())):
            asked = (signs >= 0) & (clicked >= 0)
            wanted = self.teacher.wanted(clicked[asked], signs[asked] == 1, self.annotator)
            logits[prompt, 0] = np.where((self.face_ids >= 0) & wanted[self.face_ids], SURE, -SURE)
        return TeacherMasks(torch.from_numpy(logits).expand(-1, 3, -1, -1), torch.ones(len(points), 3), image_size)
