"""Segmentation methods that need no training on the mesh, behind the interface of `utils.evaluation.annotator`."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.rendering.cameras import Cameras
from utils.rendering.rasterize import Rasterization, Rasterizer
from utils.rendering.view_pool import ViewSettings, render_views
from utils.teacher import Teacher


@dataclass(frozen=True)
class Geodesic:
    """Selects what is nearer to a positive click than `radius` and than the nearest negative click.

    Distances along the face graph / bounding-box diagonal; `crease_factor` > 0 makes paths across concave edges
    longer (`FaceGraph.matrix`).
    """

    name: str
    radius: float
    crease_factor: float = 0.0

    @property
    def identity(self) -> str:
        return repr(self)

    def prepare(self, mesh: Mesh, graph: FaceGraph) -> _PreparedGeodesic:
        return _PreparedGeodesic(graph.matrix(self.crease_factor), self.radius)


class _PreparedGeodesic:
    def __init__(self, matrix, radius: float) -> None:
        self.matrix, self.radius = matrix, radius
        self.cache: dict[int, np.ndarray] = {}

    def distance(self, face: int) -> np.ndarray:
        if face not in self.cache:
            self.cache[face] = dijkstra(self.matrix, indices=face)
        return self.cache[face]

    def probabilities(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        near = (
            np.min([self.distance(int(f)) for f in faces[positive]], axis=0)
            if positive.any()
            else np.full(self.matrix.shape[0], np.inf)
        )
        limit = np.full_like(near, self.radius)
        for face in faces[~positive]:
            limit = np.minimum(limit, self.distance(int(face)))
        # 1 at the click, 0.5 on the border, falling to 0 far away
        return np.where(np.isfinite(near), limit / np.maximum(near + limit, 1e-12), 0.0)


class SamBaseline:
    """The paper's baseline (Sec. 4.2): the teacher prompted with the projected clicks in random views, lifted by averaging.

    Of `n_views` views, those that see a positive click are prompted with all the clicks they see; a face's
    probability is the share of the mask over the pixels that show it, averaged over the prompted views that see it;
    0 where none does. Mask 0 is used as in the paper. A view is prompted anew only when a click that it sees is added.
    """

    def __init__(
        self, teacher: Teacher, n_views: int = 100, seed: int = 0, name: str = "sam_baseline", device: str = "cpu"
    ) -> None:
        self.teacher, self.n_views, self.seed, self.name, self.device = teacher, n_views, seed, name, device

    @property
    def identity(self) -> str:
        return f"{self.name} {self.teacher.name} {self.n_views} {self.seed}"

    def prepare(self, mesh: Mesh, graph: FaceGraph) -> _PreparedSamBaseline:
        rasterizer = Rasterizer(mesh, device=self.device)
        settings = ViewSettings("uniform", self.n_views, seed=self.seed)
        cameras = settings.cameras()
        embeddings = [
            self.teacher.embed(render_views(rasterizer, cameras[start : start + BATCH], settings)).half().cpu()
            for start in range(0, self.n_views, BATCH)
        ]
        rasters = [rasterizer(cameras[view]) for view in range(self.n_views)]
        return _PreparedSamBaseline(mesh, self.teacher, cameras, torch.cat(embeddings), rasters)


BATCH = 8  # views embedded or prompted at once; more is no faster on a CPU


class _PreparedSamBaseline:
    def __init__(
        self, mesh: Mesh, teacher: Teacher, cameras: Cameras, embeddings: Tensor, rasters: list[Rasterization]
    ) -> None:
        self.teacher, self.cameras, self.embeddings, self.num_faces = teacher, cameras, embeddings, mesh.num_faces
        self.centroids = torch.from_numpy(mesh.normalized[mesh.faces].mean(axis=1))
        self.face_ids = torch.stack([raster.face_ids[0] for raster in rasters]).cpu()
        self.depths = torch.stack([raster.depth[0] for raster in rasters]).cpu()
        self.shown = [np.flatnonzero(ids >= 0) for ids in self.face_ids.flatten(1).numpy()]  # pixels that show the mesh
        self.faces_of = [
            np.unique(ids[shown], return_inverse=True, return_counts=True)
            for ids, shown in zip(self.face_ids.flatten(1).numpy(), self.shown)
        ]
        self.answers: dict[
            int, tuple[tuple, np.ndarray]
        ] = {}  # view -> the clicks last prompted, the mask's share of each face

    def _seen(self, faces: np.ndarray) -> tuple[Tensor, Tensor]:
        """Pixels (T, C, 2) xy of the clicked faces' centroids in all views, and where they are seen (T, C)."""
        pixels, depth = self.cameras.project(self.centroids[torch.as_tensor(faces)])
        side = self.cameras.size[0]
        index = pixels.floor().long().clamp(0, side - 1)
        view = torch.arange(len(pixels))[:, None].expand(index.shape[:2])
        face_there = self.face_ids[view, index[..., 1], index[..., 0]]
        close = (self.depths[view, index[..., 1], index[..., 0]] - depth).abs() < 0.015
        inside = ((pixels >= 0) & (pixels < side)).all(-1)
        return pixels, inside & ((face_there == torch.as_tensor(faces)) | close)

    def probabilities(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        pixels, seen = self._seen(faces)
        labels = torch.as_tensor(positive)
        clicked = [(face, bool(sign)) for face, sign in zip(faces.tolist(), positive)]
        prompted = torch.nonzero((seen & labels).any(1))[:, 0].tolist()
        keys = {
            view: tuple(click for click, visible in zip(clicked, seen[view].tolist()) if visible) for view in prompted
        }
        new = [view for view in prompted if self.answers.get(view, ((), None))[0] != keys[view]]
        for _, alike in groupby(sorted(new, key=lambda view: len(keys[view])), key=lambda view: len(keys[view])):
            alike = list(alike)
            for start in range(0, len(alike), BATCH):
                self._answer(alike[start : start + BATCH], keys, pixels, seen, labels)
        total, count = np.zeros(self.num_faces), np.zeros(self.num_faces)
        for view in prompted:
            visible = self.faces_of[view][0]
            total[visible] += self.answers[view][1]
            count[visible] += 1
        return np.divide(total, count, out=np.zeros_like(total), where=count > 0)

    @torch.no_grad()
    def _answer(self, views: list[int], keys: dict[int, tuple], pixels: Tensor, seen: Tensor, labels: Tensor) -> None:
        """Prompt views that see the same number of clicks with those, and keep the share of mask 0 of every face seen."""
        points = torch.stack([pixels[view, seen[view]] for view in views])
        signs = torch.stack([labels[seen[view]] for view in views]).long()
        embeddings, size = self.embeddings[views].float(), self.cameras.size
        masks = self.teacher.segment_each(embeddings, points, signs, size).masks(0).cpu().numpy()
        for view, mask in zip(views, masks):
            _, face_of_pixel, pixels_of = self.faces_of[view]
            inside = np.bincount(face_of_pixel[mask.ravel()[self.shown[view]]], minlength=len(pixels_of))
            self.answers[view] = keys[view], inside / pixels_of
