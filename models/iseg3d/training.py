"""Training of iSeg3D's embedding (Sec. 3.1) and of the baselines that see clicks as channels, on labelled clouds."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.spatial.transform import Rotation
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from models.iseg3d.dataset import CloudSet, CloudSettings
from models.iseg3d.losses import EmbeddingLoss
from models.points.embedding import load_network
from models.points.pointnet2 import Plan, PointNet2, PointNet2Config
from utils.device import choose_device, fast_autocast
from utils.errors import UserError
from utils.files import digest, save_torch
from utils.options import RATE, SEED, option, positive_int
from utils.progress import Progress, Step, silent
from utils.training import Saver, check_loss, cosine, restored, resumable, set_rate

KINDS = ("embedding", "heatmap", "cubes")
HEATMAP_WIDTH = 0.08  # standard deviation of a click's Gaussian; the cloud has radius 1
CUBE_SIDE = 0.05  # of the cube that marks a click as InterObject3D does; the iSeg paper's setting (its appendix D)
JITTER = 0.003  # standard deviation of the noise on positions
SAVE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class TrainSettings(CloudSettings):
    """Which network is trained, and how: steps of `batch_size` clouds each, Adam's rate falling to 0 along a cosine."""

    network: str = option(
        "embedding", "embedding: iSeg3D; heatmap, cubes: baselines that see the clicks", choices=KINDS, group="train"
    )
    steps: int = option(4000, "of the training", type=positive_int)
    batch_size: int = option(8, "clouds in a step", type=positive_int)
    learning_rate: float = option(1e-3, "of Adam at the start; a cosine ends it", within=RATE)
    init: Path | None = option(None, "begin with these exported weights, not at random", metavar="FILE")
    overwrite: bool = option(False, "start over instead of resuming")
    seed: int = option(0, "of the training; of the points on the mesh", within=SEED, group="options")
    device: str = option("auto", "auto, cpu or cuda; auto takes CUDA where there is a GPU")
    save_dir: Path | None = option(
        None,
        "test: of the answers, default experiments/NAME/iseg3d; train: of checkpoint and weights, "
        "default experiments/iseg3d",
    )

    def __post_init__(self) -> None:
        super().__post_init__()

    @property
    def record(self) -> dict[str, Any]:
        """What the trained network depends on besides the clouds, as checkpoints and weights hold it."""
        return {
            "kind": self.network,
            "shapes": self.shapes,
            "steps": self.steps,
            "batch": self.batch_size,
            "learning_rate": self.learning_rate,
            "jitter": JITTER,
            "seed": self.seed,
            **({} if self.init is None else {"init": digest(self.init.read_bytes())}),
        }


def train(settings: TrainSettings, on_progress: Progress = silent, config: PointNet2Config | None = None) -> Path:
    """Train a network, or finish an interrupted training; export its weights and return their path.

    config: another architecture than `config_for`. Raises UserError if the folder's checkpoint is of another training.
    """
    folder = settings.save_dir or Path("experiments/iseg3d")
    clouds = CloudSet(settings.data_dir, settings.shapes, config or config_for(settings.network))
    training = Training(settings, clouds, choose_device(settings.device))
    path = folder / f"{settings.network}_checkpoint.pth"
    named = {"settings": "choice of settings", "clouds": f"set of clouds than that in {settings.data_dir}"}
    remedy = "choose another --save_dir or give --overwrite 1"
    held = resumable(path, training.state(), named, "checkpoint of iSeg3D", remedy, settings.overwrite)
    if held is not None:
        restored(path, lambda: training.restore(held), remedy)

    def save() -> None:
        save_torch(path, training.state())

    save_in_time = Saver(save, SAVE_SECONDS)

    def after_step() -> None:
        note = f"loss={training.log[-1]['loss']:.3f}"
        on_progress(Step(settings.network, training.done, settings.steps, note=note))
        save_in_time()

    on_progress(Step(settings.network, training.done, settings.steps))
    training.run(after_step)
    save()
    weights = folder / f"{settings.network}.pt"
    save_torch(weights, exported(training))
    from utils.output.plots import save_training_plot  # a query needs no matplotlib here

    save_training_plot(weights.with_suffix(".png"), training.log)
    loss = np.mean([record["loss"] for record in training.log[-50:]])
    print(f"train: {weights} ({training.done} steps, {training.seconds / 60:.0f} min, loss {loss:.4f})")
    return weights


def config_for(kind: str) -> PointNet2Config:
    """The network of a kind: 3 channels in and an embedding out, or 2 channels of clicks more in and a logit out."""
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


def cubes(points: Tensor, clicks: Tensor, positive: Tensor, side: float = CUBE_SIDE) -> Tensor:
    """(N, 2) of 0 and 1: is a point in a cube about a positive, about a negative click? Arguments as of `heatmaps`.

    The click encoding of InterObject3D (Kontogianni et al. 2023).
    """
    columns = []
    for sign in (True, False):
        chosen = points[clicks[positive == sign]]
        within = (points[:, None] - chosen[None]).abs().amax(dim=-1) <= side / 2
        columns.append(within.any(dim=1).to(points.dtype))
    return torch.stack(columns, dim=1)


ENCODINGS = {"heatmap": heatmaps, "cubes": cubes}  # of clicks, by kind of network


@dataclass(frozen=True)
class Batch:
    """B clouds of N points, one after the other: points and normals (B N, 3), labels (B N,) int64, joined plan."""

    points: Tensor
    normals: Tensor
    labels: Tensor
    plan: Plan
    clouds: int

    def split(self, values: Tensor) -> tuple[Tensor, ...]:
        """Values (B N, ...) of the points, for each cloud."""
        return values.split(len(self.points) // self.clouds)


class Training:
    """A training that can stop after any step and go on: what a step draws depends on the seed and its number alone."""

    def __init__(self, settings: TrainSettings, clouds: CloudSet, device: torch.device) -> None:
        torch.manual_seed(settings.seed)
        self.settings, self.clouds, self.device = settings, clouds, device
        self.network = _first_network(settings, clouds.config).to(device)
        self.record = settings.record  # read once: the file of the first weights may go
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=settings.learning_rate)
        self.loss = EmbeddingLoss()
        self.done = 0
        self.seconds = 0.0
        self.clouds_digest = clouds.digest
        self.log: list[dict[str, float]] = []

    def state(self) -> dict[str, Any]:
        """For the checkpoint."""
        return {
            "settings": self.record,
            "clouds": self.clouds_digest,
            "config": self.network.config.to_dict(),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "done": self.done,
            "seconds": self.seconds,
            "log": self.log,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state`."""
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.done, self.seconds, self.log = state["done"], state["seconds"], state["log"]

    def run(self, after_step: Callable[[], None]) -> None:
        """Train to the end; `after_step` may save."""
        self.network.train()
        while self.done < self.settings.steps:
            started = time.perf_counter()
            set_rate(self.optimizer, self.settings.learning_rate * cosine(self.done / self.settings.steps))
            record = self._step(np.random.default_rng([self.settings.seed, self.done]))
            self.done += 1
            self.seconds += time.perf_counter() - started
            self.log.append({"step": self.done, **{key: round(value, 5) for key, value in record.items()}})
            after_step()

    def _step(self, rng: np.random.Generator) -> dict[str, float]:
        batch = self.batch(rng)
        self.optimizer.zero_grad(set_to_none=True)
        if self.settings.network == "embedding":
            embedding = self._apply(batch, batch.normals)
            parts = [self.loss(z, y) for z, y in zip(batch.split(embedding), batch.split(batch.labels))]
            loss = torch.stack([value for value, _ in parts]).mean()
            record = {key: float(np.mean([terms[key] for _, terms in parts])) for key in parts[0][1]}
        else:
            target, maps = self._wishes(batch, rng)
            logits = self._apply(batch, torch.cat([batch.normals, maps], dim=1))[:, 0]
            loss = binary_cross_entropy_with_logits(logits, target)
            wanted, chosen = target.bool(), logits.detach() > 0
            record = {"iou": float((wanted & chosen).sum() / (wanted | chosen).sum().clamp(min=1))}
        value = check_loss(loss.detach(), self.done)
        loss.backward()
        self.optimizer.step()
        return {"loss": value, **record}

    def _apply(self, batch: Batch, channels: Tensor) -> Tensor:
        with fast_autocast(self.device):
            return self.network(batch.points, channels, batch.plan, batch.clouds)

    def batch(self, rng: np.random.Generator) -> Batch:
        """Clouds drawn at random, each turned at random, its points jittered."""
        count = self.settings.batch_size
        chosen = rng.integers(len(self.clouds), size=count)
        seed = int(rng.integers(1 << 31))
        turns = Rotation.random(count, random_state=seed).as_matrix()  # pyright: ignore[reportCallIssue]
        points, normals = [], []
        for index, turn in zip(chosen, turns.astype(np.float32)):
            noise = rng.normal(0, JITTER, self.clouds.points[index].shape).astype(np.float32)
            points.append((self.clouds.points[index] + noise) @ turn.T)
            normals.append(self.clouds.normals[index].astype(np.float32) @ turn.T)
        plan = Plan.joined([self.clouds.plan(int(index)) for index in chosen], [len(p) for p in points])
        placed, facing = (torch.from_numpy(np.concatenate(a)).to(self.device) for a in (points, normals))
        labels = torch.from_numpy(self.clouds.labels[chosen].astype(np.int64)).flatten().to(self.device)
        return Batch(placed, facing, labels, plan.to(self.device), count)

    # --- the baselines that see clicks --------------------------------------------------------------

    def _wishes(self, batch: Batch, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """What is asked for on each cloud, (B N,) float, and its clicks as channels (B N, 2).

        Clicks are random in and outside a primitive (or two); half the time corrections of the answer to these follow.
        """
        targets, clicks = [], []
        for labels in batch.split(batch.labels):
            count = int(labels.max()) + 1
            asked = rng.choice(count, size=min(count, int(rng.choice([1, 1, 2]))), replace=False)
            wanted = torch.isin(labels, torch.from_numpy(asked).to(labels))
            targets.append(wanted)
            inside, outside = (torch.nonzero(side)[:, 0].cpu().numpy() for side in (wanted, ~wanted))
            first = rng.choice(inside, size=int(rng.integers(1, 5)))
            others = rng.choice(outside, size=int(rng.integers(0, 4))) if len(outside) else outside
            clicks.append((np.concatenate([first, others]), np.arange(len(first) + len(others)) < len(first)))
        if rng.random() < 0.5:
            with torch.no_grad():
                channels = torch.cat([batch.normals, self._maps(batch, clicks)], dim=1)
                answers = batch.split(self._apply(batch, channels)[:, 0])
            for k, (answer, wanted) in enumerate(zip(answers, targets)):
                wrong = torch.nonzero((answer > 0) != wanted)[:, 0].cpu().numpy()
                if len(wrong):
                    more = rng.choice(wrong, size=int(rng.integers(1, 5)))
                    signs = wanted.cpu().numpy()[more]
                    clicks[k] = np.concatenate([clicks[k][0], more]), np.concatenate([clicks[k][1], signs])
        return torch.cat(targets).float(), self._maps(batch, clicks)

    def _maps(self, batch: Batch, clicks: list[tuple[np.ndarray, np.ndarray]]) -> Tensor:
        asked = [[torch.from_numpy(array).to(self.device) for array in arrays] for arrays in clicks]
        encode = ENCODINGS[self.settings.network]
        maps = [encode(points, index, sign) for points, (index, sign) in zip(batch.split(batch.points), asked)]
        return torch.cat(maps)


def _first_network(settings: TrainSettings, config: PointNet2Config) -> PointNet2:
    if settings.init is None:
        return PointNet2(config)
    network = load_network(settings.init, settings.network)
    if network.config != config:
        raise UserError(f"{settings.init} holds a network of another architecture; train without --init")
    return network


def exported(training: Training) -> dict[str, Any]:
    """What is needed to use the network, in float16, and how it came to be."""
    state = training.network.state_dict()
    return {
        "network": {name: value.half() if value.is_floating_point() else value for name, value in state.items()},
        "config": training.network.config.to_dict(),
        "settings": training.record,
        "steps": training.done,
        "minutes": round(training.seconds / 60, 1),
        "log": training.log[:: max(1, len(training.log) // 200)],
    }
