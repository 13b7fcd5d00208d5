"""What is compared with: FPFH as iSeg3D's embedding (its Sec. 4.1), and networks that see the clicks as channels.

Heatmaps are iSeg3D's baseline; cubes are InterObject3D's encoding, which the iSeg paper compares with (its Sec. 4.2).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from models.iseg3d.annotation import AnnotationSettings, Annotator
from models.iseg3d.fpfh import fpfh
from models.iseg3d.segmenter import EmbeddingSegmenter, PointSegmenter
from models.iseg3d.training import ENCODINGS
from models.points.clouds import Cloud, sample_cloud
from models.points.embedding import Embedder, load_network
from models.points.pointnet2 import PointNet2
from utils.device import fast_autocast
from utils.geometry.mesh import Mesh

HEATMAP_WEIGHTS = Path(__file__).resolve().parents[1] / "weights" / "iseg3d_heatmap.pt"
CUBES_WEIGHTS = HEATMAP_WEIGHTS.with_name("iseg3d_cubes.pt")
FPFH_RADIUS = 0.25  # of the neighbourhoods; the cloud has radius 1
# Of a positive click, where the embedding has 0.35; with the radius above the best of twelve pairs on synthetic clouds.
FPFH_CLICK_RADIUS = 15.0


def fpfh_annotator(cloud: Cloud) -> Annotator:
    """Reads FPFH features in place of iSeg3D's embedding."""
    features = fpfh(cloud.points, cloud.normals, FPFH_RADIUS).astype(np.float32)
    return Annotator(cloud.points, features, AnnotationSettings(radius=FPFH_CLICK_RADIUS))


class FpfhSegmenter(EmbeddingSegmenter):
    """iSeg3D's annotation and post-processing on FPFH features (ours, `models.iseg3d.fpfh`)."""

    def __init__(self, mesh: Mesh, seed: int = 0) -> None:
        cloud = sample_cloud(mesh, seed=seed)
        super().__init__(mesh, cloud, fpfh_annotator(cloud))


class Heatmap:
    """A PointNet++ that sees positive and negative clicks as two more channels and says which points are meant.

    Trained on the same clouds as iSeg3D, with random and corrective clicks. kind: of the channels, in `ENCODINGS`.
    """

    def __init__(self, network: PointNet2, cloud: Cloud, kind: str = "heatmap") -> None:
        self.embedder, self.encode = Embedder(network, cloud), ENCODINGS[kind]

    def probability(self, positives: np.ndarray, negatives: np.ndarray) -> np.ndarray:
        """(N,) float32 for clicks on points (P,) and (Q,)."""
        clicks = torch.from_numpy(np.concatenate([positives, negatives])).to(self.embedder.points.device)
        signs = torch.arange(len(clicks), device=clicks.device) < len(positives)
        with fast_autocast(clicks.device):
            logit = self.embedder(self.encode(self.embedder.points, clicks, signs))[:, 0]
        return 1 / (1 + np.exp(-np.clip(logit, -60, 60)))


class HeatmapSegmenter(PointSegmenter):
    """`Heatmap` on a mesh. Raises UserError if its weights cannot be used."""

    def __init__(
        self,
        mesh: Mesh,
        weights: str | Path = HEATMAP_WEIGHTS,
        device: torch.device | str = "cpu",
        seed: int = 0,
        kind: str = "heatmap",
    ) -> None:
        cloud = sample_cloud(mesh, seed=seed)
        super().__init__(mesh, cloud)
        self.heatmap = Heatmap(load_network(weights, kind).to(device), cloud, kind)

    def select_points(
        self, positives: np.ndarray, negatives: np.ndarray, granularity: float | None = None
    ) -> np.ndarray:
        """(N,) float32 probability; there is no granularity."""
        return self.heatmap.probability(positives, negatives)
