"""iSeg3D made ready for one mesh: instant answers to clicks, and online fine-tuning (iSeg3D paper, Sec. 3.2-3.4)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from models.iseg3d.annotation import PRINTED, AnnotationSettings, Annotator
from models.iseg3d.online import USUAL, FineTuning, OnlineEmbedding, PointClicks
from models.points.carry import Carrier
from models.points.clouds import POINTS, MeshCloud, sample_cloud
from models.points.embedding import WEIGHTS, load_network
from models.points.pointnet2 import PointNet2
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import digest
from utils.geometry.mesh import Mesh
from utils.segmenter import Candidates, Segmenter
from utils.selection import obey

WIDEST = 1.6  # times the radius: the coarser of the three candidates; the finer one has the radius divided by it


class PointSegmenter(Segmenter):
    """Answers clicks on a mesh through points on it; subclasses say what clicks on points select of them.

    mesh   any triangle mesh
    cloud  points sampled on it
    """

    nested = True

    def __init__(self, mesh: Mesh, cloud: MeshCloud) -> None:
        super().__init__(mesh)
        self.cloud = cloud
        self.carrier = Carrier(mesh, cloud)

    @abstractmethod
    def select_points(
        self, positives: np.ndarray, negatives: np.ndarray, granularity: float | None = None
    ) -> np.ndarray:
        """(N,) in [0, 1] or bool for clicks on points (P,) and (Q,) int64; granularity as in `probability`."""

    def probability(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        """(V,) float32, the share of the points around a vertex that are selected; above 0.5 is selected.

        granularity: 0 finer, 0.5 (or None) default, 1 coarser: the radius of Eq. 6, from 1/1.6 to 1.6 times the printed
        one. Raises UserError for clicks that cannot be asked of this mesh (`points_of`).
        """
        selected = self.select_points(*self.points_of(clicks), granularity)
        return obey(self.carrier.on_vertices(selected), clicks.positives.numpy(), clicks.negatives.numpy())

    def candidates(self, clicks: Clicks) -> Candidates:
        """Finer, default, coarser; see `probability` for errors."""
        return Candidates(np.stack([self.probability(clicks, granularity) for granularity in (0.0, 0.5, 1.0)]))

    def face_probability(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """(F,) float32 for clicks on faces (C,) int64, positive (C,) bool; above 0.5 is selected."""
        points, positive = self.carrier.point_of_face(np.asarray(faces)), np.asarray(positive, dtype=bool)
        return self.carrier.on_faces(self.select_points(*_told_apart(points[positive], points[~positive])))

    def points_of(self, clicks: Clicks) -> PointClicks:
        """The points of the cloud that clicks mean, (P,) and (Q,) int64; a point with both signs is positive.

        Raises UserError for clicks that cannot be asked (`Clicks.validate`), or are on vertices that no face uses.
        """
        clicks = clicks.validate(self.num_vertices)
        lone = clicks.vertices.numpy()[~self.mesh.referenced[clicks.vertices.numpy()]]
        if len(lone):
            raise UserError(f"vertex {lone[0]} belongs to no face of the mesh: click another")
        point = self.carrier.point_of_vertex
        return _told_apart(point(clicks.positives.numpy()), point(clicks.negatives.numpy()))


def _told_apart(positives: np.ndarray, negatives: np.ndarray) -> PointClicks:
    return np.unique(positives), np.setdiff1d(negatives, positives)


class EmbeddingSegmenter(PointSegmenter):
    """Selects points by their distance from the clicks in an embedding: iSeg3D's annotation and post-processing."""

    def __init__(self, mesh: Mesh, cloud: MeshCloud, annotator: Annotator) -> None:
        super().__init__(mesh, cloud)
        self.annotator = annotator

    def select_points(
        self, positives: np.ndarray, negatives: np.ndarray, granularity: float | None = None
    ) -> np.ndarray:
        factor = 1.0 if granularity is None else WIDEST ** (2 * min(max(granularity, 0.0), 1.0) - 1)
        return self.annotator.annotate(positives, negatives, factor)


class Iseg3dSegmenter(EmbeddingSegmenter):
    """iSeg3D on one mesh: the embedding of `points` points by the trained network, which fine-tuning may change.

    weights  file that `iseg3d.py --mode train` wrote

    Raises UserError if the weights are missing, damaged, or of another kind of network.
    """

    kind = "instant"
    label = "instant (iSeg3D)"
    learns = True

    def __init__(
        self,
        mesh: Mesh,
        weights: str | Path = WEIGHTS,
        device: torch.device | str = "cpu",
        points: int = POINTS,
        seed: int = 0,
        settings: AnnotationSettings = PRINTED,
    ) -> None:
        network = load_network(weights, "embedding").to(device)
        cloud = sample_cloud(mesh, points, seed)
        self._online = OnlineEmbedding(network, cloud, settings)
        super().__init__(mesh, cloud, self._online.annotator)
        self.identity = digest(Path(weights).read_bytes())
        self.sources = {"checkpoint": str(weights)}

    @property
    def network(self) -> PointNet2:
        return self._online.embedder.network

    def fine_tune(self, clicks: Clicks, others: Sequence[Clicks] = (), settings: FineTuning = USUAL) -> bool:
        """`OnlineEmbedding.fine_tune` by clicks on this mesh; there is nothing to learn without a negative one."""
        points = self.points_of(clicks)
        if len(points[0]) == 0 or len(points[1]) == 0:
            return False
        return self._online.fine_tune(points, [self.points_of(other) for other in others], settings)

    def undo_fine_tuning(self) -> bool:
        return self._online.undo()
