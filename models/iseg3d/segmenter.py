"""iSeg3D made ready for one mesh: instant answers to clicks, and online fine-tuning (iSeg3D paper, Sec. 3.2-3.4)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from models.iseg3d.annotation import AnnotationSettings, Annotator
from models.iseg3d.carry import Carrier
from models.iseg3d.clouds import POINTS, Cloud, sample_cloud
from models.iseg3d.online import FineTuning, OnlineEmbedding
from models.iseg3d.pointnet2 import PointNet2, PointNet2Config
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import digest, load_torch
from utils.geometry.mesh import Mesh
from utils.segmenter import Candidates, Segmenter

WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "iseg3d.pt"
WIDEST = 1.6  # times the radius: the coarser of the three candidates; the finer one has the radius divided by it


class PointSegmenter(Segmenter):
    """Answers clicks on a mesh through points on it; subclasses say what clicks on points select of them.

    mesh   any triangle mesh
    cloud  points sampled on it
    """

    nested = True

    def __init__(self, mesh: Mesh, cloud: Cloud) -> None:
        super().__init__(mesh)
        self.cloud = cloud
        self.carrier = Carrier(mesh, cloud)

    def select_points(
        self, positives: np.ndarray, negatives: np.ndarray, granularity: float | None = None
    ) -> np.ndarray:
        """(N,) in [0, 1] or bool for positive (P,) and negative (Q,) clicks on points; granularity as in `segment`."""
        raise NotImplementedError

    # --- vertices --------------------------------------------------------------------------------

    def probability(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        """(V,) float32, the share of the points around a vertex that are selected; above 0.5 is selected.

        granularity: 0 finer, 0.5 (or None) default, 1 coarser: the radius of Eq. 6, from 1/1.6 to 1.6 times the printed one. Raises
        UserError for clicks that cannot be asked of this mesh (`Clicks.validate`, and clicks on vertices that no face uses).
        """
        selected = self.select_points(*self.points_of(clicks), granularity)
        return self._obeying(self.carrier.on_vertices(selected), clicks)

    def candidates(self, clicks: Clicks) -> Candidates:
        """Finer, default, coarser; see `segment` for errors."""
        return Candidates(np.stack([self.probability(clicks, granularity) for granularity in (0.0, 0.5, 1.0)]))

    def points_of(self, clicks: Clicks) -> tuple[np.ndarray, np.ndarray]:
        """The points of the cloud that positive and negative clicks mean, (P,) and (Q,) int64. A point with both signs is positive."""
        clicks = clicks.validate(self.num_vertices)
        lone = [int(v) for v in clicks.vertices if not self.mesh.referenced[int(v)]]
        if lone:
            raise UserError(f"vertex {lone[0]} belongs to no face of the mesh: click another")
        positives = np.unique(self.carrier.point_of_vertex(clicks.positives.numpy()))
        return positives, np.setdiff1d(self.carrier.point_of_vertex(clicks.negatives.numpy()), positives)

    def _obeying(self, probability: np.ndarray, clicks: Clicks) -> np.ndarray:
        """The clicked vertices on their side of 1/2, whatever the points around them say."""
        positives, negatives = clicks.positives.numpy(), clicks.negatives.numpy()
        probability[positives] = np.maximum(probability[positives], 0.51)
        probability[negatives] = np.minimum(probability[negatives], 0.49)
        return probability

    # --- faces -----------------------------------------------------------------------------------

    def face_probability(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """(F,) float32 for clicks on faces (C,) int64, positive (C,) bool; above 0.5 is selected."""
        points, positive = self.carrier.point_of_face(np.asarray(faces)), np.asarray(positive, dtype=bool)
        positives = np.unique(points[positive])
        return self.carrier.on_faces(self.select_points(positives, np.setdiff1d(points[~positive], positives)))


class EmbeddingSegmenter(PointSegmenter):
    """Selects points by their distance from the clicks in the embedding of an annotator: iSeg3D's annotation and post-processing."""

    def __init__(self, mesh: Mesh, cloud: Cloud, annotator: Annotator) -> None:
        super().__init__(mesh, cloud)
        self.annotator = annotator

    def select_points(
        self, positives: np.ndarray, negatives: np.ndarray, granularity: float | None = None
    ) -> np.ndarray:
        factor = 1.0 if granularity is None else WIDEST ** (2 * min(max(granularity, 0.0), 1.0) - 1)
        return self.annotator.annotate(positives, negatives, factor)


class Iseg3dSegmenter(EmbeddingSegmenter):
    """iSeg3D on one mesh: the embedding of 4,096 points by the trained network, which fine-tuning may change for this mesh.

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
        settings: AnnotationSettings = AnnotationSettings(),
    ) -> None:
        network = load_network(weights, "embedding").to(device)
        cloud = sample_cloud(mesh, points, seed)
        self.online = OnlineEmbedding(network, cloud, settings)
        super().__init__(mesh, cloud, self.online.annotator)
        self.identity = digest(Path(weights).read_bytes())
        self.sources = {"checkpoint": str(weights)}

    @property
    def network(self) -> PointNet2:
        return self.online.embedder.network

    def fine_tune(self, clicks: Clicks, others: list[Clicks] = (), settings: FineTuning = FineTuning()) -> bool:
        """Move the embeddings of the negative clicks away from those of the positive ones (Eq. 9-10), for this mesh from now on.

        others: clicks of the person's other parts. Their answers must not degrade: the change of the weights is halved until each
        of them agrees with its earlier answer, or dropped. Returns whether anything changed; `undo_fine_tuning` takes it back.
        """
        positives, negatives = self.points_of(clicks)
        if len(positives) == 0 or len(negatives) == 0:
            return False
        return self.online.fine_tune(positives, negatives, [self.points_of(other) for other in others], settings)

    def undo_fine_tuning(self) -> bool:
        """Restore weights and embedding, to the bit, as they were before the last fine-tuning; False if there was none."""
        return self.online.undo()


def load_network(path: str | Path, kind: str) -> PointNet2:
    """The network of a kind (`models.iseg3d.training.KINDS`) in float32; UserError if the file cannot be used."""
    held = load_torch(path, what=f"{kind} network of iSeg3D")
    remedy = (
        "train it again: iseg3d.py --mode train"
        if Path(path).parent != WEIGHTS.parent
        else "restore it with: git checkout -- models/weights"
    )
    try:
        if not isinstance(held, dict):
            raise TypeError("a network of iSeg3D is a dictionary")
        if held["settings"]["kind"] != kind:
            raise UserError(f"{path} holds a network of the kind {held['settings']['kind']}, not {kind}")
        network = PointNet2(PointNet2Config.from_dict(held["config"]))
        network.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in held["network"].items()}
        )
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} does not hold a network of iSeg3D of this version; {remedy}") from error
    return network.eval()
