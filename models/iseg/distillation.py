"""Training the mesh feature field against the teacher's embeddings of all views (paper Sec. 3.1)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from models.iseg.field import FeatureField
from utils.device import fast_autocast
from utils.errors import UserError
from utils.files import load_torch, save_torch
from utils.geometry.mesh import Mesh
from utils.geometry.sampling import close_together
from utils.progress import Progress, Step, silent, track
from utils.rendering.lifting import CollapsedLoss, DistillationQuadratic, pixel_weights, quiet_sparse
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import ViewPool
from utils.training import check_loss, cosine, set_rate

MOST_ROWS = 16_384  # places that the collapsed training sees of a mesh
TOGETHER = 65_536  # positions whose features are computed at once


def collapse_views(
    pool: ViewPool,
    rasterizer: Rasterizer,
    cache: Path | None = None,
    on_progress: Progress = silent,
    place: Tensor | None = None,
) -> CollapsedLoss:
    """Stream the pool once into the quadratic of `utils.rendering.lifting`; kept in `cache` for the next call.

    place (V,) int64: the row of each vertex, as there.
    """
    key = {"mesh_digest": pool.mesh_digest, "teacher": pool.teacher_name, "settings": repr(pool.settings.to_dict())}
    key |= {} if place is None else {"rows": int(place.max()) + 1}
    held = _held_loss(cache, key, rasterizer.device) if cache is not None and cache.is_file() else None
    if held is not None:
        return held
    quadratic = DistillationQuadratic(rasterizer.mesh, pool.embedding_shape[0], rasterizer.device, place)
    cameras = pool.cameras.resized(pool.embedding_shape[1:])
    for view in track(range(len(pool)), "collapse views", on_progress, len(pool), "view"):
        quadratic.add_view(rasterizer(cameras[view]), pool.embedding(view).permute(1, 2, 0).to(rasterizer.device))
    loss = quadratic.finish()
    if cache is not None:
        a = {"crow": loss.a.crow_indices(), "col": loss.a.col_indices(), "values": loss.a.values()}
        save_torch(cache, {"key": key, "a": {**a, "size": list(loss.a.shape)}, "b": loss.b, "c": loss.c})
    return loss


def _held_loss(cache: Path, key: dict, device: torch.device) -> CollapsedLoss | None:
    """The loss kept in `cache`; None if it is of other views or damaged, and has to be made again."""
    try:
        held = load_torch(cache, device, "collapsed distillation loss")
        if held["key"] != key:
            return None
        a = held["a"]
        with quiet_sparse():
            matrix = torch.sparse_csr_tensor(a["crow"], a["col"], a["values"], a["size"], check_invariants=True)
        return CollapsedLoss(matrix, held["b"], held["c"])
    except (UserError, LookupError, TypeError, AttributeError, ValueError, RuntimeError):
        return None


@dataclass
class FieldTraining:
    """The state of a training of the field, saved and restored as a whole.

    field       the network, and positions (N, 3) normalised, encoded once
    optimizer   its Adam
    losses      one float a step so far
    """

    field: FeatureField
    optimizer: torch.optim.Optimizer
    positions: Tensor
    losses: list[float] = dataclasses.field(default_factory=list)

    def __post_init__(self) -> None:
        self._encoded = self.field.encoding(self.positions)

    def state(self) -> dict[str, Any]:
        """Published keys of `encoder_checkpoint.pth`."""
        return {
            "encoder_state_dict": self.field.state_dict(),
            "optimizer_state_dict": self.optimizer.state_dict(),
            "losses": list(self.losses),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.field.load_state_dict(state["encoder_state_dict"])
        self.optimizer.load_state_dict(state["optimizer_state_dict"])
        self.losses[:] = state["losses"]

    def features(self) -> Tensor:
        """(N, n_classes) float32 at the positions, with gradient."""
        with fast_autocast(self.positions.device):
            features = self.field.decode(self._encoded)
        return features.float()

    def step(self, loss: Tensor) -> None:
        """One step of Adam on a scalar loss."""
        value = check_loss(loss.detach(), len(self.losses))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(value)


def joined_vertices(mesh: Mesh, most: int = MOST_ROWS) -> tuple[Tensor | None, Tensor]:
    """Which vertices the views cannot tell apart, (V,) int64 numbers or None for none, and the positions (N, 3) float32
    that they are trained at.

    A pixel of an embedding is about 0.08 wide on the object, of radius 1; the cells of `most` rows are 0.01 to 0.02.
    """
    points = torch.from_numpy(mesh.normalized)
    if mesh.num_vertices <= most:
        return None, points
    place = torch.from_numpy(close_together(mesh.normalized, most))
    total = torch.zeros((int(place.max()) + 1, 3), dtype=torch.float64).index_add_(0, place, points.double())
    return place, (total / place.bincount()[:, None]).float()


def features_at(field: FeatureField, positions: Tensor) -> Tensor:
    """(V, n_classes) float32 on the CPU, without gradient; many positions (V, 3) a piece at a time."""
    result = torch.empty((len(positions), field.config.n_classes))
    with torch.no_grad():
        for some, rows in zip(positions.split(TOGETHER), result.split(TOGETHER)):
            rows.copy_(field(some))
    return result


def distill_collapsed(
    training: FieldTraining,
    loss: CollapsedLoss,
    steps: int,
    learning_rate: float,
    after_step: Callable[[], None],
    on_progress: Progress = silent,
) -> None:
    """Train on the collapsed loss: every step sees all views at the price of one pass over the vertices.

    The learning rate falls from `learning_rate` to zero along a cosine. `after_step` may save.
    """
    for step in range(len(training.losses), steps):
        set_rate(training.optimizer, learning_rate * cosine(step / steps))
        training.step(loss(training.features()))
        on_progress(Step("distil field", step + 1, steps, note=f"loss={training.losses[-1]:.5f}"))
        after_step()


def distill_rendered(
    training: FieldTraining,
    pool: ViewPool,
    rasterizer: Rasterizer,
    order: Tensor,
    after_step: Callable[[], None],
    on_progress: Progress = silent,
) -> None:
    """Train as published: one view a step, in the `order` (steps,) int64 of views. `after_step` may save."""
    cameras = pool.cameras.resized(pool.embedding_shape[1:])
    for step in range(len(training.losses), len(order)):
        view = int(order[step])
        weights, covered = pixel_weights(rasterizer.mesh, rasterizer(cameras[view]))
        target = pool.embedding(view).permute(1, 2, 0).to(training.positions.device)[covered]
        features = training.features()
        training.step((weights.apply(features) - target).square().mean() if len(weights) else features.sum() * 0)
        note = f"loss={training.losses[-1]:.5f}"
        on_progress(Step("distil field (rendered)", step + 1, len(order), "view", note))
        after_step()
