"""The decoder stage: interactive attention and decoder trained on the click supervision of one mesh (Sec. 3.2, 3.3)."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from models.iseg.checkpoint import DecoderCheckpoint, load_decoder_checkpoint, load_features, save_decoder_checkpoint
from models.iseg.click_geometry import ClickGeometry, ClickGeometryTable
from models.iseg.correcting import Voters
from models.iseg.decoders import ARCHITECTURES, GeometricDecoder, build_network
from models.iseg.segmenter import DecoderSegmenter, features_on, ground_of
from models.iseg.training import (
    DecoderTraining,
    LiftedSettings,
    RenderedSettings,
    ViewCache,
    train_lifted,
    train_rendered,
)
from utils.device import choose_device
from utils.geometry.coarse import CoarseMesh
from utils.geometry.mesh import Mesh, load_mesh
from utils.options import RATE, given, option, positive_int
from utils.progress import Progress, silent
from utils.rendering.rasterize import Rasterizer
from utils.supervision.lifted_targets import lift_masks
from utils.supervision.training_samples import (
    REMEDY,
    ClickTrainingSettings,
    TrainingSamples,
    open_samples,
    says_finished,
)
from utils.training import check_same

LOSSES = ("lifted", "rendered")


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(ClickTrainingSettings):
    """Everything the training of a decoder can be told; None: the default of the loss (or of refining the prior)."""

    encoder_f_path: Path | None = option(
        None,
        "feature field; default: experiments/NAME/encoder/pred_f.pth",
        metavar="FILE",
        group="what to do and where",
    )
    architecture: str | None = option(
        None,
        "scratch: published, the paper's; or geometric (default), which also sees where the clicks are",
        choices=ARCHITECTURES,
        group="training",
    )
    loss: str | None = option(
        None,
        "scratch: lifted (default), all views of a single click at once, on vertices, and corrections simulated; "
        "rendered: one view of one or two clicks, as published",
        choices=LOSSES,
    )
    steps: int | None = option(
        None,
        f"of the lifted training, default {LiftedSettings.steps}, or of refining the prior",
        type=positive_int,
        group="training",
    )
    num_epochs: int | None = option(
        None, f"of the rendered training, default {RenderedSettings.num_epochs}", type=positive_int
    )
    batch_size: int | None = option(
        None,
        f"rendered: samples in a step, default {RenderedSettings.batch_size}; "
        f"lifted and prior: click sets, default {LiftedSettings.sets_per_step}",
        type=positive_int,
    )
    learning_rate: float | None = option(
        None,
        f"of Adam; default: rendered {RenderedSettings.learning_rate:g}, lifted {LiftedSettings.learning_rate:g}, "
        "prior its own",
        within=RATE,
    )

    @property
    def features(self) -> Path:
        return self.encoder_f_path or Path("experiments") / self.mesh_name / "encoder" / "pred_f.pth"

    @property
    def loop(self) -> LiftedSettings | RenderedSettings:
        """What the training of the chosen loss is told."""
        rate = self.learning_rate
        if (self.loss or LOSSES[0]) == "lifted":
            return LiftedSettings(**given(steps=self.steps, sets_per_step=self.batch_size, learning_rate=rate))
        return RenderedSettings(**given(num_epochs=self.num_epochs, batch_size=self.batch_size, learning_rate=rate))


def train_decoder(settings: TrainingSettings, on_progress: Progress = silent) -> None:
    """Train a decoder from nothing, or finish an interrupted training (paper Sec. 3.3).

    Writes a checkpoint at `settings.checkpoint`. Raises UserError for what a person can mend.
    """
    started = time.perf_counter()
    device, mesh = choose_device(settings.device), load_mesh(settings.obj_path)
    features, features_digest = load_features(settings.features, mesh)
    samples = samples_for(settings, mesh)
    training = new_training(settings, features, device)
    network, path = training.network, settings.checkpoint
    record = {
        "mesh_digest": mesh.digest,
        "features_digest": features_digest,
        "teacher": samples.samples.teacher_name,
        "seed": settings.seed,
        "run": _plain({"loss": settings.loss or LOSSES[0], **asdict(settings.loop), **samples.record}),
        "architecture": network.architecture,
        "config": network.config(),
    }
    held = _resumable(path, record, settings.start_over)
    resumed_at = len(held.losses) if held is not None else 0
    if held is not None and says_finished(path, held.complete, resumed_at):
        return

    def save(complete: bool = False) -> None:
        save_decoder_checkpoint(path, training.checkpoint(complete=complete, **record))

    def after_step() -> None:
        if len(training.losses) % settings.save_interval == 0:
            save()

    rasterizer = Rasterizer(mesh, settings.renderer, device)
    if isinstance(settings.loop, LiftedSettings):  # the field of a large mesh is half a gigabyte, and not needed
        features = features_on(ground_of(mesh, network), features)
    run_training(training, features, mesh, samples, rasterizer, settings.loop, held, after_step, on_progress)
    if isinstance(settings.loop, LiftedSettings) and network.uses_geometry:
        segmenter = DecoderSegmenter(mesh, network, features, "float32")
        asked = Voters.ask(segmenter.decode, segmenter.ground, on_progress)
        record |= {"voters": torch.from_numpy(asked.vertices), "votes": torch.from_numpy(asked.logits)}
    save(complete=True)
    recent = training.losses[-50:]
    print(
        f"decoder: {path} ({network.architecture}, {record['run']['loss']} loss "
        f"{sum(recent) / max(1, len(recent)):.4f}, {len(training.losses) - resumed_at} steps, "
        f"{time.perf_counter() - started:.1f} s)"
    )


def samples_for(settings: TrainingSettings, mesh: Mesh) -> TrainingSamples:
    """The click supervision that a training reads: of the lifted one, the single clicks."""
    if isinstance(settings.loop, LiftedSettings):
        settings = replace(settings, use_positive_click=False, use_negative_click=False)
    return open_samples(settings, settings.data_dir, mesh, settings.seed)


def new_training(settings: TrainingSettings, features: torch.Tensor, device: torch.device) -> DecoderTraining:
    """A training that has not begun, for features (V, 256) of a mesh."""
    generator = torch.Generator().manual_seed(settings.seed)
    network = build_network(settings.architecture or "geometric", generator=generator)
    if isinstance(network.decoder, GeometricDecoder):
        network.decoder.standardize(features)
    optimizer = torch.optim.Adam(network.parameters(), lr=settings.loop.learning_rate)
    return DecoderTraining(network.to(device), optimizer, generator)


def run_training(
    training: DecoderTraining,
    features: torch.Tensor,
    mesh: Mesh,
    data: TrainingSamples,
    rasterizer: Rasterizer,
    settings: LiftedSettings | RenderedSettings,
    held: DecoderCheckpoint | None = None,
    after_step=lambda: None,
    on_progress: Progress = silent,
) -> None:
    """Prepare what the loss of `settings` needs and train from where `held` stands (None: from the beginning).

    features (V, 256), or those of the ground (`features_on`); `after_step` is called without arguments and may save.
    """
    device, samples, chosen = rasterizer.device, data.samples, data.chosen
    # What is prepared draws from a generator of its own, so that a resumed training continues the same sequence.
    preparing = torch.Generator().manual_seed(int(torch.randint(1 << 31, (1,), generator=training.generator)))
    features = features.to(device)

    def geometry(ground: Mesh, clicked: torch.Tensor, rows: torch.Tensor) -> ClickGeometryTable | None:
        if not training.network.uses_geometry:
            return None
        return ClickGeometryTable(ClickGeometry(ground), clicked, rows, device, on_progress)

    if isinstance(settings, LiftedSettings):
        ground = ground_of(mesh, training.network)
        coarse = ground if isinstance(ground, CoarseMesh) else None
        targets = lift_masks(samples, chosen, rasterizer, preparing, on_progress=on_progress, coarse=coarse)
        features = features_on(ground, features)
        anywhere = torch.randperm(len(targets.rows), generator=preparing)
        seen = (targets.weight > 0).any(dim=0).cpu()
        clickable = anywhere[seen[anywhere]][: settings.clickable]
        clicked = torch.cat([targets.clicks.clicked, targets.rows[clickable]]).unique()
        table = geometry(ground, clicked, targets.rows)
        if held is not None:
            training.restore(held)
        train_lifted(training, features, targets.to(device), clickable, table, settings, after_step, on_progress)
    else:
        clicked = samples.vertices[chosen].flatten().unique()
        table = geometry(mesh, clicked[clicked >= 0], torch.arange(mesh.num_vertices))
        if held is not None:
            training.restore(held)
        views = ViewCache(samples, rasterizer)
        train_rendered(training, features, samples, chosen, views, table, settings, after_step, on_progress)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """As a checkpoint gives them back."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


def _resumable(path: Path, record: dict[str, Any], start_over: bool) -> DecoderCheckpoint | None:
    """The checkpoint that an earlier run of the same training left; UserError if it is of another one."""
    if start_over or not path.is_file():
        return None
    held = load_decoder_checkpoint(path)
    named = {
        "mesh_digest": "mesh",
        "features_digest": "feature field",
        "architecture": "--architecture",
        "config": "decoder configuration",
        "run": "training settings or click supervision",
    }
    check_same(path, vars(held), record, named, REMEDY)
    return held
