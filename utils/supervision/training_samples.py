"""Which samples of the click supervision a training uses, and a record of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from utils.errors import UserError
from utils.files import digest
from utils.geometry.mesh import Mesh
from utils.options import BACKENDS, CHECKPOINT_NAME, Checked, MeshSettings, option, positive_int
from utils.supervision.store import SupervisionSet

REMEDY = "add --overwrite 1 to train it again, or choose another --save_dir or --model_name"


@dataclass(frozen=True, kw_only=True)
class SampleSettings(Checked):
    """The part of the click supervision to train on."""

    decoder_data_dir: Path | None = option(
        None, "click supervision; default: data/NAME/decoder_data", group="samples to train on"
    )
    use_positive_click: bool = option(True, "rendered loss: train on second positive clicks")
    use_negative_click: bool = option(True, "rendered loss: train on second negative clicks")
    views_per_vert: int = option(100, "views of each click set to train on, 0 = all")
    data_percentage: float = option(1.0, "share of the samples to train on, 0 to 1")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.data_percentage <= 1:
            raise UserError(f"--data_percentage {self.data_percentage:g} is not a share of the samples: give 1 for all")
        if self.views_per_vert < 0:
            raise UserError("--views_per_vert must be 0 (all) or more")


@dataclass(frozen=True, kw_only=True)
class ClickTrainingSettings(SampleSettings, MeshSettings):
    """A training on the click supervision of one mesh, and its checkpoint.

    steps, batch_size, learning_rate: None is the default of the training, whose command line offers them.
    """

    save_dir: Path | None = option(
        None, "of the checkpoint and of answers; default: experiments/NAME/decoder", group="what to do and where"
    )
    model_name: str | None = option(None, f"file of the checkpoint in --save_dir; default: {CHECKPOINT_NAME}")
    renderer: str = option("auto", "auto: kaolin with CUDA, else embree", choices=BACKENDS)
    steps: int | None = None
    batch_size: int | None = None
    learning_rate: float | None = None
    save_interval: int = option(100, "steps between checkpoints", type=positive_int, group="training")
    continue_train: bool = option(True, "0 starts over, as --overwrite 1 does")
    overwrite: bool = option(False, "start over instead of resuming")

    @property
    def start_over(self) -> bool:
        return self.overwrite or not self.continue_train

    @property
    def directory(self) -> Path:
        return self.save_dir or Path("experiments") / self.mesh_name / "decoder"

    @property
    def checkpoint(self) -> Path:
        return self.directory / (self.model_name or CHECKPOINT_NAME)

    @property
    def data_dir(self) -> Path:
        return self.decoder_data_dir or Path("data") / self.mesh_name / "decoder_data"


def says_finished(path: Path, complete: bool, steps: int) -> bool:
    """Tell how far the training at `path` is; returns whether there is nothing left to do."""
    if complete:
        print(f"decoder: {path} is already trained ({steps} steps); --overwrite 1 trains it again")
    else:
        print(f"decoder: {path} goes on after step {steps}")
    return complete


@dataclass(frozen=True, eq=False)
class TrainingSamples:
    """What a training reads.

    samples  the whole set; chosen (n,) int64 those to train on
    record   plain values that identify what was chosen, for a checkpoint
    """

    samples: SupervisionSet
    chosen: Tensor
    record: dict[str, Any]


def open_samples(settings: SampleSettings, directory: Path, mesh: Mesh, seed: int) -> TrainingSamples:
    """The samples in `directory` that the settings ask for; UserError if there are none or they are of another mesh."""
    kinds = ["single"]
    kinds += ["positive"] * settings.use_positive_click + ["negative"] * settings.use_negative_click
    samples = SupervisionSet.open(directory, mesh, tuple(kinds))
    if len(samples) == 0:
        raise UserError(f"{directory} holds no samples; run data_generation.py with more --n_views or --percentage")
    generator = torch.Generator().manual_seed(seed)
    chosen = choose_samples(samples, settings.views_per_vert, settings.data_percentage, generator)
    record = {
        "kinds": kinds,
        "views_per_vert": settings.views_per_vert,
        "data_percentage": settings.data_percentage,
        "seed": seed,
        # What was clicked, seen and scored; masks of equal scores are taken for equal.
        "samples": digest(samples.vertices, samples.positive, samples.view, samples.score),
    }
    return TrainingSamples(samples, chosen, record)


def choose_samples(samples: SupervisionSet, views_per_vertex: int, share: float, generator: torch.Generator) -> Tensor:
    """(n,) int64 ascending: up to `views_per_vertex` views (0 = all) of each click set, a random `share` of them."""
    kept = torch.ones(len(samples), dtype=torch.bool)
    if views_per_vertex:
        for _, members in samples.click_sets():
            kept[members[torch.randperm(len(members), generator=generator)[views_per_vertex:]]] = False
    chosen = kept.nonzero()[:, 0]
    if share < 1:
        count = max(1, round(share * len(chosen)))
        chosen = chosen[torch.randperm(len(chosen), generator=generator)[:count]].sort().values
    return chosen


def kind_chances(kind: Tensor, shares: tuple[float, float, float]) -> Tensor:
    """(K,) float on the CPU: how often each click set is drawn; `shares` are split evenly within their kinds."""
    kind = kind.cpu()
    count = kind.bincount(minlength=len(shares)).clamp(min=1)
    return (torch.tensor(shares) / count)[kind].clamp(min=1e-12)
