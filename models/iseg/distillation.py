"""Training the mesh feature field against the teacher's embeddings of all views (paper Sec. 3.1)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from utils.device import fast_autocast
from utils.files import load_torch, save_torch
from utils.rendering.lifting import CollapsedLoss, DistillationQuadratic, pixel_weights, quiet_sparse
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewPool


def collapse_views(pool: ViewPool, rasterizer: Rasterizer, cache: Path | None = None) -> CollapsedLoss:
    """Stream the pool once into the quadratic of `utils.rendering.lifting`; kept in `cache` for the next call."""
    key = {"mesh_digest": pool.mesh_digest, "teacher": pool.teacher_name, "settings": repr(pool.settings.to_dict())}
    if cache is not None and cache.is_file():
        held = load_torch(cache, rasterizer.device, "collapsed distillation loss")
        if held.get("key") == key:
            a = held["a"]
            with quiet_sparse():
                matrix = torch.sparse_csr_tensor(a["crow"], a["col"], a["values"], a["size"], check_invariants=False)
            return CollapsedLoss(matrix, held["b"], held["c"])
    quadratic = DistillationQuadratic(rasterizer.mesh, pool.embedding_shape[0], rasterizer.device)
    cameras = pool.cameras.resized(pool.embedding_shape[1:])
    for view in tqdm(range(len(pool)), desc="collapse views", unit="view", disable=None):
        quadratic.add_view(rasterizer(cameras[view]), pool.embedding(view).permute(1, 2, 0).to(rasterizer.device))
    loss = quadratic.finish()
    if cache is not None:
        a = {
            "crow": loss.a.crow_indices(),
            "col": loss.a.col_indices(),
            "values": loss.a.values(),
            "size": list(loss.a.shape),
        }
        save_torch(cache, {"key": key, "a": a, "b": loss.b, "c": loss.c})
    return loss


@dataclass
class FieldTraining:
    """The state of a training of the field, saved and restored as a whole.

    field      the network; optimizer: its Adam; losses: one float a step so far
    """

    field: torch.nn.Module
    optimizer: torch.optim.Optimizer
    losses: list[float]

    def state(self) -> dict:
        """Published keys of `encoder_checkpoint.pth`."""
        return {
            "encoder_state_dict": self.field.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
            "losses": list(self.losses),
        }

    def restore(self, state: dict) -> None:
        """The inverse of `state`."""
        self.field.load_state_dict(state["encoder_state_dict"])
        self.optimizer.load_state_dict(state["optimizer_state_dict"])
        self.losses[:] = state["losses"]


def distill_collapsed(
    training: FieldTraining,
    positions: Tensor,
    loss: CollapsedLoss,
    steps: int,
    learning_rate: float,
    after_step: Callable[[int], None],
) -> None:
    """Train on the collapsed loss: every step sees all views at the price of one pass over the vertices.

    positions (V, 3) normalised. The learning rate falls from `learning_rate` to zero along a cosine. `after_step(step)` may save.
    """
    encoded = training.field.encoding(positions)
    with tqdm(total=steps, initial=len(training.losses), desc="distil field", unit="step", disable=None) as bar:
        for step in range(len(training.losses), steps):
            for group in training.optimizer.param_groups:
                group["lr"] = learning_rate * math.cos(math.pi / 2 * step / steps) ** 2
            with fast_autocast(positions.device):
                features = training.field.decode(encoded)
            value = loss(features.float())
            _step(training, value, bar)
            after_step(step + 1)


def distill_rendered(
    training: FieldTraining,
    positions: Tensor,
    pool: ViewPool,
    rasterizer: Rasterizer,
    epochs: int,
    generator: torch.Generator,
    after_step: Callable[[int], None],
) -> None:
    """Train as published: one view a step, `epochs` passes over the views in random order."""
    encoded = training.field.encoding(positions)
    cameras = pool.cameras.resized(pool.embedding_shape[1:])
    order = torch.cat([torch.randperm(len(pool), generator=generator) for _ in range(epochs)])
    with tqdm(
        total=len(order), initial=len(training.losses), desc="distil field (rendered)", unit="view", disable=None
    ) as bar:
        for step in range(len(training.losses), len(order)):
            view = int(order[step])
            weights, covered = pixel_weights(rasterizer.mesh, rasterizer(cameras[view]))
            target = pool.embedding(view).permute(1, 2, 0).to(positions.device)[covered]
            with fast_autocast(positions.device):
                features = training.field.decode(encoded)
            value = (weights.apply(features.float()) - target).square().mean() if len(weights) else features.sum() * 0
            _step(training, value, bar)
            after_step(step + 1)


def _step(training: FieldTraining, value: Tensor, bar: tqdm) -> None:
    training.optimizer.zero_grad()
    value.backward()
    training.optimizer.step()
    training.losses.append(float(value.detach()))
    bar.set_postfix(loss=f"{training.losses[-1]:.5f}", refresh=False)
    bar.update()
