"""iSeg3D made ready for one mesh: instant answers to clicks, and online fine-tuning (iSeg3D paper, Sec. 3.2-3.4)."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.pointnet2 import Plan, PointNet2, PointNet2Config
from utils.clicks import Clicks
from utils.errors import UserError
from utils.files import load_torch
from utils.iseg3d.annotation import AnnotationSettings, Annotator
from utils.iseg3d.carry import Carrier
from utils.iseg3d.clouds import POINTS, Cloud, sample_cloud
from utils.iseg3d.losses import fine_tuning_energy
from utils.iseg3d.simulation import iou_of
from utils.mesh import Mesh

WEIGHTS = Path(__file__).resolve().parent / "weights" / "iseg3d.pt"
WIDEST = 1.6  # times the radius: the coarser of the three candidates; the finer one has the radius divided by it


@dataclass(frozen=True)
class FineTuning:
    """Online fine-tuning: `steps` of gradient descent on Eq. 9, each entry of a
    weight moving by `learning_rate`, and what the paper leaves open, how what is right stays so.

    keep_weight     of the mean distance that the embeddings of the points of other parts move
    least_agreement IoU of every other part, answered before and after; the step is shortened until all reach it
    """

    steps: int = 3
    learning_rate: float = 1e-4
    keep_weight: float = 1.0
    least_agreement: float = 0.98


@dataclass(frozen=True, eq=False)
class Candidates:
    """Three nested answers to one set of clicks, by radius: finer, default, coarser.

    probability  (3, V) float32, ascending along the first axis; above 0.5 is selected
    quality      None: iSeg3D does not judge its answers
    """

    probability: np.ndarray
    quality: None = None


class PointSegmenter:
    """Answers clicks on a mesh through the embedding of points on it; the embedding is what subclasses and baselines differ in.

    mesh       any triangle mesh
    embedding  (N, D) of the points of `cloud`
    """

    def __init__(self, mesh: Mesh, cloud: Cloud, embedding: np.ndarray, settings: AnnotationSettings = AnnotationSettings()) -> None:
        self.mesh, self.num_vertices, self.cloud = mesh, mesh.num_vertices, cloud
        self.annotator = Annotator(cloud.points, embedding, settings)
        self.carrier = Carrier(mesh, cloud)

    # --- vertices --------------------------------------------------------------------------------

    def segment(self, clicks: Clicks, granularity: float | None = None) -> np.ndarray:
        """(V,) float32, the share of the points around a vertex that are selected; above 0.5 is selected.

        granularity: 0 finer, 0.5 (or None) default, 1 coarser: the radius of Eq. 6, from 1/1.6 to 1.6 times the printed one. Raises
        UserError for clicks that cannot be asked of this mesh (`Clicks.validate`, and clicks on vertices that no face uses).
        """
        selected = self._points_selected(*self.points_of(clicks), granularity)
        return self._obeying(self.carrier.on_vertices(selected), clicks)

    def candidates(self, clicks: Clicks) -> Candidates:
        """Finer, default, coarser; see `segment` for errors."""
        return Candidates(np.stack([self.segment(clicks, granularity) for granularity in (0.0, 0.5, 1.0)]))

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

    def segment_faces(self, faces: np.ndarray, positive: np.ndarray) -> np.ndarray:
        """(F,) float32 for clicks on faces (C,) int64, positive (C,) bool; above 0.5 is selected."""
        points, positive = self.carrier.point_of_face(np.asarray(faces)), np.asarray(positive, dtype=bool)
        positives = np.unique(points[positive])
        return self.carrier.on_faces(self._points_selected(positives, np.setdiff1d(points[~positive], positives)))

    def _points_selected(self, positives: np.ndarray, negatives: np.ndarray, granularity: float | None = None) -> np.ndarray:
        factor = 1.0 if granularity is None else WIDEST ** (2 * min(max(granularity, 0.0), 1.0) - 1)
        return self.annotator.annotate(positives, negatives, factor)


class Iseg3dSegmenter(PointSegmenter):
    """iSeg3D on one mesh: the embedding of 4,096 points by the trained network, which fine-tuning may change for this mesh.

    weights  file that `iseg3d.py --mode train` wrote

    Raises UserError if the weights are missing, damaged, or of another kind of network.
    """

    def __init__(self, mesh: Mesh, weights: str | Path = WEIGHTS, device: torch.device | str = "cpu", points: int = POINTS, seed: int = 0,
                 settings: AnnotationSettings = AnnotationSettings()) -> None:
        self.device = torch.device(device)
        self.network = load_network(weights, "embedding").to(self.device)
        cloud = sample_cloud(mesh, points, seed)
        self.embedder = Embedder(self.network, cloud)
        super().__init__(mesh, cloud, self.embedder(), settings)
        self._earlier: list[tuple[dict[str, Tensor], np.ndarray]] = []

    def fine_tune(self, clicks: Clicks, others: list[Clicks] = (), settings: FineTuning = FineTuning()) -> bool:
        """Move the embeddings of the negative clicks away from those of the positive ones (Eq. 9-10), for this mesh from now on.

        others: clicks of the person's other parts. Their answers must not degrade: the change of the weights is halved until each
        of them agrees with its earlier answer, or dropped. Returns whether anything changed; `undo_fine_tuning` takes it back.
        """
        positives, negatives = self.points_of(clicks)
        if len(positives) == 0 or len(negatives) == 0:
            return False
        asked = [self.points_of(other) for other in others]
        return self.fine_tune_points(positives, negatives, asked, settings)

    def fine_tune_points(self, positives: np.ndarray, negatives: np.ndarray, others: list[tuple[np.ndarray, np.ndarray]] = (),
                         settings: FineTuning = FineTuning()) -> bool:
        """`fine_tune` with clicks on points: positives (P,), negatives (Q,), and such pairs for the other parts."""
        before = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        answers = [self.annotator.annotate(*other) for other in others]
        embedding = self.annotator.embedding
        kept = np.flatnonzero(np.any(answers, axis=0)) if answers else np.zeros(0, dtype=np.int64)
        if not self._descend(positives, negatives, kept, settings):
            return False
        after = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        for share in (1.0, 0.5, 0.25, 0.125):
            if share < 1.0:
                self.network.load_state_dict({name: torch.lerp(value, after[name], share) if value.is_floating_point() else value
                                              for name, value in before.items()})
            self.annotator.embedding = self.embedder()
            if all(iou_of(self.annotator.annotate(*other), answer) >= settings.least_agreement for other, answer in zip(others, answers)):
                self._earlier.append((before, embedding))
                return True
        self.network.load_state_dict(before)
        self.annotator.embedding = embedding
        return False

    def _descend(self, positives: np.ndarray, negatives: np.ndarray, kept: np.ndarray, settings: FineTuning) -> bool:
        """Steps on Eq. 9 until it is 0; whether there was one."""
        parameters = list(self.network.parameters())
        include, exclude, hold = (torch.from_numpy(points).to(self.device) for points in (positives, negatives, kept))
        start = torch.from_numpy(self.annotator.embedding).to(self.device)
        moved = False
        for _ in range(settings.steps):
            embedding = self.embedder.forward()
            energy = fine_tuning_energy(embedding[include], embedding[exclude])
            if float(energy.detach()) == 0.0:
                break
            loss = energy
            if len(hold):
                loss = energy + settings.keep_weight * (embedding[hold] - start[hold]).norm(dim=1).mean()
            gradients = torch.autograd.grad(loss, parameters)
            with torch.no_grad():  # as Adam's first step; for so few, its memory is not worth the seconds of importing it
                for parameter, gradient in zip(parameters, gradients):
                    parameter -= settings.learning_rate * gradient / (gradient.abs() + 1e-8)
            moved = True
        return moved

    def undo_fine_tuning(self) -> bool:
        """Restore weights and embedding, to the bit, as they were before the last fine-tuning; False if there was none."""
        if not self._earlier:
            return False
        weights, embedding = self._earlier.pop()
        self.network.load_state_dict(weights)
        self.annotator.embedding = embedding
        return True


class Embedder:
    """A network, in evaluation mode, on the points of one cloud."""

    def __init__(self, network: PointNet2, cloud: Cloud) -> None:
        self.network = network.eval()
        device = next(network.parameters()).device
        self.points, self.normals = (torch.from_numpy(a).to(device) for a in (cloud.points, cloud.normals))
        self.plan = Plan.of(self.points, network.config)

    def forward(self, extra: Tensor | None = None) -> Tensor:
        """(N, outputs); `extra` (N, C): channels beside the normals."""
        channels = self.normals if extra is None else torch.cat([self.normals, extra], dim=1)
        return self.network(self.points, channels, self.plan)

    @torch.no_grad()
    def __call__(self, extra: Tensor | None = None) -> np.ndarray:
        return self.forward(extra).cpu().numpy()


def load_network(path: str | Path, kind: str) -> PointNet2:
    """The network of a kind (`utils.iseg3d.training.KINDS`) in float32; UserError if the file cannot be used."""
    held = load_torch(path, what=f"{kind} network of iSeg3D")
    remedy = "train it again: iseg3d.py --mode train" if Path(path) != WEIGHTS else "restore it with: git checkout -- models/weights"
    try:
        if held["settings"]["kind"] != kind:
            raise UserError(f"{path} holds a network of the kind {held['settings']['kind']}, not {kind}")
        network = PointNet2(PointNet2Config.from_dict(held["config"]))
        network.load_state_dict({name: value.float() if value.is_floating_point() else value for name, value in held["network"].items()})
    except (KeyError, TypeError, RuntimeError) as error:
        raise UserError(f"{path} does not hold a network of iSeg3D of this version; {remedy}") from error
    return network.eval()
