"""Training of iSeg3D's embedding (Sec. 3.1) and of the heatmap baseline (Sec. 4.1) on clouds with primitive labels."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.iseg3d.dataset import CloudSet
from models.iseg3d.losses import EmbeddingLoss
from models.iseg3d.pointnet2 import Plan, PointNet2, PointNet2Config
from utils.device import fast_autocast

KINDS = ("embedding", "heatmap")
HEATMAP_WIDTH = 0.08  # standard deviation of a click's Gaussian; the cloud has radius 1


@dataclass(frozen=True)
class TrainingSettings:
    """kind: embedding (iSeg3D) or heatmap (the baseline); shapes: clouds to train on; steps of `batch` clouds each; learning rate
    of Adam, falling to 0 along a cosine; jitter: deviation of the noise on positions."""

    kind: str = "embedding"
    shapes: int = 6000
    steps: int = 4000
    batch: int = 8
    learning_rate: float = 1e-3
    jitter: float = 0.003
    seed: int = 0

    def to_dict(self) -> dict:
        return asdict(self)


def config_for(kind: str) -> PointNet2Config:
    """The network of a kind: 3 channels in and an embedding out, or 2 heatmaps more in and a logit out."""
    return PointNet2Config() if kind == "embedding" else PointNet2Config(inputs=5, outputs=1)


def heatmaps(points: Tensor, clicks: Tensor, positive: Tensor, width: float = HEATMAP_WIDTH) -> Tensor:
    """(N, 2) in [0, 1]: for positive and for negative clicks a Gaussian of the distance to the nearest; 0 without one.

    points (N, 3); clicks (C,) int64 into the points; positive (C,) bool.
    """
    columns = []
    for sign in (True, False):
        chosen = points[clicks[positive == sign]]
        if len(chosen) == 0:
            columns.append(points.new_zeros(len(points)))
            continue
        nearest = torch.cdist(points, chosen).amin(dim=1)
        columns.append(torch.exp(-0.5 * (nearest / width).square()))
    return torch.stack(columns, dim=1)


class Training:
    """A training that can stop after any step and go on: what a step draws depends on the seed and its number alone."""

    def __init__(self, settings: TrainingSettings, clouds: CloudSet, device: torch.device) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.clouds, self.device = settings, clouds, device
        self.network = PointNet2(config_for(settings.kind)).to(device)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self.loss = EmbeddingLoss()
        self.done = 0
        self.seconds = 0.0
        self.clouds_digest = clouds.digest
        self.log: list[dict] = []

    def state(self) -> dict:
        return {
            "settings": self.settings.to_dict(),
            "clouds": self.clouds_digest,
            "config": self.network.config.to_dict(),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "seconds": self.seconds,
            "log": self.log,
        }

    def restore(self, state: dict) -> None:
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.seconds, self.log = state["done"], state["seconds"], state["log"]

    def run(self, after_step: Callable[[], None]) -> None:
        """Train to the end; `after_step` may save."""
        self.network.train()
        while self.done < self.settings.steps:
            started = time.perf_counter()
            for group in self.optimizer.param_groups:
                group["lr"] = (
                    self.settings.learning_rate * 0.5 * (1 + math.cos(math.pi * self.done / self.settings.steps))
                )
            record = self._step(np.random.default_rng([self.settings.seed, self.done]))
            self.done += 1
            self.seconds += time.perf_counter() - started
            self.log.append({"step": self.done, **{key: round(value, 5) for key, value in record.items()}})
            after_step()

    def _step(self, rng: np.random.Generator) -> dict[str, float]:
        points, normals, labels, plan, size = self._batch(rng)
        self.optimizer.zero_grad(set_to_none=True)
        if self.settings.kind == "embedding":
            embedding = self._apply(points, normals, plan)
            parts = [self.loss(z, y) for z, y in zip(embedding.split(size), labels.split(size))]
            loss = torch.stack([value for value, _ in parts]).mean()
            record = {key: float(np.mean([terms[key] for _, terms in parts])) for key in parts[0][1]}
        else:
            target, maps = self._wishes(points, labels, normals, plan, size, rng)
            logits = self._apply(points, torch.cat([normals, maps], dim=1), plan)[:, 0]
            loss, record = binary_cross_entropy_with_logits(logits, target), {}
            wanted, chosen = target.bool(), logits.detach() > 0
            record["iou"] = float((wanted & chosen).sum() / (wanted | chosen).sum().clamp(min=1))
        loss.backward()
        self.optimizer.step()
        return {"loss": float(loss.detach()), **record}

    def _apply(self, points: Tensor, channels: Tensor, plan: Plan) -> Tensor:
        with fast_autocast(self.device):
            return self.network(points, channels, plan, self.settings.batch)

    def _batch(self, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Plan, int]:
        """Points, normals, labels of `batch` clouds, each turned at random, their joined plan, and the points of one."""
        chosen = rng.integers(len(self.clouds), size=self.settings.batch)
        points, normals = [], []
        for index, turn in zip(
            chosen, Rotation.random(len(chosen), random_state=int(rng.integers(1 << 31))).as_matrix()
        ):
            turn = turn.astype(np.float32)
            noise = rng.normal(0, self.settings.jitter, self.clouds.points[index].shape).astype(np.float32)
            points.append((self.clouds.points[index] + noise) @ turn.T)
            normals.append(self.clouds.normals[index].astype(np.float32) @ turn.T)
        size = len(points[0])
        plan = Plan.joined([self.clouds.plan(int(index)) for index in chosen], [size] * len(chosen)).to(self.device)
        labels = torch.from_numpy(self.clouds.labels[chosen].astype(np.int64)).flatten()
        return (
            torch.from_numpy(np.concatenate(points)).to(self.device),
            torch.from_numpy(np.concatenate(normals)).to(self.device),
            labels.to(self.device),
            plan,
            size,
        )

    # --- the heatmap baseline -------------------------------------------------------------------------

    def _wishes(
        self, points: Tensor, labels: Tensor, normals: Tensor, plan: Plan, size: int, rng: np.random.Generator
    ) -> tuple[Tensor, Tensor]:
        """What is asked for on each cloud, (B N,) float, and its clicks as heatmaps (B N, 2): random ones in and outside a primitive
        (or two), and half the time corrections of what the network answers to these, as in iterative training."""
        targets, clicks = [], []
        for y in labels.split(size):
            count = int(y.max()) + 1
            wanted = torch.isin(
                y, torch.from_numpy(rng.choice(count, size=min(count, int(rng.choice([1, 1, 2]))), replace=False)).to(y)
            )
            targets.append(wanted)
            inside, outside = (torch.nonzero(side)[:, 0].cpu().numpy() for side in (wanted, ~wanted))
            first = rng.choice(inside, size=int(rng.integers(1, 5)))
            others = rng.choice(outside, size=int(rng.integers(0, 4))) if len(outside) else np.zeros(0, dtype=np.int64)
            clicks.append((np.concatenate([first, others]), np.arange(len(first) + len(others)) < len(first)))
        if rng.random() < 0.5:
            with torch.no_grad():
                channels = torch.cat([normals, self._maps(points, clicks, size)], dim=1)
                answers = self._apply(points, channels, plan)[:, 0].split(size)
            for k, (answer, wanted) in enumerate(zip(answers, targets)):
                wrong = torch.nonzero((answer > 0) != wanted)[:, 0].cpu().numpy()
                if len(wrong):
                    more = rng.choice(wrong, size=int(rng.integers(1, 5)))
                    clicks[k] = (
                        np.concatenate([clicks[k][0], more]),
                        np.concatenate([clicks[k][1], wanted.cpu().numpy()[more]]),
                    )
        return torch.cat(targets).float(), self._maps(points, clicks, size)

    def _maps(self, points: Tensor, clicks: list[tuple[np.ndarray, np.ndarray]], size: int) -> Tensor:
        return torch.cat(
            [
                heatmaps(p, torch.from_numpy(index).to(self.device), torch.from_numpy(positive).to(self.device))
                for p, (index, positive) in zip(points.split(size), clicks)
            ]
        )


def exported(training: Training) -> dict:
    """What is needed to use the network, in float16, and how it came to be."""
    weights = {
        name: value.half() if value.is_floating_point() else value
        for name, value in training.network.state_dict().items()
    }
    return {
        "network": weights,
        "config": training.network.config.to_dict(),
        "settings": training.settings.to_dict(),
        "steps": training.done,
        "minutes": round(training.seconds / 60, 1),
        "log": training.log[:: max(1, len(training.log) // 200)],
    }
