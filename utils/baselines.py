"""Segmentation methods that need no training on the mesh, behind the interface of `utils.evaluation`."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass

import numpy as np
import torch
from scipy.sparse.csgraph import dijkstra

from utils.face_graph import FaceGraph
from utils.mesh import Mesh
from utils.rasterize import Rasterization, Rasterizer
from utils.teacher import Teacher
from utils.view_pool import ViewPool, ViewSettings, build_view_pool


@dataclass(frozen=True)
class Geodesic:
    """Selects what is nearer to a positive click than `radius` and than the nearest negative click.

    Distances along the face graph / bounding-box diagonal; `crease_factor` > 0 makes paths across concave edges
    longer (`FaceGraph.matrix`).
    """

    name: str
    radius: float
    crease_factor: float = 0.0

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
        near = np.min([self.distance(int(f)) for f in faces[positive]], axis=0) if positive.any() else np.full(self.matrix.shape[0], np.inf)
        limit = np.full_like(near, self.radius)
        for face in faces[~positive]:
            limit = np.minimum(limit, self.distance(int(face)))
        # 1 at the click, 0.5 on the border, falling to 0 far away
        return np.where(np.isfinite(near), limit / np.maximum(near + limit, 1e-12), 0.0)


class SamBaseline:
    """The paper's baseline (Sec. 4.2): the teacher prompted with the projected clicks in random views, lifted by averaging.

    Of `n_views` views, those that see a positive click are prompted with all the clicks they see; a face's
    probability is the share of the mask over the pixels that show it, averaged over the prompted views that see it;
    0 where none does. Mask 0, the smallest, is used as in the paper.
    """

    def __init__(self, teacher: Teacher, n_views: int = 100, seed: int = 0, name: str = "sam_baseline", device: str = "cpu") -> None:
        self.teacher, self.n_views, self.seed, self.name, self.device = teacher, n_views, seed, name, device

    def prepare(self, mesh: Mesh, graph: FaceGraph) -> _PreparedSamBaseline:
        rasterizer = Rasterizer(mesh, device=self.device)
        with tempfile.TemporaryDirectory() as folder:
            pool = build_view_pool(folder, rasterizer, self.teacher, ViewSettings("uniform", self.n_views, seed=self.seed))
            embeddings = [pool.embedding(view).half() for view in range(len(pool))]
        rasters = [rasterizer(pool.cameras[view]) for view in range(len(pool))]
        return _PreparedSamBaseline(mesh, self.teacher, pool, embeddings, rasters)


class _PreparedSamBaseline:
    def __init__(self, mesh: Mesh, teacher: Teacher, pool: ViewPool, embeddings: list, rasters: list[Rasterization]) -> None:
        self.teacher, self.pool, self.embeddings, self.num_faces = teacher, pool, embeddings, mesh.num_faces
        self.centroids = torch.from_numpy(mesh.normalized[mesh.faces].mean(axis=1))
        self.face_ids = torch.stack([raster.face_ids[0] for raster in rasters])
        self.depths = torch.stack([raster.depth[0] for raster in rasters])

    def _seen(self, faces: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
        """Pixels (T, C, 2) xy of the clicked faces' centroids in all views, and where they are seen (T, C)."""
        pixels, depth = self.pool.cameras.project(self.centroids[torch.as_tensor(faces)])
        side = self.pool.settings.render_res
        index = pixels.floor().long().clamp(0, side - 1)
        view = torch.arange(len(pixels))[:, None].expand(index.shape[:2])
        face_there = self.face_ids[view, index[..., 1], index[..., 0]]
        close = (self.depths[view, index[..., 1], index[..., 0]] - depth).abs() < 0.015
        inside = ((pixels >= 0) & (pixels < side)).all(-1)
        return pixels, inside & ((face_there == torch.as_tensor(faces)) | close)

    @torch.no_grad()
    def probabilities(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        pixels, seen = self._seen(faces)
        labels = torch.as_tensor(positive)
        total, count = np.zeros(self.num_faces), np.zeros(self.num_faces)
        side = self.pool.settings.render_res
        for view in torch.nonzero((seen & labels).any(1))[:, 0].tolist():
            used = seen[view]
            result = self.teacher.segment(self.embeddings[view].float(), pixels[view, used][None], labels[used][None].long(), (side, side))
            mask = result.masks(0)[0].cpu().numpy()
            ids = self.face_ids[view].numpy()
            shown = ids >= 0
            pixels_of = np.bincount(ids[shown], minlength=self.num_faces)
            inside = np.bincount(ids[shown & mask], minlength=self.num_faces)
            visible = pixels_of > 0
            total[visible] += inside[visible] / pixels_of[visible]
            count[visible] += 1
        return np.divide(total, count, out=np.zeros_like(total), where=count > 0)
