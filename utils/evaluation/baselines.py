"""Segmentation methods that need no training on the mesh."""

from __future__ import annotations

from itertools import compress, groupby

import numpy as np
import torch
from scipy.sparse.csgraph import connected_components, dijkstra
from torch import Tensor

from utils.evaluation.method import FaceSegmenter, Method
from utils.geometry.face_graph import FaceGraph
from utils.geometry.mesh import Mesh
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewSettings, render_views
from utils.teacher import Teacher

BATCH = 8  # views embedded or prompted at once; more is no faster on a CPU
DEPTH_TOLERANCE = 0.015  # a click is seen where the depth is that of its face to so much; the object has radius 1


def geodesic(name: str, radius: float, crease_factor: float = 0.0) -> Method:
    """`Geodesic` as a method."""
    identity = f"Geodesic({name=!r}, {radius=!r}, {crease_factor=!r})"
    return Method.opening(name, identity, lambda mesh, graph: Geodesic(graph, radius, crease_factor))


class Geodesic(FaceSegmenter):
    """Selects what is nearer to a positive click than `radius` and than the nearest negative click.

    Distances along the face graph / bounding-box diagonal; `crease_factor` > 0 makes paths across concave edges longer
    (`FaceGraph.matrix`).
    """

    def __init__(self, graph: FaceGraph, radius: float, crease_factor: float = 0.0) -> None:
        self.matrix, self.num_faces, self.radius = graph.matrix(crease_factor), graph.num_faces, radius
        self._distances: dict[int, np.ndarray] = {}

    def nearest(self, faces: np.ndarray) -> np.ndarray:
        """(F,) distances to the nearest of some faces (C,); infinite without any."""
        for face in set(faces.tolist()) - set(self._distances):
            self._distances[face] = dijkstra(self.matrix, indices=face)
        return np.min([np.full(self.num_faces, np.inf), *(self._distances[int(f)] for f in faces)], axis=0)

    def face_probability(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        near, limit = self.nearest(faces[positive]), np.minimum(self.nearest(faces[~positive]), self.radius)
        # 1 at the click, 0.5 on the border, falling to 0 far away; 1 where nothing sets a limit
        share = np.divide(limit, np.maximum(near + limit, 1e-12), out=np.ones_like(near), where=np.isfinite(limit))
        return np.where(np.isfinite(near), share, 0.0)


def component() -> Method:
    """`Component` as a method."""
    return Method.opening("component", "component", lambda mesh, graph: Component(graph))


class Component(FaceSegmenter):
    """What "select connected" of a modelling program does: the components that positive clicks are on.

    A component that negative clicks are on too is shared out: each face goes with its nearest click.
    """

    def __init__(self, graph: FaceGraph) -> None:
        self.nearest = Geodesic(graph, np.inf)
        self.label = connected_components(self.nearest.matrix, directed=False)[1]

    def face_probability(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        held = np.isin(self.label, self.label[faces[positive]])
        return np.where(held, self.nearest.face_probability(faces, positive), 0.0)


def sam_baseline(teacher: Teacher, n_views: int = 100, seed: int = 0) -> Method:
    """`SamBaseline` as a method."""
    identity = f"sam_baseline {teacher.name} {n_views} {seed}"
    return Method.opening("sam_baseline", identity, lambda mesh, graph: SamBaseline(mesh, teacher, n_views, seed))


class SamBaseline(FaceSegmenter):
    """The paper's baseline (Sec. 4.2): a teacher prompted with the projected clicks in random views, and averaging.

    Of `n_views` views, those that see a positive click are prompted with all the clicks they see; a face's
    probability is the share of the mask over the pixels that show it, averaged over the prompted views that see it;
    0 where none does. Mask 0 is used as in the paper. A view is prompted anew only when a click that it sees is added.
    """

    def __init__(self, mesh: Mesh, teacher: Teacher, n_views: int, seed: int) -> None:
        rasterizer, settings = Rasterizer(mesh, device="cpu"), ViewSettings("uniform", n_views, seed=seed)
        self.teacher, self.num_faces, self.cameras = teacher, mesh.num_faces, settings.cameras()
        starts = range(0, n_views, BATCH)
        images = (render_views(rasterizer, self.cameras[start : start + BATCH], settings) for start in starts)
        self.embeddings = torch.cat([teacher.embed(batch).half().cpu() for batch in images])
        rasters = [rasterizer(self.cameras[view]) for view in range(n_views)]
        self.centroids = torch.from_numpy(mesh.normalized[mesh.faces].mean(axis=1))
        self.face_ids = torch.stack([raster.face_ids[0] for raster in rasters]).cpu()
        self.depths = torch.stack([raster.depth[0] for raster in rasters]).cpu()
        flat = self.face_ids.flatten(1).numpy()
        self.shown = [np.flatnonzero(ids >= 0) for ids in flat]  # pixels that show the mesh
        # of each view: the faces seen, which of them each shown pixel shows, and how many pixels show each
        self.faces_of = [
            np.unique(ids[shown], return_inverse=True, return_counts=True) for ids, shown in zip(flat, self.shown)
        ]
        # view -> the clicks last prompted, and the mask's share of each face seen
        self.answers: dict[int, tuple[tuple, np.ndarray]] = {}

    def seen(self, faces: np.ndarray) -> tuple[Tensor, Tensor]:
        """Pixels (T, C, 2) xy of the clicked faces' centroids in all views, and where they are seen (T, C)."""
        clicked = torch.as_tensor(faces)
        pixels, depth = self.cameras.project(self.centroids[clicked])
        side = self.cameras.size[0]
        column, row = pixels.floor().long().clamp(0, side - 1).unbind(-1)
        view = torch.arange(len(pixels))[:, None].expand(column.shape)
        close = (self.depths[view, row, column] - depth).abs() < DEPTH_TOLERANCE
        inside = ((pixels >= 0) & (pixels < side)).all(-1)
        return pixels, inside & ((self.face_ids[view, row, column] == clicked) | close)

    def face_probability(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        pixels, seen = self.seen(faces)
        signs = torch.as_tensor(positive)
        prompted = torch.nonzero((seen & signs).any(1))[:, 0].tolist()
        clicked = list(zip(faces.tolist(), positive.tolist()))
        keys = {view: tuple(compress(clicked, seen[view].tolist())) for view in prompted}
        new = [view for view in prompted if self.answers.get(view, (None,))[0] != keys[view]]
        new.sort(key=lambda view: len(keys[view]))
        for _, alike in groupby(new, key=lambda view: len(keys[view])):
            for batch in torch.tensor(list(alike)).split(BATCH):
                self._answer(batch.tolist(), keys, pixels, seen, signs)
        total, count = np.zeros(self.num_faces), np.zeros(self.num_faces)
        for view in prompted:
            visible = self.faces_of[view][0]
            total[visible] += self.answers[view][1]
            count[visible] += 1
        return np.divide(total, count, out=np.zeros_like(total), where=count > 0)

    @torch.no_grad()
    def _answer(self, views: list[int], keys: dict[int, tuple], pixels: Tensor, seen: Tensor, signs: Tensor) -> None:
        """Prompt views that see the same number of clicks with those; keep mask 0's share of every face seen."""
        points = torch.stack([pixels[view, seen[view]] for view in views])
        labels = torch.stack([signs[seen[view]] for view in views]).long()
        masks = self.teacher.segment_each(self.embeddings[views].float(), points, labels, self.cameras.size).masks(0)
        for view, mask in zip(views, masks.cpu().numpy()):
            _, face_of_pixel, pixels_of = self.faces_of[view]
            inside = np.bincount(face_of_pixel[mask.ravel()[self.shown[view]]], minlength=len(pixels_of))
            self.answers[view] = keys[view], inside / pixels_of
