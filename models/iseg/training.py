"""Training the decoder on click supervision (paper Sec. 3.3), with the rendered or the lifted loss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor

from models.iseg.checkpoint import DecoderCheckpoint
from models.iseg.click_geometry import ClickGeometryTable
from models.iseg.decoders import ClickNetwork
from models.iseg.losses import dice_loss, lifted_loss, rendered_loss, sample_rows
from models.iseg.simulated_person import SimulatedPerson, second_order
from utils.device import fast_autocast
from utils.progress import Progress, Step, silent
from utils.rendering.lifting import PixelWeights, pixel_weights
from utils.rendering.rasterize import Rasterizer
from utils.supervision.lifted_targets import ClickTable, LiftedTargets
from utils.supervision.store import SupervisionSet
from utils.supervision.training_samples import CHECKPOINT_NAME, REMEDY
from utils.training import check_loss, cosine, restored, set_rate

DICE = 0.5  # weight of the Dice loss beside the cross-entropy


@dataclass(frozen=True)
class LiftedSettings:
    """The lifted training.

    steps           of Adam; sets_per_step: click sets in one; rows_per_set: vertices evaluated for each
    learning_rate   at the start; it falls to zero along a cosine
    clickable       vertices that the simulated person may click
    """

    steps: int = 1400
    sets_per_step: int = 32
    rows_per_set: int = 256
    learning_rate: float = 1e-3
    clickable: int = 2000


@dataclass(frozen=True)
class RenderedSettings:
    """The published training: num_epochs passes over the samples in batches of batch_size, Adam at a fixed rate."""

    num_epochs: int = 5
    batch_size: int = 16
    learning_rate: float = 1e-4


@dataclass
class DecoderTraining:
    """The state of a training, saved and restored as a whole.

    network    `models.iseg.decoders.ClickNetwork`; optimizer: its Adam; generator: of all that is drawn
    losses     one float a step
    epoch, batch_idx, shuffled_indices, num_batch   as in a released checkpoint; the lifted training is one pass
    """

    network: ClickNetwork
    optimizer: torch.optim.Optimizer
    generator: torch.Generator
    losses: list[float] = field(default_factory=list)
    epoch: int = 0
    batch_idx: int = 0
    shuffled_indices: Tensor | None = None
    num_batch: int = 0

    def checkpoint(self, **record) -> DecoderCheckpoint:
        """Everything needed to go on, or to answer clicks; `record` fills the remaining fields."""
        return DecoderCheckpoint(
            self.network.attention.state_dict(),
            self.network.decoder.state_dict(),
            self.optimizer.state_dict(),
            self.epoch,
            self.batch_idx,
            self.shuffled_indices,
            list(self.losses),
            self.num_batch,
            generator_state=self.generator.get_state(),
            **record,
        )

    def restore(self, held: DecoderCheckpoint) -> None:
        """The inverse of `checkpoint`; UserError if that lacks what a training goes on from."""
        restored(Path(CHECKPOINT_NAME), lambda: self._restore(held), REMEDY)

    def _restore(self, held: DecoderCheckpoint) -> None:
        self.network.attention.load_state_dict(held.attention_state_dict)
        self.network.decoder.load_state_dict(held.model_state_dict)
        self.optimizer.load_state_dict(held.optimizer_state_dict)
        self.epoch, self.batch_idx, self.num_batch = held.epoch, held.batch_idx, held.num_batch
        self.shuffled_indices, self.losses = held.shuffled_indices, list(held.losses)
        if held.generator_state is None:
            raise KeyError("generator_state")
        self.generator.set_state(held.generator_state.cpu())

    def step(self, loss: Tensor) -> None:
        """One step of Adam on a scalar loss."""
        value = check_loss(loss.detach(), len(self.losses))
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(value)

    def progress(self, stage: str, total: int) -> Step:
        """Where the training stands, with the mean of its last losses."""
        recent = self.losses[-50:]
        return Step(stage, len(self.losses), total, note=f"loss={sum(recent) / len(recent):.4f}")


def train_lifted(
    training: DecoderTraining,
    features: Tensor,
    targets: LiftedTargets,
    clickable: Tensor,
    geometry: ClickGeometryTable | None,
    settings: LiftedSettings,
    after_step: Callable[[], None],
    on_progress: Progress = silent,
) -> None:
    """Train on the masks of single clicks lifted to the vertices (K, M): a simulated person wants what one shows.

    Each step has new click sets, and rows of the mesh for each. features (V, 256) of all vertices, on the device of the
    network, as everything here; clickable (P,) places among the rows; `after_step` may save.
    """
    person = SimulatedPerson(second_order(targets), clickable, training.generator)
    wishes = person.wishes
    training.num_batch = settings.steps
    row_features = features[targets.rows]

    def ask(clicks: ClickTable, rows: Tensor) -> Tensor:
        return _logits(training.network, row_features, rows, features, clicks, geometry)

    @torch.no_grad()
    def answer(clicks: ClickTable, rows: Tensor) -> Tensor:
        logits = ask(clicks, rows).float()
        return logits[..., 1] - logits[..., 0]

    while training.batch_idx < settings.steps:
        set_rate(training.optimizer, settings.learning_rate * cosine(training.batch_idx / settings.steps))
        wish, clicks = person.sets(settings.sets_per_step, answer)
        target = wishes.target[wish]
        rows, weight = sample_rows(target, wishes.weight[wish], settings.rows_per_set, training.generator)
        logits, target = ask(clicks, rows), target.gather(1, rows)
        training.step(lifted_loss(logits, target, weight) + DICE * dice_loss(logits, target, weight))
        training.batch_idx += 1
        on_progress(training.progress("train decoder", settings.steps))
        after_step()


def _logits(
    network: ClickNetwork,
    row_features: Tensor,
    rows: Tensor,
    features: Tensor,
    clicks: ClickTable,
    geometry: ClickGeometryTable | None,
) -> Tensor:
    """(B, N, 2) of B click sets at N rows each; rows (B, N) into `row_features` (M, 256) and the geometry's rows."""
    seen = None if geometry is None else geometry(clicks.vertices, clicks.positive, clicks.present, rows)
    with fast_autocast(features.device):
        return network(row_features[rows], features[clicks.vertices], clicks.positive, clicks.present, seen)


class ViewCache:
    """R of each view, computed when first asked for."""

    def __init__(self, samples: SupervisionSet, rasterizer: Rasterizer) -> None:
        self.samples, self.rasterizer, self._held = samples, rasterizer, {}

    def __call__(self, view: int) -> tuple[PixelWeights, Tensor, Tensor]:
        """R over the vertices it reads, these vertices (n,) int64, and the covered pixels (H, W) bool."""
        if view not in self._held:
            weights, covered = pixel_weights(self.rasterizer.mesh, self.rasterizer(self.samples.cameras[view]))
            vertices, place = weights.vertex_ids.unique(return_inverse=True)
            self._held[view] = PixelWeights(place.reshape(-1, 3), weights.weights, len(vertices)), vertices, covered
        return self._held[view]


def train_rendered(
    training: DecoderTraining,
    features: Tensor,
    samples: SupervisionSet,
    chosen: Tensor,
    views: ViewCache,
    geometry: ClickGeometryTable | None,
    settings: RenderedSettings,
    after_step: Callable[[], None],
    on_progress: Progress = silent,
) -> None:
    """Train as published: batches of single samples, the probabilities rendered in the sample's own view.

    chosen (n,) int64, the samples to train on; geometry: over all vertices of the mesh. Only the vertices that the view
    reads are evaluated, which changes nothing. `after_step` may save.
    """
    training.num_batch = -(-len(chosen) // settings.batch_size)
    set_rate(training.optimizer, settings.learning_rate)
    while training.epoch < settings.num_epochs:
        if training.batch_idx == 0:
            training.shuffled_indices = chosen[torch.randperm(len(chosen), generator=training.generator)]
        start = training.batch_idx * settings.batch_size
        batch = _order(training)[start : start + settings.batch_size].tolist()
        losses = [_sample_loss(training.network, features, samples, sample, views, geometry) for sample in batch]
        training.step(torch.stack(losses).mean())
        training.batch_idx += 1
        if training.batch_idx == training.num_batch:
            training.epoch, training.batch_idx = training.epoch + 1, 0
        on_progress(training.progress("train decoder (rendered)", settings.num_epochs * training.num_batch))
        after_step()


def _order(training: DecoderTraining) -> Tensor:
    """(n,) int64, the samples in the order of this pass."""
    if training.shuffled_indices is None:
        raise ValueError("a pass is resumed without its order")
    return training.shuffled_indices


def _sample_loss(
    network: ClickNetwork,
    features: Tensor,
    samples: SupervisionSet,
    sample: int,
    views: ViewCache,
    geometry: ClickGeometryTable | None,
) -> Tensor:
    weights, vertices, covered = views(int(samples.view[sample]))
    if len(vertices) == 0:
        return torch.stack([parameter.sum() for parameter in network.parameters()]).sum() * 0
    mask = samples.masks([sample])[0].to(features.device)[covered]
    clicks = ClickTable.of([samples.clicks(sample)]).to(features.device)
    return rendered_loss(_logits(network, features, vertices[None], features, clicks, geometry)[0], weights, mask)
