"""Decoders that see features alone: for figures about the feature field (8, 14, 17), of which only these can tell.

The decoder that sees the clicks' geometry cannot be asked with a feature of another mesh: such a click has no place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from models.attention import InteractiveAttention
from models.figures.subjects import Subject
from models.figures.workshop import Workshop
from models.iseg.checkpoint import load_features
from models.iseg.decoders import PUBLISHED_WIDTHS, ClickDecoder, ClickNetwork, initialize
from models.iseg.distillation import collapse_views
from models.iseg.field import FeatureField, FieldConfig
from models.iseg.losses import lifted_loss, sample_rows
from models.iseg.training import LiftedSettings
from utils.device import fast_autocast
from utils.files import digest, load_torch, save_torch
from utils.progress import Step
from utils.rendering.lifting import CollapsedLoss
from utils.rendering.rasterize import Rasterizer
from utils.rendering.view_pool import open_view_pool
from utils.supervision.lifted_targets import LiftedTargets, lift_masks
from utils.supervision.training_samples import kind_chances, open_samples
from utils.training import check_loss, cosine, set_rate

SMALL_WIDTHS = (256,) * 4  # converges in minutes on a CPU, where the published 16 layers do not
STEPS, SETS = 300, 16  # of such a decoder, and click sets in each
SHARES = (0.4, 0.25, 0.35)  # of single clicks, several positive ones, and with a negative one: the paper's data
RECIPE = f"{STEPS} steps of {SETS}, standardised"  # what answers depend on besides the mesh, the preset and the seed
JOINT_WEIGHT = 5.0  # w of Eq. 8


@dataclass(frozen=True, eq=False)
class FeatureDecoder:
    """Attention and decoder over features (V, 256) of one mesh, and nothing else (Eq. 4-6).

    trained_on  vertices that were single clicks of the training, (C,) int64
    """

    network: ClickNetwork
    features: Tensor
    trained_on: np.ndarray

    @torch.inference_mode()
    def probability(self, click_features: Tensor) -> np.ndarray:
        """(V,) float32 for positive clicks with these features (C, 256), of this mesh or of another."""
        positive = torch.ones(len(click_features), dtype=torch.bool)
        mean, scale = channels(self.features)
        logits = self.network((self.features - mean) / scale, (click_features - mean) / scale, positive)
        return logits.float().softmax(dim=-1)[:, 1].numpy()


def channels(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and deviation (256,) of the channels of a mesh's features, by which the decoder's inputs are standardised:
    those of vit_t differ in scale, and raw they train slowly."""
    return features.mean(dim=0), features.std(dim=0, correction=0).clamp(min=1e-3)


@dataclass(frozen=True, eq=False)
class Supervision:
    """What both trainings read: positions (V, 3), features (V, 256), the two collapsed losses' ingredients."""

    positions: Tensor
    features: Tensor
    distillation: CollapsedLoss
    targets: LiftedTargets
    field: FieldConfig

    @property
    def trained_on(self) -> np.ndarray:
        """(C,) int64, the vertices of single clicks."""
        return self.targets.clicks.vertices[self.targets.clicks.kind == 0][:, 0].unique().numpy()


def supervision(shop: Workshop, subject: Subject) -> Supervision:
    """Views, field and click supervision of a mesh, made if they are not there."""
    pipeline = shop.pipeline(subject, shop.field_preset())
    stages = list(pipeline.stages.values())
    for work in stages[:2]:
        work(shop.on_progress)
    files, mesh = pipeline.settings.files, subject.mesh
    features, _ = load_features(files.features, mesh)
    data = open_samples(pipeline.decoder(), pipeline.decoder().data_dir, mesh, shop.settings.seed)
    rasterizer = Rasterizer(mesh, "embree")
    generator = torch.Generator().manual_seed(shop.settings.seed)
    targets = lift_masks(data.samples, data.chosen, rasterizer, generator, on_progress=shop.on_progress)
    pool = open_view_pool(pipeline.encoder().data_dir, mesh)
    loss = collapse_views(pool, rasterizer, pool.directory / "collapsed.pth", shop.on_progress)
    run = load_torch(files.features.parent / "encoder_checkpoint.pth", what="encoder checkpoint", kind=dict)["run"]
    return Supervision(torch.from_numpy(mesh.normalized), features, loss, targets, FieldConfig(**run["config"]))


def separate(shop: Workshop, subject: Subject) -> FeatureDecoder:
    """As the paper proposes: the field first, by itself (that of the pipeline), then the decoder on it."""
    return _kept(shop, subject, "separate", lambda s, steps: _train(shop, s, steps, None))


def joint(shop: Workshop, subject: Subject) -> FeatureDecoder:
    """The ablation of appendix C: field and decoder from nothing together, w L_enc + L_dec (Eq. 8), in as many steps
    of the decoder."""
    return _kept(shop, subject, "joint", lambda s, steps: _train(shop, s, steps, _new_field(shop, s)))


def _new_field(shop: Workshop, held: Supervision) -> FeatureField:
    return FeatureField(held.field, torch.Generator().manual_seed(shop.settings.seed))


def _widths(shop: Workshop) -> tuple[int, ...]:
    return PUBLISHED_WIDTHS if shop.settings.preset == "paper" else SMALL_WIDTHS


def _network(shop: Workshop) -> ClickNetwork:
    network = ClickNetwork(InteractiveAttention(), ClickDecoder(512, _widths(shop)))
    initialize(network, torch.Generator().manual_seed(shop.settings.seed))
    return network


def _kept(
    shop: Workshop, subject: Subject, kind: str, train: Callable[[Supervision, int], tuple[ClickNetwork, Tensor]]
) -> FeatureDecoder:
    steps = shop.pick(STEPS, 20)
    folder: Path = shop.pipeline(subject, shop.field_preset()).settings.directory
    path = folder / f"features_{kind}_{digest(RECIPE, steps, _widths(shop))[:8]}.pth"
    if not path.is_file():
        held = supervision(shop, subject)
        network, features = train(held, steps)
        state = {"network": network.state_dict(), "features": features, "clicks": torch.from_numpy(held.trained_on)}
        save_torch(path, state)
    state = load_torch(path, what="decoder of features", kind=dict)
    network = _network(shop)
    network.load_state_dict(state["network"])
    return FeatureDecoder(network.eval(), state["features"], state["clicks"].numpy())


def _train(shop: Workshop, held: Supervision, steps: int, field: FeatureField | None) -> tuple[ClickNetwork, Tensor]:
    """Train a decoder on fixed features, or with a field; the network and the features (V, 256) at the end."""
    network, how = _network(shop), LiftedSettings(steps=steps, sets_per_step=SETS)
    generator = torch.Generator().manual_seed(shop.settings.seed)
    weights = [*network.parameters(), *(field.parameters() if field is not None else ())]
    optimizer = torch.optim.Adam(weights, lr=how.learning_rate)
    targets, chance = held.targets, kind_chances(held.targets.clicks.kind, SHARES)
    encoded = held.positions if field is None else field.encoding(held.positions)

    def current() -> Tensor:
        return held.features if field is None else field.decode(encoded)

    for step in range(steps):
        set_rate(optimizer, how.learning_rate * cosine(step / steps))
        with fast_autocast(held.positions.device):
            features = current().float()
        drawn = torch.multinomial(chance, how.sets_per_step, replacement=True, generator=generator)
        rows, weight = sample_rows(targets.target[drawn], targets.weight[drawn], how.rows_per_set, generator)
        clicks = targets.clicks[drawn]
        with fast_autocast(held.positions.device):
            mean, scale = channels(features)
            inputs = (features - mean) / scale
            logits = network(inputs[targets.rows[rows]], inputs[clicks.vertices], clicks.positive, clicks.present)
        loss = lifted_loss(logits, targets.target[drawn].gather(1, rows), weight)
        if field is not None:
            loss = loss + JOINT_WEIGHT * held.distillation(features)
        check_loss(loss.detach(), step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        kind = "decoder of features" if field is None else "field and decoder together"
        shop.on_progress(Step(f"train {kind}", step + 1, steps))
    with torch.no_grad():
        return network, current().float()
